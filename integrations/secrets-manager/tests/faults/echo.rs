//! A server that repeats in its refusals what it was asked with: no error may repeat it after the server.

use base64::{Engine, engine::general_purpose::STANDARD};
use secrets_manager::{
    GetSecretOptions, SecretProvider, SecretsError,
    providers::{
        aws::{AwsCredentialSource, AwsCredentials},
        azure::AzureCredentials,
        vault::VaultAuth,
    },
    transport::TransportConfig,
};
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::{
    azure,
    server::{Asked, Reply, Server, json as reply},
    stores::STORES,
    vault,
};

/// The words of each store's refusals are `words`.
fn refusal(asked: &Asked, status: u16, words: &str) -> Reply {
    if !asked.header("x-amz-target").is_empty() {
        return reply(status, json!({"__type": "Odd", "message": words}));
    }
    let error = json!({"code": "odd", "status": "ODD", "message": words});
    reply(status, json!({"code": "odd", "detail": words, "errors": [words], "error": error}))
}

async fn error(provider: &dyn SecretProvider) -> SecretsError {
    provider.get_secret("db", GetSecretOptions::default()).await.unwrap_err()
}

/// That something was repeated, and nothing of it is shown.
fn check(whose: &str, error: &SecretsError) {
    let shown = format!("{error} {error:?}");
    assert!(shown.contains("[redacted]"), "{whose}: {shown}");
    for part in ["canary", "AKIDEXAMPLE"] {
        assert!(!shown.contains(part), "{whose}: {shown}");
    }
}

#[tokio::test]
async fn a_store_that_repeats_its_callers_headers_is_not_repeated() {
    for store in &STORES {
        let headers: &[&str] = match store.name {
            "aws" => &["authorization", "x-amz-security-token"],
            "vault" => &["x-vault-token"],
            _ => &["authorization"],
        };
        for (name, status) in headers.iter().flat_map(|name| [400, 403, 500].map(|status| (*name, status))) {
            let login = store.login;
            let server = Server::answering(move |asked| {
                login(asked).unwrap_or_else(|| {
                    refusal(asked, status, &format!("what does {:?} mean?", asked.header(name)))
                })
            })
            .await;
            let provider = (store.provider)(&server.url, TransportConfig::default());
            check(store.name, &error(&*provider).await);
        }
    }
}

/// What a login by AWS has signed, which Vault sends on and of which AWS may speak.
fn signed(asked: &Asked) -> String {
    let body: Value = serde_json::from_str(&asked.body).unwrap();
    let headers = body["iam_request_headers"].as_str().unwrap_or_default();
    String::from_utf8(STANDARD.decode(headers).unwrap()).unwrap()
}

/// Refuses each login with the body that it came with, as it came and as it is read.
fn repeats_logins(asked: &Asked) -> Reply {
    let fields = form_urlencoded::parse(asked.body.as_bytes());
    let read: Vec<_> = fields.filter(|(name, _)| name.starts_with("client_")).map(|(_, text)| text).collect();
    let words = format!("{} {}", read.join(" "), asked.body);
    match (asked.path.ends_with("/token"), asked.path.ends_with("/login")) {
        (true, _) => reply(400, json!({"error": "odd", "error_description": words})),
        (_, true) => reply(400, json!({"errors": [signed(asked), asked.body.clone()]})),
        _ => azure::challenge(),
    }
}

#[tokio::test]
async fn a_login_that_repeats_its_body_is_not_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jwt");
    std::fs::write(&file, "canary.jwt/+=\n").unwrap();
    let server = Server::answering(repeats_logins).await;
    let workload = AzureCredentials::WorkloadIdentity {
        tenant_id: Some("mine".into()),
        client_id: Some("app".into()),
        token_file: Some(file.clone()),
    };
    let kubernetes = VaultAuth::Kubernetes { role: "app".into(), jwt_path: file, mount: "kubernetes".into() };
    let aws = VaultAuth::AwsIam {
        role: "app".into(),
        credentials: AwsCredentialSource::Static(AwsCredentials {
            access_key_id: "AKIDEXAMPLE".into(),
            secret_access_key: "secret".into(),
            session_token: Some("canary-token".into()),
            expires_at: None,
        }),
        region: None,
        server_id: None,
        mount: "aws".into(),
    };
    let transport = TransportConfig::default;
    check("client secret", &error(&*azure::provider(&server.url, transport())).await);
    check("workload", &error(&azure::with(&server.url, workload)).await);
    check("app role", &error(&*vault::provider(&server.url, transport())).await);
    check("kubernetes", &error(&vault::with(&server.url, kubernetes)).await);
    check("aws", &error(&vault::with(&server.url, aws)).await);
}
