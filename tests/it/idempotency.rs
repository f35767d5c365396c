//! Retries: the same key with the same request replays the first answer, with another it is refused (I1).

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::{
    Answer, Client, Vault,
    services::{founded, invite_api, join_api},
    vault::new_caller,
};

fn keyed(client: &Client, method: &str, path: &str, key: &str, body: &Value) -> Answer {
    client.json(method, path, &[("idempotency-key", key)], body)
}

fn check_replay(client: &Client, method: &str, path: &str, key: &str, body: &Value) {
    let first = keyed(client, method, path, key, body);
    assert!(first.status < 300, "{}", first.shown());
    assert_eq!(first.header("idempotency-replayed"), None);
    let again = keyed(client, method, path, key, body).expect(first.status);
    assert_eq!(again.header("idempotency-replayed"), Some("true"), "{method} {path}");
    assert_eq!(again.at("/version/id"), first.at("/version/id"));
    assert_eq!(again.at("/version/number"), first.at("/version/number"));
}

/// Takes away what is at `path`, twice with one key; of `other` that is another removal.
fn check_removal(client: &Client, path: &str, other: &str) {
    let remove = |path: &str| client.send("DELETE", path, &[("idempotency-key", "k-remove")], None);
    assert_eq!(remove(path).expect(204).header("idempotency-replayed"), None, "{path}");
    assert_eq!(remove(path).expect(204).header("idempotency-replayed"), Some("true"), "{path}");
    remove(other).expect_problem(422, "idempotency_conflict");
}

#[test]
fn a_retry_replays_the_first_answer_and_writes_nothing() {
    let vault = Vault::start();
    let member = vault.member();
    check_replay(&member, "POST", "/v1/secrets", "k-create", &json!({"name": "i", "value": "1"}));
    check_replay(&member, "PUT", "/v1/secrets/i", "k-update", &json!({"value": "2"}));
    assert_eq!(member.history("i").len(), 2);
    check_replay(&member, "POST", "/v1/rollback/i", "k-rollback", &json!({"version": 1}));
    assert_eq!(member.history("i").len(), 3);
    check_replay(&member, "PATCH", "/v1/secrets/i", "k-patch", &json!({"labels": {"a": "b"}}));
}

#[test]
fn a_repeated_change_of_grants_fields_or_epochs_is_marked_as_one() {
    let vault = Vault::start();
    vault.caller("bob");
    let member = vault.member();
    let grant = json!({"prefix": "a/", "grantee": "bob", "access": "read"});
    check_replay(&member, "POST", "/v1/grants", "k-grant", &grant);
    check_replay(&member, "PUT", "/v1/tokenization", "k-fields", &json!({"fields": []}));
    check_replay(&member, "POST", "/v1/epochs", "k-activate", &json!({"activate": 2}));
    check_replay(&member, "DELETE", "/v1/epochs/1", "k-destroy", &json!({}));
}

#[test]
fn a_rollback_is_replayed_although_its_source_was_destroyed_meanwhile() {
    let vault = Vault::start();
    let member = vault.member();
    member.post("/v1/secrets", &json!({"name": "r", "value": "1"})).expect(201);
    member.json("PUT", "/v1/secrets/r", &[], &json!({"value": "2"})).expect(200);
    let body = json!({"version": 1});
    let first = keyed(&member, "POST", "/v1/rollback/r", "k", &body).expect(200);
    member.post("/v1/destroy/r", &json!({"versions": [1]})).expect(200);
    let again = keyed(&member, "POST", "/v1/rollback/r", "k", &body).expect(200);
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(again.at("/version/id"), first.at("/version/id"));
}

#[test]
fn the_same_key_with_another_request_is_refused() {
    let vault = Vault::start();
    let member = vault.member();
    keyed(&member, "POST", "/v1/secrets", "k", &json!({"name": "a", "value": "1"})).expect(201);
    let others = [
        ("POST", "/v1/secrets", json!({"name": "a", "value": "2"})),
        ("POST", "/v1/secrets", json!({"name": "b", "value": "1"})),
        ("PUT", "/v1/secrets/a", json!({"value": "1"})),
    ];
    for (method, path, body) in others {
        keyed(&member, method, path, "k", &body).expect_problem(422, "idempotency_conflict");
    }
    assert_eq!(member.history("a").len(), 1);
    member.get("/v1/secrets/b").expect_problem(404, "not_found");
}

#[test]
fn a_key_of_a_change_of_labels_is_not_free_for_a_write_nor_the_other_way_round() {
    let vault = Vault::start();
    let member = vault.member();
    let labels = json!({"labels": {"env": "prod"}});
    keyed(&member, "POST", "/v1/secrets", "made", &json!({"name": "a", "value": "1"})).expect(201);
    keyed(&member, "PATCH", "/v1/secrets/a", "labelled", &labels).expect(200);
    keyed(&member, "PATCH", "/v1/secrets/a", "made", &labels).expect_problem(422, "idempotency_conflict");
    keyed(&member, "PUT", "/v1/secrets/a", "labelled", &json!({"value": "2"}))
        .expect_problem(422, "idempotency_conflict");
    assert_eq!(member.history("a").len(), 1);
}

#[test]
fn a_key_is_its_callers_own() {
    let vault = Vault::start();
    let (ann, bob) = (vault.caller("ann"), vault.caller("bob"));
    keyed(&ann, "POST", "/v1/secrets", "same", &json!({"name": "x", "value": "of ann"})).expect(201);
    let other =
        keyed(&bob, "POST", "/v1/secrets", "same", &json!({"name": "x", "value": "of bob"})).expect(201);
    assert_eq!(other.header("idempotency-replayed"), None);
}

#[test]
fn a_key_is_remembered_over_a_crash() {
    let mut vault = Vault::start();
    let body = json!({"name": "kept", "value": "1"});
    let first = keyed(&vault.member(), "POST", "/v1/secrets", "k", &body).expect(201);
    vault.crash_and_restart();
    let again = keyed(&vault.member(), "POST", "/v1/secrets", "k", &body).expect(201);
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(again.text("/version/id"), first.text("/version/id"));
}

#[test]
fn a_retry_after_later_updates_still_gives_the_first_version() {
    let vault = Vault::start();
    let member = vault.member();
    member.create("later", "1");
    let first = keyed(&member, "PUT", "/v1/secrets/later", "k", &json!({"value": "2"})).expect(200);
    member.update("later", "3");
    let again = keyed(&member, "PUT", "/v1/secrets/later", "k", &json!({"value": "2"})).expect(200);
    assert_eq!(again.text("/version/id"), first.text("/version/id"));
    assert_eq!(member.value("later"), "3");
}

#[test]
fn a_retry_is_answered_as_it_was_though_there_is_no_room_for_its_labels_any_more() {
    let vault = Vault::start();
    let member = vault.member();
    let labels: BTreeMap<_, _> = (0..63).map(|number| (format!("l{number}"), "x")).collect();
    member.post("/v1/secrets", &json!({"name": "full", "value": "v", "labels": labels})).expect(201);
    let body = json!({"value": "w", "labels": {"last": "x"}});
    let first = keyed(&member, "PUT", "/v1/secrets/full", "k", &body).expect(200);
    member.patch("/v1/secrets/full", &json!({"labels": {"last": null, "other": "x"}})).expect(200);
    let again = keyed(&member, "PUT", "/v1/secrets/full", "k", &body).expect(200);
    assert_eq!(again.at("/version/id"), first.at("/version/id"));
}

#[test]
fn a_token_is_shown_once_even_to_a_retry() {
    let vault = Vault::start();
    let admin = vault.admin();
    let body = json!({"name": "ann", "role": "member"});
    let first = keyed(&admin, "POST", "/v1/callers", "k", &body).expect(201);
    assert!(first.text("/token").starts_with("cvt_"));
    let again = keyed(&admin, "POST", "/v1/callers", "k", &body).expect(201);
    assert_eq!((again.at("/token"), again.header("idempotency-replayed")), (Value::Null, Some("true")));
    new_caller(&admin, "ann", "member").expect_problem(409, "caller_exists");
}

#[test]
fn a_repeated_removal_is_answered_as_the_first_and_takes_nothing_else_away() {
    let vault = Vault::start();
    let admin = vault.admin();
    for name in ["ann", "bob", "eve"] {
        new_caller(&admin, name, "member").expect(201);
    }
    let ops = |name: &str| admin.with_token(&new_caller(&admin, name, "admin").expect(201).text("/token"));
    check_removal(&ops("of-callers"), "/v1/callers/ann", "/v1/callers/bob");
    let tokens = admin.get("/v1/callers/bob/tokens").expect(200).text("/tokens/0/id");
    let token = |caller: &str| format!("/v1/callers/{caller}/tokens/{tokens}");
    check_removal(&ops("of-tokens"), &token("bob"), &token("eve"));
    let grant = |prefix: &str| {
        let body = json!({"prefix": prefix, "grantee": "bob", "access": "read"});
        format!("/v1/grants/{}", admin.post("/v1/grants", &body).expect(201).text("/id"))
    };
    check_removal(&admin, &grant("a/"), &grant("b/"));
    let left = |path: &str, list: &str| admin.get(path).expect(200).at(list).as_array().unwrap().len();
    assert_eq!(left("/v1/grants", "/grants"), 1);
    assert_eq!(left("/v1/callers/bob/tokens", "/tokens"), 0);
    admin.get("/v1/callers/eve/tokens").expect(200);
}

#[test]
fn a_key_of_a_removal_is_not_free_for_a_write_nor_the_other_way_round() {
    let vault = Vault::start();
    let admin = vault.admin();
    let remove = |key| admin.send("DELETE", "/v1/callers/ann", &[("idempotency-key", key)], None);
    let create = |key| keyed(&admin, "POST", "/v1/secrets", key, &json!({"name": "a", "value": "1"}));
    new_caller(&admin, "ann", "member").expect(201);
    create("made").expect(201);
    remove("made").expect_problem(422, "idempotency_conflict");
    remove("gone").expect(204);
    create("gone").expect_problem(422, "idempotency_conflict");
}

#[test]
fn a_repeated_removal_of_a_member_is_answered_as_the_first() {
    let (node, _process) = founded();
    let api = || {
        let place = node.elsewhere();
        join_api(&place, &invite_api(&node.admin())).expect(0).json()["api"].as_str().unwrap().to_owned()
    };
    check_removal(&node.admin(), &format!("/v1/members/{}", api()), &format!("/v1/members/{}", api()));
}

#[test]
fn concurrent_tries_of_one_request_make_one_version() {
    let vault = Vault::start();
    let clients: Vec<Client> = (0..8).map(|_| vault.member()).collect();
    clients[0].create("many", "1");
    let ids: std::collections::BTreeSet<String> = std::thread::scope(|scope| {
        let tries: Vec<_> = clients
            .iter()
            .map(|client| {
                scope.spawn(|| keyed(client, "PUT", "/v1/secrets/many", "k", &json!({"value": "2"})))
            })
            .collect();
        tries.into_iter().map(|each| each.join().unwrap().expect(200).text("/version/id")).collect()
    });
    assert_eq!(ids.len(), 1);
    assert_eq!(clients[0].history("many").len(), 2);
}

#[test]
fn a_key_of_a_create_of_a_moment_ago_is_not_free_for_what_needs_no_agreement() {
    let vault = Vault::start();
    let member = vault.member();
    member.post("/v1/secrets", &json!({"name": "there", "value": "1"})).expect(201);
    let document = json!({"document": "x", "fields": [""]});
    let labels = json!({"labels": {"a": "b"}});
    // The create is answered before it is committed, for a moment.
    for round in 0..20 {
        let (one, other) = (format!("one-{round}"), format!("other-{round}"));
        for (key, name) in [(&one, format!("a{round}")), (&other, format!("b{round}"))] {
            keyed(&member, "POST", "/v1/secrets", key, &json!({"name": name, "value": "1"})).expect(201);
            if *key == one {
                keyed(&member, "POST", "/v1/tokenize", key, &document)
                    .expect_problem(422, "idempotency_conflict");
            } else {
                keyed(&member, "PATCH", "/v1/secrets/there", key, &labels)
                    .expect_problem(422, "idempotency_conflict");
            }
        }
    }
}

#[test]
fn of_two_requests_for_tokens_at_once_with_one_key_one_is_refused() {
    let vault = Vault::start();
    let member = vault.member();
    for round in 0..10 {
        let key = format!("key-{round}");
        let ask = |value: usize| {
            let document: Vec<String> = (0..200).map(|at| format!("{round} {value} {at}")).collect();
            keyed(&member, "POST", "/v1/tokenize", &key, &json!({"document": document, "fields": ["/*"]}))
        };
        let (ask, mut statuses) = (&ask, Vec::new());
        std::thread::scope(|scope| {
            let asked: Vec<_> = (0..4).map(|value| scope.spawn(move || ask(value).status)).collect();
            statuses.extend(asked.into_iter().map(|asked| asked.join().expect("it was answered")));
        });
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 422, 422, 422], "{key}");
    }
}
