//! A data directory that is not what it should be: a clear message and a non-zero exit, never a panic,
//! never a start on half of it.

use std::{
    fs::{self, OpenOptions},
    io::{Read, Seek, SeekFrom, Write},
    os::unix::fs::symlink,
    path::Path,
    process::Output,
};

use crate::support::{Place, covault, process::bare_command};

/// A node's directory with some secrets in it, at rest.
fn filled() -> Place {
    let place = Place::initialised();
    let mut node = place.serve("", &[]);
    for number in 0..50 {
        place.admin().create(&format!("s/{number}"), &"v".repeat(500));
    }
    node.ask_to_stop();
    assert!(node.wait().success(), "{}", node.output());
    place
}

fn check_refused(place: &Place, words: &[&str]) {
    let said = place.refused("", &[]).to_lowercase();
    assert!(!said.contains("panicked"), "{said}");
    assert!(words.iter().any(|word| said.contains(word)), "none of {words:?} in: {said}");
}

fn overwrite(path: &Path, at: u64, bytes: &[u8]) {
    let mut file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(bytes).unwrap();
}

#[test]
fn a_second_process_on_the_same_directory_is_refused() {
    let place = Place::initialised();
    let _node = place.serve("", &[]);
    check_refused(&place, &["another process", "in use", "locked", "already"]);
    place.admin().create("still", "served");
}

#[test]
fn init_does_not_touch_a_directory_that_is_in_use() {
    let place = filled();
    let data = place.data();
    let again = covault(&["init", "--data", data.to_str().unwrap()]).expect(1);
    assert!(!again.stderr.is_empty());
    let _node = place.serve("", &[]);
    assert_eq!(place.admin().value("s/1").len(), 500);
}

#[test]
fn init_makes_no_vault_whose_only_token_it_cannot_keep() {
    let place = Place::empty();
    let (data, token) = (place.data(), place.path("no/such/folder/token"));
    let init = |token: &Path| {
        covault(&["init", "--data", data.to_str().unwrap(), "--token-out", token.to_str().unwrap()])
    };
    let refused = init(&token).expect(1);
    assert!(refused.stderr.contains("no/such/folder/token"), "{}", refused.stderr);
    assert!(!data.join("data.mdb").exists());
    init(&place.data().join("token")).expect(0);
    assert!(place.data().join("token").exists());
}

#[test]
fn a_node_starts_with_what_init_says_to_write() {
    for keys in [&[][..], &["--key-file", "master.keys"]] {
        let place = Place::empty();
        let init = [&["init", "--data", "data"], keys].concat();
        let made = bare_command().current_dir(place.path("")).args(init).output().unwrap();
        let said = String::from_utf8_lossy(&made.stderr).into_owned();
        let (_, config) = said.split_once("a file that says:\n").unwrap_or_else(|| panic!("{said}"));
        let listen = format!("127.0.0.1:{}", place.port());
        let mut node = place.launch_with(config, &["--listen", &listen], &[]);
        place.until_ready(&mut node);
    }
}

#[test]
fn an_init_that_came_to_nothing_says_what_is_in_the_way_of_another_try() {
    let mut place = Place::empty();
    let nowhere = place.path("no/such/folder/master.keys");
    let failed = place.init(&["--key-file", nowhere.to_str().unwrap()]).expect(1);
    let data = place.data();
    assert!(failed.stderr.contains(&format!("remove {}", data.display())), "{}", failed.stderr);
    assert!(!failed.stderr.contains("--without-key"), "{}", failed.stderr);
    fs::remove_dir_all(data).unwrap();
    place.init(&[]).expect(0);
}

#[test]
fn init_puts_no_token_in_the_place_of_a_file_that_the_vault_needs() {
    let folder = tempfile::tempdir().unwrap();
    let refused = init_in(folder.path(), false, "data", "data/node.key");
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("node.key is a file of the vault") && said.contains("remove"), "{said}");
    let key = fs::read(folder.path().join("data/node.key")).unwrap();
    assert!(!key.starts_with(b"cvt_"));
}

/// Runs `init` in a folder with an empty `sub`, and with `data`, to which `link` leads, if it is to be there.
fn init_in(folder: &Path, there: bool, data: &str, token: &str) -> Output {
    fs::create_dir(folder.join("sub")).unwrap();
    symlink("data", folder.join("link")).unwrap();
    if there {
        fs::create_dir(folder.join("data")).unwrap();
    }
    let arguments = ["init", "--data", data, "--token-out", token];
    bare_command().current_dir(folder).args(arguments).output().unwrap()
}

#[test]
fn init_puts_the_token_where_it_is_to_be_however_that_is_spelled() {
    let spellings = [
        ("data", "sub/../data/token", "data/token"),
        ("sub/../data", "data/token", "data/token"),
        ("./data", "FOLDER/data/token", "data/token"),
        ("FOLDER/data", "token", "token"),
        ("data", "data/../token", "token"),
        ("data", "data.token", "data.token"),
        ("data", "link/token", "data/token"),
        ("link", "data/token", "data/token"),
        ("link", "link/../token", "token"),
    ];
    for there in [false, true] {
        // Through a link that leads nowhere nothing can be made.
        let leads_somewhere = |(data, token, _): &(&str, &str, &str)| {
            there || ![data, token].iter().any(|path| path.starts_with("link"))
        };
        for (data, token, expected) in spellings.into_iter().filter(leads_somewhere) {
            let folder = tempfile::tempdir().unwrap();
            let in_folder = |text: &str| text.replace("FOLDER", folder.path().to_str().unwrap());
            let made = init_in(folder.path(), there, &in_folder(data), &in_folder(token));
            let said = String::from_utf8_lossy(&made.stderr);
            assert!(made.status.success(), "{data} {token} {there}: {said}");
            let token = fs::read(folder.path().join(expected)).unwrap();
            assert!(token.starts_with(b"cvt_"), "{data} {expected}");
        }
    }
}

#[test]
fn init_makes_no_vault_whose_token_has_no_place_though_its_path_leads_through_the_data() {
    for token in ["data/../no/such/token", "data/no/such/token", "link/no/token", "data", "data/."] {
        for there in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let refused = init_in(folder.path(), there, "data", token);
            assert!(!refused.status.success(), "{token} {there}");
            let said = String::from_utf8_lossy(&refused.stderr);
            assert!(!said.contains("token_lost"), "{token} {there}: {said}");
            assert!(!folder.path().join("data/data.mdb").exists(), "{token} {there}: {said}");
        }
    }
}

#[test]
fn a_missing_or_empty_directory_is_refused() {
    let place = Place::empty();
    check_refused(&place, &["init", "not found", "no such", "does not exist", "no vault"]);
    fs::create_dir_all(place.data()).unwrap();
    check_refused(&place, &["init", "not found", "no such", "no vault"]);
}

#[test]
fn a_foreign_file_in_place_of_the_store_is_refused() {
    let place = filled();
    fs::write(place.data().join("data.mdb"), b"this is a shopping list, not a store\n".repeat(400)).unwrap();
    check_refused(&place, &["did not make", "damaged"]);
}

#[test]
fn a_truncated_store_is_refused() {
    let place = filled();
    let path = place.data().join("data.mdb");
    for keep in [0, 1, 100, 4096, 8192] {
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len(keep).unwrap();
        check_refused(&place, &["did not make", "damaged", "shorter", "no vault"]);
    }
}

#[test]
fn a_store_whose_pages_were_overwritten_is_refused_or_says_so() {
    let place = filled();
    let path = place.data().join("data.mdb");
    let length = fs::metadata(&path).unwrap().len();
    let mut at = 8192;
    while at + 4096 <= length {
        overwrite(&path, at, &[0xa5; 4096]);
        at += 4096;
    }
    check_refused(&place, &["damaged", "did not make"]);
}

#[test]
fn a_store_of_another_lmdb_format_is_refused() {
    let place = filled();
    let path = place.data().join("data.mdb");
    let mut bytes = Vec::new();
    fs::File::open(&path).unwrap().read_to_end(&mut bytes).unwrap();
    // The second page word of both meta pages is LMDB's own version.
    for page in [0, 4096] {
        overwrite(&path, page + 20, &77_u32.to_le_bytes());
    }
    check_refused(&place, &["later release", "did not make"]);
}

#[test]
fn a_lost_or_foreign_node_key_is_refused() {
    let place = filled();
    let key = place.data().join("node.key");
    let kept = fs::read(&key).unwrap();
    fs::remove_file(&key).unwrap();
    check_refused(&place, &["node.key", "node key", "identity"]);
    fs::write(&key, b"short").unwrap();
    check_refused(&place, &["node.key", "node key", "identity"]);
    fs::write(&key, vec![b'7'; kept.len()]).unwrap();
    check_refused(&place, &["node.key", "node key", "identity"]);
    fs::write(&key, kept).unwrap();
    set_private(&key);
    let _node = place.serve("", &[]);
    assert_eq!(place.admin().value("s/1").len(), 500);
}

fn set_private(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn a_wrong_configuration_is_refused_by_the_name_of_the_setting() {
    let place = Place::initialised();
    for (settings, word) in [
        ("surprise = 1\n", "surprise"),
        ("[limits]\nmap_bytes = \"large\"\n", "map_bytes"),
        ("[log]\nformat = \"xml\"\n", "format"),
        ("plain_http = \"sometimes\"\n", "plain_http"),
        ("[tls]\ncert = \"missing.pem\"\nkey = \"missing.pem\"\n", "missing.pem"),
        ("[keys]\nfile = \"a\"\nenv = \"A\"\n", "keys"),
    ] {
        let said = place.refused(settings, &[]);
        assert!(said.contains(word) || said.contains("covault.toml:"), "{word} is not named: {said}");
    }
    let missing = covault(&["node", "--config", "/nonexistent/covault.toml"]).expect(1);
    assert!(missing.stderr.contains("covault.toml"), "{}", missing.stderr);
}
