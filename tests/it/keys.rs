//! The master keyring: what is wrong with it is said at start, no value is lost by it, and the right
//! key brings everything back (S3).

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::support::{Chance, Place};

fn new_key() -> String {
    STANDARD.encode(Chance::announced("keys").bytes(32))
}

fn ring(active: &str, keys: &[(&str, &str)]) -> String {
    let rows: String = keys.iter().map(|(name, key)| format!("{name:?} = {key:?}\n")).collect();
    format!("active = {active:?}\n\n[keys]\n{rows}")
}

/// A place with one secret, at rest, and the text of its keyring.
fn with_a_secret() -> (Place, String) {
    let place = Place::initialised();
    let mut node = place.serve("", &[]);
    place.admin().create("kept", "value");
    node.kill_hard();
    let keyring = fs::read_to_string(place.keyring()).unwrap();
    (place, keyring)
}

fn put_keyring(place: &Place, text: &str) {
    fs::write(place.keyring(), text).unwrap();
    fs::set_permissions(place.keyring(), Permissions::from_mode(0o600)).unwrap();
}

fn parsed(keyring: &str) -> (String, String) {
    let table: toml::Table = keyring.parse().unwrap();
    let active = table["active"].as_str().unwrap().to_owned();
    let key = table["keys"][&active].as_str().unwrap().to_owned();
    (active, key)
}

fn check_refused(place: &Place, key: &str, words: &[&str]) {
    let said = place.refused("", &[]);
    assert!(words.iter().any(|word| said.to_lowercase().contains(word)), "none of {words:?} in: {said}");
    assert!(!said.contains("panicked") && !said.contains(key), "{said}");
}

/// Brings the keyring back and finds everything as it was.
fn check_recovers(place: &Place, keyring: &str) {
    put_keyring(place, keyring);
    let _node = place.serve("", &[]);
    assert_eq!(place.admin().value("kept"), "value");
    assert_eq!(place.admin().history("kept").len(), 1);
}

#[test]
fn a_wrong_key_is_refused_at_start_and_loses_nothing() {
    let (place, keyring) = with_a_secret();
    let (active, _) = parsed(&keyring);
    let other = new_key();
    put_keyring(&place, &ring(&active, &[(&active, &other)]));
    check_refused(&place, &other, &["another key"]);
    check_recovers(&place, &keyring);
}

#[test]
fn a_missing_keyring_is_refused_at_start() {
    let (place, keyring) = with_a_secret();
    fs::remove_file(place.keyring()).unwrap();
    check_refused(&place, "no key", &["master.keys"]);
    check_recovers(&place, &keyring);
}

#[test]
fn a_keyring_open_to_others_is_refused_at_start() {
    let (place, keyring) = with_a_secret();
    let (_, key) = parsed(&keyring);
    for mode in [0o644, 0o640, 0o604, 0o660] {
        fs::set_permissions(place.keyring(), Permissions::from_mode(mode)).unwrap();
        check_refused(&place, &key, &["mode", "permission", "others", "group", "readable"]);
    }
    check_recovers(&place, &keyring);
}

#[test]
fn an_unreadable_or_broken_keyring_is_refused_and_not_repeated() {
    let (place, keyring) = with_a_secret();
    let (active, key) = parsed(&keyring);
    for text in [
        String::new(),
        "nonsense".to_owned(),
        format!("active = \"gone\"\n[keys]\n{active:?} = {key:?}\n"),
        format!("active = {active:?}\n[keys]\n{active:?} = {:?}\n", &key[..20]),
        format!("active = {active:?}\n[keys]\n{active:?} = \"*{key}\"\n"),
        format!("active = {active:?}\n[keys]\n{active:?} = {key:?}\n{active:?} = {key:?}\n"),
        format!("active = {active:?}\nkeys = {key:?}\n"),
    ] {
        put_keyring(&place, &text);
        check_refused(&place, &key[..20], &["key"]);
    }
    fs::remove_file(place.keyring()).unwrap();
    fs::create_dir(place.keyring()).unwrap();
    check_refused(&place, &key, &["master.keys"]);
    fs::remove_dir(place.keyring()).unwrap();
    check_recovers(&place, &keyring);
}

#[test]
fn without_the_key_a_node_starts_when_asked_and_says_what_it_lacks() {
    let (place, keyring) = with_a_secret();
    let mut node = place.serve("", &[]);
    place.admin().post("/v1/callers", &json!({"name": "leaked"})).expect(201);
    node.kill_hard();
    fs::remove_file(place.keyring()).unwrap();
    let mut node = place.serve("", &["--without-key"]);
    let admin = place.admin();
    admin.get("/v1/secrets/kept").expect_problem(503, "master_key_unavailable");
    admin
        .post("/v1/secrets", &json!({"name": "new", "value": "v"}))
        .expect_problem(503, "master_key_unavailable");
    admin.put("/v1/secrets/kept", &json!({"value": "v"})).expect_problem(503, "master_key_unavailable");
    let condition = [("if-match", "*")];
    admin
        .json("PUT", "/v1/secrets/kept", &condition, &json!({"value": "v"}))
        .expect_problem(503, "master_key_unavailable");
    admin.post("/v1/callers", &json!({"name": "new"})).expect_problem(503, "master_key_unavailable");
    admin.post("/v1/callers/leaked/tokens", &json!({})).expect_problem(503, "master_key_unavailable");
    for replayed in [None, Some("true")] {
        let gone = admin.send("DELETE", "/v1/callers/leaked", &[("idempotency-key", "k")], None).expect(204);
        assert_eq!(gone.header("idempotency-replayed"), replayed);
    }
    assert_eq!(admin.history("kept").len(), 1, "history needs no key");
    admin.get("/v1/secrets").expect(200);
    place.stranger().get("/health").expect(200);
    let ready = place.stranger().get("/ready").expect(503);
    assert!(ready.shown().contains("master_key_unavailable"), "{}", ready.shown());
    node.kill_hard();
    check_recovers(&place, &keyring);
}

#[test]
fn a_rotated_keyring_reads_old_values_and_seals_new_ones_with_the_new_key() {
    let (place, keyring) = with_a_secret();
    let (old_name, old_key) = parsed(&keyring);
    let next = new_key();
    put_keyring(&place, &ring("next", &[(&old_name, &old_key), ("next", &next)]));
    let mut node = place.serve("", &[]);
    let admin = place.admin();
    assert_eq!(admin.value("kept"), "value");
    admin.create("sealed/with/next", "new value");
    assert!(admin.get("/v1/status").shown().contains("next"));
    node.kill_hard();

    put_keyring(&place, &ring("next", &[("next", &next)]));
    let mut node = place.serve("", &["--without-key"]);
    assert_eq!(admin.value("sealed/with/next"), "new value");
    let lacking = admin.get("/v1/secrets/kept").expect_problem(503, "master_key_unavailable");
    assert_eq!(lacking.at("/key"), Value::String(old_name.clone()));
    node.kill_hard();

    put_keyring(&place, &ring("next", &[(&old_name, &old_key), ("next", &next)]));
    let _node = place.serve("", &[]);
    assert_eq!((admin.value("kept"), admin.value("sealed/with/next")), ("value".into(), "new value".into()));
}

#[test]
fn a_keyring_may_come_from_the_environment_or_a_credential_directory() {
    let (place, keyring) = with_a_secret();
    fs::remove_file(place.keyring()).unwrap();
    let top = format!("data = {:?}\nlisten = \"127.0.0.1:{}\"\n", place.data(), place.port());

    let config = format!("{top}[keys]\nenv = \"COVAULT_MASTER_KEYS\"\n");
    let mut node = place.launch_with(&config, &[], &[("COVAULT_MASTER_KEYS", &keyring)]);
    place.until_ready(&mut node);
    assert_eq!(place.admin().value("kept"), "value");
    node.kill_hard();

    let credentials = place.path("credentials");
    fs::create_dir(&credentials).unwrap();
    place.write_private("credentials/covault-master-keys", &keyring);
    let config = format!("{top}[keys]\ncredential = true\n");
    let variables = [("CREDENTIALS_DIRECTORY", credentials.to_str().unwrap())];
    let mut node = place.launch_with(&config, &[], &variables);
    place.until_ready(&mut node);
    assert_eq!(place.admin().value("kept"), "value");
}
