//! Google Cloud Secret Manager as a fake of ours plays it (`fakes/gcp.py`), since there is no emulator of Google's: it
//! replays documented shapes. Google's own client writes the secrets and reads them as well, and both have to agree.
//! Knows the provider by its public face only.
//!
//! `GCP_TEST_ENDPOINT` says where the fake answers, `TEST_PYTHON` which Python has google-cloud-secret-manager. One test
//! at a time (`--test-threads=1`), since each begins with secrets written anew.

#![allow(clippy::unwrap_used)]

use std::{collections::HashMap, process::Command, time::Duration};

use secrecy::ExposeSecret;
use secrets_manager::{
    GetSecretOptions, ListOptions, SecretNotFoundError, SecretProvider, SecretsError, WallClock,
    providers::gcp::{GcpCredentialSource, GcpSecretManagerConfig, GcpSecretManagerProvider},
};
use serde_json::{Value, json};

const PROJECT: &str = "covault-test";

fn endpoint() -> String {
    std::env::var("GCP_TEST_ENDPOINT").expect("GCP_TEST_ENDPOINT says where the fake answers")
}

/// What Google's client says.
fn google(words: &[&str]) -> Value {
    let python = std::env::var("TEST_PYTHON").unwrap_or_else(|_| "python3".into());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vendor/gcp.py");
    let host = endpoint();
    let host = host.trim_start_matches("http://").trim_end_matches('/');
    let ran = Command::new(python).args([script, host, PROJECT]).args(words).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    serde_json::from_slice(&ran.stdout).unwrap()
}

fn with_token(token: &str) -> GcpSecretManagerProvider {
    let config = GcpSecretManagerConfig {
        endpoint: Some(endpoint().parse().unwrap()),
        credentials: GcpCredentialSource::AccessToken(token.into()),
        ..GcpSecretManagerConfig::new(PROJECT)
    };
    GcpSecretManagerProvider::new(config, WallClock::default()).unwrap()
}

fn provider() -> GcpSecretManagerProvider {
    with_token("test")
}

fn version(version: &str) -> GetSecretOptions {
    GetSecretOptions { version: Some(version.into()), ..GetSecretOptions::default() }
}

async fn error_of(path: &str, options: GetSecretOptions) -> SecretsError {
    provider().get_secret(path, options).await.unwrap_err()
}

#[tokio::test]
#[ignore = "needs the fake and Google's client: tests/emulators.sh"]
async fn both_clients_read_the_same_value_of_the_same_version() {
    google(&["seed"]);
    for (path, wanted) in [
        ("it-text", "latest"),
        ("it-binary", "latest"),
        ("it-versions", "latest"),
        ("it-versions", "1"),
        ("it-versions", "blue"),
        ("it-disabled", "1"),
        ("it-destroyed", "2"),
    ] {
        let ours = provider().get_secret(path, version(wanted)).await.unwrap();
        let read =
            json!({ "value": ours.value.expose_secret(), "binary": ours.binary, "arn": ours.metadata.arn });
        assert_eq!(read, google(&["get", path, wanted]), "{path}");
        assert!(ours.metadata.arn.as_ref().unwrap().ends_with(&format!("/versions/{}", ours.version)));
    }
}

#[tokio::test]
#[ignore = "needs the fake and Google's client: tests/emulators.sh"]
async fn a_binary_secret_has_its_bytes() {
    google(&["seed"]);
    let found = provider().get_secret("it-binary", GetSecretOptions::default()).await.unwrap();
    assert_eq!(*found.bytes().unwrap(), (0..=255).collect::<Vec<u8>>());
}

#[tokio::test]
#[ignore = "needs the fake and Google's client: tests/emulators.sh"]
async fn a_description_and_a_list_are_as_googles_client_has_them() {
    google(&["seed"]);
    let ours = provider().describe_secret("it-text").await.unwrap();
    let theirs = google(&["describe", "it-text"]);
    assert_eq!((json!(ours.arn), json!(ours.tags)), (theirs["arn"].clone(), theirs["tags"].clone()));
    assert_eq!(
        ours.created_at,
        theirs["created"].as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap()
    );
    let versions = provider().describe_secret("it-versions").await.unwrap();
    assert_eq!(versions.current_version, "3");
    let small = ListOptions { max_results: Some(2), ..ListOptions::default() };
    assert_eq!(provider().list_secrets("it-", small).await.unwrap().len(), 2);
    let listed = provider().list_secrets("it-", ListOptions::default()).await.unwrap();
    let ours: Vec<_> = listed.into_iter().map(|secret| secret.name).collect();
    let theirs = google(&["list", "name:it-"]);
    let theirs: Vec<_> = theirs.as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(theirs.contains(&"not-it-text"), "Google's filter finds a word anywhere");
    assert_eq!(ours, theirs.into_iter().filter(|name| name.starts_with("it-")).collect::<Vec<_>>());
}

#[tokio::test]
#[ignore = "needs the fake and Google's client: tests/emulators.sh"]
async fn a_list_has_the_labels_that_were_asked_for() {
    google(&["seed"]);
    let tags = HashMap::from([("env".to_owned(), "test".to_owned())]);
    let options = ListOptions { tags: Some(tags), ..ListOptions::default() };
    let found = provider().list_secrets("", options).await.unwrap();
    assert_eq!(found.into_iter().map(|secret| secret.name).collect::<Vec<_>>(), ["it-text"]);
}

#[tokio::test]
#[ignore = "needs the fake and Google's client: tests/emulators.sh"]
async fn what_cannot_be_read_says_why() {
    google(&["seed"]);
    let latest = GetSecretOptions::default;
    let path = "it-destroyed".to_owned();
    let destroyed = SecretNotFoundError::Destroyed { path, version: "1".into() };
    assert_eq!(error_of("it-destroyed", version("1")).await, destroyed.into());
    for (path, options, expected) in [
        ("it-disabled", latest(), "access_disabled"),
        ("it-nothing", latest(), "not_found_secret"),
        ("it-empty", latest(), "not_found_secret"),
        ("it-text", version("9"), "not_found_version"),
        ("deny-it", latest(), "access_denied"),
        ("quota-it", latest(), "provider_rate_limited"),
        ("down-it", latest(), "provider_unavailable"),
        ("oops-it", latest(), "provider_internal_error"),
        ("damaged-it", latest(), "provider_internal_error"),
        ("projects/p/secrets/it-text/versions/x", latest(), "not_found_secret"),
    ] {
        assert_eq!(error_of(path, options).await.error_type(), expected, "{path}");
    }
    assert_eq!(error_of("quota-it", latest()).await.retry_after(), Some(Duration::from_secs(3)));
}

#[tokio::test]
#[ignore = "needs the fake and Google's client: tests/emulators.sh"]
async fn the_store_is_well_for_who_has_the_token() {
    assert_eq!(provider().health_check().await, Ok(()));
    let error = with_token("another").health_check().await.unwrap_err();
    assert_eq!(error.error_type(), "authentication_invalid_credentials");
}
