//! The commands on `.env` files, typed against a running vault: files and pipes, in place, run, check, diff.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::PathBuf,
};

use crate::support::{
    Done, Vault,
    command::{run, run_into_full_disk},
};

fn typed(vault: &Vault, arguments: &[&str], input: &str) -> Done {
    let (url, member) = (vault.url(), vault.member());
    run(arguments, input.as_bytes(), &[("COVAULT_URL", &url), ("COVAULT_TOKEN", member.token())])
}

fn file(vault: &Vault, name: &str, content: &str) -> PathBuf {
    let path = vault.folder().join(name);
    fs::write(&path, content).unwrap();
    path
}

#[test]
fn all_plain_values_become_secrets_in_place() {
    let vault = Vault::start();
    let plain = "# of the app\nexport DB='p w'\nKEY=\"k\" # c\nEMPTY=\nOLD=secret(old)\n";
    vault.member().create("old", "older");
    let path = file(&vault, ".env", plain);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let shown = path.to_str().unwrap();
    let done =
        typed(&vault, &["env", "encrypt", shown, "--all", "--prefix", "app/", "--in-place"], "").expect(0);
    assert!(done.stdout.contains("created 2: app/DB, app/KEY"), "{}", done.all());
    let encrypted = fs::read_to_string(&path).unwrap();
    assert_eq!(
        encrypted,
        "# of the app\nexport DB='secret(app/DB)'\nKEY=\"secret(app/KEY)\" # c\nEMPTY=\nOLD=secret(old)\n"
    );
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
    assert_eq!(vault.member().value("app/DB"), "p w");
    let expanded = typed(&vault, &["env", "expand", shown], "").expect(0).stdout;
    assert_eq!(expanded, plain.replace("secret(old)", "older"));
    let again = typed(&vault, &["env", "encrypt", "-", "--all", "--prefix", "app/"], plain).expect(1);
    assert!(again.stderr.contains("secret_exists") && again.stdout.is_empty(), "{}", again.all());
    assert!(again.stderr.contains("app/DB") && again.stderr.contains("app/KEY"), "{}", again.all());
}

#[test]
fn a_file_that_could_not_be_printed_is_had_again_with_the_key_that_is_told() {
    let vault = Vault::start();
    let path = file(&vault, ".env", "DB=secret-word\n");
    let arguments = ["env", "encrypt", path.to_str().unwrap(), "--all"];
    let (url, member) = (vault.url(), vault.member());
    let variables = [("COVAULT_URL", url.as_str()), ("COVAULT_TOKEN", member.token())];
    let lost = run_into_full_disk(&arguments, &variables).expect(1);
    assert!(lost.stderr.contains("(file_failed)"), "{}", lost.stderr);
    let (_, key) = lost.stderr.split_once("--idempotency-key ").expect("the key is told");
    let key = key.split_whitespace().next().unwrap();
    let again = run(&[&arguments[..], &["--idempotency-key", key]].concat(), b"", &variables).expect(0);
    assert_eq!(again.stdout, "DB=secret(DB)\n");
}

#[test]
fn a_refused_encrypt_leaves_the_file_and_nothing_beside_it() {
    let vault = Vault::start();
    vault.member().create("DB", "taken");
    let path = file(&vault, ".env", "DB=CANARY\nKEY=CANARY\n");
    let count = || fs::read_dir(vault.folder()).unwrap().count();
    let before = count();
    let shown = path.to_str().unwrap();
    let done = typed(&vault, &["env", "encrypt", shown, "--all", "--in-place"], "").expect(1);
    assert!(done.stderr.contains("secret_exists") && !done.all().contains("CANARY"), "{}", done.all());
    assert_eq!(fs::read_to_string(&path).unwrap(), "DB=CANARY\nKEY=CANARY\n");
    assert_eq!(count(), before);
    vault.member().get("/v1/secrets/KEY").expect_problem(404, "not_found");
    typed(&vault, &["env", "encrypt", "-", "--in-place"], "A=1").expect(2);
}

#[test]
fn a_file_goes_through_a_pipe() {
    let vault = Vault::start();
    let done = typed(&vault, &["env", "encrypt", "-"], "A=enc(a=1)\nB=enc(b=two words)\n").expect(0);
    assert_eq!(done.stdout, "A=secret(a)\nB=secret(b)\n");
    let expanded = typed(&vault, &["env", "expand", "-"], &done.stdout).expect(0);
    assert_eq!(expanded.stdout, "A=1\nB='two words'\n");
    let json = typed(&vault, &["env", "expand", "-", "--format", "json"], &done.stdout).expect(0).json();
    assert_eq!(json, serde_json::json!({ "A": "1", "B": "two words" }));
    typed(&vault, &["env", "expand", "-", "--format", "xml"], "").expect(2);
}

#[test]
fn a_command_runs_with_the_expanded_environment_and_its_own_exit_code() {
    let vault = Vault::start();
    vault.member().create("db", "it's \"p\" $w\n");
    let path = file(&vault, "run.env", "DB=x:secret(db)\nPLAIN=1\n");
    let shown = path.to_str().unwrap();
    let script = "printf '%s|%s|%s' \"$DB\" \"$PLAIN\" \"${COVAULT_TOKEN-none}\"; exit 7";
    let done = typed(&vault, &["env", "run", "--file", shown, "--", "sh", "-c", script], "").expect(7);
    assert_eq!(done.stdout, "x:it's \"p\" $w\n|1|none");
    let done = typed(&vault, &["env", "run", "--file", shown, "--", "cat"], "through").expect(0);
    assert_eq!(done.stdout, "through");
    let done = typed(&vault, &["env", "run", "--file", shown, "--", "sh", "-c", "kill -TERM $$"], "");
    assert_eq!(done.code, -1, "a signal ends it: {}", done.all());
    let done = typed(&vault, &["env", "run", "--file", shown, "--", "./no-such-program"], "").expect(1);
    assert!(done.stderr.contains("cannot_run"), "{}", done.all());
    let done = typed(&vault, &["env", "run", "--file", "-", "--", "sh", "-c", "echo ran"], "A=secret(none)")
        .expect(1);
    assert!(!done.stdout.contains("ran") && done.stderr.contains("unresolved_reference"), "{}", done.all());
}

#[test]
fn check_tells_what_does_not_resolve_and_no_value() {
    let vault = Vault::start();
    vault.member().create("a", "CANARY");
    let done = typed(&vault, &["env", "check", "-"], "A=secret(a)\nB=x secret(a@1)\n").expect(0);
    assert!(done.stdout.contains("all 2 references") && !done.all().contains("CANARY"), "{}", done.all());
    let done = typed(&vault, &["env", "check", "-"], "A=secret(a)\nB=secret(no)\nC=secret(a@2)\n").expect(1);
    assert!(
        done.stderr.contains("2:3 no: not_found") && done.stderr.contains("3:3 a: not_found"),
        "{}",
        done.all()
    );
    assert!(!done.all().contains("CANARY"));
    let done = typed(&vault, &["env", "check", "-"], "A='CANARY\n").expect(1);
    assert!(done.stderr.contains("invalid_env") && done.stderr.contains("line: 1"), "{}", done.all());
    assert!(!done.all().contains("CANARY"));
}

#[test]
fn diff_tells_keys_and_hides_values_unless_told_otherwise() {
    let vault = Vault::start();
    vault.member().create("db", "CANARY-1");
    vault.member().update("db", "CANARY-2");
    let from = file(&vault, "from.env", "DB=secret(db@1)\nSAME=1\nGONE=1\n");
    let to = file(&vault, "to.env", "DB=secret(db)\nSAME='1'\nNEW=1\n");
    let (from, to) = (from.to_str().unwrap(), to.to_str().unwrap());
    let hidden = typed(&vault, &["env", "diff", from, to], "").expect(0).all();
    for told in ["added   /NEW", "removed /GONE", "changed /DB"] {
        assert!(hidden.contains(told), "{hidden}");
    }
    assert!(!hidden.contains("CANARY") && !hidden.contains("SAME"), "{hidden}");
    let shown = typed(&vault, &["env", "diff", from, to, "--show-values"], "").expect(0).stdout;
    assert!(shown.contains("CANARY-1") && shown.contains("CANARY-2"), "{shown}");
}

#[test]
fn a_schema_file_with_calls_of_others_is_read() {
    let vault = Vault::start();
    vault.member().create("api/key", "k");
    let schema = "# @generateTypes(lang=ts)\n# ---\n\n# @required @sensitive\nAPI_KEY=secret(api/key)\n\
                  OTHER=exec('op read \"op://x\"')\nAPP_ENV=dev # @type=enum(dev, prod)\n";
    let expanded = typed(&vault, &["env", "expand", "-"], schema).expect(0).stdout;
    assert_eq!(expanded, schema.replace("secret(api/key)", "k"));
}
