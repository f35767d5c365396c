//! What was acknowledged is there again after a clean stop and after a kill (D1), with the same ids.

use serde_json::{Value, json};

use crate::support::{Client, Vault};

fn fill(member: &Client) {
    let body = json!({"name": "a/b", "value": "one", "labels": {"k": "v"}, "description": "d"});
    member.post("/v1/secrets", &body).expect(201);
    member.update("a/b", "two");
    member.create("deleted", "x");
    member.delete("/v1/secrets/deleted").expect(200);
    member.create("destroyed", "x");
    member.update("destroyed", "y");
    member.post("/v1/destroy/destroyed", &json!({"versions": [1]})).expect(200);
}

fn seen(member: &Client) -> Vec<Value> {
    let paths = [
        "/v1/secrets",
        "/v1/secrets/a/b",
        "/v1/secrets/a/b?version=1",
        "/v1/history/a/b",
        "/v1/history/deleted",
        "/v1/history/destroyed",
        "/v1/secrets/deleted",
        "/v1/secrets/destroyed?version=1",
        "/v1/grants",
    ];
    paths.iter().map(|path| member.get(path).body_json()).collect()
}

#[test]
fn everything_is_there_after_a_kill_and_after_a_clean_stop() {
    let mut vault = Vault::start();
    let ann = vault.caller("ann");
    fill(&ann);
    ann.post("/v1/grants", &json!({"prefix": "a/", "grantee": "dev", "access": "read"}));
    let before = seen(&ann);
    vault.crash_and_restart();
    let again = Client::new(&vault.url(), Some(ann.token()));
    assert_eq!(seen(&again), before);
    vault.process().ask_to_stop();
    assert!(vault.process().wait().success());
    vault.start_again();
    let again = Client::new(&vault.url(), Some(ann.token()));
    assert_eq!(seen(&again), before);
    assert_eq!(again.update("a/b", "three").at("/version/number"), 3);
}

#[test]
fn times_only_rise_over_restarts() {
    let mut vault = Vault::start();
    vault.member().create("t", "1");
    for _ in 0..3 {
        vault.crash_and_restart();
        vault.member().update("t", "x");
    }
    let times: Vec<_> = vault
        .member()
        .history("t")
        .iter()
        .map(|row| row["valid_from"].as_str().unwrap().to_owned())
        .collect();
    assert!(times.windows(2).all(|pair| pair[1] <= pair[0]), "{times:?}");
    assert_eq!(times.len(), 4);
}

#[test]
fn the_log_is_compacted_and_nothing_is_lost() {
    let mut vault = Vault::start();
    let member = vault.member();
    member.create("many", "0");
    for number in 1..=600 {
        member.update("many", &number.to_string());
    }
    vault.crash_and_restart();
    let member = vault.member();
    assert_eq!(member.value("many"), "600");
    assert_eq!(member.history("many").len(), 601);
}
