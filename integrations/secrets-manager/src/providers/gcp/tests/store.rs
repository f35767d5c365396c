//! Operations, and every error that is known, by its shape on the wire.

use std::{collections::HashMap, time::Duration};

use secrecy::ExposeSecret;

use super::*;
use crate::{SecretProvider, providers::heard::Heard, types::*};

async fn asked_of(answer: ResponseTemplate, options: GetSecretOptions) -> SecretsError {
    let server = server([answer]).await;
    provider(config(&server)).get_secret("db", options).await.unwrap_err()
}

async fn error_of(answer: ResponseTemplate) -> SecretsError {
    asked_of(answer, GetSecretOptions::default()).await
}

fn version(version: &str) -> GetSecretOptions {
    GetSecretOptions { version: Some(version.into()), ..GetSecretOptions::default() }
}

fn stage(stage: &str) -> GetSecretOptions {
    GetSecretOptions { stage: Some(stage.into()), ..GetSecretOptions::default() }
}

#[tokio::test]
async fn a_version_is_asked_for_by_latest_number_alias_or_full_name() {
    let server = server([value()]).await;
    let provider = provider(config(&server));
    let found = provider.get_secret("db", GetSecretOptions::default()).await.unwrap();
    assert_eq!((found.value.expose_secret(), &*found.version, found.binary), ("hunter2", "5", false));
    assert_eq!(found.created_at, noon());
    assert_eq!(found.metadata.current_version, "5");
    let pinned = provider.get_secret("db", version("5")).await.unwrap();
    assert_eq!(pinned.metadata.current_version, "", "whether it is current is not known");
    provider.get_secret("db", stage("blue")).await.unwrap();
    let full = "projects/other/locations/us-east1/secrets/db/versions/2";
    provider.get_secret(full, GetSecretOptions::default()).await.unwrap();
    let requests = requests(&server).await;
    let paths: Vec<_> = requests.iter().map(|request| request.url.path()).collect();
    assert_eq!(
        paths,
        [
            "/v1/projects/p/secrets/db/versions/latest:access",
            "/v1/projects/p/secrets/db/versions/5:access",
            "/v1/projects/p/secrets/db/versions/blue:access",
            "/v1/projects/other/locations/us-east1/secrets/db/versions/2:access",
        ]
    );
    assert_eq!(header(&requests[0], "authorization"), "Bearer canary-token");
}

#[tokio::test]
async fn secrets_of_a_location_are_asked_for_there() {
    let server = server([value()]).await;
    let regional = GcpSecretManagerConfig { location: Some("europe-west3".into()), ..config(&server) };
    provider(regional).get_secret("db", GetSecretOptions::default()).await.unwrap();
    let expected = "/v1/projects/p/locations/europe-west3/secrets/db/versions/latest:access";
    assert_eq!(requests(&server).await[0].url.path(), expected);
}

#[tokio::test]
async fn an_endpoint_keeps_its_path() {
    let server = server([value()]).await;
    for path in ["gate/secrets", "gate/secrets/", "", "?key=x"] {
        let endpoint = Some(format!("{}/{path}", server.uri()).parse().unwrap());
        let provider = provider(GcpSecretManagerConfig { endpoint, ..config(&server) });
        provider.get_secret("db", GetSecretOptions::default()).await.unwrap();
    }
    let asked = requests(&server).await;
    let asked: Vec<_> = asked.iter().map(|request| request.url.path()).collect();
    let below = "/v1/projects/p/secrets/db/versions/latest:access";
    let expected = ["/gate/secrets", "/gate/secrets", "", ""].map(|path| format!("{path}{below}"));
    assert_eq!(asked, expected);
}

#[tokio::test]
async fn each_status_of_google_has_its_error() {
    let denied = "Permission 'secretmanager.versions.access' denied for resource 'projects/p/secrets/db/versions/latest' (or it may not exist).";
    let cases = [
        (
            fault(404, "NOT_FOUND", "Secret [projects/1/secrets/db] not found or has no versions."),
            "not_found_secret",
        ),
        (fault(403, "PERMISSION_DENIED", denied), "access_denied"),
        (reason(403, "PERMISSION_DENIED", denied, "IAM_PERMISSION_DENIED"), "access_denied"),
        (
            reason(403, "PERMISSION_DENIED", "API has not been used", "SERVICE_DISABLED"),
            "configuration_invalid_provider",
        ),
        (
            reason(
                403,
                "PERMISSION_DENIED",
                "Request is prohibited by organization's policy.",
                "SECURITY_POLICY_VIOLATED",
            ),
            "access_resource_policy_denied",
        ),
        (
            fault(403, "PERMISSION_DENIED", "Permission 'cloudkms.cryptoKeyVersions.useToDecrypt' denied"),
            "access_kms_denied",
        ),
        (fault(400, "FAILED_PRECONDITION", "Cloud KMS key is disabled"), "access_kms_denied"),
        (
            fault(
                400,
                "FAILED_PRECONDITION",
                "Secret Version [projects/1/secrets/db/versions/5] is in DISABLED state.",
            ),
            "access_disabled",
        ),
        (fault(400, "FAILED_PRECONDITION", "something else"), "configuration_invalid_request"),
        (fault(400, "INVALID_ARGUMENT", "bad"), "configuration_invalid_request"),
        (
            fault(429, "RESOURCE_EXHAUSTED", "Quota exceeded for quota metric 'Access requests'"),
            "provider_rate_limited",
        ),
        (fault(503, "UNAVAILABLE", "down"), "provider_unavailable"),
        (fault(504, "DEADLINE_EXCEEDED", "slow"), "provider_unavailable"),
        (fault(500, "INTERNAL", "oops"), "provider_internal_error"),
        (fault(500, "UNKNOWN", "oops"), "provider_internal_error"),
        (fault(401, "UNAUTHENTICATED", "no"), "authentication_invalid_credentials"),
        (reason(401, "UNAUTHENTICATED", "no", "ACCESS_TOKEN_EXPIRED"), "authentication_expired_credentials"),
    ];
    for (answer, expected) in cases {
        let error = error_of(answer).await;
        assert_eq!(error.error_type(), expected, "{error}");
    }
}

#[tokio::test]
async fn what_may_not_exist_is_not_taken_for_missing() {
    let words = "Permission 'secretmanager.versions.access' denied for resource 'r' (or it may not exist).";
    assert!(!error_of(fault(403, "PERMISSION_DENIED", words)).await.is_not_found());
}

#[tokio::test]
async fn a_version_that_is_destroyed_or_missing_is_named() {
    let path = "db".to_owned();
    let words = "Secret Version [projects/1/secrets/db/versions/4] is in DESTROYED state.";
    let error = error_of(fault(400, "FAILED_PRECONDITION", words)).await;
    assert_eq!(error, SecretNotFoundError::Destroyed { path: path.clone(), version: "4".into() }.into());
    let words = "Secret Version [projects/1/secrets/db/versions/9] not found.";
    let error = asked_of(fault(404, "NOT_FOUND", words), version("9")).await;
    assert_eq!(
        error,
        SecretNotFoundError::VersionNotFound { path: path.clone(), version: "9".into() }.into()
    );
    let error = asked_of(fault(404, "NOT_FOUND", words), stage("blue")).await;
    assert_eq!(error, SecretNotFoundError::StageNotFound { path, stage: "blue".into() }.into());
}

#[tokio::test]
async fn an_answer_without_googles_words_is_told_by_its_status() {
    let html = "<!DOCTYPE html><html lang=en><title>Error</title>";
    for (status, expected) in [
        (404, "configuration_invalid_path_pattern"),
        (403, "access_denied"),
        (429, "provider_rate_limited"),
        (500, "provider_internal_error"),
        (502, "provider_unavailable"),
        (503, "provider_unavailable"),
        (200, "provider_internal_error"),
        (302, "provider_internal_error"),
    ] {
        let error = error_of(ResponseTemplate::new(status).set_body_string(html)).await;
        assert_eq!(error.error_type(), expected, "{status}");
    }
}

#[tokio::test]
async fn how_long_to_wait_is_told_by_the_header_or_the_words() {
    let answer = fault(429, "RESOURCE_EXHAUSTED", "often").insert_header("retry-after", "7");
    assert_eq!(error_of(answer).await.retry_after(), Some(Duration::from_secs(7)));
    let detail = json!({ "@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1.5s" });
    let error =
        json!({ "code": 429, "message": "often", "status": "RESOURCE_EXHAUSTED", "details": [detail] });
    let answer = ResponseTemplate::new(429).set_body_json(json!({ "error": error }));
    assert_eq!(error_of(answer).await.retry_after(), Some(Duration::from_millis(1500)));
}

#[tokio::test]
async fn a_value_that_is_damaged_on_its_way_may_be_asked_for_again() {
    let payload = json!({ "data": "aHVudGVyMg==", "dataCrc32c": "1" });
    let body = json!({ "name": "projects/1/secrets/db/versions/5", "payload": payload });
    let error = error_of(ResponseTemplate::new(200).set_body_json(body)).await;
    assert!(error.is_retryable() && !error.to_string().contains("hunter2"), "{error}");
}

#[tokio::test]
async fn what_gcp_cannot_have_is_refused_before_anybody_is_asked() {
    let server = server([value()]).await;
    let provider = provider(config(&server));
    for path in ["", "a/b", "a.b", "ä", "a%2fb"] {
        let error = provider.get_secret(path, GetSecretOptions::default()).await.unwrap_err();
        assert_eq!(error.error_type(), "configuration_invalid_path_pattern", "{path}");
        assert!(provider.describe_secret(path).await.is_err());
    }
    for wrong in ["", "../5", "5:destroy", "5?alt=media"] {
        assert!(matches!(
            provider.get_secret("db", version(wrong)).await,
            Err(SecretsError::Configuration(ConfigurationError::InvalidPathPattern { .. }))
        ));
    }
    let both = GetSecretOptions { stage: Some("blue".into()), ..version("5") };
    let at = GetSecretOptions { at: Some(noon()), ..GetSecretOptions::default() };
    for options in [both, at] {
        assert!(matches!(provider.get_secret("db", options).await, Err(SecretsError::Configuration(_))));
    }
    assert!(provider.list_page("a/b", ListOptions::default()).await.is_err());
    assert!(requests(&server).await.is_empty());
}

fn page(names: &[&str], next: &str) -> ResponseTemplate {
    let entry = |name: &&str| {
        json!({ "name": format!("projects/1/secrets/{name}"),
        "createTime": "2025-01-01T00:00:00Z",
        "labels": { "env": if name.ends_with("test") { "test" } else { "prod" } } })
    };
    let secrets: Vec<_> = names.iter().map(entry).collect();
    ResponseTemplate::new(200).set_body_json(json!({ "secrets": secrets, "nextPageToken": next }))
}

#[tokio::test]
async fn a_list_is_had_page_by_page_with_the_exact_prefix_and_labels() {
    let server = server([page(&["app-one", "an-app-two"], "t1"), page(&["app-test", "app-three"], "")]).await;
    let tags = HashMap::from([("env".to_owned(), "prod".to_owned())]);
    let options = ListOptions { tags: Some(tags), ..ListOptions::default() };
    let found = provider(config(&server)).list_secrets("app-", options).await.unwrap();
    let names: Vec<_> = found.iter().map(|secret| secret.name.as_str()).collect();
    assert_eq!(names, ["app-one", "app-three"]);
    let requests = requests(&server).await;
    assert_eq!(requests[0].url.path(), "/v1/projects/p/secrets");
    assert_eq!(requests[0].url.query(), Some("pageSize=250&filter=name%3Aapp-"));
    assert_eq!(requests[1].url.query(), Some("pageSize=250&filter=name%3Aapp-&pageToken=t1"));
}

#[tokio::test]
async fn an_empty_project_is_an_empty_list() {
    let server = server([ResponseTemplate::new(200).set_body_json(json!({}))]).await;
    assert!(provider(config(&server)).list_secrets("", ListOptions::default()).await.unwrap().is_empty());
}

fn described() -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(json!({ "name": "projects/1/secrets/db",
        "createTime": "2025-01-01T00:00:00Z", "versionAliases": { "blue": "7" } }))
}

#[tokio::test]
async fn a_description_has_the_latest_number_where_it_may_be_known() {
    let latest = json!({ "name": "projects/1/secrets/db/versions/7", "state": "ENABLED" });
    let open = server([described(), ResponseTemplate::new(200).set_body_json(latest)]).await;
    let metadata = provider(config(&open)).describe_secret("db").await.unwrap();
    assert_eq!((metadata.current_version.as_str(), metadata.stages), ("7", vec!["blue".to_owned()]));
    for refusal in
        [fault(403, "PERMISSION_DENIED", "no"), fault(404, "NOT_FOUND", "Secret Version [x] not found.")]
    {
        let narrow = server([described(), refusal]).await;
        assert_eq!(provider(config(&narrow)).describe_secret("db").await.unwrap().current_version, "");
    }
    let down = server([described(), fault(503, "UNAVAILABLE", "down")]).await;
    assert!(provider(config(&down)).describe_secret("db").await.is_err());
}

#[tokio::test]
async fn a_rotation_is_not_something_that_gcp_begins() {
    let server = server([value()]).await;
    let error = provider(config(&server)).rotate_secret("db").await.unwrap_err();
    assert_eq!(error.error_type(), "rotation_not_configured");
    assert!(requests(&server).await.is_empty());
}

#[tokio::test]
async fn a_store_is_well_if_it_accepts_who_asks() {
    let healthy = server([page(&[], "")]).await;
    assert_eq!(provider(config(&healthy)).health_check().await, Ok(()));
    let narrow = server([fault(403, "PERMISSION_DENIED", "no")]).await;
    assert_eq!(provider(config(&narrow)).health_check().await, Ok(()));
    let error = provider(config(&narrow)).list_secrets("app-", ListOptions::default()).await.unwrap_err();
    assert!(matches!(error, SecretsError::Access(AccessError::AccessDenied { path, .. }) if path == "app-"));
    let closed = server([fault(401, "UNAUTHENTICATED", "who?")]).await;
    assert!(provider(config(&closed)).health_check().await.is_err());
}

#[tokio::test]
async fn nothing_secret_is_traced_at_any_level() {
    let heard = Heard::default();
    let _guard = tracing::subscriber::set_default(heard.subscriber());
    let server = server([value(), fault(401, "UNAUTHENTICATED", "no")]).await;
    let provider = provider(config(&server));
    provider.get_secret("db", GetSecretOptions::default()).await.unwrap();
    provider.get_secret("db", GetSecretOptions::default()).await.unwrap_err();
    heard.has_none_of(&["hunter2", "aHVudGVyMg", "canary-token"]);
}

#[tokio::test]
async fn a_token_that_is_given_is_tried_once() {
    let server = server([fault(401, "UNAUTHENTICATED", "no")]).await;
    let error = provider(config(&server)).get_secret("db", GetSecretOptions::default()).await.unwrap_err();
    assert!(!format!("{error:?} {error}").contains("canary"));
    assert_eq!(requests(&server).await.len(), 1);
}

#[tokio::test]
async fn a_project_comes_from_the_environment_and_is_needed() {
    let with = |project: &str, environment| {
        GcpSecretManagerProvider::with(
            GcpSecretManagerConfig::new(project),
            WallClock::default(),
            environment,
        )
    };
    assert!(with("", Environment::of([])).is_err());
    assert!(with("", Environment::of([("GOOGLE_CLOUD_PROJECT", "p")])).is_ok());
    assert!(with("../p", Environment::of([])).is_err());
}
