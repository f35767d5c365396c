//! The requests that take a body: a valid one of each, and what makes each of its fields wrong.
//! Knows nothing of what is answered.

use serde_json::{Value, json};

use super::MARK;

/// One request that takes a body: a valid one, and what makes each of its fields wrong.
#[derive(Clone)]
pub struct Shape {
    pub method: &'static str,
    pub path: &'static str,
    pub valid: Value,
    pub required: &'static [&'static str],
    pub wrong: Vec<(&'static str, Vec<Value>)>,
}

fn times() -> Vec<Value> {
    let texts = ["yesterday", "2026-13-01T00:00:00Z", "2026-01-01", "2026-01-01T00:00:00", "-1", ""];
    texts.iter().map(|text| json!(text)).chain([json!(1), json!({}), json!([])]).collect()
}

fn names() -> Vec<Value> {
    let long = "n".repeat(257);
    let texts = ["", "a b", "a//b", "/a", "a/", ".", "..", "a/../b", "ä", "a\u{0}b", "a:b", "%2F", &long];
    texts.iter().map(|text| json!(text)).chain([json!(1), json!(null), json!(["a"]), json!(true)]).collect()
}

fn caller_names() -> Vec<Value> {
    let long = "c".repeat(65);
    let texts = ["", "a b", "a/b", "ä", &long];
    texts.iter().map(|text| json!(text)).chain([json!(1), json!(null), json!({})]).collect()
}

fn labels() -> Vec<Value> {
    let many: Value =
        (0..65).map(|n| (format!("k{n}"), json!("v"))).collect::<serde_json::Map<_, _>>().into();
    let (long_key, long_value) = (json!({"k".repeat(65): "v"}), json!({"k": "v".repeat(257)}));
    vec![
        json!({"": "v"}),
        json!({"a b": "v"}),
        json!({"k": 1}),
        json!({"k": "a\u{1}b"}),
        json!([]),
        json!("x"),
        long_key,
        long_value,
        many,
    ]
}

fn said_of_a_value() -> Vec<(&'static str, Vec<Value>)> {
    vec![
        ("value", vec![json!(1), json!({"a": MARK}), json!([MARK]), json!(true)]),
        ("content_type", vec![json!(""), json!(1), json!("a\nb"), json!("t".repeat(129))]),
        ("expires_at", times()),
        ("labels", labels()),
        ("description", vec![json!(1), json!("d".repeat(1025)), json!("a\u{1}b"), json!([])]),
    ]
}

fn versions() -> Vec<Value> {
    let many: Vec<u64> = (1..=257).collect();
    vec![
        json!(1),
        json!("1"),
        json!([0]),
        json!([-1]),
        json!([1.5]),
        json!(["x"]),
        json!([null]),
        json!({}),
        json!(many),
    ]
}

fn files() -> Vec<Value> {
    vec![json!(1), json!(null), json!([]), json!({"A": "1"})]
}

fn epochs() -> Vec<Value> {
    vec![json!(0), json!(-1), json!("2"), json!(1.5), json!([2]), json!(1_u64 << 32)]
}

/// Lists of fields that neither a request for tokens nor a configuration takes.
fn fields() -> Vec<Value> {
    let many: Vec<Value> =
        (0..257).map(|n| json!({"pointer": format!("/{n}"), "format": "opaque"})).collect();
    let field = |pointer: Value, format: Value, kind: Value| json!([{"pointer": pointer, "format": format, "type": kind}]);
    vec![
        json!(1),
        json!("/a"),
        json!({}),
        json!([1]),
        json!([null]),
        json!([["/a"]]),
        json!(["no-slash"]),
        json!(["/a~2"]),
        field(json!("a"), json!("opaque"), json!("a")),
        field(json!(1), json!("opaque"), json!("a")),
        field(json!("/a"), json!("rot13"), json!("a")),
        field(json!("/a"), json!(1), json!("a")),
        field(json!("/a"), json!("opaque"), json!("t".repeat(1025))),
        field(json!("/a"), json!("opaque"), json!(1)),
        json!(many),
    ]
}

fn tokens() -> Vec<Value> {
    let token = |text: Value, format: Value, kind: Value, epoch: Value| json!([{"token": text, "format": format, "type": kind, "epoch": epoch}]);
    vec![
        json!(1),
        json!("tok_1_0"),
        json!({}),
        json!([]),
        json!([1]),
        json!([null]),
        token(json!(1), json!("digits"), json!("a"), json!(1)),
        token(json!("1"), json!("rot13"), json!("a"), json!(1)),
        token(json!("1"), json!("digits"), json!("t".repeat(1025)), json!(1)),
        token(json!("1"), json!("digits"), json!("a"), json!(0)),
    ]
}

/// All of them.
pub fn shapes() -> Vec<Shape> {
    [secrets_and_callers(), tokens_and_files()].concat()
}

fn shape(
    method: &'static str,
    path: &'static str,
    valid: Value,
    required: &'static [&'static str],
    wrong: Vec<(&'static str, Vec<Value>)>,
) -> Shape {
    Shape { method, path, valid, required, wrong }
}

fn tokens_and_files() -> Vec<Shape> {
    let values = vec![json!(1), json!([]), json!("x"), json!({"NAME": 1}), json!({"a b": "v"})];
    let formats = vec![json!("xml"), json!(""), json!(1), json!([])];
    let lifetimes = vec![json!(0), json!(-1), json!(604_801), json!(1.5), json!("60"), json!([])];
    let roles = vec![json!("vault"), json!(""), json!(1), json!([])];
    let twice = json!([{"pointer": "/a", "format": "opaque"}, {"pointer": "/a", "format": "digits"}]);
    let of_configuration = [fields(), vec![json!(["/a"]), twice, json!(null)]].concat();
    vec![
        shape(
            "POST",
            "/v1/tokenize",
            json!({"document": {"a": MARK}, "fields": ["/a"]}),
            &["document", "fields"],
            vec![("fields", fields())],
        ),
        shape(
            "POST",
            "/v1/detokenize",
            json!({"tokens": ["tok_1_0"]}),
            &["tokens"],
            vec![("tokens", tokens()), ("fields", fields()), ("epoch", epochs())],
        ),
        shape(
            "POST",
            "/v1/epochs",
            json!({"activate": 2}),
            &["activate"],
            vec![("activate", [epochs(), vec![json!(null)]].concat())],
        ),
        shape(
            "PUT",
            "/v1/tokenization",
            json!({"fields": [{"pointer": "/a", "format": "opaque"}]}),
            &["fields"],
            vec![("fields", of_configuration)],
        ),
        shape(
            "POST",
            "/v1/env/encrypt",
            json!({"content": "A=enc(NAME)\n", "values": {"NAME": MARK}}),
            &["content"],
            vec![("content", files()), ("values", values)],
        ),
        shape(
            "POST",
            "/v1/env/expand",
            json!({"content": "A=secret(here)\n"}),
            &["content"],
            vec![("content", files()), ("format", formats)],
        ),
        shape(
            "POST",
            "/v1/invitations",
            json!({"lifetime_seconds": 60}),
            &[],
            vec![("lifetime_seconds", lifetimes), ("role", roles)],
        ),
    ]
}

fn secrets_and_callers() -> Vec<Shape> {
    let mut owners = caller_names();
    // A null is as good as no owner at all.
    owners.retain(|owner| !owner.is_null());
    let mut create = vec![("name", names()), ("owner", owners)];
    create.extend(said_of_a_value());
    let expiry = || vec![("expires_at", times())];
    let access = vec![json!("all"), json!(""), json!(1), json!(null)];
    let roles = vec![json!("root"), json!(""), json!(1)];
    let version = vec![json!(0), json!(-1), json!("x"), json!(1.5), json!([1]), json!(null), json!({})];
    let prefix = vec![json!("a b"), json!("ä"), json!(1), json!("p".repeat(257))];
    vec![
        shape("POST", "/v1/secrets", json!({"name": "new", "value": MARK}), &["name"], create),
        shape("PUT", "/v1/secrets/here", json!({"value": MARK}), &[], said_of_a_value()),
        shape("PATCH", "/v1/secrets/here", json!({"description": MARK}), &[], said_of_a_value().split_off(3)),
        shape("POST", "/v1/undelete/here", json!({"versions": [1]}), &[], vec![("versions", versions())]),
        shape(
            "POST",
            "/v1/destroy/here",
            json!({"versions": [1]}),
            &["versions"],
            vec![("versions", versions())],
        ),
        shape("POST", "/v1/rollback/here", json!({"version": 1}), &["version"], vec![("version", version)]),
        shape(
            "POST",
            "/v1/callers",
            json!({"name": "eve"}),
            &["name"],
            [vec![("name", caller_names()), ("role", roles)], expiry()].concat(),
        ),
        shape("POST", "/v1/callers/ann/tokens", json!({}), &[], expiry()),
        shape(
            "POST",
            "/v1/grants",
            json!({"prefix": "a/", "grantee": "ann", "access": "read"}),
            &["prefix", "grantee", "access"],
            vec![("prefix", prefix), ("grantee", caller_names()), ("access", access)],
        ),
    ]
}
