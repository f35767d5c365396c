//! Every field of every request, wrong in every way: a 4xx with a stable code that names the field,
//! nothing stored, and no value in the answer or the log.

mod described;
mod shapes;

use serde_json::{Value, json};

use self::{
    described::{Described, described},
    shapes::{Shape, shapes},
};
use crate::support::{Answer, Client, Vault, wire};

/// Stands in every request as the value; no answer and no log line may contain it.
const MARK: &str = "NeverRepeatThisValue";

/// A vault with one secret and one caller, and its admin, who may send every request there is.
fn fixture() -> (Vault, Client) {
    let vault = Vault::start();
    vault.caller("ann");
    let admin = vault.admin();
    admin.create("here", "first");
    (vault, admin)
}

/// Everything that a refused request could have changed.
fn all_there_is(client: &Client) -> Vec<Value> {
    let lists = [
        "/v1/secrets",
        "/v1/history/here",
        "/v1/callers",
        "/v1/grants",
        "/v1/secrets/here",
        "/v1/epochs",
        "/v1/tokenization",
    ];
    lists.iter().map(|path| client.get(path).expect(200).body_json()).collect()
}

/// Sends bytes as a JSON body.
fn sent(client: &Client, shape: &Shape, body: &[u8]) -> Answer {
    client.send(shape.method, shape.path, &[("content-type", "application/json")], Some(body))
}

#[track_caller]
fn check(answer: Answer, code: &str, field: Option<&str>, what: &str) -> Answer {
    assert_eq!(answer.code(), code, "{what}: {}", answer.shown());
    assert!((400..500).contains(&answer.status), "{what}: {}", answer.shown());
    assert!(!answer.shown().contains(MARK), "{what}: the answer repeats the value");
    if let Some(field) = field {
        let named = answer.at("/field").as_str().unwrap_or_default().to_owned();
        // A member of a field is named with its place, as in `labels.k` or `versions[0]`.
        assert!(named.starts_with(field), "{what}: names {named:?}, not {field:?}: {}", answer.shown());
    }
    let status = answer.status;
    answer.expect_problem(status, code)
}

/// The shape of the body that an operation takes.
fn shape_of(operation: &Described) -> Option<Shape> {
    shapes().into_iter().find(|shape| shape.method == operation.method && shape.path == operation.filled())
}

/// Sends what an operation takes, with this path and these headers.
fn ask(client: &Client, operation: &Described, path: &str, headers: &[(&str, &str)]) -> Answer {
    match shape_of(operation) {
        Some(shape) => client.json(&operation.method, path, headers, &shape.valid),
        None => client.send(&operation.method, path, headers, None),
    }
}

#[test]
fn every_field_that_is_described_is_swept() {
    let vault = Vault::start();
    for operation in described(&vault) {
        let Some((fields, required)) = &operation.body else { continue };
        let what = format!("{} {}", operation.method, operation.path);
        let shape = shape_of(&operation).unwrap_or_else(|| panic!("{what} is not swept"));
        // Any JSON is a document; bytes are swept beside the text that they exclude.
        for field in fields.iter().filter(|field| !["document", "value_base64"].contains(&field.as_str())) {
            assert!(shape.wrong.iter().any(|(swept, _)| swept == field), "{what}: {field} is not swept");
        }
        for field in required {
            assert!(shape.required.contains(&field.as_str()), "{what}: that {field} is missing is not swept");
        }
    }
}

/// Texts that no parameter is that the description calls so.
fn wrong_texts(key: &str) -> &'static [&'static str] {
    match key {
        "name" | "prefix" => &["a%20b", "%C3%A4", "%ff", "%zz"],
        "caller" | "owner" => &["a%20b", "a%2Fb", "%C3%A4", "%ff", "%zz"],
        "token_id" | "grant_id" | "node" => &["00", "zz", "g000000000000000", "%ff"],
        "epoch" => &["0", "-1", "%2B1", "1.5", "x", "4294967296", "%ff"],
        "version" => &["0", "-1", "%2B1", "abc", "", "18446744073709551616"],
        "at" => &["yesterday", "2026-02-30T00:00:00.000Z", ""],
        "consistency" => &["maybe", ""],
        "label" => &["nocolon", ""],
        "limit" => &["0", "-1", "1001", "ten", ""],
        "cursor" => &["nonsense", "", "%00"],
        "Idempotency-Key" => &["", "has space"],
        "If-Match" | "If-None-Match" => &["nonsense", "\"half"],
        // What these say is taken or left.
        "Prefer" | "X-Request-Id" => &[],
        _ => panic!("the parameter {key} is not swept"),
    }
}

#[test]
fn every_parameter_that_is_described_is_named_when_it_is_wrong() {
    let (vault, client) = fixture();
    let before = all_there_is(&client);
    for operation in described(&vault) {
        for parameter in &operation.parameters {
            for text in wrong_texts(&parameter.key) {
                let (path, name) = (operation.filled(), parameter.name.as_str());
                let what = format!("{} {} {name} = {text}", operation.method, operation.path);
                let (code, answer) = match parameter.place.as_str() {
                    "path" => {
                        let path = operation.filled_with(name, text);
                        ("invalid_parameter", ask(&client, &operation, &path, &[]))
                    }
                    "query" if name == "cursor" => {
                        ("invalid_cursor", ask(&client, &operation, &format!("{path}?{name}={text}"), &[]))
                    }
                    "query" => {
                        ("invalid_parameter", ask(&client, &operation, &format!("{path}?{name}={text}"), &[]))
                    }
                    _ => ("invalid_header", ask(&client, &operation, &path, &[(name, text)])),
                };
                check(answer, code, Some(name), &what).expect(400);
            }
        }
    }
    assert_eq!(all_there_is(&client), before);
}

#[test]
fn a_parameter_that_is_not_known_or_comes_twice_is_named_by_every_route() {
    let (vault, client) = fixture();
    let before = all_there_is(&client);
    for operation in described(&vault) {
        let what = format!("{} {}", operation.method, operation.path);
        let asked = |query: &str| ask(&client, &operation, &format!("{}?{query}", operation.filled()), &[]);
        check(asked("surprise=1"), "unknown_parameter", Some("surprise"), &what).expect(400);
        check(asked("surprise=1&surprise=1"), "duplicate_parameter", Some("surprise"), &what).expect(400);
    }
    assert_eq!(all_there_is(&client), before);
}

#[test]
fn a_missing_field_is_named() {
    let (_vault, client) = fixture();
    let before = all_there_is(&client);
    for shape in shapes() {
        for field in shape.required {
            let mut body = shape.valid.clone();
            body.as_object_mut().unwrap().remove(*field);
            let answer = sent(&client, &shape, body.to_string().as_bytes());
            check(
                answer,
                "missing_field",
                Some(field),
                &format!("{} {} without {field}", shape.method, shape.path),
            );
        }
    }
    let without_value = client.post("/v1/secrets", &json!({"name": "new"}));
    check(without_value, "missing_field", Some("value"), "a create without a value");
    assert_eq!(all_there_is(&client), before);
}

#[test]
fn a_wrong_field_is_named_whatever_is_wrong_with_it() {
    let (vault, client) = fixture();
    let before = all_there_is(&client);
    for shape in shapes() {
        for (field, values) in &shape.wrong {
            for value in values {
                let mut body = shape.valid.clone();
                body[*field] = value.clone();
                let what = format!("{} {} {field} = {:.60}", shape.method, shape.path, value.to_string());
                check(
                    sent(&client, &shape, body.to_string().as_bytes()),
                    "invalid_field",
                    Some(field),
                    &what,
                );
            }
        }
    }
    assert_eq!(all_there_is(&client), before);
    assert!(!vault.output().contains(MARK), "the log repeats a value");
}

#[test]
fn an_unknown_field_is_named() {
    let (_vault, client) = fixture();
    let before = all_there_is(&client);
    for shape in shapes() {
        let mut body = shape.valid.clone();
        body["surprise"] = json!(MARK);
        let what = format!("{} {}", shape.method, shape.path);
        check(sent(&client, &shape, body.to_string().as_bytes()), "unknown_field", Some("surprise"), &what);
    }
    assert_eq!(all_there_is(&client), before);
}

#[test]
fn a_field_that_comes_twice_is_named() {
    let (_vault, client) = fixture();
    let before = all_there_is(&client);
    for shape in shapes() {
        for (field, value) in shape.valid.as_object().unwrap() {
            let inner = shape.valid.to_string();
            let body = format!("{{\"{field}\":{value},{}", &inner[1..]);
            let what = format!("{} {} {field} twice", shape.method, shape.path);
            check(sent(&client, &shape, body.as_bytes()), "duplicate_field", Some(field), &what);
        }
    }
    let body = format!(r#"{{"name":"new","value":"{MARK}","labels":{{"a":"1","a":"2"}}}}"#);
    let answer =
        client.send("POST", "/v1/secrets", &[("content-type", "application/json")], Some(body.as_bytes()));
    check(answer, "duplicate_field", Some("labels"), "a label twice");
    assert_eq!(all_there_is(&client), before);
}

#[test]
fn broken_json_is_refused_with_line_and_column() {
    let (_vault, client) = fixture();
    let before = all_there_is(&client);
    for shape in shapes() {
        let valid = shape.valid.to_string();
        let broken = [
            format!("{{\n  \"value\": \"{MARK}\",\n  oops }}"),
            format!("{valid}{valid}"),
            format!("{valid} trailing"),
            valid[..valid.len() - 1].to_owned(),
            "{\"value\": \"\\ud800\"}".to_owned(),
            "nonsense".to_owned(),
        ];
        for body in &broken {
            let what = format!("{} {} {body:.40}", shape.method, shape.path);
            let answer = check(sent(&client, &shape, body.as_bytes()), "invalid_json", None, &what);
            assert!(
                answer.at("/line").is_u64() && answer.at("/column").is_u64(),
                "{what}: {}",
                answer.shown()
            );
        }
        let placed = sent(&client, &shape, broken[0].as_bytes());
        assert_eq!((placed.at("/line"), placed.at("/column")), (json!(3), json!(3)), "{}", placed.shown());
    }
    assert_eq!(all_there_is(&client), before);
}

#[test]
fn a_body_that_is_no_object_or_not_utf8_is_refused() {
    let (_vault, client) = fixture();
    let before = all_there_is(&client);
    for shape in shapes() {
        for body in ["[]", "1", "null", "\"text\"", "true"] {
            let answer = sent(&client, &shape, body.as_bytes());
            assert!(
                matches!(answer.code().as_str(), "invalid_json" | "invalid_field"),
                "{body}: {}",
                answer.shown()
            );
            answer.expect(400);
        }
        let body = [b"{\"value\":\"".as_slice(), &[0xff, 0xfe], b"\"}"].concat();
        check(sent(&client, &shape, &body), "invalid_utf8", None, shape.path);
    }
    assert_eq!(all_there_is(&client), before);
}

#[test]
fn deep_nesting_is_refused_not_followed() {
    let (_vault, client) = fixture();
    for shape in shapes() {
        let body = format!("{{\"value\":{}{}}}", "[".repeat(30_000), "]".repeat(30_000));
        let answer = sent(&client, &shape, body.as_bytes());
        assert_eq!(answer.status, 400, "{}", answer.shown());
    }
    client.get("/v1/self").expect(200);
}

#[test]
fn a_body_of_another_type_or_of_no_type_is_refused() {
    let (_vault, client) = fixture();
    let before = all_there_is(&client);
    for shape in shapes() {
        let body = shape.valid.to_string();
        let files_are_text = shape.path.starts_with("/v1/env/");
        let media = ["text/plain", "application/xml", "application/x-www-form-urlencoded", "nonsense"];
        for media in media.into_iter().skip(usize::from(files_are_text)) {
            let answer =
                client.send(shape.method, shape.path, &[("content-type", media)], Some(body.as_bytes()));
            check(answer, "unsupported_media_type", None, media).expect(415);
        }
    }
    assert_eq!(all_there_is(&client), before);
}

#[test]
fn an_oversized_body_is_refused() {
    let (_vault, client) = fixture();
    let before = all_there_is(&client);
    for shape in shapes() {
        let large = format!("{{\"value\":\"{}\"}}", "v".repeat(3 << 20));
        let request = wire::request(
            shape.method,
            shape.path,
            client.token(),
            &["Content-Type: application/json"],
            large.as_bytes(),
        );
        assert_eq!(
            wire::status(&wire::exchange(client.base(), &request)),
            413,
            "{} {}",
            shape.method,
            shape.path
        );
    }
    assert_eq!(all_there_is(&client), before);
}

#[test]
fn both_forms_of_a_value_or_bad_base64_are_refused() {
    let (_vault, client) = fixture();
    let both = json!({"name": "new", "value": MARK, "value_base64": "AA=="});
    check(client.post("/v1/secrets", &both), "invalid_field", Some("value"), "both forms");
    for bad in ["*", "A", "AA=A", "AA", "A A="] {
        let body = json!({"name": "new", "value_base64": bad});
        check(client.post("/v1/secrets", &body), "invalid_field", Some("value_base64"), bad);
    }
    client.get("/v1/secrets/new").expect_problem(404, "not_found");
}

#[test]
fn a_wrong_parameter_is_named() {
    let (_vault, client) = fixture();
    let long = "x".repeat(300);
    let cases = [
        ("/v1/secrets/here?version=0", "invalid_parameter", "version"),
        ("/v1/secrets/here?version=-1", "invalid_parameter", "version"),
        ("/v1/secrets/here?version=abc", "invalid_parameter", "version"),
        ("/v1/secrets/here?version=18446744073709551616", "invalid_parameter", "version"),
        ("/v1/secrets/here?version=", "invalid_parameter", "version"),
        ("/v1/secrets/here?at=yesterday", "invalid_parameter", "at"),
        ("/v1/secrets/here?at=2026-02-30T00:00:00.000Z", "invalid_parameter", "at"),
        ("/v1/secrets/here?consistency=maybe", "invalid_parameter", "consistency"),
        ("/v1/secrets/here?owner=a%20b", "invalid_parameter", "owner"),
        ("/v1/secrets/here?owner=%ff", "invalid_parameter", "owner"),
        ("/v1/secrets/here?surprise=1", "unknown_parameter", "surprise"),
        ("/v1/secrets/here?version=1&version=1", "duplicate_parameter", "version"),
        ("/v1/secrets?limit=0", "invalid_parameter", "limit"),
        ("/v1/secrets?limit=1001", "invalid_parameter", "limit"),
        ("/v1/secrets?limit=ten", "invalid_parameter", "limit"),
        ("/v1/secrets?prefix=a%20b", "invalid_parameter", "prefix"),
        ("/v1/secrets?label=nocolon", "invalid_parameter", "label"),
        ("/v1/secrets?cursor=nonsense", "invalid_cursor", "cursor"),
        ("/v1/secrets?cursor=", "invalid_cursor", "cursor"),
        ("/v1/history/here?limit=-1", "invalid_parameter", "limit"),
        ("/v1/history/here?cursor=%00", "invalid_cursor", "cursor"),
        ("/v1/history/here?surprise=1", "unknown_parameter", "surprise"),
    ];
    for (path, code, field) in cases {
        check(client.get(path), code, Some(field), path).expect(400);
    }
    check(
        client.get(&format!("/v1/secrets?prefix={long}")),
        "invalid_parameter",
        Some("prefix"),
        "a long prefix",
    );
    check(
        client.get(&format!("/v1/secrets?cursor={long}")),
        "invalid_cursor",
        Some("cursor"),
        "a long cursor",
    );
    let of_history = client.get("/v1/history/here?limit=1");
    assert_eq!(of_history.at("/next"), Value::Null);
}

#[test]
fn a_cursor_of_one_list_is_refused_by_another() {
    let (_vault, client) = fixture();
    client.update("here", "second");
    let cursor = client.get("/v1/history/here?limit=1").text("/next");
    check(
        client.get(&format!("/v1/secrets?cursor={cursor}")),
        "invalid_cursor",
        Some("cursor"),
        "of history",
    );
}

#[test]
fn a_wrong_name_in_a_path_is_refused() {
    let (_vault, client) = fixture();
    let long = "n".repeat(257);
    for name in ["a%20b", "a//b", "%2e%2e/x", "a/%2E", "%ff", "%", "%zz", "a%00", &long] {
        let request = wire::request("GET", &format!("/v1/secrets/{name}"), client.token(), &[], b"");
        let answer = wire::exchange(client.base(), &request);
        assert_eq!(wire::status(&answer), 400, "{name}: {}", String::from_utf8_lossy(&answer));
    }
}

#[test]
fn a_wrong_header_is_named() {
    let (_vault, client) = fixture();
    let before = all_there_is(&client);
    let long = "k".repeat(129);
    for (header, value) in [
        ("Idempotency-Key", ""),
        ("Idempotency-Key", "has space"),
        ("Idempotency-Key", long.as_str()),
        ("If-Match", "nonsense"),
        ("If-Match", "\"nonsense\""),
        ("If-Match", "W/\"00\""),
    ] {
        let answer = client.json("PUT", "/v1/secrets/here", &[(header, value)], &json!({"value": MARK}));
        let named = answer.at("/field").as_str().unwrap_or_default().to_ascii_lowercase();
        let refused =
            answer.status == 400 && answer.code() == "invalid_header" && named == header.to_ascii_lowercase();
        // An entity tag that is well formed and names no version simply does not match.
        let unmatched = header == "If-Match" && answer.status == 412;
        assert!(refused || unmatched, "{header}: {value}: {}", answer.shown());
    }
    assert_eq!(all_there_is(&client), before);
}

#[test]
fn unknown_paths_and_methods_say_so() {
    let (_vault, client) = fixture();
    for path in ["/", "/v1", "/v1/nothing", "/v2/secrets", "/v1/secrets/", "/v1/history", "/favicon.ico"] {
        let answer = client.get(path);
        assert!((400..500).contains(&answer.status), "{path}: {}", answer.shown());
        assert!(!answer.code().is_empty(), "{path}: {}", answer.shown());
    }
    let answer = client.send("PATCH", "/v1/secrets", &[("content-type", "application/json")], Some(b"{}"));
    assert!(answer.header("allow").is_some_and(|allow| allow.contains("POST")));
    answer.expect_problem(405, "method_not_allowed");
}
