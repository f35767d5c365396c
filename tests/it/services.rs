//! The API and the vault as processes apart: what a client gets through one is what a node with HTTP would give it, a
//! vault process that dies is not noticed, and an API process can do no more than the tokens it is shown. Shows A1, A2
//! and A3 from outside. Knows nothing of how requests travel.

use std::{
    collections::BTreeSet,
    fs,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
};

use serde_json::{Value, json};

use crate::support::{
    Answer, Client, Place, Process, covault, eventually,
    joining::{invite, join, roles, start, until_all_vote},
    services::{Api, Vaults, founded, invite_api, join_api},
    vault::new_caller,
};

/// A node with HTTP, and an API process before it.
fn one_node() -> (Place, Process, Api) {
    let (node, process) = founded();
    let place = node.elsewhere();
    join_api(&place, &invite_api(&node.admin())).expect(0);
    let api = Api::start(place);
    api.until_ready();
    (node, process, api)
}

/// Writes and reads through one API process until told to stop; every answer must be the right one.
fn clients_of(api: &Api, name: &str, stop: &AtomicBool, done: &AtomicU64) {
    let client = api.admin();
    client.create(name, "0");
    for number in 1.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let value = number.to_string();
        client.update(name, &value);
        assert_eq!(client.value(name), value, "a client reads what it wrote");
        client.create(&format!("{name}/{number}"), &value);
        done.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn clients_of_an_api_process_notice_nothing_of_vault_processes_that_die_one_after_the_other() {
    let (mut vaults, api) = Vaults::start();
    let (stop, done) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        for name in ["one", "two"] {
            let (api, stop, done) = (&api, &stop, &done);
            scope.spawn(move || {
                // However it ends, the others are not to wait for it.
                let ended = StopOnDrop(stop);
                clients_of(api, name, stop, done);
                drop(ended);
            });
        }
        let progress = || {
            let before = done.load(Ordering::Relaxed);
            eventually("the clients to get on", || {
                (before + 4 < done.load(Ordering::Relaxed) || stop.load(Ordering::Relaxed)).then_some(())
            });
        };
        progress();
        for round in 0..2 {
            for number in 0..3 {
                match round {
                    0 => vaults.kill(number),
                    _ => vaults.stop(number),
                }
                progress();
                vaults.restart(number);
                progress();
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    let admin = api.admin();
    for name in ["one", "two"] {
        let numbers: Vec<_> = admin.history(name).iter().map(|row| row["number"].as_u64()).collect();
        let expected: Vec<_> = (1..=numbers.len() as u64).rev().map(Some).collect();
        assert_eq!(numbers, expected, "each version once, and each agreed");
        let last: usize = admin.value(name).parse().unwrap();
        assert_eq!(numbers.len(), last + 1, "no update was done twice, and none was lost");
    }
}

/// Tells the others to stop when it goes out of scope.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn without_a_majority_an_api_process_answers_as_a_node_would_and_recovers_by_itself() {
    let (mut vaults, mut api) = Vaults::start();
    let other = vaults.another_api(&api);
    api.admin().create("app/db", "first");
    assert_eq!(
        other.admin().get("/v1/secrets/app/db?consistency=quorum").expect(200).text("/value"),
        "first"
    );
    vaults.kill(0);
    vaults.kill(1);
    eventually("both to say that they are not ready", || {
        let statuses = [&api, &other].map(|api| api.stranger().get("/ready").status);
        (statuses == [503, 503]).then_some(())
    });
    eventually("metrics to tell of the nodes that are left", || {
        let text = String::from_utf8(api.stranger().get("/metrics").expect(200).body).unwrap();
        let says = |line: &str| text.lines().any(|said| said == line);
        ["covault_nodes_majority 0", "covault_nodes_minority 1", "covault_nodes_silent 2"]
            .into_iter()
            .all(says)
            .then_some(())
    });
    let admin = api.admin();
    let read = admin.get("/v1/secrets/app/db").expect(200);
    assert_eq!((read.text("/value").as_str(), read.header("covault-standing")), ("first", Some("minority")));
    admin
        .post("/v1/secrets", &json!({"name": "new", "value": "v"}))
        .expect_problem(503, "quorum_unavailable");
    admin.get("/v1/secrets/none").expect_problem(503, "unconfirmed");
    admin.put("/v1/secrets/app/db", &json!({"value": "kept"})).expect(202);
    vaults.kill(2);
    admin.get("/v1/secrets/app/db").expect_problem(503, "quorum_unavailable");
    api.stranger().get("/health").expect(200);
    // An API process that starts while no vault process answers waits for one.
    api.kill_and_restart();
    for number in 0..3 {
        vaults.restart(number);
    }
    api.until_ready();
    other.until_ready();
    for api in [&api, &other] {
        eventually("the kept version to be agreed", || {
            let read = api.admin().get("/v1/secrets/app/db").expect(200);
            (read.text("/value") == "kept" && read.at("/version/number") == json!(2)).then_some(())
        });
    }
}

#[test]
fn the_whole_round_goes_through_an_api_process_that_keeps_nothing() {
    let (node, _process, mut api) = one_node();
    let admin = api.admin();
    let token = new_caller(&admin, "web", "member").expect(201).text("/token");
    let web = admin.with_token(&token);
    web.create("app/db", "canary-one");
    api.kill_and_restart();
    let web = api.admin().with_token(&token);
    assert_eq!(web.value("app/db"), "canary-one", "it serves at once: nothing of it was here");
    web.update("app/db", "canary-two");
    web.patch("/v1/secrets/app/db", &json!({"labels": {"env": "prod"}})).expect(200);
    assert_eq!(web.history("app/db").len(), 2);
    assert_eq!(web.get("/v1/secrets?label=env:prod").expect(200).text("/secrets/0/name"), "app/db");
    web.delete("/v1/secrets/app/db").expect(200);
    web.get("/v1/secrets/app/db").expect_problem(410, "version_deleted");
    let (admin, id) = (api.admin(), api.id());
    assert!(roles(&admin).contains(&(id, "api".into())), "it is listed, and is no member");
    assert_eq!(admin.get("/v1/status").expect(200).at("/members").as_array().unwrap().len(), 2);
    assert_eq!(web.get("/v1/self").expect(200).text("/name"), "web");
    admin.delete("/v1/callers/web").expect(204);
    web.get("/v1/self").expect_problem(401, "unauthenticated");
    let kept = fs::read_dir(api.data()).unwrap().map(|entry| entry.unwrap().path());
    let mut names = BTreeSet::new();
    for path in kept {
        let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
        assert!(!text.contains("canary") && !text.contains(&token), "{}", path.display());
        names.insert(path.file_name().unwrap().to_string_lossy().into_owned());
    }
    assert_eq!(names, BTreeSet::from(["node.key".to_owned(), "vaults.json".to_owned()]));
    assert!(!api.output().contains("canary") && !api.output().contains(&token));
    let audit = fs::read_to_string(node.data().join("audit/000001.jsonl")).unwrap();
    assert!(audit.contains("\"action\":\"secret.create\"") && audit.contains("\"caller\":\"web\""));
}

/// What a client sees of an answer, but for what is of its moment.
fn seen(answer: &Answer) -> (u16, Vec<(String, String)>, Vec<u8>) {
    let of_its_moment = ["x-request-id", "date"];
    let headers = answer.headers.iter().filter(|(name, _)| !of_its_moment.contains(&name.as_str()));
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    let mut headers: Vec<_> =
        headers.map(|(name, value)| (name.as_str().to_owned(), text(value.as_bytes()))).collect();
    headers.sort();
    (answer.status, headers, answer.body.clone())
}

/// Method, path, headers and body of a request.
type Request = (&'static str, &'static str, &'static [(&'static str, &'static str)], Option<&'static str>);

const JSON: (&str, &str) = ("content-type", "application/json");
const TEXT: (&str, &str) = ("content-type", "text/plain; charset=utf-8");

/// What is answered alike wherever it is asked, and changes nothing.
const REQUESTS: &[Request] = &[
    ("GET", "/v1/secrets/app/db", &[], None),
    ("GET", "/v1/secrets/app%2Fdb?version=1", &[], None),
    ("GET", "/v1/secrets/app/db?consistency=quorum", &[], None),
    ("GET", "/v1/secrets/app/db", &[("if-none-match", "*")], None),
    ("GET", "/v1/secrets?prefix=app/&limit=1", &[], None),
    ("GET", "/v1/history/app/db", &[], None),
    ("GET", "/v1/callers", &[], None),
    ("GET", "/v1/secrets/none", &[], None),
    ("GET", "/v1/secrets/app/db?version=9", &[], None),
    ("GET", "/v1/secrets/app/db?nonsense=1", &[], None),
    ("GET", "/v1/secrets/app/db?version=%ff", &[], None),
    ("GET", "/v1/secrets/%ff", &[], None),
    ("GET", "/v1/secrets/a//b", &[], None),
    ("GET", "/v1/nowhere", &[], None),
    ("POST", "/v1/secrets/app/db", &[JSON], Some("{}")),
    ("POST", "/v1/secrets", &[JSON], Some(r#"{"name":"app/db","value":"v"}"#)),
    ("POST", "/v1/secrets", &[JSON], Some("{")),
    ("POST", "/v1/secrets", &[("content-type", "text/plain")], Some("{}")),
    ("POST", "/v1/secrets", &[JSON, ("idempotency-key", "a b")], Some("{}")),
    ("PUT", "/v1/secrets/app/db", &[JSON, ("if-match", "\"other\"")], Some(r#"{"value":"v"}"#)),
    ("PUT", "/v1/secrets/none", &[JSON], Some(r#"{"value":"v"}"#)),
    ("POST", "/v1/env/expand", &[TEXT], Some("A=secret(app/db@1) # c\r\nB=x\n")),
    ("POST", "/v1/env/expand", &[JSON], Some(r#"{"content":"A=secret(app/db)","format":"yaml"}"#)),
    ("POST", "/v1/env/expand", &[TEXT], Some("A=secret(app/db)\nB=secret(none)")),
    ("POST", "/v1/env/expand", &[("content-type", "text/html")], Some("A=1")),
    ("POST", "/v1/env/encrypt", &[TEXT], Some("A='1\n")),
    ("POST", "/v1/env/encrypt", &[TEXT], Some("A=secret(app/db)\n")),
    ("POST", "/v1/env/encrypt", &[JSON], Some(r#"{"content":"A=enc(app/db=2)\nB=enc(new=1)"}"#)),
    ("DELETE", "/v1/callers/nobody", &[], None),
    ("GET", "/openapi.json", &[], None),
    ("GET", "/health", &[], None),
    ("GET", "/ready", &[], None),
];

#[test]
fn answers_through_an_api_process_are_those_of_a_node_byte_for_byte() {
    let (node, _process, api) = one_node();
    let (here, away) = (node.admin(), api.admin());
    here.create("app/db", "värde");
    here.update("app/db", "two");
    here.create("app/bytes", "x");
    for (method, path, headers, body) in REQUESTS {
        let send = |client: &Client| client.send(method, path, headers, body.map(str::as_bytes));
        assert_eq!(seen(&send(&away)), seen(&send(&here)), "{method} {path} {headers:?}");
    }
    for token in [None, Some("cvt_0011223344556677_00"), Some("nonsense")] {
        let ask = |base: &str| Client::new(base, token).get("/v1/secrets/app/db");
        assert_eq!(seen(&ask(away.base())), seen(&ask(here.base())), "{token:?}");
        ask(away.base()).expect_problem(401, "unauthenticated");
    }
}

#[test]
fn values_of_any_size_and_a_clients_own_key_go_through_an_api_process() {
    let (node, _process, api) = one_node();
    let (here, away) = (node.admin(), api.admin());
    let largest = "v".repeat(1 << 20);
    away.create("largest", &largest);
    assert_eq!(away.value("largest"), largest);
    let large = json!({"name": "large", "value": "v".repeat(3 << 20)});
    away.post("/v1/secrets", &large).expect_problem(413, "body_too_large");
    let again = |client: &Client| {
        client.json("POST", "/v1/secrets", &[("idempotency-key", "k")], &json!({"name": "k", "value": "v"}))
    };
    again(&away).expect(201);
    assert_eq!(again(&here).expect(201).header("idempotency-replayed"), Some("true"));
    let id = [("x-request-id", "mine-1")];
    assert_eq!(away.send("GET", "/v1/self", &id, None).header("x-request-id"), Some("mine-1"));
    let audit = fs::read_to_string(node.data().join("audit/000001.jsonl")).unwrap();
    assert!(audit.contains("\"request\":\"mine-1\""), "the id is that of the node's audit line");
}

#[test]
fn a_removed_api_process_is_let_in_no_more_and_its_key_not_again() {
    let (node, _process, mut api) = one_node();
    let token = invite_api(&node.admin());
    let id = api.id();
    node.admin().delete(&format!("/v1/members/{id}")).expect(204);
    let knows = |answer: Answer| {
        let detail = answer.expect_problem(503, "quorum_unavailable").text("/detail");
        detail.contains("not know this API process")
    };
    eventually("it to be let in no more, and to know that", || {
        let answer = api.admin().get("/v1/secrets");
        (answer.status == 503 && knows(answer)).then_some(())
    });
    assert!(knows(api.stranger().get("/ready")));
    assert!(roles(&node.admin()).iter().all(|(listed, _)| *listed != id));
    api.kill_and_restart();
    api.admin().get("/v1/secrets").expect_problem(503, "quorum_unavailable");
    assert_eq!(api.stranger().get("/ready").status, 503);
    fs::remove_file(api.data().join("vaults.json")).unwrap();
    let place = api.into_place();
    fs::remove_file(place.path("api.toml")).unwrap();
    let refused = join_api(&place, &token).expect(1);
    assert!(refused.stderr.contains("(node_known)"), "{}", refused.stderr);
}

#[test]
fn an_invitation_of_an_api_process_makes_no_node_and_one_of_a_node_no_api_process() {
    let (node, _process) = founded();
    let of_api = invite_api(&node.admin());
    let refused = join(&node.elsewhere(), &of_api).expect(1);
    assert!(refused.stderr.contains("(invitation_invalid)"), "{}", refused.stderr);
    let of_node = invite(&node.admin());
    let elsewhere = node.elsewhere();
    let refused = join_api(&elsewhere, &of_node).expect(1);
    assert!(refused.stderr.contains("(invitation_invalid)"), "{}", refused.stderr);
    // What was refused used nothing up, and the same directory may be let in.
    join_api(&elsewhere, &of_api).expect(0);
    fs::remove_file(elsewhere.path("api.toml")).unwrap();
    let twice = join_api(&elsewhere, &of_api).expect(1);
    assert!(twice.stderr.contains("(vault_exists)"), "{}", twice.stderr);
}

#[test]
fn an_api_process_follows_the_nodes_that_there_are() {
    let (node, mut process, api) = one_node();
    let admin = api.admin();
    let second = node.elsewhere();
    join(&second, &invite(&admin)).expect(0);
    fs::copy(node.keyring(), second.keyring()).unwrap();
    let _second = start(&second);
    until_all_vote(&admin, 2);
    let known =
        || -> Value { serde_json::from_slice(&fs::read(api.data().join("vaults.json")).unwrap()).unwrap() };
    eventually("the new node to be kept", || {
        (known()["members"].as_array().unwrap().len() == 2).then_some(())
    });
    let first = admin.get("/v1/members").expect(200);
    let first = first.at("/members").as_array().unwrap().iter().find_map(|member| {
        let address = member["address"].as_str()?;
        address.ends_with(&format!(":{}", node.port())).then(|| member["node"].as_str().unwrap().to_owned())
    });
    second.admin().delete(&format!("/v1/members/{}", first.unwrap())).expect(204);
    process.kill_hard();
    admin.create("after", "the first is gone");
    assert_eq!(second.admin().value("after"), "the first is gone");
    eventually("the first to be forgotten", || {
        (known()["members"].as_array().unwrap().len() == 1).then_some(())
    });
}

#[test]
fn a_configuration_that_cannot_be_meant_is_refused_by_name() {
    let place = Place::empty();
    let file = place.path("api.toml");
    let refused = |command: &str, text: &str, needle: &str| {
        fs::write(&file, text).unwrap();
        let done = covault(&[command, "--config", file.to_str().unwrap()]).expect(1);
        assert!(done.stderr.contains(needle), "{}", done.stderr);
    };
    refused("vault", "data = \"d\"\n", "has no [quic]");
    refused("api", "data = \"d\"\n[quic]\nlisten = \"127.0.0.1:1\"\n", "quic");
    refused("api", "data = \"d\"\n[limits]\nvalue_bytes_max = 0\n", "limits.value_bytes_max");
    refused("api", "data = \"d\"\nlisten = \"0.0.0.0:0\"\n", "(plain_http_refused)");
    refused("api", "data = \"d\"\nlisten = \"127.0.0.1:0\"\n", "covault join --api");
}
