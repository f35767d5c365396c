//! AWS Secrets Manager as moto's server plays it. AWS's own client, boto3, writes the secrets and reads them as well, and
//! both have to agree. Knows the provider by its public face only.
//!
//! `AWS_TEST_ENDPOINT` says where moto answers (`moto_server -p 5555`), `TEST_PYTHON` which Python has boto3. One test at
//! a time (`--test-threads=1`), since one of them has the server check signatures.

#![allow(clippy::unwrap_used)]

use std::{collections::HashMap, process::Command};

use secrecy::ExposeSecret;
use secrets_manager::{
    GetSecretOptions, ListOptions, SecretNotFoundError, SecretProvider, SecretsError, WallClock,
    providers::aws::{
        AwsCredentialSource, AwsCredentials, AwsSecretsManagerConfig, AwsSecretsManagerProvider, WebIdentity,
    },
};
use serde_json::{Value, json};

const REGION: &str = "eu-central-1";

fn endpoint() -> String {
    std::env::var("AWS_TEST_ENDPOINT").expect("AWS_TEST_ENDPOINT says where moto answers")
}

/// What boto3 says.
fn boto(words: &[&str]) -> Value {
    let python = std::env::var("TEST_PYTHON").unwrap_or_else(|_| "python3".into());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vendor/aws.py");
    let ran = Command::new(python).args([script, &endpoint(), REGION]).args(words).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    serde_json::from_slice(&ran.stdout).unwrap()
}

fn with_key(id: &str, secret: &str) -> AwsSecretsManagerProvider {
    let key = AwsCredentials {
        access_key_id: id.into(),
        secret_access_key: secret.into(),
        session_token: None,
        expires_at: None,
    };
    with(AwsCredentialSource::Static(key))
}

fn with(credentials: AwsCredentialSource) -> AwsSecretsManagerProvider {
    let config = AwsSecretsManagerConfig {
        endpoint: Some(endpoint().parse().unwrap()),
        credentials,
        ..AwsSecretsManagerConfig::new(REGION)
    };
    AwsSecretsManagerProvider::new(config, WallClock::default()).unwrap()
}

fn provider() -> AwsSecretsManagerProvider {
    with_key("test", "test")
}

async fn error_of(path: &str, options: GetSecretOptions) -> SecretsError {
    provider().get_secret(path, options).await.unwrap_err()
}

#[tokio::test]
#[ignore = "needs moto's server and boto3: tests/emulators.sh"]
async fn both_clients_read_the_same_value_version_and_stages() {
    boto(&["seed"]);
    for path in ["it/text", "it/json", "it/binary", "it/versions"] {
        let ours = provider().get_secret(path, GetSecretOptions::default()).await.unwrap();
        let mut stages = ours.metadata.stages.clone();
        stages.sort();
        let ours = json!({ "value": ours.value.expose_secret(), "binary": ours.binary, "version": &*ours.version,
            "arn": ours.metadata.arn, "stages": stages });
        assert_eq!(ours, boto(&["get", path]), "{path}");
    }
}

#[tokio::test]
#[ignore = "needs moto's server and boto3: tests/emulators.sh"]
async fn a_binary_secret_has_its_bytes() {
    boto(&["seed"]);
    let found = provider().get_secret("it/binary", GetSecretOptions::default()).await.unwrap();
    assert_eq!(*found.bytes().unwrap(), (0..=255).collect::<Vec<u8>>());
}

#[tokio::test]
#[ignore = "needs moto's server and boto3: tests/emulators.sh"]
async fn both_clients_read_the_same_versions_by_identifier_and_stage() {
    let seeded = boto(&["seed"]);
    for (version, stage, expected) in [
        (seeded["first"].as_str(), None, "one"),
        (seeded["second"].as_str(), None, "two"),
        (None, Some("AWSPREVIOUS"), "one"),
        (None, Some("AWSCURRENT"), "two"),
        (seeded["first"].as_str(), Some("AWSPREVIOUS"), "one"),
    ] {
        let mut words = vec!["get".to_owned(), "it/versions".to_owned()];
        words.extend(version.map(|version| format!("VersionId={version}")));
        words.extend(stage.map(|stage| format!("VersionStage={stage}")));
        let theirs = boto(&words.iter().map(String::as_str).collect::<Vec<_>>());
        let options = GetSecretOptions {
            version: version.map(str::to_owned),
            stage: stage.map(str::to_owned),
            ..GetSecretOptions::default()
        };
        let ours = provider().get_secret("it/versions", options).await.unwrap();
        assert_eq!((ours.value.expose_secret(), theirs["value"].as_str()), (expected, Some(expected)));
        assert_eq!(theirs["version"], *ours.version);
    }
}

#[tokio::test]
#[ignore = "needs moto's server and boto3: tests/emulators.sh"]
async fn a_description_and_a_list_are_as_boto3_has_them() {
    boto(&["seed"]);
    let ours = provider().describe_secret("it/text").await.unwrap();
    assert_eq!(ours.current_version, boto(&["get", "it/text"])["version"].as_str().unwrap());
    let ours = json!({ "arn": ours.arn, "description": ours.description, "tags": ours.tags });
    assert_eq!(ours, boto(&["describe", "it/text"]));
    let listed = provider().list_secrets("it/", ListOptions::default()).await.unwrap();
    let mut names: Vec<_> = listed.into_iter().map(|secret| secret.name).collect();
    names.sort();
    assert_eq!(json!(names), boto(&["list", "it/"]));
    assert_eq!(names, ["it/binary", "it/json", "it/plain", "it/text", "it/versions"]);
}

#[tokio::test]
#[ignore = "needs moto's server and boto3: tests/emulators.sh"]
async fn a_list_has_the_tags_that_were_asked_for_and_no_more_entries() {
    boto(&["seed"]);
    let tags = HashMap::from([("env".to_owned(), "test".to_owned())]);
    let options = ListOptions { tags: Some(tags), ..ListOptions::default() };
    let mut names: Vec<_> = provider()
        .list_secrets("it/", options)
        .await
        .unwrap()
        .into_iter()
        .map(|secret| secret.name)
        .collect();
    names.sort();
    assert_eq!(names, ["it/json", "it/text"]);
    let options = ListOptions { max_results: Some(2), ..ListOptions::default() };
    let page = provider().list_page("it/", options.clone()).await.unwrap();
    assert!(page.secrets.len() <= 2 && page.next_token.is_some());
    assert_eq!(provider().list_secrets("it/", options).await.unwrap().len(), 2);
}

#[tokio::test]
#[ignore = "needs moto's server and boto3: tests/emulators.sh"]
async fn what_is_missing_or_deleted_is_told_apart() {
    boto(&["seed"]);
    let error = error_of("it/nothing", GetSecretOptions::default()).await;
    assert_eq!(error, SecretNotFoundError::SecretDoesNotExist { path: "it/nothing".into() }.into());
    let deleted = SecretNotFoundError::Deleted { path: "it/deleted".into() };
    assert_eq!(error_of("it/deleted", GetSecretOptions::default()).await, deleted.clone().into());
    assert_eq!(provider().describe_secret("it/deleted").await.unwrap_err(), deleted.into());
    let version = "00000000-0000-0000-0000-000000000000".to_owned();
    let options = GetSecretOptions { version: Some(version.clone()), ..GetSecretOptions::default() };
    let path = "it/text".to_owned();
    assert_eq!(
        error_of("it/text", options).await,
        SecretNotFoundError::VersionNotFound { path, version }.into()
    );
}

#[tokio::test]
#[ignore = "needs moto's server and boto3: tests/emulators.sh"]
async fn a_rotation_names_the_version_that_boto3_finds() {
    boto(&["seed"]);
    let result = provider().rotate_secret("it/text").await.unwrap();
    let versions = boto(&["versions", "it/text"]);
    assert!(versions.as_array().unwrap().contains(&json!(result.version_id.unwrap())));
}

#[tokio::test]
#[ignore = "needs moto's server and boto3: tests/emulators.sh"]
async fn a_signature_is_what_the_vendors_own_signer_makes_of_the_request() {
    boto(&["seed"]);
    let user = boto(&["user"]);
    let (id, secret) = (user["id"].as_str().unwrap(), user["secret"].as_str().unwrap());
    check_signatures("0").await;
    let right = with_key(id, secret).get_secret("it/text", GetSecretOptions::default()).await;
    let wrong = with_key(id, "another").get_secret("it/text", GetSecretOptions::default()).await;
    check_signatures("inf").await;
    right.unwrap();
    assert!(wrong.is_err());
}

/// After so many requests the server accepts signed ones only, and computes with botocore what the signature is to be.
async fn check_signatures(after: &str) {
    let url = format!("{}/moto-api/reset-auth", endpoint());
    let answer = reqwest::Client::new().post(url).body(after.to_owned()).send().await.unwrap();
    assert!(answer.status().is_success());
}

/// Runs itself once more with variables that say where moto plays the token service, and which profiles there are.
#[tokio::test]
#[ignore = "needs moto's server and boto3: tests/emulators.sh"]
async fn a_roles_credentials_are_had_from_the_token_service() {
    const ROLE: &str = "arn:aws:iam::123456789012:role/app";
    let folder = tempfile::tempdir().unwrap();
    if std::env::var("AWS_ENDPOINT_URL_STS").is_err() {
        let profiles = folder.path().join("credentials");
        let keys = "aws_access_key_id = test\naws_secret_access_key = test\n";
        std::fs::write(&profiles, format!("[app]\nrole_arn = {ROLE}\nsource_profile = base\n[base]\n{keys}"))
            .unwrap();
        let mut again = Command::new(std::env::current_exe().unwrap());
        again.args(["--ignored", "--exact", "a_roles_credentials_are_had_from_the_token_service"]);
        again.envs([("AWS_ENDPOINT_URL_STS", endpoint().as_str()), ("AWS_CONFIG_FILE", "/nowhere")]);
        assert!(again.env("AWS_SHARED_CREDENTIALS_FILE", profiles).status().unwrap().success());
        return;
    }
    boto(&["seed"]);
    let token_file = folder.path().join("token");
    std::fs::write(&token_file, "header.claims.signature").unwrap();
    let identity = WebIdentity { role_arn: ROLE.into(), token_file, session_name: None };
    for source in [AwsCredentialSource::WebIdentity(identity), AwsCredentialSource::Profile("app".into())] {
        let found = with(source).get_secret("it/plain", GetSecretOptions::default()).await.unwrap();
        assert_eq!(found.value.expose_secret(), "plain");
    }
}

#[tokio::test]
#[ignore = "needs moto's server and boto3: tests/emulators.sh"]
async fn the_store_is_well() {
    assert_eq!(provider().health_check().await, Ok(()));
}
