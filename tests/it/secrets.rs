//! The life of a secret over HTTP, as the contract tells it. Holds E1, E2, E7 and H3 from outside.

use serde_json::json;

use crate::support::Vault;

#[test]
fn a_created_secret_reads_back_with_its_first_version() {
    let vault = Vault::start();
    let member = vault.member();
    let body = json!({
        "name": "db/prod/password", "value": "hunter2", "content_type": "text/plain",
        "labels": {"team": "payments", "env": "prod"}, "description": "the main database",
    });
    let made = member.post("/v1/secrets", &body).expect(201);
    assert_eq!(made.at("/name"), "db/prod/password");
    assert_eq!(made.at("/version/number"), 1);
    assert_eq!(made.at("/version/state"), "current");
    assert_eq!(made.at("/replication"), json!({"acknowledged": 1, "members": 1, "quorum": 1}));
    let id = made.text("/version/id");
    assert_eq!(made.header("etag"), Some(format!("\"{id}\"").as_str()));
    assert!(id.len() == 64 && id.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)));

    let read = member.get("/v1/secrets/db/prod/password").expect(200);
    assert_eq!(read.at("/value"), "hunter2");
    assert_eq!(read.at("/version/id"), id.as_str());
    assert_eq!(read.at("/labels"), json!({"team": "payments", "env": "prod"}));
    assert_eq!(read.at("/description"), "the main database");
    assert_eq!(read.header("covault-standing"), Some("majority"));
    assert!(read.header("x-request-id").is_some());
}

/// What is answered is not committed yet (D4), so each look comes directly behind the write it must see.
#[test]
fn every_look_sees_what_was_answered_just_before() {
    let vault = Vault::start();
    let member = vault.member();
    let mut names = Vec::new();
    for round in 0..30 {
        let name = format!("just/{round:02}");
        let id = member.create(&name, "first").text("/version/id");
        names.push(name.clone());
        match round % 6 {
            0 => assert_eq!(member.value(&name), "first"),
            1 => assert_eq!(member.history(&name)[0]["id"], id.as_str()),
            2 => {
                let listed = member.get("/v1/secrets?prefix=just/&limit=100").expect(200);
                let listed = listed.at("/secrets").as_array().unwrap().clone();
                let listed: Vec<_> = listed.iter().map(|secret| secret["name"].as_str().unwrap()).collect();
                assert_eq!(listed, names);
            }
            3 => {
                member.get(&format!("/v1/secrets/{name}?version={id}")).expect(200);
                member.patch(&format!("/v1/secrets/{name}"), &json!({"labels": {"a": "b"}})).expect(200);
            }
            4 => {
                let (path, tag) = (format!("/v1/secrets/{name}"), format!("\"{id}\""));
                let second = json!({"value": "second"});
                member.json("PUT", &path, &[("If-Match", tag.as_str())], &second).expect(200);
                assert_eq!(member.value(&name), "second");
                member.post(&format!("/v1/rollback/{name}"), &json!({"version": 1})).expect(200);
                assert_eq!(member.value(&name), "first");
            }
            _ => {
                member.post(&format!("/v1/destroy/{name}"), &json!({"versions": [1]})).expect(200);
                member.get(&format!("/v1/secrets/{name}")).expect_problem(410, "version_destroyed");
            }
        }
    }
}

#[test]
fn second_create_of_a_name_is_refused_and_changes_nothing() {
    let vault = Vault::start();
    let member = vault.member();
    member.create("once", "first");
    let again = member.post("/v1/secrets", &json!({"name": "once", "value": "second"}));
    again.expect_problem(409, "secret_exists");
    assert_eq!(member.value("once"), "first");
    assert_eq!(member.history("once").len(), 1);
}

#[test]
fn a_deleted_name_stays_taken() {
    let vault = Vault::start();
    let member = vault.member();
    member.create("once", "first");
    member.delete("/v1/secrets/once").expect(200);
    member.get("/v1/secrets/once").expect_problem(410, "version_deleted");
    member.post("/v1/secrets", &json!({"name": "once", "value": "x"})).expect_problem(409, "secret_exists");
    assert_eq!(member.history("once")[0]["state"], "deleted");
    member.post("/v1/undelete/once", &json!({})).expect(200);
    assert_eq!(member.value("once"), "first");
}

#[test]
fn an_update_after_a_delete_makes_the_secret_readable_again() {
    let vault = Vault::start();
    let member = vault.member();
    member.create("back", "first");
    member.delete("/v1/secrets/back").expect(200);
    assert_eq!(member.update("back", "second").at("/version/number"), 2);
    assert_eq!(member.value("back"), "second");
    member.get("/v1/secrets/back?version=1").expect_problem(410, "version_deleted");
}

#[test]
fn updates_number_versions_without_gaps_and_every_version_stays_readable() {
    let vault = Vault::start();
    let member = vault.member();
    let mut ids = vec![member.create("counted", "value 1").text("/version/id")];
    for number in 2..=9_u64 {
        let made = member.update("counted", &format!("value {number}"));
        assert_eq!(made.at("/version/number"), number);
        ids.push(made.text("/version/id"));
    }
    for (at, id) in ids.iter().enumerate() {
        let expected = format!("value {}", at + 1);
        let by_number = member.get(&format!("/v1/secrets/counted?version={}", at + 1)).expect(200);
        let by_id = member.get(&format!("/v1/secrets/counted?version={id}")).expect(200);
        assert_eq!((by_number.text("/value"), by_id.text("/value")), (expected.clone(), expected));
    }
    member.get("/v1/secrets/counted?version=10").expect_problem(404, "not_found");
    member.get(&format!("/v1/secrets/counted?version={}", "0".repeat(64))).expect_problem(404, "not_found");
}

#[test]
fn an_update_of_a_missing_secret_is_refused() {
    let vault = Vault::start();
    let member = vault.member();
    member.put("/v1/secrets/nothing", &json!({"value": "x"})).expect_problem(404, "not_found");
    member.get("/v1/secrets/nothing").expect_problem(404, "not_found");
}

#[test]
fn bytes_that_are_no_text_come_back_as_base64() {
    let vault = Vault::start();
    let member = vault.member();
    let body = json!({"name": "bytes", "value_base64": "AP/+gA=="});
    member.post("/v1/secrets", &body).expect(201);
    let read = member.get("/v1/secrets/bytes").expect(200);
    assert_eq!((read.at("/value_base64"), read.at("/value")), (json!("AP/+gA=="), json!(null)));
}

#[test]
fn a_value_may_be_empty_or_as_large_as_the_limit_but_no_larger() {
    let vault = Vault::start();
    let member = vault.member();
    member.create("empty", "");
    assert_eq!(member.value("empty"), "");
    let largest = "v".repeat(1 << 20);
    member.create("largest", &largest);
    assert!(member.value("largest") == largest);
    let larger = member.post("/v1/secrets", &json!({"name": "larger", "value": "v".repeat((1 << 20) + 1)}));
    assert!(matches!(larger.code().as_str(), "value_too_large" | "body_too_large"), "{}", larger.shown());
    larger.expect(413);
    member.get("/v1/secrets/larger").expect_problem(404, "not_found");
}

#[test]
fn text_comes_back_as_it_went_in() {
    let vault = Vault::start();
    let member = vault.member();
    for (at, value) in ["ümläut \u{1F511}", "line\nbreak\r\n\ttab", "quote \" back \\ slash", "\0\u{1}\u{7f}"]
        .iter()
        .enumerate()
    {
        member.create(&format!("text/{at}"), value);
        assert_eq!(member.value(&format!("text/{at}")), *value);
    }
}

#[test]
fn a_secret_carries_64_labels_whoever_sets_them() {
    let vault = Vault::start();
    let member = vault.member();
    let labels = |keys: std::ops::Range<usize>| -> serde_json::Map<_, _> {
        keys.map(|key| (format!("k{key}"), json!("v"))).collect()
    };
    member.post("/v1/secrets", &json!({"name": "l", "value": "v", "labels": labels(0..64)})).expect(201);
    let update = |labels| member.put("/v1/secrets/l", &json!({"value": "w", "labels": labels}));
    let refused = update(labels(64..65)).expect_problem(422, "limit_reached");
    assert_eq!(refused.at("/limit"), "labels");
    update(labels(60..64)).expect(200);
    let patch = |labels| member.patch("/v1/secrets/l", &json!({ "labels": labels }));
    patch(labels(64..65)).expect_problem(422, "limit_reached");
    let mut exchanged = labels(64..65);
    exchanged.insert("k0".to_owned(), serde_json::Value::Null);
    patch(exchanged).expect(200);
    update(labels(1..65)).expect(200);
}

#[test]
fn a_patch_sets_and_removes_labels_key_by_key() {
    let vault = Vault::start();
    let member = vault.member();
    let body = json!({"name": "p", "value": "v", "labels": {"a": "1", "b": "2"}, "description": "old"});
    member.post("/v1/secrets", &body).expect(201);
    let change = json!({"labels": {"a": null, "c": "3"}, "description": "new"});
    let patched = member.patch("/v1/secrets/p", &change).expect(200);
    assert_eq!(patched.at("/labels"), json!({"b": "2", "c": "3"}));
    let read = member.get("/v1/secrets/p").expect(200);
    assert_eq!(read.at("/labels"), json!({"b": "2", "c": "3"}));
    assert_eq!(read.at("/description"), "new");
    assert_eq!(read.at("/version/number"), 1, "labels make no version");
    member.patch("/v1/secrets/p", &json!({"description": null})).expect(200);
    assert_eq!(member.get("/v1/secrets/p").at("/description"), json!(null));
    member.patch("/v1/secrets/missing", &json!({"labels": {"a": "1"}})).expect_problem(404, "not_found");
}

#[test]
fn one_version_can_be_deleted_and_brought_back() {
    let vault = Vault::start();
    let member = vault.member();
    member.create("d", "one");
    member.update("d", "two");
    member.delete("/v1/secrets/d?version=1").expect(200);
    assert_eq!(member.value("d"), "two");
    member.get("/v1/secrets/d?version=1").expect_problem(410, "version_deleted");
    member.post("/v1/undelete/d", &json!({"versions": [1]})).expect(200);
    assert_eq!(member.get("/v1/secrets/d?version=1").text("/value"), "one");
}

#[test]
fn a_destroyed_version_is_gone_for_good_and_its_header_stays() {
    let vault = Vault::start();
    let member = vault.member();
    let id = member.create("gone", "one").text("/version/id");
    member.update("gone", "two");
    member.post("/v1/destroy/gone", &json!({"versions": [1]})).expect(200);
    member.get("/v1/secrets/gone?version=1").expect_problem(410, "version_destroyed");
    member.post("/v1/undelete/gone", &json!({"versions": [1]}));
    member.get("/v1/secrets/gone?version=1").expect_problem(410, "version_destroyed");
    let roll = member.post("/v1/rollback/gone", &json!({"version": 1}));
    roll.expect_problem(410, "version_destroyed");
    let row = member.history("gone").into_iter().find(|row| row["id"] == id.as_str()).unwrap();
    assert_eq!((row["state"].clone(), row["number"].clone()), (json!("destroyed"), json!(1)));
    assert_eq!(member.value("gone"), "two");
}

#[test]
fn a_rollback_writes_the_old_value_as_a_new_version() {
    let vault = Vault::start();
    let member = vault.member();
    let first = member.create("r", "one").text("/version/id");
    member.update("r", "two");
    assert_eq!(member.post("/v1/rollback/r", &json!({"version": 1})).expect(200).at("/version/number"), 3);
    assert_eq!(member.value("r"), "one");
    assert_eq!(
        member.post("/v1/rollback/r", &json!({"version": first})).expect(200).at("/version/number"),
        4
    );
    assert_eq!(member.get("/v1/secrets/r?version=2").text("/value"), "two");
    member.post("/v1/rollback/r", &json!({"version": 99})).expect_problem(404, "not_found");
}

#[test]
fn an_expired_version_is_not_served() {
    let vault = Vault::start();
    let member = vault.member();
    let body = json!({"name": "short", "value": "v", "expires_at": "2020-01-01T00:00:00.000Z"});
    let made = member.post("/v1/secrets", &body);
    if made.status == 201 {
        member.get("/v1/secrets/short").expect_problem(410, "version_expired");
    } else {
        made.expect_problem(400, "invalid_field");
    }
    let later = json!({"name": "long", "value": "v", "expires_at": "2999-01-01T00:00:00.000Z"});
    member.post("/v1/secrets", &later).expect(201);
    assert_eq!(member.value("long"), "v");
}

#[test]
fn a_list_pages_through_every_name_once_and_carries_no_value() {
    let vault = Vault::start();
    let member = vault.member();
    let mut expected: Vec<String> = (0..25).map(|n| format!("list/{n:02}")).collect();
    for name in &expected {
        let team = if name.ends_with('3') { "red" } else { "blue" };
        let body = json!({"name": name, "value": "never-in-a-list", "labels": {"team": team}});
        member.post("/v1/secrets", &body).expect(201);
    }
    member.create("other", "x");
    expected.sort();
    let mut found = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = member.get(&format!("/v1/secrets?prefix=list/&limit=7{cursor}")).expect(200);
        assert!(!String::from_utf8_lossy(&page.body).contains("never-in-a-list"));
        let rows = page.at("/secrets");
        let rows = rows.as_array().unwrap();
        assert!(rows.len() <= 7);
        found.extend(rows.iter().map(|row| row["name"].as_str().unwrap().to_owned()));
        match page.at("/next").as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(found, expected);
    let red = member.get("/v1/secrets?label=team:red").expect(200).at("/secrets");
    let red: Vec<_> = red.as_array().unwrap().iter().map(|row| row["name"].clone()).collect();
    assert_eq!(red, [json!("list/03"), json!("list/13"), json!("list/23")]);
}

#[test]
fn quorum_reads_answer_as_local_ones_do_on_one_node() {
    let vault = Vault::start();
    let member = vault.member();
    member.create("q", "v");
    assert_eq!(member.get("/v1/secrets/q?consistency=quorum").expect(200).text("/value"), "v");
    member.get("/v1/secrets/none?consistency=quorum").expect_problem(404, "not_found");
}
