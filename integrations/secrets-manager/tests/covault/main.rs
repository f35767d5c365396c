//! The Covault provider against a real node: the program itself, started as its readme says. `COVAULT_BIN` names it, or
//! it lies where the workspace's own tests have built it; without it these tests say so and prove nothing.

#![allow(clippy::unwrap_used)]

mod failover;
mod node;

use chrono::{DateTime, Duration, Utc};
use secrecy::ExposeSecret;
use secrets_manager::{
    AccessError, ConfigurationError, GetSecretOptions, ListOptions, ProviderType, RotationError,
    SecretNotFoundError, SecretProvider, SecretsError, WallClock,
    providers::covault::{Consistency, CovaultConfig, CovaultProvider, VersionState},
};
use serde_json::json;

use node::Node;

fn version(version: impl ToString) -> GetSecretOptions {
    GetSecretOptions { version: Some(version.to_string()), ..GetSecretOptions::default() }
}

fn current() -> GetSecretOptions {
    GetSecretOptions::default()
}

fn provider(node: &Node) -> CovaultProvider {
    CovaultProvider::new(config(node), WallClock::default()).unwrap()
}

fn config(node: &Node) -> CovaultConfig {
    CovaultConfig {
        addresses: vec![node.url.clone()],
        token: Some(node.token.as_str().into()),
        ..CovaultConfig::default()
    }
}

#[tokio::test]
async fn a_secret_is_read_in_all_its_versions() {
    let Some(node) = Node::start() else { return };
    let created = json!({"name": "app/db", "value": "s3cret", "labels": {"team": "billing"}, "description": "the database"});
    let created = node.send("POST", "/v1/secrets", created).await;
    node.send("PUT", "/v1/secrets/app/db", json!({"value_base64": "AP8="})).await;

    let provider = provider(&node);
    let newest = provider.get_secret("app/db", current()).await.unwrap();
    assert_eq!((newest.value.expose_secret(), newest.binary), ("AP8=", true));
    assert_eq!(*newest.bytes().unwrap(), [0, 255]);
    assert_eq!(newest.metadata.tags["team"], "billing");
    assert_eq!(newest.metadata.description.as_deref(), Some("the database"));

    let first = provider.get_secret("app/db", version(1)).await.unwrap();
    assert_eq!((first.value.expose_secret(), first.binary), ("s3cret", false));
    let by_id = provider.get_secret("app/db", version(&first.version)).await.unwrap();
    assert_eq!(by_id.value.expose_secret(), "s3cret");
    let then: DateTime<Utc> = created["version"]["valid_from"].as_str().unwrap().parse().unwrap();
    let then = GetSecretOptions { at: Some(then), ..current() };
    assert_eq!(provider.get_secret("app/db", then).await.unwrap().version, first.version);

    let history = provider.history("app/db").await.unwrap();
    let told: Vec<_> =
        history.iter().map(|version| (version.number, version.state, version.id.as_str())).collect();
    assert_eq!(
        told,
        [(Some(2), VersionState::Current, &*newest.version), (Some(1), VersionState::Past, &*first.version)]
    );
    let listed = provider.list_versions("app/db").await.unwrap();
    let listed: Vec<_> = listed.iter().map(|version| &*version.version).collect();
    assert_eq!(listed, [&*newest.version, &*first.version]);
    let described = provider.describe_secret("app/db").await.unwrap();
    assert_eq!(described, *newest.metadata);

    let quorum = CovaultConfig { consistency: Consistency::Quorum, ..config(&node) };
    let quorum = CovaultProvider::new(quorum, WallClock::default()).unwrap();
    assert_eq!(quorum.get_secret("app/db", current()).await.unwrap().version, newest.version);
}

#[tokio::test]
async fn what_is_not_there_is_told_apart() {
    let Some(node) = Node::start() else { return };
    node.send("POST", "/v1/secrets", json!({"name": "app/db", "value": "1"})).await;
    node.send("PUT", "/v1/secrets/app/db", json!({"value": "2"})).await;
    let provider = provider(&node);
    let error = async |path: &str, options| provider.get_secret(path, options).await.unwrap_err();

    let path = || "app/db".to_owned();
    let missing = SecretNotFoundError::SecretDoesNotExist { path: "app/no".into() };
    assert_eq!(error("app/no", current()).await, missing.clone().into());
    assert_eq!(error("app/no", version(1)).await, missing.clone().into());
    assert_eq!(provider.describe_secret("app/no").await.unwrap_err(), missing.clone().into());
    assert_eq!(provider.describe_secret("app/d").await.unwrap_err().error_type(), "not_found_secret");
    let no_version = SecretNotFoundError::VersionNotFound { path: path(), version: "9".into() };
    assert_eq!(error("app/db", version(9)).await, no_version.into());
    let long_ago = GetSecretOptions { at: Some(Utc::now() - Duration::days(9)), ..current() };
    assert!(matches!(
        error("app/db", long_ago).await,
        SecretsError::NotFound(SecretNotFoundError::VersionNotFound { .. })
    ));

    node.send("POST", "/v1/destroy/app/db", json!({"versions": [1]})).await;
    let destroyed = SecretNotFoundError::Destroyed { path: path(), version: "1".into() };
    assert_eq!(error("app/db", version(1)).await, destroyed.into());
    node.send("DELETE", "/v1/secrets/app/db", json!(null)).await;
    let deleted = SecretNotFoundError::Deleted { path: path() };
    assert_eq!(error("app/db", current()).await, deleted.clone().into());
    assert_eq!(provider.describe_secret("app/db").await.unwrap_err(), deleted.into());
    assert_eq!(provider.list_secrets("app/", ListOptions::default()).await.unwrap(), []);
}

#[tokio::test]
async fn a_version_is_not_given_out_after_it_has_expired() {
    let Some(node) = Node::start() else { return };
    let until = Utc::now() + Duration::milliseconds(500);
    node.send(
        "POST",
        "/v1/secrets",
        json!({"name": "brief", "value": "1", "expires_at": until.to_rfc3339()}),
    )
    .await;
    let provider = provider(&node);
    let error = loop {
        match provider.get_secret("brief", current()).await {
            Ok(read) => assert_eq!(read.valid_until.unwrap().timestamp_millis(), until.timestamp_millis()),
            Err(error) => break error,
        }
    };
    let SecretsError::Access(AccessError::Expired { path, until: said }) = error else { panic!("{error}") };
    assert_eq!((path.as_str(), said.timestamp_millis()), ("brief", until.timestamp_millis()));
}

#[tokio::test]
async fn lists_go_page_by_page_and_only_have_what_is_asked_for() {
    let Some(node) = Node::start() else { return };
    for n in 0..5 {
        let labels = json!({"team": if n % 2 == 0 { "a" } else { "b" }, "tier": "x"});
        node.send("POST", "/v1/secrets", json!({"name": format!("app/{n}"), "value": "v", "labels": labels}))
            .await;
    }
    node.send("POST", "/v1/secrets", json!({"name": "other", "value": "v"})).await;
    let provider = provider(&node);
    let names = async |prefix: &str, options: ListOptions| {
        let found = provider.list_secrets(prefix, options).await.unwrap();
        found.into_iter().map(|secret| secret.name).collect::<Vec<_>>()
    };
    assert_eq!(names("app/", ListOptions::default()).await, ["app/0", "app/1", "app/2", "app/3", "app/4"]);
    let two = ListOptions { max_results: Some(2), ..ListOptions::default() };
    assert_eq!(names("", two.clone()).await, ["app/0", "app/1"]);
    let page = provider.list_page("app/", two.clone()).await.unwrap();
    let next = provider.list_page("app/", ListOptions { next_token: page.next_token, ..two }).await.unwrap();
    assert_eq!(next.secrets[0].name, "app/2");
    let tags = [("team", "b"), ("tier", "x")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    let tagged = ListOptions { tags: Some(tags.into()), ..ListOptions::default() };
    assert_eq!(names("app/", tagged).await, ["app/1", "app/3"]);
}

#[tokio::test]
async fn a_node_that_is_gone_is_stepped_over() {
    let Some(node) = Node::start() else { return };
    node.send("POST", "/v1/secrets", json!({"name": "a", "value": "v"})).await;
    let gone = "http://127.0.0.1:9".parse().unwrap();
    let two = CovaultConfig { addresses: vec![gone, node.url.clone()], ..config(&node) };
    let provider = CovaultProvider::new(two, WallClock::default()).unwrap();
    provider.health_check().await.unwrap();
    assert_eq!(provider.get_secret("a", current()).await.unwrap().value.expose_secret(), "v");
}

#[tokio::test]
async fn a_new_token_in_the_file_is_taken_up_when_the_old_one_is_refused() {
    let Some(node) = Node::start() else { return };
    node.send("POST", "/v1/secrets", json!({"name": "a", "value": "v"})).await;
    let file = node.folder().join("token");
    std::fs::write(&file, "cvt_old\n").unwrap();
    let from_file = CovaultConfig { token: None, token_file: Some(file.clone()), ..config(&node) };
    let provider = CovaultProvider::new(from_file, WallClock::default()).unwrap();
    let refused = provider.get_secret("a", current()).await.unwrap_err();
    assert_eq!(refused.error_type(), "authentication_invalid_credentials");
    assert_eq!(provider.health_check().await.unwrap_err(), refused);
    std::fs::write(&file, format!("{}\n", node.token)).unwrap();
    assert_eq!(provider.get_secret("a", current()).await.unwrap().value.expose_secret(), "v");
    provider.health_check().await.unwrap();
}

#[tokio::test]
async fn another_ones_secrets_are_read_as_far_as_a_grant_goes() {
    let Some(node) = Node::start() else { return };
    node.send("POST", "/v1/secrets", json!({"name": "app/db", "value": "v"})).await;
    let other = node.new_caller("reader").await;
    node.send("POST", "/v1/grants", json!({"prefix": "app/", "grantee": "reader", "access": "read"})).await;
    let reader =
        CovaultConfig { token: Some(other.as_str().into()), owner: Some("dev".into()), ..config(&node) };
    let provider = CovaultProvider::new(reader, WallClock::default()).unwrap();
    assert_eq!(provider.get_secret("app/db", current()).await.unwrap().value.expose_secret(), "v");
    assert_eq!(provider.describe_secret("app/db").await.unwrap().name, "app/db");
    assert_eq!(provider.get_secret("other", current()).await.unwrap_err().error_type(), "not_found_secret");
}

#[tokio::test]
async fn what_covault_has_not_is_refused() {
    let Some(node) = Node::start() else { return };
    let provider = provider(&node);
    let stage = GetSecretOptions { stage: Some("AWSCURRENT".into()), ..current() };
    let refused = provider.get_secret("a", stage).await.unwrap_err();
    assert!(
        matches!(refused, SecretsError::Configuration(ConfigurationError::InvalidRequest { .. })),
        "{refused}"
    );
    let refused = provider.rotate_secret("a").await.unwrap_err();
    assert!(matches!(refused, SecretsError::Rotation(RotationError::RotationNotConfigured { .. })));
    let refused = provider.get_secret("a", version("zz")).await.unwrap_err();
    assert!(refused.to_string().contains("invalid_parameter"), "{refused}");
    assert_eq!(provider.provider_type(), ProviderType::Covault);
}
