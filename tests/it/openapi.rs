//! The published description against what is served: every path answers, every answer has its id.

use serde_json::Value;

use crate::support::Vault;

const METHODS: &[&str] = &["get", "put", "post", "delete", "patch"];

#[test]
fn the_description_is_openapi_3_1_and_covers_the_contract() {
    let vault = Vault::start();
    let document = vault.stranger().get("/openapi.json").expect(200).body_json();
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")));
    let paths = document["paths"].as_object().unwrap();
    for path in [
        "/v1/secrets",
        "/v1/secrets/{name}",
        "/v1/history/{name}",
        "/v1/undelete/{name}",
        "/v1/destroy/{name}",
        "/v1/rollback/{name}",
        "/v1/callers",
        "/v1/callers/{caller}",
        "/v1/callers/{caller}/tokens",
        "/v1/grants",
        "/v1/self",
        "/v1/status",
        "/health",
        "/ready",
        "/metrics",
        "/openapi.json",
    ] {
        assert!(paths.contains_key(path), "{path} is not described");
    }
    for (path, item) in paths {
        for (method, operation) in
            item.as_object().unwrap().iter().filter(|(name, _)| METHODS.contains(&name.as_str()))
        {
            assert!(operation["responses"].as_object().is_some_and(|all| !all.is_empty()), "{method} {path}");
            assert!(operation["operationId"].is_string(), "{method} {path}");
        }
    }
}

#[test]
fn every_described_path_is_served_and_asks_for_a_token_as_it_says() {
    let vault = Vault::start();
    let document = vault.stranger().get("/openapi.json").expect(200).body_json();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in
            item.as_object().unwrap().iter().filter(|(name, _)| METHODS.contains(&name.as_str()))
        {
            let filled =
                path.replace("{name}", "x").replace("{caller}", "x").replace("{id}", "0000000000000000");
            let answer = vault.stranger().send(&method.to_uppercase(), &filled, &[], None);
            assert_ne!(answer.code(), "unknown_path", "{method} {path}");
            assert!(answer.header("x-request-id").is_some(), "{method} {path}");
            let status = answer.status.to_string();
            assert!(
                operation["responses"].get(&status).is_some(),
                "{method} {path} answered {status}, which is not described"
            );
            let open = operation["security"] == Value::Array(Vec::new())
                || (operation.get("security").is_none() && document.get("security").is_none());
            assert_eq!(answer.status == 401, !open, "{method} {path}: {}", answer.shown());
        }
    }
}

#[test]
fn the_open_endpoints_answer_without_a_token() {
    let vault = Vault::start();
    vault.stranger().get("/health").expect(200);
    vault.stranger().get("/ready").expect(200);
    let status = vault.member().get("/v1/status").expect(200);
    assert!(status.at("/members").as_array().is_some_and(|members| members.len() == 1));
    vault.member().create("counted", "v");
    let metrics = vault.member().get("/metrics").expect(200);
    let text = String::from_utf8_lossy(&metrics.body).into_owned();
    assert!(text.contains("# TYPE") && text.contains("covault_"), "{text}");
}
