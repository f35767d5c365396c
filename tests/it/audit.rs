//! Every operation has its line (U1), and an edit or a cut of the record is found (U2).

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use crate::support::{Done, Vault, covault, vault::new_caller};

fn segments(data: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> =
        fs::read_dir(data.join("audit")).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.extension().is_some_and(|end| end == "jsonl"));
    found.sort();
    found
}

fn lines(data: &Path) -> Vec<Value> {
    let texts: Vec<_> = segments(data).iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    texts.concat().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn verify(data: &Path) -> Done {
    covault(&["audit", "verify", "--data", data.to_str().unwrap()])
}

/// A vault at rest with some lines in its audit.
fn at_rest() -> (Vault, PathBuf) {
    let mut vault = Vault::start();
    let member = vault.member();
    member.create("audited", "v");
    for number in 0..20 {
        member.update("audited", &number.to_string());
    }
    vault.process().ask_to_stop();
    assert!(vault.process().wait().success());
    let data = vault.data();
    verify(&data).expect(0);
    (vault, data)
}

#[test]
fn every_operation_leaves_a_line_with_who_what_and_outcome() {
    let vault = Vault::start();
    let ann = vault.caller("ann");
    let mut expected = Vec::new();
    let mut told = |answer: crate::support::Answer| {
        expected.push((
            answer.header("x-request-id").unwrap().to_owned(),
            answer.status < 400,
            answer.code(),
        ));
    };
    told(ann.post("/v1/secrets", &json!({"name": "a", "value": "SecretOfAnn"})));
    told(ann.put("/v1/secrets/a", &json!({"value": "SecretOfAnn"})));
    told(ann.get("/v1/secrets/a"));
    told(ann.get("/v1/secrets/a?version=7"));
    told(ann.get("/v1/history/a"));
    told(ann.get("/v1/secrets"));
    told(ann.patch("/v1/secrets/a", &json!({"labels": {"k": "v"}})));
    told(ann.delete("/v1/secrets/a"));
    told(ann.post("/v1/undelete/a", &json!({})));
    told(ann.post("/v1/rollback/a", &json!({"version": 1})));
    told(ann.post("/v1/destroy/a", &json!({"versions": [1]})));
    told(ann.post("/v1/secrets", &json!({"name": "a", "value": "SecretOfAnn"})));
    told(ann.post("/v1/grants", &json!({"prefix": "a", "grantee": "bob", "access": "read"})));
    told(ann.get("/v1/grants"));
    told(new_caller(&ann, "eve", "admin"));
    told(ann.get("/v1/callers"));
    let written = lines(&vault.data());
    for (request, allowed, code) in expected {
        let found = written.iter().find(|line| line.to_string().contains(&request));
        let line = found.unwrap_or_else(|| panic!("no line for request {request} ({code})")).to_string();
        assert!(line.contains("\"ann\""), "{line}");
        assert!(allowed || line.contains(&code), "{code} is not told: {line}");
    }
    let whole = format!("{written:?}");
    assert!(!whole.contains("SecretOfAnn") && !whole.contains(ann.token()));
    verify(&vault.data()).expect(0);
}

#[test]
fn refused_callers_leave_a_line_too() {
    let vault = Vault::start();
    let wrong = vault.member().with_token(&format!("cvt_0000000000000000_{}", "0".repeat(64)));
    let request = wrong.get("/v1/secrets/x").expect(401).header("x-request-id").unwrap().to_owned();
    let found = lines(&vault.data()).into_iter().find(|line| line.to_string().contains(&request));
    assert!(found.is_some_and(|line| line.to_string().contains("unauthenticated")));
}

#[test]
fn a_changed_byte_anywhere_is_found() {
    let (_vault, data) = at_rest();
    let path = segments(&data).pop().unwrap();
    let kept = fs::read(&path).unwrap();
    for part in 1..10 {
        let mut changed = kept.clone();
        let at = kept.len() * part / 10;
        changed[at] = if changed[at] == b'1' { b'2' } else { b'1' };
        fs::write(&path, &changed).unwrap();
        let done = verify(&data).expect(1);
        assert!(!done.all().contains("panicked"), "{}", done.all());
    }
    fs::write(&path, &kept).unwrap();
    verify(&data).expect(0);
}

#[test]
fn a_line_taken_out_put_in_or_moved_is_found() {
    let (_vault, data) = at_rest();
    let path = segments(&data).pop().unwrap();
    let kept = fs::read_to_string(&path).unwrap();
    let all: Vec<&str> = kept.lines().collect();
    let middle = all.len() / 2;
    let mut without = all.clone();
    without.remove(middle);
    let mut doubled = all.clone();
    doubled.insert(middle, all[middle]);
    let mut moved = all.clone();
    moved.swap(middle, middle + 1);
    for (what, changed) in [("taken out", without), ("doubled", doubled), ("moved", moved)] {
        fs::write(&path, changed.join("\n") + "\n").unwrap();
        assert_eq!(verify(&data).code, 1, "a line {what} was not found");
    }
}

#[test]
fn a_cut_end_is_found() {
    let (_vault, data) = at_rest();
    let path = segments(&data).pop().unwrap();
    let kept = fs::read_to_string(&path).unwrap();
    let all: Vec<&str> = kept.lines().collect();
    for cut in [1, 5, all.len()] {
        fs::write(&path, all[..all.len() - cut].iter().map(|line| format!("{line}\n")).collect::<String>())
            .unwrap();
        assert_eq!(verify(&data).code, 1, "the last {cut} lines were cut and nothing was said");
    }
    fs::remove_file(&path).unwrap();
    assert_eq!(verify(&data).code, 1, "the whole segment was taken away and nothing was said");
}

#[test]
fn a_node_does_not_go_on_from_a_cut_record_without_saying_so() {
    let (mut vault, data) = at_rest();
    let path = segments(&data).pop().unwrap();
    let kept = fs::read_to_string(&path).unwrap();
    let all: Vec<&str> = kept.lines().collect();
    fs::write(&path, all[..all.len() - 3].iter().map(|line| format!("{line}\n")).collect::<String>())
        .unwrap();
    let folder = vault.folder().to_owned();
    let mut command = crate::support::process::bare_command();
    command.args(["dev", "--listen", "127.0.0.1:0", "--data"]).arg(folder.join("vault"));
    let mut process = crate::support::Process::start(command, &folder.join("logs")).unwrap();
    let ended = crate::support::within(std::time::Duration::from_secs(20), || {
        process
            .output()
            .to_lowercase()
            .contains("audit")
            .then_some(())
            .or_else(|| process.ended().map(|_| ()))
    });
    assert!(ended.is_some() && process.output().to_lowercase().contains("audit"), "{}", process.output());
    vault.kill_hard();
}
