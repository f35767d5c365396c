//! Several nodes of which some cannot answer. These nodes are none: they give the contract's answers, for no real one can be
//! had to refuse at a test's word.

use std::path::Path;

use secrecy::ExposeSecret;
use secrets_manager::{
    GetSecretOptions, SecretProvider, SecretsError, WallClock,
    providers::covault::{CovaultConfig, CovaultProvider},
};
use serde_json::{Value, json};
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{any, header},
};

async fn node(status: u16, body: Value) -> MockServer {
    let server = MockServer::start().await;
    let answer = ResponseTemplate::new(status).insert_header("retry-after", "30").set_body_json(body);
    Mock::given(any()).respond_with(answer).with_priority(9).mount(&server).await;
    server
}

async fn well() -> MockServer {
    let version = json!({
        "number": 1, "id": "ab", "valid_from": "2026-01-01T00:00:00.000Z", "valid_to": null,
        "created_at": "2026-01-01T00:00:00.000Z", "author": "n", "caller": "c", "state": "current",
        "content_type": null, "expires_at": null, "new": "members may come",
    });
    node(200, json!({"name": "a", "value": "v", "version": version, "labels": {}, "description": null})).await
}

async fn refusing(status: u16, code: &str) -> MockServer {
    node(status, json!({"code": code, "detail": "so", "status": status})).await
}

fn provider(nodes: &[&MockServer]) -> CovaultProvider {
    let config = CovaultConfig {
        addresses: nodes.iter().map(|node| node.uri().parse().unwrap()).collect(),
        token: Some("token".into()),
        ..CovaultConfig::default()
    };
    CovaultProvider::new(config, WallClock::default()).unwrap()
}

async fn read(provider: &CovaultProvider) -> Result<String, SecretsError> {
    let secret = provider.get_secret("a", GetSecretOptions::default()).await?;
    Ok(secret.value.expose_secret().to_owned())
}

async fn asked(node: &MockServer) -> usize {
    node.received_requests().await.unwrap().len()
}

#[tokio::test]
async fn the_node_that_answered_last_is_asked_first() {
    let (without_key, well) = (refusing(503, "master_key_unavailable").await, well().await);
    let provider = provider(&[&without_key, &well]);
    for _ in 0..3 {
        assert_eq!(read(&provider).await.unwrap(), "v");
    }
    assert_eq!((asked(&without_key).await, asked(&well).await), (1, 3));
}

#[tokio::test]
async fn where_none_can_answer_the_first_ones_reason_counts_and_each_is_asked_once() {
    let nodes = [refusing(503, "unconfirmed").await, refusing(500, "corrupt").await];
    let error = read(&provider(&[&nodes[0], &nodes[1]])).await.unwrap_err();
    assert_eq!(error.error_type(), "provider_unavailable");
    assert_eq!(error.retry_after().unwrap().as_secs(), 30);
    assert_eq!((asked(&nodes[0]).await, asked(&nodes[1]).await), (1, 1));
}

#[tokio::test]
async fn a_refusal_is_an_answer_and_nobody_else_is_asked() {
    for (status, code) in
        [(403, "forbidden"), (410, "version_deleted"), (429, "rate_limited"), (400, "invalid_field")]
    {
        let (refusing, well) = (refusing(status, code).await, well().await);
        read(&provider(&[&refusing, &well])).await.unwrap_err();
        assert_eq!(asked(&well).await, 0, "{code}");
    }
}

#[tokio::test]
async fn an_answer_that_makes_no_sense_is_the_stores_fault_and_not_quoted() {
    for body in [json!({"value": "hunter2"}), json!("hunter2"), json!({"name": "a", "value": {"hunter2": 1}})]
    {
        let error = read(&provider(&[&node(200, body).await])).await.unwrap_err();
        assert_eq!(error.error_type(), "provider_internal_error");
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    }
}

#[tokio::test]
async fn the_token_goes_in_its_header_and_nowhere_else() {
    let well = well().await;
    read(&provider(&[&well])).await.unwrap();
    let [request] = <[_; 1]>::try_from(well.received_requests().await.unwrap()).unwrap();
    assert_eq!(request.headers["authorization"], "Bearer token");
    assert_eq!(request.url.path(), "/v1/secrets/a");
    assert_eq!(request.url.query(), Some("consistency=local"));
}

/// A provider whose token is in this file.
fn with_token_in(file: &Path, node: &MockServer) -> CovaultProvider {
    let config = CovaultConfig {
        addresses: vec![node.uri().parse().unwrap()],
        token_file: Some(file.into()),
        ..CovaultConfig::default()
    };
    CovaultProvider::new(config, WallClock::default()).unwrap()
}

#[tokio::test]
async fn a_token_that_is_not_accepted_is_read_again_from_its_file() {
    let (well, folder) = (well().await, tempfile::tempdir().unwrap());
    let refusal = json!({"code": "unauthenticated", "detail": "so", "status": 401});
    for (token, priority) in [("old", 1), ("older", 2)] {
        Mock::given(header("authorization", format!("Bearer {token}").as_str()))
            .respond_with(ResponseTemplate::new(401).set_body_json(&refusal))
            .with_priority(priority)
            .mount(&well)
            .await;
    }
    let file = folder.path().join("token");
    std::fs::write(&file, "old\n").unwrap();
    let provider = with_token_in(&file, &well);
    let refused = read(&provider).await.unwrap_err();
    assert_eq!(refused.error_type(), "authentication_invalid_credentials");
    assert_eq!(asked(&well).await, 1, "the same token was shown twice");
    std::fs::write(&file, "older\n").unwrap();
    assert_eq!(read(&provider).await.unwrap_err().error_type(), "authentication_invalid_credentials");
    std::fs::write(&file, "new\n").unwrap();
    assert_eq!(read(&provider).await.unwrap(), "v");
}

#[tokio::test]
async fn a_file_that_has_no_token_is_named_and_nobody_asked() {
    let (well, folder) = (well().await, tempfile::tempdir().unwrap());
    let file = folder.path().join("token");
    for content in [None, Some("\n"), Some("canary\u{1}")] {
        if let Some(content) = content {
            std::fs::write(&file, content).unwrap();
        }
        let error = read(&with_token_in(&file, &well)).await.unwrap_err();
        assert_eq!(error.error_type(), "authentication_no_credentials");
        let said = error.to_string();
        assert!(!said.contains("canary"), "{said}");
        assert!(content.is_some_and(|content| content.len() > 1) || said.contains("token: "), "{said}");
    }
    assert_eq!(asked(&well).await, 0);
}
