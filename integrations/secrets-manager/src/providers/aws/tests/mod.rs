//! The provider against a server on this machine that answers as AWS is known to.

mod credentials;
mod regions;
mod store;

use chrono::{DateTime, Utc};
use serde_json::Value;
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

fn key(id: &str) -> AwsCredentials {
    AwsCredentials {
        access_key_id: id.into(),
        secret_access_key: "hunter2".into(),
        session_token: Some("swordfish".into()),
        expires_at: None,
    }
}

fn config(server: &MockServer) -> AwsSecretsManagerConfig {
    AwsSecretsManagerConfig {
        endpoint: Some(server.uri().parse().unwrap()),
        credentials: AwsCredentialSource::Static(key("AKIDSTATIC")),
        ..AwsSecretsManagerConfig::new("eu-central-1")
    }
}

fn provider(config: AwsSecretsManagerConfig) -> AwsSecretsManagerProvider {
    AwsSecretsManagerProvider::with(config, WallClock::new(noon), Environment::of([])).unwrap()
}

fn json(request: &Request) -> Value {
    serde_json::from_slice(&request.body).unwrap()
}

fn header<'a>(request: &'a Request, name: &str) -> &'a str {
    request.headers.get(name).unwrap().to_str().unwrap()
}

fn fault(status: u16, kind: &str, words: &str) -> ResponseTemplate {
    let body = serde_json::json!({ "__type": kind, "message": words });
    ResponseTemplate::new(status).set_body_raw(body.to_string(), "application/x-amz-json-1.1")
}

fn value(text: &str) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(serde_json::json!({
        "ARN": "arn:aws:secretsmanager:eu-central-1:123456789012:secret:db/password-AbCdEf",
        "Name": "db/password",
        "VersionId": "11111111-1111-1111-1111-111111111111",
        "SecretString": text,
        "VersionStages": ["AWSCURRENT"],
        "CreatedDate": 1735689600.5
    }))
}
