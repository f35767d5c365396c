//! The commands for people, typed against a running vault.

use std::fs;

use serde_json::Value;

use crate::support::{
    Done, Vault,
    command::{run, run_into_full_disk},
    covault,
};

/// Types a command as the vault's member.
fn typed(vault: &Vault, arguments: &[&str], input: &str) -> Done {
    let (url, member) = (vault.url(), vault.member());
    run(arguments, input.as_bytes(), &[("COVAULT_URL", &url), ("COVAULT_TOKEN", member.token())])
}

#[test]
fn a_secret_is_created_from_stdin_and_read_back() {
    let vault = Vault::start();
    typed(&vault, &["secret", "create", "db/password"], "s3cret value").expect(0);
    assert_eq!(vault.member().value("db/password"), "s3cret value");
    let read = typed(&vault, &["secret", "get", "db/password"], "").expect(0);
    assert_eq!(read.stdout.trim_end_matches('\n'), "s3cret value");
    let json = typed(&vault, &["secret", "get", "db/password", "--json"], "").expect(0).json();
    assert_eq!((json["value"].as_str(), json["version"]["number"].as_u64()), (Some("s3cret value"), Some(1)));
}

#[test]
fn a_value_may_come_from_a_file_with_any_bytes() {
    let vault = Vault::start();
    let file = vault.folder().join("value.bin");
    fs::write(&file, [0, 255, 10, 13, 128]).unwrap();
    typed(&vault, &["secret", "create", "bytes", "--value-file", file.to_str().unwrap()], "").expect(0);
    let read = vault.member().get("/v1/secrets/bytes").expect(200);
    assert_eq!(read.text("/value_base64"), "AP8KDYA=");
}

#[test]
fn a_value_written_to_a_link_to_stdout_is_printed() {
    let vault = Vault::start();
    vault.member().create("db", "s3cret");
    let link = vault.folder().join("out");
    std::os::unix::fs::symlink("/proc/self/fd/1", &link).unwrap();
    let read = typed(&vault, &["secret", "get", "db", "--out", link.to_str().unwrap()], "").expect(0);
    assert_eq!(read.stdout, "s3cret");
    assert!(link.is_symlink());
}

#[test]
fn updates_show_in_a_history_table_with_validity() {
    let vault = Vault::start();
    let member = vault.member();
    member.create("h", "one");
    typed(&vault, &["secret", "update", "h"], "two").expect(0);
    let table = typed(&vault, &["secret", "history", "h"], "").expect(0).stdout;
    let rows: Vec<_> = table.lines().filter(|line| line.contains("20") && line.contains('Z')).collect();
    assert_eq!(rows.len(), 2, "{table}");
    assert!(table.contains("current") && table.contains("past"), "{table}");
    assert!(!table.contains("one") || !table.contains("two"), "values are not shown: {table}");
    let json = typed(&vault, &["secret", "history", "h", "--json"], "").expect(0).json();
    assert_eq!(json["versions"].as_array().map(Vec::len), Some(2));
}

#[test]
fn diff_hides_values_unless_told_otherwise() {
    let vault = Vault::start();
    let member = vault.member();
    member.create("d", "line one\nOldSecretWord\n");
    member.update("d", "line one\nNewSecretWord\n");
    let hidden = typed(&vault, &["secret", "diff", "d", "1", "2"], "").expect(0).all();
    assert!(!hidden.contains("OldSecretWord") && !hidden.contains("NewSecretWord"), "{hidden}");
    let shown = typed(&vault, &["secret", "diff", "d", "1", "2", "--show-values"], "").expect(0).stdout;
    assert!(shown.contains("OldSecretWord") && shown.contains("NewSecretWord"), "{shown}");
}

#[test]
fn delete_undelete_rollback_and_destroy_do_what_they_say() {
    let vault = Vault::start();
    let member = vault.member();
    member.create("x", "one");
    member.update("x", "two");
    typed(&vault, &["secret", "delete", "x"], "").expect(0);
    member.get("/v1/secrets/x").expect_problem(410, "version_deleted");
    typed(&vault, &["secret", "undelete", "x"], "").expect(0);
    assert_eq!(member.value("x"), "two");
    typed(&vault, &["secret", "rollback", "x", "1"], "").expect(0);
    assert_eq!(member.value("x"), "one");
    typed(&vault, &["secret", "destroy", "x", "2", "--yes"], "").expect(0);
    member.get("/v1/secrets/x?version=2").expect_problem(410, "version_destroyed");
    let list = typed(&vault, &["secret", "list"], "").expect(0).stdout;
    assert!(list.contains('x') && !list.contains("one"), "{list}");
}

#[test]
fn a_refusal_exits_1_with_the_code_and_a_mistake_in_typing_exits_2() {
    let vault = Vault::start();
    vault.member().create("taken", "v");
    let refused = typed(&vault, &["secret", "create", "taken"], "v").expect(1);
    assert!(refused.stderr.contains("secret_exists"), "{}", refused.stderr);
    assert!(refused.stdout.is_empty(), "{}", refused.stdout);
    let missing = typed(&vault, &["secret", "get", "missing"], "").expect(1);
    assert!(missing.stderr.contains("not_found"), "{}", missing.stderr);
    typed(&vault, &["secret", "get"], "").expect(2);
    typed(&vault, &["secret", "frobnicate"], "").expect(2);
    covault(&["--no-such-flag"]).expect(2);
    let url = vault.url();
    let stranger =
        run(&["secret", "get", "taken"], b"", &[("COVAULT_URL", &url), ("COVAULT_TOKEN", "nonsense")])
            .expect(1);
    assert!(stranger.stderr.contains("unauthenticated"), "{}", stranger.stderr);
    let nobody =
        run(&["secret", "get", "x"], b"", &[("COVAULT_URL", "http://127.0.0.1:1"), ("COVAULT_TOKEN", "x")]);
    nobody.expect(1);
}

#[test]
fn a_token_file_must_be_private() {
    use std::os::unix::fs::PermissionsExt;
    let vault = Vault::start();
    let file = vault.folder().join("token");
    fs::write(&file, vault.member().token()).unwrap();
    let path = file.to_str().unwrap();
    let url = vault.url();
    for (mode, code) in [(0o600, 0), (0o644, 1)] {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        let done = run(&["secret", "list", "--url", &url, "--token-file", path], b"", &[]).expect(code);
        assert!(!done.stderr.contains(vault.member().token()));
    }
}

#[test]
fn callers_and_grants_are_managed_from_the_command_line() {
    let vault = Vault::start();
    let (url, admin) = (vault.url(), vault.admin());
    let as_admin =
        |arguments: &[&str]| run(arguments, b"", &[("COVAULT_URL", &url), ("COVAULT_TOKEN", admin.token())]);
    let made = as_admin(&["caller", "add", "ann", "--json"]).expect(0).json();
    let token = made["token"].as_str().unwrap().to_owned();
    assert!(token.starts_with("cvt_"));
    assert!(as_admin(&["caller", "list"]).expect(0).stdout.contains("ann"));
    let as_ann =
        |arguments: &[&str]| run(arguments, b"", &[("COVAULT_URL", &url), ("COVAULT_TOKEN", &token)]);
    as_ann(&["grant", "add", "dev", "--prefix", "shared/"]).expect(0);
    assert!(as_ann(&["grant", "list"]).expect(0).stdout.contains("shared/"));
    as_ann(&["caller", "list"]).expect(1);
    for _ in ["at first", "again under its key"] {
        as_admin(&["caller", "remove", "ann", "--idempotency-key", "k"]).expect(0);
    }
    as_ann(&["secret", "list"]).expect(1);
}

#[test]
fn no_token_is_made_that_cannot_be_written() {
    let vault = Vault::start();
    let (url, admin) = (vault.url(), vault.admin());
    let as_admin =
        |arguments: &[&str]| run(arguments, b"", &[("COVAULT_URL", &url), ("COVAULT_TOKEN", admin.token())]);
    let nowhere = vault.folder().join("none/token");
    let nowhere = nowhere.to_str().unwrap();
    let refused = |arguments: &[&str]| {
        let done = as_admin(&[arguments, &["--token-out", nowhere]].concat()).expect(1);
        assert!(done.stderr.contains("(file_failed)"), "{}", done.all());
    };
    refused(&["caller", "add", "ann"]);
    refused(&["caller", "token", "add", "dev"]);
    let callers = as_admin(&["caller", "list", "--json"]).expect(0).json();
    let rows = callers["callers"].as_array().unwrap();
    assert!(rows.iter().all(|caller| caller["name"] != "ann"), "{callers}");
    let dev = rows.iter().find(|caller| caller["name"] == "dev").unwrap();
    assert_eq!(dev["tokens"].as_array().unwrap().len(), 1, "{callers}");
    refused(&["invite"]);
}

#[test]
fn a_token_that_nobody_got_is_told_with_the_way_to_take_it_away() {
    let vault = Vault::start();
    let (url, admin) = (vault.url(), vault.admin());
    let variables = [("COVAULT_URL", url.as_str()), ("COVAULT_TOKEN", admin.token())];
    for arguments in [&["caller", "add", "ann"][..], &["caller", "token", "add", "ann", "--json"]] {
        let done = run_into_full_disk(arguments, &variables).expect(1);
        assert!(done.stderr.contains("(token_lost)"), "{}", done.stderr);
        let tokens = run(&["caller", "token", "list", "ann", "--json"], b"", &variables).expect(0).json();
        let id = tokens["tokens"][0]["id"].as_str().unwrap().to_owned();
        assert!(done.stderr.contains(&format!("token remove ann {id}")), "{}", done.stderr);
        run(&["caller", "token", "remove", "ann", &id], b"", &variables).expect(0);
    }
    let file = vault.folder().join("token");
    let arguments = ["caller", "token", "add", "ann", "--json", "--token-out", file.to_str().unwrap()];
    let done = run_into_full_disk(&arguments, &variables).expect(1);
    assert!(!done.stderr.contains("token remove"), "it is in the file: {}", done.stderr);
    assert!(fs::read_to_string(&file).unwrap().starts_with("cvt_"));
}

#[test]
fn a_password_in_the_address_is_refused_and_not_repeated() {
    for url in ["http://bob:hunter2@127.0.0.1:1", "https://hunter2@127.0.0.1:1/"] {
        let done = run(&["self"], b"", &[("COVAULT_URL", url), ("COVAULT_TOKEN", "t")]).expect(2);
        assert!(!done.all().contains("hunter2"), "{}", done.all());
        assert!(done.stderr.contains("password"), "{}", done.stderr);
    }
}

#[test]
fn the_token_itself_comes_before_a_file_and_an_empty_variable_is_none() {
    use std::os::unix::fs::PermissionsExt;
    let vault = Vault::start();
    let file = vault.folder().join("token");
    fs::write(&file, vault.admin().token()).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let (url, member, file) = (vault.url(), vault.member(), file.to_str().unwrap());
    let caller = |variables: &[(&str, &str)]| {
        let done = run(&["self", "--url", &url, "--json"], b"", variables).expect(0);
        done.json()["name"].as_str().unwrap().to_owned()
    };
    assert_eq!(caller(&[("COVAULT_TOKEN", member.token()), ("COVAULT_TOKEN_FILE", file)]), "dev");
    assert_eq!(caller(&[("COVAULT_TOKEN", member.token()), ("COVAULT_TOKEN_FILE", "")]), "dev");
    assert_eq!(caller(&[("COVAULT_TOKEN", ""), ("COVAULT_TOKEN_FILE", file), ("COVAULT_CA", "")]), "admin");
    let done = run(&["self"], b"", &[("COVAULT_TOKEN", ""), ("COVAULT_TOKEN_FILE", "")]).expect(2);
    assert!(done.stderr.contains("no token"), "{}", done.stderr);
    let done = run(&["self"], b"", &[("COVAULT_TOKEN", "t"), ("COVAULT_URL", "")]);
    assert!(!done.stderr.contains("(usage)"), "the address is the usual one: {}", done.stderr);
    let two = [("COVAULT_TOKEN", "t"), ("COVAULT_URL", "http://127.0.0.1:1,http://127.0.0.1:2")];
    assert!(run(&["self"], b"", &two).expect(2).stderr.contains("one address"));
}

#[test]
fn status_and_completions_are_printed() {
    let vault = Vault::start();
    let status = typed(&vault, &["status", "--json"], "").expect(0).json();
    assert_eq!(status["members"].as_array().map(Vec::len), Some(1));
    assert!(!typed(&vault, &["status"], "").expect(0).stdout.is_empty());
    for shell in ["bash", "zsh", "fish"] {
        assert!(covault(&["completions", shell]).expect(0).stdout.contains("covault"));
    }
    assert!(covault(&["--version"]).expect(0).stdout.starts_with("covault "));
}

#[test]
fn json_is_json_for_every_reading_command() {
    let vault = Vault::start();
    vault.member().create("a", "b");
    for arguments in [
        &["secret", "list", "--json"][..],
        &["secret", "get", "a", "--json"],
        &["secret", "history", "a", "--json"],
        &["grant", "list", "--json"],
        &["status", "--json"],
    ] {
        let printed = typed(&vault, arguments, "").expect(0).json();
        assert!(matches!(printed, Value::Object(_) | Value::Array(_)), "{arguments:?}");
    }
    let refused = typed(&vault, &["secret", "get", "missing", "--json"], "").expect(1);
    assert!(refused.stderr.contains("not_found"), "{}", refused.stderr);
}

#[test]
fn dev_tells_how_to_go_on_and_writes_tokens_only_where_asked() {
    let vault = Vault::start();
    let told = vault.output();
    assert!(told.contains("curl") && told.contains(&vault.url()), "{told}");
}
