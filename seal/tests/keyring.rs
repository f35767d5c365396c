//! S3: each way in which a keyring can be unfit has a name, and no error shows what is in it.

#![allow(clippy::unwrap_used)]

use std::{
    env,
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
    process::Command,
};

use covault_model::{name::MasterKeyName, registry::KeyCheck};
use covault_seal::{CREDENTIAL_NAME, Keyring, KeyringError, KeyringSource, Verdict};
use proptest::{collection::vec, prelude::any, proptest};
use tempfile::{TempDir, tempdir};

/// Base64 of 32 bytes 0x01, of 32 bytes 0x02.
const ONES: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
const TWOS: &str = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";
const PLACE: &str = "the test";

fn name(text: &str) -> MasterKeyName {
    MasterKeyName::parse(text).unwrap()
}

fn good_text() -> String {
    format!("active = \"two\"\n\n[keys]\none = \"{ONES}\"\ntwo = \"{TWOS}\"\n")
}

fn parse(text: &str) -> Result<Keyring, KeyringError> {
    Keyring::parse(text.as_bytes(), PLACE)
}

fn refusal(text: &str) -> KeyringError {
    parse(text).err().expect("this text is not a keyring")
}

fn chance(first: u8) -> impl FnMut(&mut [u8]) {
    let mut next = first;
    move |bytes| {
        for byte in bytes {
            *byte = next;
            next = next.wrapping_add(1);
        }
    }
}

fn file_with(text: &str, mode: u32) -> (TempDir, PathBuf) {
    let directory = tempdir().unwrap();
    let path = directory.path().join("master.keys");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    (directory, path)
}

fn load(path: &Path) -> Result<Keyring, KeyringError> {
    Keyring::load(&KeyringSource::File(path.to_owned()))
}

fn load_refusal(path: &Path) -> KeyringError {
    load(path).err().expect("this file is not fit to be a keyring")
}

#[test]
fn a_ring_is_read_from_its_text() {
    let ring = parse(&good_text()).unwrap();
    assert_eq!(ring.active(), &name("two"));
    assert_eq!(ring.names().cloned().collect::<Vec<_>>(), [name("one"), name("two")]);
}

#[test]
fn the_forms_that_toml_allows_are_read() {
    let text = format!(
        "# a comment\r\n\tactive='a.b' # which seals\r\n\r\n [ keys ] # the keys\r\n\"a.b\" = \"{ONES}\"\r\n\
         'c' = '{TWOS}'#end\r\n1_-Z = \"{ONES}\""
    );
    let ring = parse(&text).unwrap();
    assert_eq!(ring.active(), &name("a.b"));
    assert_eq!(ring.names().cloned().collect::<Vec<_>>(), [name("1_-Z"), name("a.b"), name("c")]);
}

#[test]
fn lines_that_are_not_of_a_keyring_are_refused_by_number() {
    let cases = [
        ("active", 1),
        ("active = two", 1),
        ("active = \"two", 1),
        ("active = \"two\" \"more\"", 1),
        ("active = \"t\\u0077o\"", 1),
        ("active = \"\"", 1),
        ("active = \"two words\"", 1),
        ("active = \"\"\"two\"\"\"", 1),
        ("active = \"one\"\nactive = \"two\"", 2),
        ("passive = \"two\"", 1),
        ("= \"two\"", 1),
        ("[key]", 1),
        ("[keys", 1),
        ("[[keys]]", 1),
        ("[keys] x", 1),
        ("[keys]\n[keys]", 2),
        ("[keys]\n[more]", 2),
        ("[keys]\n\n# fine\na.b = \"x\"", 4),
        ("[keys]\na b = \"x\"", 2),
        ("[keys]\none = 1", 2),
        ("# a \u{7} bell", 1),
    ];
    for (text, expected) in cases {
        match refusal(text) {
            KeyringError::Malformed { line, .. } => assert_eq!(line, expected, "{text}"),
            other => panic!("{text}: {other:?}"),
        }
    }
    let not_text = Keyring::parse(b"# fine\n\xff", PLACE).err();
    assert!(matches!(not_text, Some(KeyringError::Malformed { line: 2, .. })));
}

#[test]
fn a_key_that_is_not_32_bytes_is_refused() {
    let keys = ["", "AQEB", &ONES[..43], &format!("{}A", &ONES[..43]), &format!("{ONES}{ONES}")];
    for key in keys {
        let expected = KeyringError::BadKeyLength { place: PLACE.to_owned(), line: 3 };
        assert_eq!(refusal(&format!("active = \"k\"\n[keys]\nk = \"{key}\"")), expected, "{key}");
    }
}

#[test]
fn a_key_that_is_not_base64_is_refused() {
    for key in [ONES.replace('E', "!"), ONES.replace("E=", "F="), ONES.replace('A', "_")] {
        let refused = refusal(&format!("active = \"k\"\n[keys]\nk = \"{key}\""));
        assert!(matches!(refused, KeyringError::Malformed { line: 3, .. }), "{key}: {refused:?}");
    }
}

#[test]
fn a_second_key_of_a_name_is_refused() {
    let expected = KeyringError::DuplicateName { place: PLACE.to_owned(), line: 6 };
    assert_eq!(refusal(&format!("{}'one' = \"{TWOS}\"", good_text())), expected);
}

#[test]
fn a_ring_without_keys_or_without_an_active_one_is_refused() {
    let place = || PLACE.to_owned();
    for text in ["", "\n# nothing\n", "active = \"one\"", "active = \"one\"\n[keys]\n"] {
        assert_eq!(refusal(text), KeyringError::NoKeys { place: place() }, "{text}");
    }
    let keys = format!("[keys]\none = \"{ONES}\"\n");
    assert_eq!(refusal(&keys), KeyringError::NoActiveKey { place: place() });
    let other = format!("active = \"other\"\n{keys}");
    assert_eq!(refusal(&other), KeyringError::NoActiveKey { place: place() });
}

#[test]
fn no_error_shows_a_key_wherever_it_stands() {
    // Keys in every wrong place: bare, as a name, cut short, with something after, as the active one.
    let key = ONES.trim_end_matches('=');
    let texts = [
        ONES.to_owned(),
        format!("active = \"{key}\"\n[keys]\none = \"{TWOS}\""),
        format!("active = {ONES}"),
        format!("{key} = \"one\""),
        format!("[keys]\n{key} = \"one\""),
        format!("[keys]\none = \"{key}"),
        format!("[keys]\none = \"{key}\""),
        format!("[keys]\none = \"{ONES}\" \"{ONES}\""),
        format!("[keys]\n{key} = \"{ONES}\"\n{key} = \"{ONES}\""),
        format!("[{key}]"),
        format!("[keys]\none = \"{}!\"", &ONES[..43]),
    ];
    for text in texts {
        let refused = refusal(&text);
        let shown = format!("{refused} {refused:?}");
        assert!(!shown.contains("AQEB") && !shown.contains("AgIC"), "{shown}");
    }
}

#[test]
fn a_file_is_read_when_only_its_owner_may_open_it() {
    for mode in [0o600, 0o400] {
        let (_directory, path) = file_with(&good_text(), mode);
        assert_eq!(load(&path).unwrap().active(), &name("two"));
    }
}

#[test]
fn a_file_open_to_others_is_refused() {
    for mode in [0o644, 0o640, 0o604, 0o620, 0o602, 0o610] {
        let (_directory, path) = file_with(&good_text(), mode);
        let expected = KeyringError::OpenToOthers { place: path.display().to_string(), mode };
        assert_eq!(load_refusal(&path), expected);
        assert!(expected.to_string().contains("chmod 600"));
    }
}

#[test]
fn a_file_of_another_user_is_refused() {
    let (_directory, path) = file_with(&good_text(), 0o600);
    // Only root can give a file away; anybody else cannot make the situation.
    if chown(&path, Some(12_345), None).is_ok() {
        let expected = KeyringError::ForeignOwner { place: path.display().to_string(), owner: 12_345 };
        assert_eq!(load_refusal(&path), expected);
    }
}

#[test]
fn a_missing_file_is_told_apart_from_an_unreadable_one() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("none");
    assert_eq!(load_refusal(&path), KeyringError::Missing { place: path.display().to_string() });
    let refused = load_refusal(directory.path());
    assert!(matches!(refused, KeyringError::Unreadable { .. }), "{refused}");
    let (_directory, file) = file_with(&good_text(), 0o600);
    let refused = load_refusal(&file.join("below"));
    assert!(matches!(refused, KeyringError::Unreadable { .. }), "{refused}");
}

#[test]
fn a_file_too_large_to_be_a_keyring_is_refused() {
    let (_directory, path) = file_with(&"#".repeat(64 * 1024 + 1), 0o600);
    assert_eq!(load_refusal(&path), KeyringError::TooLarge { place: path.display().to_string() });
    let text = good_text();
    let padding = " ".repeat(64 * 1024 - text.len());
    let (_directory, path) = file_with(&(text + &padding), 0o600);
    assert!(load(&path).is_ok(), "white space up to the limit is no fault");
}

#[test]
fn errors_of_a_file_name_it() {
    let (_directory, path) = file_with("active", 0o600);
    assert!(load_refusal(&path).to_string().contains(&path.display().to_string()));
}

/// Runs one test of this file in a process of its own that has `variable` set.
fn run_again(test: &str, variable: &str, value: &str) {
    let status = Command::new(env::current_exe().unwrap())
        .args(["--exact", test])
        .env("COVAULT_TEST_AGAIN", "1")
        .env(variable, value)
        .status()
        .unwrap();
    assert!(status.success(), "{test} with {variable} set");
}

fn is_again() -> bool {
    env::var_os("COVAULT_TEST_AGAIN").is_some()
}

#[test]
fn an_environment_variable_holds_the_same_text() {
    let source = KeyringSource::Environment("COVAULT_TEST_KEYS".to_owned());
    if is_again() {
        assert_eq!(Keyring::load(&source).unwrap().active(), &name("two"));
    } else {
        let place = source.to_string();
        assert_eq!(Keyring::load(&source).err(), Some(KeyringError::Missing { place }));
        run_again("an_environment_variable_holds_the_same_text", "COVAULT_TEST_KEYS", &good_text());
    }
}

#[test]
fn a_credential_directory_holds_the_same_text() {
    let source = KeyringSource::CredentialDirectory;
    if is_again() {
        assert_eq!(Keyring::load(&source).unwrap().active(), &name("two"));
        return;
    }
    let directory = tempdir().unwrap();
    let path = directory.path().join(CREDENTIAL_NAME);
    fs::write(&path, good_text()).unwrap();
    // What an access list for the service's user looks like in the mode.
    fs::set_permissions(&path, Permissions::from_mode(0o440)).unwrap();
    let place = directory.path().to_str().unwrap();
    run_again("a_credential_directory_holds_the_same_text", "CREDENTIALS_DIRECTORY", place);
}

#[test]
fn a_generated_ring_reads_back_from_its_text() {
    let ring = Keyring::generate(&mut chance(0));
    assert_eq!(ring.active().as_str(), "mk-2021222324252627");
    let text = ring.to_text();
    let again = Keyring::parse(text.expose_plaintext(), PLACE).unwrap();
    assert_eq!(again.active(), ring.active());
    assert_eq!(again.check(ring.active()), ring.check(ring.active()));
    assert_eq!(again.to_text().expose_plaintext(), text.expose_plaintext());
}

#[test]
fn a_new_file_is_closed_to_others_and_never_replaces_one() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("master.keys");
    let ring = Keyring::generate(&mut chance(1));
    ring.write_new(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let refused = Keyring::generate(&mut chance(99)).write_new(&path);
    assert_eq!(refused, Err(KeyringError::Exists { place: path.display().to_string() }));
    assert_eq!(load(&path).unwrap().check(ring.active()), ring.check(ring.active()));
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "no draft is left behind");
    let refused = ring.write_new(&directory.path().join("none/master.keys"));
    assert!(matches!(refused, Err(KeyringError::Unwritable { .. })));
}

#[test]
fn a_check_value_tells_the_right_key_from_a_wrong_and_a_missing_one() {
    let ring = parse(&good_text()).unwrap();
    let check = ring.check(&name("one")).unwrap();
    assert_eq!(ring.knows(&name("one"), &check), Verdict::Right);
    assert_eq!(ring.knows(&name("two"), &check), Verdict::Wrong);
    assert_eq!(ring.knows(&name("none"), &check), Verdict::Missing);
    assert_eq!(ring.knows(&name("one"), &KeyCheck(Vec::new())), Verdict::Wrong);
    assert!(!check.0.windows(4).any(|bytes| bytes == [1; 4]), "it is not the key");
}

#[test]
fn keys_taken_out_are_gone_and_the_others_stay() {
    let ring = parse(&good_text()).unwrap().without(&[name("two"), name("none")]);
    assert_eq!(ring.active(), &name("two"));
    assert_eq!(ring.names().cloned().collect::<Vec<_>>(), [name("one")]);
    assert_eq!(ring.check(&name("two")), None);
}

#[test]
fn a_digest_depends_on_key_context_and_parts_apart() {
    let ring = parse(&good_text()).unwrap();
    let digest = |key: &str, context: &str, parts: &[&[u8]]| ring.digest(&name(key), context, parts).unwrap();
    let first = digest("one", "context", &[b"ab", b"c"]);
    assert_eq!(first, digest("one", "context", &[b"ab", b"c"]));
    for other in [
        digest("two", "context", &[b"ab", b"c"]),
        digest("one", "contexts", &[b"ab", b"c"]),
        digest("one", "context", &[b"a", b"bc"]),
        digest("one", "context", &[b"abc"]),
        digest("one", "context", &[b"ab", b"c", b""]),
        digest("one", "", &[b"context", b"ab", b"c"]),
    ] {
        assert_ne!(first, other);
    }
    assert_eq!(ring.digest(&name("none"), "context", &[]), None);
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(bytes in vec(any::<u8>(), 0..200)) {
        let _ = Keyring::parse(&bytes, PLACE);
    }

    #[test]
    fn no_altered_ring_makes_the_reader_panic(at in 0_usize..130, patch in "[\"'=\\[\\]#. é\\\\a\r\n]{1,4}") {
        let mut text: Vec<char> = good_text().chars().collect();
        let at = at.min(text.len());
        text.splice(at..(at + 1).min(text.len()), patch.chars());
        let _ = parse(&text.into_iter().collect::<String>());
    }
}
