//! The client against a small server that answers what it is told to, one connection after another.

#![allow(clippy::unwrap_used)]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    thread::JoinHandle,
};

use serde_json::json;

use super::*;
use crate::cli::failure::Told;

/// The answer that is none: the connection is closed after the request was read.
const HANG_UP: &str = "";
const UNKNOWN: &str = "503 Service Unavailable\r\nRetry-After: 0";

struct Server {
    client: Client,
    requests: JoinHandle<Vec<String>>,
}

/// Serves `answers` (status line and headers, body) one after the other and keeps what was asked.
fn server(answers: &[(&'static str, Value)]) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let answers = answers.to_vec();
    let requests = std::thread::spawn(move || {
        answers.iter().map(|(head, body)| serve_one(&listener.accept().unwrap().0, head, body)).collect()
    });
    let config = Agent::config_builder().http_status_as_error(false).max_redirects(0).proxy(None).build();
    Server {
        client: Client::new(config.into(), base, HeaderValue::from_static("Bearer cvt_canary")),
        requests,
    }
}

fn serve_one(mut stream: &TcpStream, head: &str, body: &Value) -> String {
    let mut reader = BufReader::new(stream);
    let mut request = String::new();
    while !request.ends_with("\r\n\r\n") {
        assert_ne!(reader.read_line(&mut request).unwrap(), 0, "the request ends early");
    }
    let length = header(&request, "content-length").map_or(0, |text| text.parse().unwrap());
    let mut sent = vec![0; length];
    reader.read_exact(&mut sent).unwrap();
    request.push_str(str::from_utf8(&sent).unwrap());
    if head != HANG_UP {
        let body = body.to_string();
        let length = body.len();
        write!(stream, "HTTP/1.1 {head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
            .unwrap();
    }
    request
}

fn header<'r>(request: &'r str, name: &str) -> Option<&'r str> {
    let line = request.lines().find(|line| line.to_ascii_lowercase().starts_with(&format!("{name}:")))?;
    line.split_once(": ").map(|(_, text)| text)
}

fn write_call() -> Call {
    Call::post("/v1/secrets", json!({"name": "a", "value": "s3cret"}), &WriteArgs { idempotency_key: None })
}

fn told(failure: Failure) -> Told {
    match failure {
        Failure::Told(told) => told,
        other => panic!("it is told: {other:?}"),
    }
}

#[test]
fn a_write_is_sent_once_more_with_its_key_when_the_connection_or_the_outcome_is_lost() {
    let created = ("201 Created", json!({"name": "a"}));
    for first in [(HANG_UP, Value::Null), (UNKNOWN, json!({"code": "outcome_unknown"}))] {
        let Server { client, requests } = server(&[first, created.clone()]);
        assert_eq!(client.send(&write_call()).unwrap().body["name"], "a");
        let requests = requests.join().unwrap();
        let keys: Vec<_> =
            requests.iter().map(|request| header(request, "idempotency-key").unwrap()).collect();
        assert_eq!(keys[0], keys[1]);
        assert_eq!(requests[0], requests[1]);
    }
}

#[test]
fn what_is_asked_once_gives_a_refusal_as_it_came() {
    let Server { client, requests } = server(&[(UNKNOWN, json!({"code": "outcome_unknown"}))]);
    let answered = client.ask(&write_call()).unwrap();
    assert_eq!((answered.status, answered.code()), (503, Some("outcome_unknown")));
    assert_eq!(requests.join().unwrap().len(), 1);
}

#[test]
fn two_writes_have_two_keys() {
    assert_ne!(write_call().key, write_call().key);
}

#[test]
fn an_outcome_that_stays_unknown_is_told_with_the_key_to_ask_again() {
    let unknown = (UNKNOWN, json!({"code": "outcome_unknown", "detail": "It may still be agreed."}));
    let Server { client, requests } = server(&[unknown.clone(), unknown]);
    let call = write_call();
    let told = told(client.send(&call).unwrap_err());
    assert_eq!(told.code, "outcome_unknown");
    assert!(told.hint.unwrap().contains(&call.key.unwrap()));
    requests.join().unwrap();
}

#[test]
fn a_refusal_is_told_by_code_detail_and_what_it_is_about() {
    let problem = json!({"code": "secret_exists", "title": "The name is taken", "detail": "Nothing was created.",
        "names": ["a"]});
    let Server { client, requests } = server(&[("409 Conflict", problem)]);
    let told = told(client.send(&write_call()).unwrap_err());
    assert_eq!(told.code, "secret_exists");
    assert_eq!(told.detail, "The name is taken. Nothing was created. [names: a]");
    assert!(!format!("{told:?}").contains("s3cret"));
    assert_eq!(requests.join().unwrap().len(), 1, "a refusal is final");
}

#[test]
fn an_answer_of_something_else_is_told_as_such() {
    for head in
        ["200 OK\r\nContent-Type: text/html", "502 Bad Gateway", "302 Found\r\nLocation: http://127.0.0.1:1/"]
    {
        let Server { client, requests } = server(&[(head, json!("a page"))]);
        let told = told(client.send(&Call::get("/v1/self")).unwrap_err());
        assert_eq!(told.code, "unexpected_answer");
        requests.join().unwrap();
    }
}

#[test]
fn nobody_listening_is_a_sentence_with_the_address() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let base = format!("http://{free}");
    let client =
        Client::new(Agent::new_with_defaults(), base.clone(), HeaderValue::from_static("Bearer cvt_canary"));
    let told = told(client.send(&write_call()).unwrap_err());
    assert_eq!(told.code, "unreachable");
    assert!(told.detail.contains(&base));
    assert!(told.hint.is_none(), "nothing was sent");
    assert!(!format!("{told:?}").contains("canary"));
}

#[test]
fn a_node_that_is_cut_off_says_so() {
    let cut_off = ("200 OK\r\nCovault-Standing: minority", json!({}));
    let Server { client, requests } = server(&[cut_off]);
    assert!(client.send(&Call::get("/v1/secrets/a")).unwrap().cut_off);
    requests.join().unwrap();
}

#[test]
fn a_query_is_escaped() {
    let call = Call::get("/v1/secrets").query("label", Some("team:a b&c=ü")).query("cursor", None::<&str>);
    assert_eq!(call.uri("http://h"), "http://h/v1/secrets?label=team%3Aa%20b%26c%3D%C3%BC");
}
