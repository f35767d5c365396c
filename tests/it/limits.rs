//! What a client may not do to a node: endless heads, endless waiting, more than it will hold.

use std::{
    io::{Read, Write},
    net::Shutdown,
};

use serde_json::json;

use crate::support::{Place, Vault, wire};

#[test]
fn a_head_that_is_too_large_is_refused() {
    let vault = Vault::start();
    let member = vault.member();
    let long = format!("X-Long: {}", "x".repeat(200_000));
    let answer =
        wire::exchange(member.base(), &wire::request("GET", "/v1/self", member.token(), &[&long], b""));
    assert!(matches!(wire::status(&answer), 431 | 400), "{}", String::from_utf8_lossy(&answer));
    let many: Vec<String> = (0..2000).map(|n| format!("X-{n}: y")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let answer = wire::exchange(member.base(), &wire::request("GET", "/v1/self", member.token(), &many, b""));
    assert!(matches!(wire::status(&answer), 431 | 400), "{}", String::from_utf8_lossy(&answer));
    let path = format!("/v1/secrets/{}", "a/".repeat(60_000));
    let answer = wire::exchange(member.base(), &wire::request("GET", &path, member.token(), &[], b""));
    assert!((400..=431).contains(&wire::status(&answer)), "{}", wire::status(&answer));
    member.get("/v1/self").expect(200);
}

#[test]
fn bytes_that_are_no_http_are_refused_and_the_node_goes_on() {
    let vault = Vault::start();
    let member = vault.member();
    for bytes in [
        b"\0\0\0\0\0\0\0\0\r\n\r\n".as_slice(),
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /v1/secrets HTTP/1.1\r\nHost: v\r\nContent-Length: -1\r\nConnection: close\r\n\r\n",
        b"POST /v1/secrets HTTP/1.1\r\nHost: v\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\nzz\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    ] {
        let status = wire::status(&wire::exchange(member.base(), bytes));
        assert!(status == 0 || (400..=505).contains(&status), "{status}");
        assert_ne!(status, 500);
    }
    member.get("/v1/self").expect(200);
}

#[test]
fn a_slow_client_is_let_go_and_stores_nothing() {
    let place = Place::initialised();
    let _node = place.serve("[limits]\nrequest_seconds = 1\n", &[]);
    let admin = place.admin();
    let body = json!({"name": "slow", "value": "v"}).to_string();
    let head = format!(
        "POST /v1/secrets HTTP/1.1\r\nHost: v\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        admin.token(),
        body.len()
    );
    let mut half = wire::connect(&place.url());
    half.write_all(head.as_bytes()).unwrap();
    half.write_all(&body.as_bytes()[..8]).unwrap();
    let mut answer = Vec::new();
    half.read_to_end(&mut answer).unwrap();
    assert!(matches!(wire::status(&answer), 408 | 0), "{}", String::from_utf8_lossy(&answer));
    let mut headless = wire::connect(&place.url());
    headless.write_all(b"GET /v1/self HTTP/1.1\r\nHost: v\r\n").unwrap();
    let mut answer = Vec::new();
    headless.read_to_end(&mut answer).unwrap();
    assert_ne!(wire::status(&answer), 200);
    admin.get("/v1/secrets/slow").expect_problem(404, "not_found");
}

#[test]
fn a_client_that_has_closed_its_side_is_answered() {
    let vault = Vault::start();
    let member = vault.member();
    let mut connection = wire::connect(member.base());
    connection.write_all(&wire::request("GET", "/v1/self", member.token(), &[], b"")).unwrap();
    connection.shutdown(Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).unwrap();
    assert_eq!(wire::status(&answer), 200, "{}", String::from_utf8_lossy(&answer));
}

#[test]
fn idle_connections_do_not_keep_others_out() {
    let vault = Vault::start();
    let member = vault.member();
    let held: Vec<_> = (0..200).map(|_| wire::connect(member.base())).collect();
    member.create("beside", "many idle ones");
    drop(held);
}

#[test]
fn a_value_limit_that_is_configured_lower_holds() {
    let place = Place::initialised();
    let _node = place.serve("[limits]\nvalue_bytes_max = 1000\n", &[]);
    let admin = place.admin();
    admin.create("fits", &"v".repeat(1000));
    let larger = admin.post("/v1/secrets", &json!({"name": "larger", "value": "v".repeat(1001)}));
    larger.expect_problem(413, "value_too_large");
    admin.get("/v1/secrets/larger").expect_problem(404, "not_found");
}

#[test]
fn a_client_chosen_request_id_comes_back_and_a_wrong_one_does_not() {
    let vault = Vault::start();
    let member = vault.member();
    let chosen = member.send("GET", "/v1/self", &[("x-request-id", "my-id.1")], None).expect(200);
    assert_eq!(chosen.header("x-request-id"), Some("my-id.1"));
    let wrong = member.send("GET", "/v1/self", &[("x-request-id", "has space")], None);
    assert!(wrong.header("x-request-id").is_some_and(|id| id != "has space"));
}
