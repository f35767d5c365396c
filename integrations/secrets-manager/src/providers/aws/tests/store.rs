//! Operations, and every error that is known, by its shape on the wire.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use chrono::TimeDelta;
use secrecy::ExposeSecret;
use serde_json::json;

use super::*;
use crate::{
    Client, SecretProvider, SecretsClient,
    providers::heard::Heard,
    resilience::{Backoff, RetryConfig},
    types::*,
};

async fn asked_of(answer: ResponseTemplate, options: GetSecretOptions) -> SecretsError {
    let server = server([answer]).await;
    provider(config(&server)).get_secret("db/password", options).await.unwrap_err()
}

async fn error_of(status: u16, kind: &str, words: &str) -> SecretsError {
    asked_of(fault(status, kind, words), GetSecretOptions::default()).await
}

#[tokio::test]
async fn a_request_is_of_the_json_protocol_and_signed() {
    let server = server([value("s3cret")]).await;
    let options = GetSecretOptions {
        version: Some("v1".into()),
        stage: Some("AWSPREVIOUS".into()),
        ..GetSecretOptions::default()
    };
    let found = provider(config(&server)).get_secret("db/password", options).await.unwrap();
    assert_eq!(found.value.expose_secret(), "s3cret");
    let request = &requests(&server).await[0];
    assert_eq!(header(request, "x-amz-target"), "secretsmanager.GetSecretValue");
    assert_eq!(header(request, "content-type"), "application/x-amz-json-1.1");
    assert_eq!(header(request, "x-amz-date"), "20250601T120000Z");
    assert_eq!(header(request, "x-amz-security-token"), "swordfish");
    let scope = "AWS4-HMAC-SHA256 Credential=AKIDSTATIC/20250601/eu-central-1/secretsmanager/aws4_request, \
                 SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-amz-target, Signature=";
    assert!(header(request, "authorization").starts_with(scope));
    let expected = json!({ "SecretId": "db/password", "VersionId": "v1", "VersionStage": "AWSPREVIOUS" });
    assert_eq!(json(request), expected);
}

#[tokio::test]
async fn each_type_of_fault_has_its_error() {
    let cases = [
        (404, "ResourceNotFoundException", "not_found_secret"),
        (400, "com.amazonaws.secretsmanager#ResourceNotFoundException", "not_found_secret"),
        (400, "AccessDeniedException", "access_denied"),
        (400, "DecryptionFailure", "access_kms_denied"),
        (400, "EncryptionFailure", "access_kms_denied"),
        (400, "KMSDisabledException", "access_kms_denied"),
        (400, "InvalidRequestException", "configuration_invalid_request"),
        (400, "InvalidParameterException", "configuration_invalid_request"),
        (400, "InvalidNextTokenException", "configuration_invalid_request"),
        (400, "ValidationException", "configuration_invalid_request"),
        (400, "PreconditionNotMetException", "configuration_invalid_request"),
        (400, "SomethingNew", "configuration_invalid_request"),
        (400, "ExpiredTokenException", "authentication_expired_credentials"),
        (400, "UnrecognizedClientException", "authentication_invalid_credentials"),
        (403, "InvalidClientTokenId", "authentication_invalid_credentials"),
        (403, "InvalidSignatureException", "authentication_invalid_credentials"),
        (400, "IncompleteSignature", "authentication_invalid_credentials"),
        (400, "ThrottlingException", "provider_rate_limited"),
        (400, "Throttling", "provider_rate_limited"),
        (400, "RequestLimitExceeded", "provider_rate_limited"),
        (400, "TooManyRequestsException", "provider_rate_limited"),
        (429, "SomethingNew", "provider_rate_limited"),
        (400, "LimitExceededException", "provider_quota_exceeded"),
        (400, "InternalServiceError", "provider_internal_error"),
        (500, "InternalServiceError", "provider_internal_error"),
        (500, "InternalFailure", "provider_internal_error"),
        (500, "SomethingNew", "provider_internal_error"),
        (503, "ServiceUnavailable", "provider_unavailable"),
        (503, "SomethingNew", "provider_unavailable"),
        (400, "RequestTimeoutException", "provider_unavailable"),
    ];
    for (status, kind, expected) in cases {
        assert_eq!(error_of(status, kind, "words").await.error_type(), expected, "{status} {kind}");
    }
}

#[tokio::test]
async fn words_tell_what_the_type_does_not() {
    let cases = [
        (
            "InvalidRequestException",
            "You can't perform this operation on the secret because it was marked for deletion.",
            "not_found_deleted",
        ),
        (
            "InvalidParameterException",
            "You can't perform this operation on the secret because it was marked for deletion.",
            "not_found_deleted",
        ),
        (
            "InvalidRequestException",
            "You tried to perform the operation on a secret that's currently marked deleted.",
            "not_found_deleted",
        ),
        ("AccessDeniedException", "Access to KMS is not allowed", "access_kms_denied"),
        (
            "AccessDeniedException",
            "User: arn:aws:iam::1:user/u is not authorized to perform: kms:Decrypt on resource: r",
            "access_kms_denied",
        ),
        (
            "AccessDeniedException",
            "User: u is not authorized to perform: secretsmanager:GetSecretValue on resource: KMS because no identity-based policy allows it",
            "access_denied",
        ),
        (
            "AccessDeniedException",
            "User: u is not authorized to perform: a on resource: r with an explicit deny in a resource-based policy",
            "access_resource_policy_denied",
        ),
        (
            "AccessDeniedException",
            "User: u is not authorized to perform: a on resource: r because no VPC endpoint policy allows it",
            "access_resource_policy_denied",
        ),
        (
            "ResourceNotFoundException",
            "Secrets Manager can't find the specified secret value for staging label: AWSCURRENT",
            "not_found_stage",
        ),
    ];
    for (kind, words, expected) in cases {
        assert_eq!(error_of(400, kind, words).await.error_type(), expected, "{words}");
    }
}

#[tokio::test]
async fn a_version_or_a_stage_that_is_missing_is_named() {
    let path = "db/password".to_owned();
    let words = "Secrets Manager can't find the specified secret value for VersionId: v9";
    let version = GetSecretOptions { version: Some("v9".into()), ..GetSecretOptions::default() };
    let error = asked_of(fault(400, "ResourceNotFoundException", words), version.clone()).await;
    let expected = SecretNotFoundError::VersionNotFound { path: path.clone(), version: "v9".into() };
    assert_eq!(error, expected.into());
    let words = "Secrets Manager can't find the specified secret value for staging label: blue";
    let stage = GetSecretOptions { stage: Some("blue".into()), ..GetSecretOptions::default() };
    let error = asked_of(fault(400, "ResourceNotFoundException", words), stage).await;
    let expected = SecretNotFoundError::StageNotFound { path: path.clone(), stage: "blue".into() };
    assert_eq!(error, expected.into());
    let words = "You provided a VersionStage that is not associated to the provided VersionId.";
    let both = GetSecretOptions { stage: Some("blue".into()), ..version };
    let error = asked_of(fault(400, "InvalidRequestException", words), both).await;
    assert_eq!(error, SecretNotFoundError::StageNotFound { path, stage: "blue".into() }.into());
}

#[tokio::test]
async fn the_type_may_stand_in_a_header_and_retry_after_is_told() {
    let answer = ResponseTemplate::new(400)
        .insert_header("x-amzn-errortype", "ThrottlingException:http://internal.amazon.com/coral/")
        .insert_header("retry-after", "7");
    let error = asked_of(answer, GetSecretOptions::default()).await;
    assert_eq!(error.error_type(), "provider_rate_limited");
    assert_eq!(error.retry_after(), Some(std::time::Duration::from_secs(7)));
}

#[tokio::test]
async fn an_answer_that_is_no_answer_is_the_stores_fault() {
    for (status, body, expected) in [
        (200, "", "provider_internal_error"),
        (200, "{\"ARN\": 7}", "provider_internal_error"),
        (200, "<html>", "provider_internal_error"),
        (400, "<html>", "provider_internal_error"),
        (403, "<html>", "access_denied"),
        (500, "", "provider_internal_error"),
        (502, "<html>", "provider_unavailable"),
        (503, "{", "provider_unavailable"),
    ] {
        let error =
            asked_of(ResponseTemplate::new(status).set_body_string(body), GetSecretOptions::default()).await;
        assert_eq!(error.error_type(), expected, "{status} {body}");
    }
}

#[tokio::test]
async fn the_stores_words_are_quoted_short_and_in_one_line() {
    let error = error_of(400, "ValidationException", &format!("bad\r\n{}", "x".repeat(5000))).await;
    let shown = error.to_string();
    assert!(shown.contains("ValidationException: bad x") && shown.len() < 450, "{shown}");
}

/// Gives another key each time, and the last one for good.
#[derive(Debug)]
struct Keys(Mutex<Vec<&'static str>>);

#[async_trait]
impl CredentialProvider for Keys {
    async fn credentials(&self) -> Result<Option<AwsCredentials>, SecretsError> {
        let mut keys = self.0.lock().unwrap();
        let id = if keys.len() > 1 { keys.remove(0) } else { keys[0] };
        Ok(Some(key(id)))
    }
}

fn with_keys(server: &MockServer, keys: &[&'static str]) -> AwsSecretsManagerProvider {
    let keys = Keys(Mutex::new(keys.to_vec()));
    provider(AwsSecretsManagerConfig {
        credentials: AwsCredentialSource::Custom(std::sync::Arc::new(keys)),
        ..config(server)
    })
}

#[tokio::test]
async fn credentials_that_are_not_accepted_are_had_anew_once() {
    for kind in ["ExpiredTokenException", "UnrecognizedClientException", "InvalidClientTokenId"] {
        let server = server([fault(400, kind, "no"), value("s3cret")]).await;
        let provider = with_keys(&server, &["ONE", "TWO"]);
        provider.get_secret("db/password", GetSecretOptions::default()).await.unwrap();
        let requests = requests(&server).await;
        assert!(header(&requests[0], "authorization").contains("Credential=ONE/"));
        assert!(header(&requests[1], "authorization").contains("Credential=TWO/"));
    }
}

#[tokio::test]
async fn credentials_that_are_the_same_anew_are_not_tried_again() {
    let server = server([fault(400, "ExpiredTokenException", "The security token is expired")]).await;
    let error = with_keys(&server, &["ONE"]).get_secret("db/password", GetSecretOptions::default()).await;
    assert_eq!(error.unwrap_err().error_type(), "authentication_expired_credentials");
    assert_eq!(requests(&server).await.len(), 1);
}

#[tokio::test]
async fn a_clock_that_is_off_is_allowed_for_once_and_from_then_on() {
    let theirs = noon() + TimeDelta::hours(3);
    let refusal = fault(400, "InvalidSignatureException", "Signature not yet current")
        .insert_header("date", theirs.format("%a, %d %b %Y %H:%M:%S GMT").to_string().as_str());
    let server = server([refusal, value("s3cret")]).await;
    let provider = provider(config(&server));
    provider.get_secret("db/password", GetSecretOptions::default()).await.unwrap();
    provider.get_secret("db/password", GetSecretOptions::default()).await.unwrap();
    let dates: Vec<_> = requests(&server).await.iter().map(|r| header(r, "x-amz-date").to_owned()).collect();
    assert_eq!(dates, ["20250601T120000Z", "20250601T150000Z", "20250601T150000Z"]);
}

#[tokio::test]
async fn a_clock_that_is_right_is_not_to_blame() {
    let refusal = fault(403, "SignatureDoesNotMatch", "wrong")
        .insert_header("date", noon().format("%a, %d %b %Y %H:%M:%S GMT").to_string().as_str());
    let server = server([refusal]).await;
    let error = provider(config(&server)).get_secret("db/password", GetSecretOptions::default()).await;
    assert_eq!(error.unwrap_err().error_type(), "authentication_invalid_credentials");
    assert_eq!(requests(&server).await.len(), 1);
}

#[tokio::test]
async fn a_store_that_cannot_be_reached_is_a_network_error() {
    let nowhere = Some("http://127.0.0.1:1".parse().unwrap());
    let config = AwsSecretsManagerConfig { endpoint: nowhere, ..config(&server([]).await) };
    let error = provider(config).get_secret("db/password", GetSecretOptions::default()).await.unwrap_err();
    assert!(matches!(error, SecretsError::Network(_)), "{error}");
}

#[tokio::test]
async fn nothing_secret_is_in_an_error() {
    let server = server([fault(400, "InvalidSignatureException", "no")]).await;
    let error = provider(config(&server)).get_secret("db/password", GetSecretOptions::default()).await;
    let shown = format!("{:?} {0}", error.unwrap_err());
    for secret in ["hunter2", "swordfish", "AKIDSTATIC"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[tokio::test]
async fn nothing_secret_is_traced_at_any_level() {
    let heard = Heard::default();
    let _guard = tracing::subscriber::set_default(heard.subscriber());
    let server = server([value("canary-value"), fault(400, "InvalidSignatureException", "no")]).await;
    let provider = provider(config(&server));
    provider.get_secret("db/password", GetSecretOptions::default()).await.unwrap();
    provider.get_secret("db/password", GetSecretOptions::default()).await.unwrap_err();
    heard.has_none_of(&["canary-value", "hunter2", "swordfish", "AKIDSTATIC"]);
}

#[tokio::test]
async fn a_path_that_aws_cannot_have_is_refused_before_anybody_is_asked() {
    let server = server([value("s3cret")]).await;
    let provider = provider(config(&server));
    let long = "a".repeat(2049);
    for path in ["", "a b", "a:b", "a\nb", "ä", "a?b", &long] {
        let error = provider.get_secret(path, GetSecretOptions::default()).await.unwrap_err();
        assert_eq!(error.error_type(), "configuration_invalid_path_pattern", "{path}");
        assert!(provider.describe_secret(path).await.is_err() && provider.rotate_secret(path).await.is_err());
    }
    let at = GetSecretOptions { at: Some(noon()), ..GetSecretOptions::default() };
    assert!(matches!(provider.get_secret("a", at).await, Err(SecretsError::Configuration(_))));
    assert!(requests(&server).await.is_empty());
}

fn page(names: &[&str], next: Option<&str>) -> ResponseTemplate {
    let entry = |name: &&str| {
        json!({ "ARN": format!("arn:{name}"), "Name": name, "CreatedDate": 1,
        "Tags": [{ "Key": "env", "Value": if name.ends_with("test") { "test" } else { "prod" } }] })
    };
    let list: Vec<_> = names.iter().map(entry).collect();
    ResponseTemplate::new(200).set_body_json(json!({ "SecretList": list, "NextToken": next }))
}

#[tokio::test]
async fn a_list_is_had_page_by_page_with_the_exact_prefix_and_tags() {
    let server =
        server([page(&["app/one", "other/app/two"], Some("t1")), page(&["app/x-test", "app/three"], None)])
            .await;
    let tags = HashMap::from([("env".to_owned(), "prod".to_owned())]);
    let options = ListOptions { tags: Some(tags), ..ListOptions::default() };
    let found = provider(config(&server)).list_secrets("app/", options).await.unwrap();
    let names: Vec<_> = found.iter().map(|secret| secret.name.as_str()).collect();
    assert_eq!(names, ["app/one", "app/three"]);
    let requests = requests(&server).await;
    let filter = json!([{ "Key": "name", "Values": ["app/"] }]);
    assert_eq!(json(&requests[0]), json!({ "MaxResults": 100, "Filters": filter }));
    assert_eq!(json(&requests[1]), json!({ "MaxResults": 100, "Filters": filter, "NextToken": "t1" }));
}

#[tokio::test]
async fn a_secret_that_is_to_be_deleted_is_described_as_deleted_and_not_listed() {
    let described = json!({ "Name": "gone", "ARN": "a", "CreatedDate": 1, "DeletedDate": 2 });
    let listed = ResponseTemplate::new(200).set_body_json(json!({ "SecretList": [described.clone()] }));
    let server = server([ResponseTemplate::new(200).set_body_json(described), listed]).await;
    let provider = provider(config(&server));
    let error = provider.describe_secret("gone").await.unwrap_err();
    assert_eq!(error, SecretNotFoundError::Deleted { path: "gone".into() }.into());
    assert!(provider.list_secrets("", ListOptions::default()).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_rotation_is_asked_for_with_a_token_of_its_own() {
    let rotated = json!({ "ARN": "a", "Name": "db", "VersionId": "new" });
    let server = server([ResponseTemplate::new(200).set_body_json(rotated)]).await;
    let provider = provider(config(&server));
    let result = provider.rotate_secret("db").await.unwrap();
    assert_eq!(result.version_id.as_deref(), Some("new"));
    assert_eq!((result.triggered, result.status), (true, RotationStatus::InProgress));
    provider.rotate_secret("db").await.unwrap();
    let tokens: Vec<_> =
        requests(&server).await.iter().map(|r| json(r)["ClientRequestToken"].clone()).collect();
    assert!(tokens[0].as_str().unwrap().len() == 36 && tokens[0] != tokens[1]);
}

#[tokio::test]
async fn a_rotation_whose_answer_is_lost_is_asked_for_again_with_the_same_token() {
    let rotated = json!({ "ARN": "a", "Name": "db", "VersionId": "new" });
    let server = server([
        fault(500, "InternalServiceError", "An error occurred on the server side."),
        fault(503, "ServiceUnavailable", "busy"),
        ResponseTemplate::new(200).set_body_json(rotated),
    ])
    .await;
    let at_once = Backoff { attempts: 3, base: Duration::ZERO };
    let retry = RetryConfig {
        internal_error: at_once,
        unavailable: at_once,
        provider_rules: false,
        ..RetryConfig::default()
    };
    let client = Client::builder().provider(Arc::new(provider(config(&server)))).retry(retry);
    client.build().unwrap().rotate_secret("db").await.unwrap();
    let requests = requests(&server).await;
    let tokens: HashSet<_> = requests.iter().map(|r| json(r)["ClientRequestToken"].to_string()).collect();
    assert_eq!((requests.len(), tokens.len()), (3, 1), "{tokens:?}");
}

#[tokio::test]
async fn a_rotation_that_is_not_begun_says_why() {
    let cases = [
        (
            "InvalidRequestException",
            "A previous rotation isn't complete. That rotation will be reattempted.",
            "rotation_in_progress",
        ),
        (
            "InvalidRequestException",
            "You tried to enable rotation on a secret that doesn't already have a Lambda function ARN configured",
            "rotation_not_configured",
        ),
        (
            "InvalidRequestException",
            "No Lambda rotation function ARN is associated with this secret.",
            "rotation_not_configured",
        ),
        ("InvalidRequestException", "The secret is managed by another service", "rotation_failed"),
        (
            "AccessDeniedException",
            "Secrets Manager cannot invoke the specified Lambda function.",
            "rotation_failed",
        ),
        ("ResourceNotFoundException", "Lambda does not exist or could not be accessed", "rotation_failed"),
        ("ResourceNotFoundException", "Secrets Manager can't find the specified secret.", "not_found_secret"),
        ("InvalidRequestException", "it was marked for deletion.", "not_found_deleted"),
    ];
    for (kind, words, expected) in cases {
        let server = server([fault(400, kind, words)]).await;
        let error = provider(config(&server)).rotate_secret("db").await.unwrap_err();
        assert_eq!(error.error_type(), expected, "{words}");
    }
}

#[tokio::test]
async fn a_store_is_well_if_it_accepts_who_asks() {
    let healthy = server([page(&[], None)]).await;
    assert_eq!(provider(config(&healthy)).health_check().await, Ok(()));
    let narrow = server([fault(400, "AccessDeniedException", "no identity-based policy")]).await;
    assert_eq!(provider(config(&narrow)).health_check().await, Ok(()));
    let error = provider(config(&narrow)).list_secrets("app/", ListOptions::default()).await.unwrap_err();
    assert!(matches!(error, SecretsError::Access(AccessError::AccessDenied { path, .. }) if path == "app/"));
    let closed = server([fault(400, "UnrecognizedClientException", "who?")]).await;
    assert!(provider(config(&closed)).health_check().await.is_err());
}

#[tokio::test]
async fn a_region_comes_from_the_environment_and_is_needed() {
    let with = |environment| {
        AwsSecretsManagerProvider::with(AwsSecretsManagerConfig::new(""), WallClock::default(), environment)
    };
    let error = with(Environment::of([])).unwrap_err();
    assert!(matches!(error, ConfigurationError::MissingEndpoint { .. }));
    assert!(with(Environment::of([("AWS_REGION", "eu-west-1")])).is_ok());
    assert!(with(Environment::of([("AWS_DEFAULT_REGION", "eu-west-1")])).is_ok());
    assert!(with(Environment::of([("AWS_REGION", "evil.example/")])).is_err());
}
