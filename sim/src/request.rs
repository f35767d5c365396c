//! How what a client asks is put into HTTP: paths, bodies and headers of the API's page. Knows nothing of who asks whom.

use serde_json::{Value, json};

use crate::{client::Call, desk::key_of, story::Ask};

/// The HTTP request that asks this.
pub fn call(ask: &Ask) -> Call {
    match ask {
        Ask::Create { name, value } => {
            Call::new("POST", "/v1/secrets").with(json!({ "name": name, "value": value }))
        }
        Ask::Update { name, value, expect, agreed } => Call::new("PUT", secret(name))
            .with(json!({ "value": value }))
            .header("if-match", expect.as_ref().map(|id| format!("\"{id}\"")))
            .header("prefer", agreed.then(|| "agreed".to_owned())),
        Ask::Read { name, version, quorum, owner } => {
            read(name, version.as_deref(), *quorum, owner.as_deref())
        }
        Ask::History { name } => Call::new("GET", format!("/v1/history/{name}")),
        Ask::List => Call::new("GET", "/v1/secrets"),
        Ask::Label { name, labels } => Call::new("PATCH", secret(name)).with(json!({ "labels": labels })),
        Ask::Delete { name } => Call::new("DELETE", secret(name)),
        Ask::Undelete { name } => Call::new("POST", format!("/v1/undelete/{name}")),
        Ask::Destroy { name, versions } => {
            Call::new("POST", format!("/v1/destroy/{name}")).with(json!({ "versions": versions }))
        }
        Ask::Encrypt { values } => Call::new("POST", "/v1/env/encrypt")
            .with(json!({ "content": file(values.keys(), "enc"), "values": values })),
        Ask::Expand { names } => Call::new("POST", "/v1/env/expand")
            .with(json!({ "content": file(names, "secret"), "format": "json" })),
        Ask::Tokenize { values } => Call::new("POST", "/v1/tokenize").with(json!({
            "document": { "values": values },
            "fields": [{ "pointer": "/values/*", "format": "opaque", "type": "card" }],
        })),
        Ask::Detokenize { tokens } => Call::new("POST", "/v1/detokenize").with(json!({ "tokens": tokens })),
        Ask::Epochs => Call::new("GET", "/v1/epochs"),
        Ask::Activate { epoch, after } => Call::new("POST", "/v1/epochs")
            .with(json!({ "activate": epoch }))
            .header("if-match", Some(format!("\"{after}\""))),
        Ask::DestroyEpoch { epoch } => Call::new("DELETE", format!("/v1/epochs/{epoch}")),
        Ask::Status => Call::new("GET", "/v1/status"),
        Ask::Of { owner, ask } => of(owner, ask),
    }
}

fn secret(name: &str) -> String {
    format!("/v1/secrets/{name}")
}

fn read(name: &str, version: Option<&str>, quorum: bool, owner: Option<&str>) -> Call {
    let mut query = vec![format!("consistency={}", if quorum { "quorum" } else { "local" })];
    query.extend(version.map(|version| format!("version={version}")));
    query.extend(owner.map(|owner| format!("owner={owner}")));
    Call::new("GET", format!("{}?{}", secret(name), query.join("&")))
}

/// A `.env` file with one line for each name, which refers to it so.
fn file<'a>(names: impl IntoIterator<Item = &'a String>, reference: &str) -> String {
    names.into_iter().map(|name| format!("{}={reference}({name})\n", key_of(name))).collect()
}

/// A request in another's namespace.
fn of(owner: &str, ask: &Ask) -> Call {
    let mut call = call(ask);
    match (ask, &mut call.body) {
        (Ask::Create { .. }, Value::Object(body)) => {
            body.insert("owner".to_owned(), json!(owner));
        }
        _ => call.path += &format!("?owner={owner}"),
    }
    call
}
