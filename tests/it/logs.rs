//! Logs in JSON: each line is one object, each request is in one of them, and no value is in any.
//! Knows nothing of who reads them.

use serde_json::{Value, json};

use crate::support::{Client, Place};

/// Stand in requests; no line may contain them.
const VALUES: [&str; 2] = ["NeverLogThisValue", "NorThisOneThatIsRefused"];
const NAME: &str = "never/log/this/name";
const SETTINGS: &str = "[log]\nformat = \"json\"\nlevel = \"info,covault=debug,openraft=off\"\n";

/// A request by its id, and what the log is to say of it.
struct Logged {
    request: &'static str,
    operation: &'static str,
    status: u64,
    code: Option<&'static str>,
}

/// A create, an update, a read and a create that is refused.
fn ask_for_some(client: &Client) -> [Logged; 4] {
    let ask = |request: &'static str, method: &str, path: &str, body: Option<Value>| {
        let headers = [("content-type", "application/json"), ("x-request-id", request)];
        let body = body.map(|body| body.to_string());
        let answer = client.send(method, path, &headers, body.as_deref().map(str::as_bytes));
        assert_eq!(answer.header("x-request-id"), Some(request));
        u64::from(answer.status)
    };
    let path = format!("/v1/secrets/{NAME}");
    let create = |value: &str| Some(json!({"name": NAME, "value": value}));
    let update = Some(json!({"value": VALUES[0]}));
    let logged = |request, operation, status, code| Logged { request, operation, status, code };
    [
        logged("r-create", "create_secret", ask("r-create", "POST", "/v1/secrets", create(VALUES[0])), None),
        logged("r-update", "update_secret", ask("r-update", "PUT", &path, update), None),
        logged("r-read", "read_secret", ask("r-read", "GET", &path, None), None),
        logged(
            "r-refused",
            "create_secret",
            ask("r-refused", "POST", "/v1/secrets", create(VALUES[1])),
            Some("secret_exists"),
        ),
    ]
}

/// The lines of a log, each of which is an object.
fn objects(log: &str) -> Vec<Value> {
    let parsed = log.lines().map(|line| {
        let object: Value = serde_json::from_str(line).unwrap_or_default();
        assert!(object.is_object(), "no object: {line}");
        object
    });
    parsed.collect()
}

#[test]
fn each_line_of_json_logs_is_an_object_and_each_request_is_in_one_without_its_value() {
    let place = Place::initialised();
    let mut node = place.serve(SETTINGS, &[]);
    let asked = ask_for_some(&place.admin());
    assert_eq!(asked.each_ref().map(|one| one.status), [201, 200, 200, 409]);
    node.ask_to_stop();
    assert!(node.wait().success());

    let log = node.errors();
    let lines = objects(&log);
    for Logged { request, operation, status, code } in asked {
        let of_it: Vec<&Value> =
            lines.iter().map(|line| &line["fields"]).filter(|said| said["request"] == request).collect();
        let [said] = of_it[..] else { panic!("{request}: {of_it:?}") };
        assert_eq!((&said["operation"], &said["status"]), (&json!(operation), &json!(status)), "{said}");
        assert_eq!(said["code"].as_str(), code, "{said}");
    }
    let token = place.admin().token().to_owned();
    for secret in [VALUES[0], VALUES[1], NAME, &token] {
        assert!(!log.contains(secret), "the log repeats {secret}");
    }
}

#[test]
fn why_a_node_did_not_start_is_an_object_too() {
    let place = Place::empty();
    let mut node = place.launch(SETTINGS, &[]);
    assert_eq!(node.wait().code(), Some(1));
    let lines = objects(&node.errors());
    let told = lines.iter().find(|line| line["fields"]["code"] == "cannot_start");
    let told = told.unwrap_or_else(|| panic!("{lines:?}"));
    assert_eq!(told["level"], "ERROR");
    assert!(told["fields"]["message"].is_string(), "{told}");
}

#[test]
fn where_the_log_is_turned_off_a_failure_is_told_all_the_same() {
    let place = Place::empty();
    let said = place.refused("[log]\nformat = \"json\"\nlevel = \"off\"\n", &[]);
    assert!(said.contains("(cannot_start)"), "{said}");
}
