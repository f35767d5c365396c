//! Another caller's secret and one that does not exist are the same answer, byte for byte (N3), and
//! grants open exactly what they say.

use std::thread;

use serde_json::json;

use crate::support::{Client, Cluster, Vault, eventually, vault::new_caller, wire};

const EVERY_OPERATION: &[(&str, &str, &str)] = &[
    ("GET", "/v1/secrets/NAME?owner=ann", ""),
    ("GET", "/v1/secrets/NAME?owner=ann&version=1", ""),
    ("GET", "/v1/secrets/NAME?owner=ann&at=2999-01-01T00:00:00.000Z", ""),
    ("GET", "/v1/secrets/NAME?owner=ann&consistency=quorum", ""),
    ("GET", "/v1/history/NAME?owner=ann", ""),
    ("PUT", "/v1/secrets/NAME?owner=ann", r#"{"value":"x"}"#),
    ("PATCH", "/v1/secrets/NAME?owner=ann", r#"{"labels":{"a":"b"}}"#),
    ("DELETE", "/v1/secrets/NAME?owner=ann", ""),
    ("DELETE", "/v1/secrets/NAME?owner=ann&version=1", ""),
    ("POST", "/v1/undelete/NAME?owner=ann", r#"{"versions":[1]}"#),
    ("POST", "/v1/destroy/NAME?owner=ann", r#"{"versions":[1]}"#),
    ("POST", "/v1/rollback/NAME?owner=ann", r#"{"version":1}"#),
];

fn raw(client: &Client, method: &str, path: &str, body: &str) -> String {
    let request =
        wire::request(method, path, client.token(), &["Content-Type: application/json"], body.as_bytes());
    wire::comparable(&wire::exchange(client.base(), &request))
}

#[test]
fn anothers_secret_answers_byte_for_byte_like_a_missing_one() {
    let vault = Vault::start();
    let (ann, bob) = (vault.caller("ann"), vault.caller("bob"));
    ann.create("there", "value");
    for (method, path, body) in EVERY_OPERATION {
        let theirs = raw(&bob, method, &path.replace("NAME", "there"), body);
        let missing = raw(&bob, method, &path.replace("NAME", "where"), body);
        assert_eq!(theirs, missing, "{method} {path}");
        assert!(theirs.starts_with("HTTP/1.1 404"), "{method} {path}: {theirs}");
        let nobodys = raw(&bob, method, &path.replace("NAME", "there").replace("=ann", "=abe"), body);
        assert_eq!(theirs, nobodys, "an owner that does not exist: {method} {path}");
    }
    assert_eq!(ann.value("there"), "value");
    assert_eq!(ann.history("there").len(), 1);
}

#[test]
fn anothers_secret_is_like_a_missing_one_also_on_a_node_that_is_alone() {
    let mut cluster = Cluster::start(3);
    let ann = cluster.member(2);
    ann.create("there", "value");
    let owner = format!("={}", ann.get("/v1/self").expect(200).text("/name"));
    let bob = ann.with_token(&new_caller(&cluster.admin(2), "bob", "member").expect(201).text("/token"));
    bob.create("here", "for the node to know bob");
    cluster.kill(0);
    cluster.kill(1);
    eventually("the node to stand alone", || {
        (ann.get("/v1/status").expect(200).at("/standing") == "minority").then_some(())
    });
    // All at once: each waits for a majority, and none for another.
    let compare = |method: &str, path: &str, body| {
        let theirs = raw(&bob, method, &path.replace("NAME", "there"), body);
        let missing = raw(&bob, method, &path.replace("NAME", "where"), body);
        assert_eq!(theirs, missing, "{method} {path}");
    };
    thread::scope(|scope| {
        for (method, path, body) in EVERY_OPERATION {
            let path = path.replace("=ann", &owner);
            scope.spawn(move || compare(method, &path, body));
        }
    });
}

#[test]
fn the_admin_has_no_right_to_others_values() {
    let vault = Vault::start();
    let ann = vault.caller("ann");
    ann.create("private", "value");
    vault.admin().get("/v1/secrets/private?owner=ann").expect_problem(404, "not_found");
    vault.admin().get("/v1/history/private?owner=ann").expect_problem(404, "not_found");
}

#[test]
fn two_callers_may_use_the_same_name() {
    let vault = Vault::start();
    let (ann, bob) = (vault.caller("ann"), vault.caller("bob"));
    ann.create("same", "of ann");
    bob.create("same", "of bob");
    assert_eq!((ann.value("same"), bob.value("same")), ("of ann".to_owned(), "of bob".to_owned()));
    bob.update("same", "of bob 2");
    assert_eq!(ann.value("same"), "of ann");
}

#[test]
fn a_list_shows_only_what_may_be_read() {
    let vault = Vault::start();
    let (ann, bob) = (vault.caller("ann"), vault.caller("bob"));
    ann.create("shared/a", "1");
    ann.create("private/b", "2");
    let names = |client: &Client| {
        let page = client.get("/v1/secrets?owner=ann");
        let rows = page.body_json()["secrets"].as_array().cloned().unwrap_or_default();
        rows.iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&bob), Vec::<String>::new());
    ann.post("/v1/grants", &json!({"prefix": "shared/", "grantee": "bob", "access": "read"})).expect(201);
    assert_eq!(names(&bob), ["shared/a"]);
}

#[test]
fn a_list_does_not_go_on_because_of_names_that_may_not_be_read() {
    let vault = Vault::start();
    let (ann, bob) = (vault.caller("ann"), vault.caller("bob"));
    for name in ["a", "b/1", "c", "d/1", "d/2", "e"] {
        ann.create(name, "value");
    }
    for prefix in ["b/", "d/"] {
        let grant = json!({"prefix": prefix, "grantee": "bob", "access": "read"});
        ann.post("/v1/grants", &grant).expect(201);
    }
    let page = |query: &str| {
        let page = bob.get(&format!("/v1/secrets?owner=ann&limit=1{query}")).body_json();
        let name = page["secrets"][0]["name"].as_str().map(str::to_owned);
        (name, page["next"].as_str().map(str::to_owned))
    };
    let (mut names, mut next) = (Vec::new(), Some(String::new()));
    while let Some(cursor) = next {
        let (name, more) = page(&if cursor.is_empty() { cursor } else { format!("&cursor={cursor}") });
        names.extend(name);
        next = more;
    }
    assert_eq!(names, ["b/1", "d/1", "d/2"], "and the last page says that it is the last");
    assert_eq!(page("&prefix=b"), (Some("b/1".to_owned()), None));
    assert_eq!(page("&prefix=c"), (None, None));
    let all = vault.caller("cat").get("/v1/secrets?owner=ann&limit=1").body_json();
    assert_eq!((&all["secrets"], &all["next"]), (&json!([]), &json!(null)));
}

#[test]
fn a_read_grant_opens_reading_below_its_prefix_and_nothing_else() {
    let vault = Vault::start();
    let (ann, bob) = (vault.caller("ann"), vault.caller("bob"));
    ann.create("shared/a", "1");
    ann.create("private/b", "2");
    let grant = json!({"prefix": "shared/", "grantee": "bob", "access": "read"});
    let grant = ann.post("/v1/grants", &grant).expect(201).text("/id");
    assert_eq!(bob.get("/v1/secrets/shared/a?owner=ann").expect(200).text("/value"), "1");
    bob.get("/v1/history/shared/a?owner=ann").expect(200);
    bob.get("/v1/secrets/private/b?owner=ann").expect_problem(404, "not_found");
    let write = bob.put("/v1/secrets/shared/a?owner=ann", &json!({"value": "x"}));
    assert!(matches!(write.status, 403 | 404), "{}", write.shown());
    assert_eq!(ann.value("shared/a"), "1");

    let listed = ann.get("/v1/grants").expect(200);
    assert!(String::from_utf8_lossy(&listed.body).contains(&grant));
    ann.delete(&format!("/v1/grants/{grant}")).expect(204);
    bob.get("/v1/secrets/shared/a?owner=ann").expect_problem(404, "not_found");
}

#[test]
fn a_write_grant_lets_another_create_and_update_and_history_says_who() {
    let vault = Vault::start();
    let (ann, bob) = (vault.caller("ann"), vault.caller("bob"));
    ann.post("/v1/grants", &json!({"prefix": "team/", "grantee": "bob", "access": "write"})).expect(201);
    let created =
        bob.post("/v1/secrets", &json!({"name": "team/x", "value": "1", "owner": "ann"})).expect(201);
    let location = created.header("location").unwrap_or_default();
    assert_eq!(bob.get(location).expect(200).at("/value"), "1", "{location}");
    bob.put("/v1/secrets/team/x?owner=ann", &json!({"value": "2"})).expect(200);
    ann.update("team/x", "3");
    let callers: Vec<_> = ann.history("team/x").iter().map(|row| row["caller"].clone()).collect();
    assert_eq!(callers, [json!("ann"), json!("bob"), json!("bob")]);
    let elsewhere = bob.post("/v1/secrets", &json!({"name": "mine/x", "value": "1", "owner": "ann"}));
    assert!(matches!(elsewhere.status, 403 | 404), "{}", elsewhere.shown());
}

#[test]
fn a_grant_that_is_given_again_is_the_one_that_is_there() {
    let vault = Vault::start();
    let (ann, _bob) = (vault.caller("ann"), vault.caller("bob"));
    let give = || {
        let grant = json!({"prefix": "team/", "grantee": "bob", "access": "read"});
        ann.post("/v1/grants", &grant).expect(201).body_json()
    };
    let given = give();
    // Some of these are in another millisecond.
    for _ in 0..20 {
        assert_eq!(give(), given);
    }
}

#[test]
fn a_grant_can_be_taken_back_only_by_its_owner() {
    let vault = Vault::start();
    let (ann, bob) = (vault.caller("ann"), vault.caller("bob"));
    let grant = json!({"prefix": "s/", "grantee": "bob", "access": "read"});
    let id = ann.post("/v1/grants", &grant).expect(201).text("/id");
    bob.delete(&format!("/v1/grants/{id}")).expect_problem(404, "not_found");
    ann.delete(&format!("/v1/grants/{id}")).expect(204);
    ann.delete(&format!("/v1/grants/{id}")).expect_problem(404, "not_found");
    new_caller(&vault.admin(), "ann", "member").expect_problem(409, "caller_exists");
}
