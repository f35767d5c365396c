//! The provider against a server on this machine that answers as Google is known to.

mod credentials;
mod store;

use chrono::{DateTime, Utc};
use serde_json::json;
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use super::*;
use crate::{
    providers::{
        environment::Environment,
        scripted::{requests, server},
    },
    types::WallClock,
};

/// What the tests' clocks say.
fn noon() -> DateTime<Utc> {
    "2025-06-01T12:00:00Z".parse().unwrap()
}

fn config(server: &MockServer) -> GcpSecretManagerConfig {
    GcpSecretManagerConfig {
        endpoint: Some(server.uri().parse().unwrap()),
        credentials: GcpCredentialSource::AccessToken("canary-token".into()),
        ..GcpSecretManagerConfig::new("p")
    }
}

fn provider(config: GcpSecretManagerConfig) -> GcpSecretManagerProvider {
    with(config, Environment::of([]))
}

fn with(config: GcpSecretManagerConfig, environment: Environment) -> GcpSecretManagerProvider {
    GcpSecretManagerProvider::with(config, WallClock::new(noon), environment).unwrap()
}

fn header<'a>(request: &'a Request, name: &str) -> &'a str {
    request.headers.get(name).unwrap().to_str().unwrap()
}

fn fault(code: u16, status: &str, message: &str) -> ResponseTemplate {
    let error = json!({ "error": { "code": code, "message": message, "status": status } });
    ResponseTemplate::new(code).set_body_json(error)
}

fn reason(code: u16, status: &str, message: &str, reason: &str) -> ResponseTemplate {
    let detail = json!({ "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason });
    let error = json!({ "code": code, "message": message, "status": status, "details": [detail] });
    ResponseTemplate::new(code).set_body_json(json!({ "error": error }))
}

/// A version of `hunter2`.
fn value() -> ResponseTemplate {
    let payload = json!({ "data": "aHVudGVyMg==", "dataCrc32c": "1736498283" });
    let name = "projects/123/secrets/db/versions/5";
    ResponseTemplate::new(200).set_body_json(json!({ "name": name, "payload": payload }))
}
