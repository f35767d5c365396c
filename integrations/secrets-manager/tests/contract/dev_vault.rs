//! Covault's store: a vault of one node, started for the test that asks it. It is filled over its HTTP API; what it
//! holds is what was sent.

use base64::{Engine, engine::general_purpose::STANDARD};
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::{
    holdings::{Held, Holdings},
    node::Node,
    secrets::{OUTSIDE, PLAIN, PREFIX, Secret, secrets},
};

/// None where there is no program to start.
pub async fn holdings() -> Option<Holdings> {
    let node = Node::start()?;
    let held: Vec<Held> = join_all(secrets().iter().map(|secret| put(&node, secret))).await;
    node.send("POST", "/v1/secrets", json!({"name": OUTSIDE, "value": "another prefix"})).await;
    let dev = config(&node, json!({"token": node.token}));
    let told = json!({"provider": "covault", "config": dev, "prefix": PREFIX, "secrets": held,
        "refused": refused(&node).await, "friends": friends(&node).await, "strangers": strangers(&node).await,
        "lacks": ["stage", "rotation"]});
    Some(Holdings::within(node, told))
}

fn config(node: &Node, mut asker: Value) -> Value {
    asker["addresses"] = json!([&node.url]);
    asker
}

async fn put(node: &Node, secret: &Secret) -> Held {
    let labels = if secret.path == PLAIN { json!({"team": "payments", "stage": "test"}) } else { json!({}) };
    let mut ids = Vec::new();
    for value in &secret.values {
        let body = match str::from_utf8(value) {
            Ok(text) => json!({"value": text, "labels": labels}),
            Err(_) => json!({"value_base64": STANDARD.encode(value), "labels": labels}),
        };
        ids.push(write(node, &secret.path, body, ids.is_empty()).await);
    }
    Held { tags: serde_json::from_value(labels).unwrap(), ..secret.held(ids) }
}

/// Creates or updates a secret; the identifier of the version.
async fn write(node: &Node, path: &str, mut body: Value, is_new: bool) -> String {
    let written = if is_new {
        body["name"] = json!(path);
        node.send("POST", "/v1/secrets", body).await
    } else {
        node.send("PUT", &format!("/v1/secrets/{path}"), body).await
    };
    written["version"]["id"].as_str().unwrap().to_owned()
}

async fn refused(node: &Node) -> Value {
    let first = write(node, "contract/gone", json!({"value": "1"}), true).await;
    write(node, "contract/gone", json!({"value": "2"}), false).await;
    node.send("POST", "/v1/destroy/contract/gone", json!({"versions": [1]})).await;
    node.send("DELETE", "/v1/secrets/contract/gone", json!(null)).await;
    let over = json!({"value": "1", "expires_at": "2020-01-01T00:00:00Z"});
    write(node, "over", over, true).await;
    json!([
        {"what": "a deleted secret", "path": "contract/gone", "version": null, "error": "not_found_deleted"},
        {"what": "a deleted version", "path": "contract/gone", "version": "2", "error": "not_found_deleted"},
        {"what": "a destroyed version", "path": "contract/gone", "version": first, "error": "not_found_destroyed"},
        {"what": "a secret after its time", "path": "over", "version": null, "error": "access_expired"},
        {"what": "a version after its time", "path": "over", "version": "1", "error": "access_expired"},
        {"what": "a secret that never was", "path": "contract/nothing", "version": null, "error": "not_found_secret"},
        {"what": "a version that never was", "path": PLAIN, "version": "99", "error": "not_found_version"},
        {"what": "an identifier that never was", "path": PLAIN, "version": "0".repeat(64),
            "error": "not_found_version"},
        {"what": "a version of a secret that never was", "path": "contract/nothing", "version": "1",
            "error": "not_found_secret"},
        {"what": "a path that no name can be", "path": "contract/a b", "version": null,
            "error": "configuration_invalid_path_pattern"},
    ])
}

async fn friends(node: &Node) -> Value {
    let reader = node.new_caller("reader").await;
    node.send("POST", "/v1/grants", json!({"prefix": PREFIX, "grantee": "reader", "access": "read"})).await;
    let file = node.folder().join("reader");
    std::fs::write(&file, format!("{reader}\n")).unwrap();
    let majority = json!({"token": node.token, "consistency": "quorum"});
    json!([
        {"what": "a caller with a grant", "config": config(node, json!({"token_file": file, "owner": "dev"}))},
        {"what": "one who asks a majority", "config": config(node, majority)},
    ])
}

async fn strangers(node: &Node) -> Value {
    let stranger = node.new_caller("stranger").await;
    let stranger = json!({"token": stranger, "owner": "dev"});
    json!([
        {"what": "a caller without a grant", "config": config(node, stranger), "path": PLAIN,
            "error": "not_found_secret"},
        {"what": "a wrong token", "config": config(node, json!({"token": "wrong"})), "path": PLAIN,
            "error": "authentication_invalid_credentials"},
    ])
}
