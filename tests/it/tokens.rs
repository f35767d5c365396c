//! Tokens over HTTP on one node: what they are a function of, what stays of a document, what is refused, epochs,
//! retries, isolation, crashes. Shows T1 to T4 and T6.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{Client, Place, Vault, command, eventually};

/// The tokens of a list of values.
fn tokens(client: &Client, values: &Value) -> Vec<String> {
    let answer = client.post("/v1/tokenize", &json!({"document": values, "fields": ["/*"]})).expect(200);
    let listed = answer.at("/document");
    listed.as_array().unwrap().iter().map(|token| token.as_str().unwrap().to_owned()).collect()
}

fn values(client: &Client, tokens: &[String]) -> Value {
    client.post("/v1/detokenize", &json!({"tokens": tokens})).expect(200).at("/values")
}

#[test]
fn a_document_keeps_all_but_its_fields_and_comes_back() {
    let vault = Vault::start();
    let ann = vault.caller("ann");
    let body = br#"{"fields":["/people/*/email","/ssn"],"document":{ "total" : 1.10,"big":123456789012345678901234567890,
        "people":[ {"email":"a@x.org","age":1e2},{"email":"b@x.org"} ], "ssn":123456789, "none":null }}"#;
    let sent =
        |path: &str, body: &[u8]| ann.send("POST", path, &[("content-type", "application/json")], Some(body));
    let answer = sent("/v1/tokenize", body).expect(200);
    let text = String::from_utf8(answer.body.clone()).unwrap();
    let around = [
        "{ \"total\" : 1.10,\"big\":123456789012345678901234567890,",
        "\"age\":1e2},{",
        " ], \"ssn\":",
        ", \"none\":null }",
    ];
    for kept in around {
        assert!(text.contains(kept), "{kept} in {text}");
    }
    assert!(!text.contains("x.org") && !text.contains("123456789,"), "{text}");
    assert_eq!((answer.number("/epoch"), answer.number("/new")), (1, 3));
    assert_eq!(answer.header("covault-standing"), Some("majority"));
    let pointers: Vec<_> =
        answer.at("/tokens").as_array().unwrap().iter().map(|token| token["pointer"].clone()).collect();
    assert_eq!(pointers, ["/people/0/email", "/people/1/email", "/ssn"]);
    let back = json!({"document": answer.at("/document"), "fields": ["/people/*/email", "/ssn"]});
    let back = ann.post("/v1/detokenize", &back).expect(200);
    assert_eq!(back.at("/document/people/1/email"), "b@x.org");
    assert_eq!(back.at("/document/ssn"), 123_456_789);
    let again = sent("/v1/tokenize", body).expect(200);
    assert_eq!(
        (again.at("/tokens"), again.number("/new")),
        (answer.at("/tokens"), 0),
        "known ones are not new"
    );
}

#[test]
fn equal_values_have_equal_tokens_and_others_have_others() {
    let mut vault = Vault::start();
    let (ann, bob) = (vault.caller("ann"), vault.caller("bob"));
    let first = tokens(&ann, &json!(["a", "b", "a", 1, 1.0, "1", true, null, "true"]));
    assert_eq!((&first[0], &first[3]), (&first[2], &first[4]));
    assert_eq!(BTreeSet::from_iter(&first).len(), 7);
    assert!(first.iter().all(|token| token.starts_with("tok_1_") && token.len() == 38), "{first:?}");
    assert_ne!(tokens(&bob, &json!(["a"]))[0], first[0], "another owner");
    let typed = |kind: &str, pointer: &str| {
        let fields = json!([{"pointer": pointer, "format": "opaque", "type": kind}]);
        let answer = ann.post("/v1/tokenize", &json!({"document": {"x": "a", "y": "a"}, "fields": fields}));
        answer.expect(200).text("/tokens/0/token")
    };
    assert_eq!(typed("email", "/x"), typed("email", "/y"), "one type under two pointers");
    assert_ne!(typed("email", "/x"), typed("mail", "/x"));
    vault.crash_and_restart();
    let ann = ann.at(&vault.url());
    assert_eq!(tokens(&ann, &json!(["a"]))[0], first[0], "the same after a restart");
    assert_eq!(values(&ann, &first), json!(["a", "b", "a", 1, 1, "1", true, null, "true"]));
}

#[test]
fn a_form_is_kept_with_its_end_on_request() {
    let vault = Vault::start();
    let ann = vault.caller("ann");
    let fields = json!([
        {"pointer": "/card", "format": "digits_last4", "type": "card"},
        {"pointer": "/phone", "format": "digits"},
        {"pointer": "/plate", "format": "alphanumeric"},
    ]);
    ann.put("/v1/tokenization", &json!({"fields": fields})).expect(200);
    let document = json!({"card": "4111111111111111", "phone": "0301234567", "plate": "BAB1234"});
    let answer = ann.post("/v1/tokenize", &json!({"document": document})).expect(200);
    let [card, phone, plate] =
        ["card", "phone", "plate"].map(|name| answer.text(&format!("/document/{name}")));
    assert!(card.len() == 16 && card.ends_with("1111") && card != "4111111111111111", "{card}");
    assert!(phone.len() == 10 && phone.bytes().all(|byte| byte.is_ascii_digit()), "{phone}");
    assert!(plate.len() == 7 && plate.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{plate}");
    let back = ann.post("/v1/detokenize", &json!({"document": answer.at("/document")})).expect(200);
    assert_eq!(back.at("/document"), document);
    let twice =
        json!({"fields": [{"pointer": "/a", "format": "opaque"}, {"pointer": "/a", "format": "digits"}]});
    ann.put("/v1/tokenization", &twice).expect_problem(400, "invalid_field");
    let one = json!({"tokens": [{"token": card, "format": "digits_last4", "type": "card"}]});
    assert_eq!(ann.post("/v1/detokenize", &one).expect(200).at("/values/0"), "4111111111111111");
    let other = json!({"tokens": [{"token": card, "format": "digits", "type": "card"}]});
    ann.post("/v1/detokenize", &other).expect_problem(404, "not_found");
}

#[test]
fn a_form_that_stands_for_two_values_is_not_guessed() {
    let vault = Vault::start();
    let ann = vault.caller("ann");
    let field = json!([{"pointer": "", "format": "digits", "type": "n"}]);
    let token_of = |value: &str| {
        let answer = ann.post("/v1/tokenize", &json!({"document": value, "fields": field})).expect(200);
        answer.text("/document")
    };
    let ask = |token: &str, epoch: Value| {
        let token = json!({"token": token, "format": "digits", "type": "n", "epoch": epoch});
        ann.post("/v1/detokenize", &json!({"tokens": [token]}))
    };
    let first = token_of("123456");
    ann.post("/v1/epochs", &json!({"activate": 2})).expect(200);
    token_of("123456");
    assert_eq!(ask(&first, Value::Null).expect(200).at("/values/0"), "123456", "the other epoch has it not");
    // Of a million values, these are enough for one token of both epochs to be very likely.
    let batch = |from: u32| {
        let values: Vec<String> = (0..9000).map(|at| format!("{:06}", from + at)).collect();
        let fields = json!([{"pointer": "/*", "format": "digits", "type": "n"}]);
        let answer = ann.post("/v1/tokenize", &json!({"document": values, "fields": fields})).expect(200);
        let tokens: Vec<String> = serde_json::from_value(answer.at("/document")).unwrap();
        tokens.into_iter().zip(values).collect::<std::collections::BTreeMap<_, _>>()
    };
    let second = batch(0);
    ann.post("/v1/epochs", &json!({"activate": 3})).expect(200);
    let third = batch(9000);
    let (token, value) =
        second.iter().find(|(token, _)| third.contains_key(*token)).expect("one that both have");
    ask(token, Value::Null).expect_problem(409, "token_ambiguous");
    assert_eq!(ask(token, json!(2)).expect(200).at("/values/0"), *value);
    assert_eq!(ask(token, json!(3)).expect(200).at("/values/0"), third[token]);
    ask(token, json!(1)).expect_problem(404, "not_found");
}

#[test]
fn what_is_wrong_with_a_field_is_named_and_nothing_is_issued() {
    let vault = Vault::start();
    let ann = vault.caller("ann");
    let ask = |fields: Value| {
        let document = json!({"a": "x", "list": [{"b": 1}, {}], "object": {}, "short": "12345"});
        ann.post("/v1/tokenize", &json!({"document": document, "fields": fields}))
    };
    let field = |pointer: &str, format: &str| json!([{"pointer": "/a", "format": "opaque"}, {"pointer": pointer, "format": format}]);
    for (fields, code, named) in [
        (field("/missing", "opaque"), "unknown_field", "/missing"),
        (field("/list/*/b", "opaque"), "unknown_field", "/list/1/b"),
        (field("/object", "opaque"), "unfit_value", "/object"),
        (field("/short", "digits"), "unfit_value", "/short"),
        (field("/list/0/b", "digits"), "unfit_value", "/list/0/b"),
        (field("/a", "opaque"), "unfit_value", "/a"),
    ] {
        let answer = ask(fields).expect_problem(422, code);
        assert_eq!(answer.text("/field"), named);
    }
    ask(json!(["no pointer"])).expect_problem(400, "invalid_field");
    ask(json!([{"pointer": "/a", "format": "round"}])).expect_problem(400, "invalid_field");
    ann.post("/v1/tokenize", &json!({"document": {"a": 1}})).expect_problem(400, "missing_field");
    ann.post("/v1/tokenize", &json!({"fields": ["/a"]})).expect_problem(400, "missing_field");
    let twice = br#"{"document":{"a":{"b":1,"b":2}},"fields":["/a/b"]}"#;
    let twice = ann.send("POST", "/v1/tokenize", &[("content-type", "application/json")], Some(twice));
    twice.expect_problem(400, "duplicate_field");
    assert_eq!(ann.get("/v1/status").expect(200).number("/mappings"), 0);
}

#[test]
fn foreign_unknown_and_malformed_tokens_answer_alike_and_nothing_comes_with_them() {
    let vault = Vault::start();
    let (ann, bob) = (vault.caller("ann"), vault.caller("bob"));
    let (mine, theirs) = (tokens(&ann, &json!(["x"])), tokens(&bob, &json!(["x"])));
    let zeros = "0".repeat(32);
    let mut bodies = BTreeSet::new();
    for other in [&theirs[0], &format!("tok_1_{zeros}"), &format!("tok_9_{zeros}"), "tok_1_", "", "x"] {
        let answer = ann.post("/v1/detokenize", &json!({"tokens": [mine[0], other]}));
        bodies.insert(answer.expect_problem(404, "not_found").body);
        let document = json!({"document": {"a": mine[0], "b": other}, "fields": ["/a", "/b"]});
        bodies.insert(ann.post("/v1/detokenize", &document).expect_problem(404, "not_found").body);
    }
    let number = json!({"document": {"b": 1}, "fields": ["/b"]});
    bodies.insert(ann.post("/v1/detokenize", &number).expect_problem(404, "not_found").body);
    assert_eq!(bodies.len(), 1, "one answer for all of them");
    vault.admin().post("/v1/detokenize", &json!({"tokens": mine})).expect_problem(404, "not_found");
}

#[test]
fn epochs_follow_each_other_and_old_tokens_still_open() {
    let vault = Vault::start();
    let (ann, bob) = (vault.caller("ann"), vault.caller("bob"));
    let first = ann.get("/v1/epochs").expect(200);
    assert_eq!((first.number("/active"), first.header("etag")), (1, Some("\"1\"")));
    let old = tokens(&ann, &json!(["x"]));
    ann.post("/v1/epochs", &json!({"activate": 3})).expect_problem(409, "epoch_conflict");
    ann.post("/v1/epochs", &json!({"activate": 1})).expect_problem(409, "epoch_conflict");
    let conditional =
        |tag: &str| ann.json("POST", "/v1/epochs", &[("if-match", tag)], &json!({"activate": 2}));
    conditional("\"2\"").expect_problem(409, "epoch_conflict");
    let second = conditional("\"1\"").expect(200);
    assert_eq!((second.number("/active"), second.number("/epochs/1/epoch")), (2, 2));
    conditional("\"1\"").expect_problem(409, "epoch_conflict");
    let new = tokens(&ann, &json!(["x"]));
    assert!(new[0].starts_with("tok_2_") && new[0][6..] != old[0][6..], "{new:?} {old:?}");
    assert_eq!(values(&ann, &[old, new].concat()), json!(["x", "x"]));
    assert_eq!(bob.get("/v1/epochs").expect(200).number("/active"), 1, "another owner's are its own");
}

#[test]
fn a_destroyed_epoch_is_found_no_more() {
    let mut vault = Vault::start();
    let ann = vault.caller("ann");
    let old = tokens(&ann, &json!(["x", "y"]));
    ann.delete("/v1/epochs/1").expect_problem(409, "epoch_conflict");
    ann.delete("/v1/epochs/2").expect_problem(404, "not_found");
    ann.post("/v1/epochs", &json!({"activate": 2})).expect(200);
    let new = tokens(&ann, &json!(["x"]));
    let gone = ann.delete("/v1/epochs/1").expect(200);
    assert!(gone.at("/epochs/0/destroyed_at").is_string() && gone.at("/epochs/1/destroyed_at").is_null());
    ann.post("/v1/detokenize", &json!({"tokens": old})).expect_problem(404, "not_found");
    assert_eq!(values(&ann, &new), json!(["x"]));
    eventually("its mappings to be erased", || {
        (ann.get("/v1/status").expect(200).number("/mappings") == 1).then_some(())
    });
    vault.crash_and_restart();
    let ann = ann.at(&vault.url());
    ann.post("/v1/detokenize", &json!({"tokens": old})).expect_problem(404, "not_found");
}

#[test]
fn a_retry_gets_the_tokens_of_its_first_time() {
    let vault = Vault::start();
    let ann = vault.caller("ann");
    let key = [("idempotency-key", "one")];
    let ask =
        |value: &str| ann.json("POST", "/v1/tokenize", &key, &json!({"document": value, "fields": [""]}));
    let first = ask("x").expect(200);
    assert_eq!(first.header("idempotency-replayed"), None);
    ann.post("/v1/epochs", &json!({"activate": 2})).expect(200);
    let again = ask("x").expect(200);
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!((again.at("/document"), again.number("/epoch")), (first.at("/document"), 1));
    ask("y").expect_problem(422, "idempotency_conflict");
    let field = |pointer: &str| json!({"pointer": pointer, "format": "opaque"});
    let configure = |fields: &[Value]| {
        ann.json("PUT", "/v1/tokenization", &[], &json!({ "fields": fields })).expect(200);
    };
    let document = json!({"document": {"a": "1", "b": "2"}});
    let as_configured =
        || ann.json("POST", "/v1/tokenize", &[("idempotency-key", "as-configured")], &document);
    configure(&[field("/a")]);
    as_configured().expect(200);
    configure(&[field("/a"), field("/b")]);
    as_configured().expect_problem(422, "idempotency_conflict");
    let activate =
        |n: u64| ann.json("POST", "/v1/epochs", &[("idempotency-key", "two")], &json!({"activate": n}));
    for replayed in [None, Some("true")] {
        let active = activate(3).expect(200);
        assert_eq!((active.number("/active"), active.header("idempotency-replayed")), (3, replayed));
    }
    activate(4).expect_problem(422, "idempotency_conflict");
}

#[test]
fn a_token_that_is_named_many_times_does_not_open_without_bound() {
    let vault = Vault::start();
    let ann = vault.caller("ann");
    let large = "\u{1}".repeat(16 << 10);
    let answer = ann.post("/v1/tokenize", &json!({"document": large, "fields": [""]})).expect(200);
    let token = answer.at("/tokens/0/token");
    let shown = |times: usize| ann.post("/v1/detokenize", &json!({ "tokens": vec![&token; times] }));
    assert_eq!(shown(255).expect(200).at("/values/254"), json!(large));
    let refused = shown(257).expect_problem(422, "limit_reached");
    assert_eq!(refused.at("/limit"), "opened_bytes");
}

#[test]
fn a_caller_that_asks_for_too_much_is_told_to_wait() {
    let place = Place::initialised();
    let _node = place.serve("[limits]\ntoken_values_per_second = 5\n", &[]);
    let admin = place.admin();
    let ask = || admin.post("/v1/tokenize", &json!({"document": [1, 2, 3, 4, 5], "fields": ["/*"]}));
    let refused = std::iter::repeat_with(ask).find(|answer| answer.status != 200).expect("one is refused");
    let refused = refused.expect_problem(429, "rate_limited");
    assert_eq!(refused.header("retry-after"), Some("1"));
}

#[test]
fn no_acknowledged_mapping_is_lost_by_kill_9() {
    let mut vault = Vault::start();
    let ann = vault.caller("ann");
    let mut all: Vec<String> = Vec::new();
    for round in 0..5 {
        let ann = ann.at(&vault.url());
        for number in 0..20 {
            all.extend(tokens(&ann, &json!([format!("{round}/{number}"), number])));
        }
        vault.crash_and_restart();
    }
    let ann = ann.at(&vault.url());
    let opened = values(&ann, &all);
    for (at, pair) in opened.as_array().unwrap().chunks(2).enumerate() {
        let (round, number) = (at / 20, at % 20);
        assert_eq!(pair, [json!(format!("{round}/{number}")), json!(number)]);
    }
}

#[test]
fn values_of_documents_are_in_no_log_and_operations_are_with_their_counts() {
    let vault = Vault::start();
    let ann = vault.caller("ann");
    let made = tokens(&ann, &json!(["a-very-secret-value", "another"]));
    values(&ann, &made);
    let audit = std::fs::read_dir(vault.data().join("audit")).unwrap();
    let text: String =
        audit.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap_or_default()).collect();
    assert!(text.contains("\"action\":\"tokenize\",\"values\":2,\"outcome\":\"done\""), "{text}");
    assert!(text.contains("\"action\":\"detokenize\",\"values\":2,\"outcome\":\"done\""), "{text}");
    let stored = std::fs::read(vault.data().join("data.mdb")).unwrap();
    let stored = String::from_utf8_lossy(&stored).into_owned();
    assert!(!stored.contains("a-very-secret-value"), "a value is on the disk in the clear");
    for file in [text, vault.output()] {
        assert!(!file.contains("a-very-secret-value") && !file.contains(&made[0]), "{file}");
    }
}

#[test]
fn the_commands_do_what_http_does_and_keep_every_byte() {
    let vault = Vault::start();
    let ann = vault.caller("ann");
    let run = |args: &[&str], input: &str| {
        command::run(args, input.as_bytes(), &[("COVAULT_URL", ann.base()), ("COVAULT_TOKEN", ann.token())])
    };
    let document = r#"{ "card" : "4111111111111111", "n": 1.10 }"#;
    assert_eq!(run(&["fields", "--set", "/card,digits_last4,card"], "").code, 0);
    let tokens = run(&["tokenize"], document);
    assert_eq!(tokens.code, 0, "{}", tokens.all());
    assert!(tokens.stdout.contains("1111\", \"n\": 1.10 }") && !tokens.stdout.contains("4111111111111111"));
    let back = run(&["detokenize"], &tokens.stdout);
    assert_eq!(back.stdout.trim_end(), document, "{}", back.all());
    let epochs = run(&["epoch", "activate", "2", "--json"], "");
    assert!(epochs.stdout.contains("\"active\":2"), "{}", epochs.all());
    assert_eq!(run(&["epoch", "destroy", "1"], "").code, 2, "without --yes");
    assert_eq!(run(&["epoch", "destroy", "1", "--yes"], "").code, 0);
    let gone = run(&["detokenize"], &tokens.stdout);
    assert_eq!(gone.code, 1);
    assert!(gone.all().contains("not_found"), "{}", gone.all());
}

#[test]
fn numbers_of_any_size_come_back_with_all_their_digits() {
    let vault = Vault::start();
    let client = vault.caller("ann");
    let run = |args: &[&str], input: &str| {
        command::run(
            args,
            input.as_bytes(),
            &[("COVAULT_URL", client.base()), ("COVAULT_TOKEN", client.token())],
        )
    };
    let document = r#"{"n": 12345678901234567890123, "far": 1e400, "small": 0.12345678901234567890}"#;
    let fields = ["--field", "/n", "--field", "/far", "--field", "/small"];
    let tokens = run(&[&["tokenize"], &fields[..]].concat(), document).expect(0).stdout;
    let back = run(&[&["detokenize"], &fields[..]].concat(), &tokens).expect(0).stdout;
    for number in ["1.2345678901234567890123e+22", "1e+400", "0.1234567890123456789"] {
        assert!(back.contains(number), "{back}");
    }
    let tokens: Value = serde_json::from_str(&tokens).expect("a document");
    let shown = run(&["detokenize", "--tok", tokens["n"].as_str().unwrap_or_default()], "").expect(0);
    assert_eq!(shown.stdout.trim_end(), "1.2345678901234567890123e+22");
    let far = run(&["detokenize", "--tok", tokens["far"].as_str().unwrap_or_default()], "").expect(0);
    assert_eq!(far.stdout.trim_end(), "1e+400");
}
