//! Logins to a scripted Key Vault: its challenge, its tokens, who is asked for them; and a list that leads away.

use std::sync::{
    Arc,
    atomic::{AtomicI64, AtomicUsize, Ordering::SeqCst},
};

use chrono::{DateTime, TimeDelta};
use secrets_manager::{
    GetSecretOptions, ListOptions, SecretProvider, SecretsError, WallClock,
    providers::azure::{AzureCredentials, AzureKeyVaultConfig, AzureKeyVaultProvider},
    transport::TransportConfig,
};
use serde_json::json;

use crate::server::{Asked, Reply, Server, json as reply};

const VERSION: &str = "0123456789abcdef0123456789abcdef";

fn application() -> AzureCredentials {
    AzureCredentials::ClientSecret {
        tenant_id: None,
        client_id: "app".into(),
        client_secret: "canary & secret".into(),
    }
}

/// A vault that is its own authority, as a fake's is.
fn config(url: &str, credentials: AzureCredentials, transport: TransportConfig) -> AzureKeyVaultConfig {
    AzureKeyVaultConfig {
        vault_url: url.parse().unwrap(),
        authority_host: Some(url.parse().unwrap()),
        credentials,
        api_version: "7.4".into(),
        separator: None,
        enforce_validity: true,
        verify_challenge: false,
        transport,
    }
}

pub fn with(url: &str, credentials: AzureCredentials) -> AzureKeyVaultProvider {
    let clock = WallClock::new(|| "2025-06-01T00:00:00Z".parse().unwrap());
    AzureKeyVaultProvider::new(config(url, credentials, TransportConfig::default()), clock).unwrap()
}

pub fn provider(url: &str, transport: TransportConfig) -> Box<dyn SecretProvider> {
    let config = config(url, application(), transport);
    Box::new(AzureKeyVaultProvider::new(config, WallClock::default()).unwrap())
}

/// The challenge to a request without a token, and a token that lasts an hour.
pub fn login(asked: &Asked) -> Option<Reply> {
    if asked.path.ends_with("/token") {
        return Some(token("canary-token"));
    }
    asked.header("authorization").is_empty().then(challenge)
}

pub fn challenge() -> Reply {
    let wanted =
        r#"Bearer authorization="https://login.windows.net/home", resource="https://vault.azure.net""#;
    Reply::Answer { status: 401, headers: vec![("www-authenticate", wanted.into())], body: String::new() }
}

fn token(text: &str) -> Reply {
    reply(200, json!({"token_type": "Bearer", "expires_in": 3599, "access_token": text}))
}

fn secret(attributes: serde_json::Value) -> Reply {
    let id = format!("https://home.vault.azure.net/secrets/db/{VERSION}");
    reply(200, json!({"value": "swordfish", "id": id, "attributes": attributes}))
}

fn enabled() -> Reply {
    secret(json!({"enabled": true, "created": 1_700_000_000, "updated": 1_700_000_001}))
}

async fn get(provider: &AzureKeyVaultProvider) -> Result<String, SecretsError> {
    provider.get_secret("db", GetSecretOptions::default()).await.map(|secret| secret.version.to_string())
}

#[tokio::test]
async fn a_token_is_had_for_what_the_challenge_wants_and_kept() {
    let server = Server::answering(|asked| login(asked).unwrap_or_else(enabled)).await;
    let provider = with(&server.url, application());
    for _ in 0..2 {
        assert_eq!(get(&provider).await.unwrap(), VERSION);
    }
    let asked = server.asked();
    let lines: Vec<_> = asked.iter().map(|asked| format!("{} {}", asked.method, asked.path)).collect();
    let read = "GET /secrets/db?api-version=7.4";
    assert_eq!(lines, [read, "POST /home/oauth2/v2.0/token", read, read]);
    assert_eq!(
        asked[1].body,
        "grant_type=client_credentials&client_id=app&scope=https%3A%2F%2Fvault.azure.net%2F.default\
         &client_secret=canary+%26+secret"
    );
    assert_eq!(asked[2].header("authorization"), "Bearer canary-token");
}

/// A provider whose clock says so many seconds after it was made.
fn at_seconds(url: &str) -> (AzureKeyVaultProvider, Arc<AtomicI64>) {
    let seconds = Arc::new(AtomicI64::new(0));
    let told = Arc::clone(&seconds);
    let clock = WallClock::new(move || DateTime::UNIX_EPOCH + TimeDelta::seconds(told.load(SeqCst)));
    let config = config(url, application(), TransportConfig::default());
    (AzureKeyVaultProvider::new(config, clock).unwrap(), seconds)
}

#[tokio::test]
async fn a_token_is_replaced_shortly_before_its_end() {
    let server = Server::answering(|asked| login(asked).unwrap_or_else(enabled)).await;
    let (provider, clock) = at_seconds(&server.url);
    for (seconds, logins) in [(0, 1), (3298, 1), (3299, 2)] {
        clock.store(seconds, SeqCst);
        get(&provider).await.unwrap();
        assert_eq!(server.times("token"), logins, "after {seconds} s");
    }
}

#[tokio::test]
async fn a_login_that_fails_leaves_a_token_that_is_still_good() {
    let logins = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&logins);
    let server = Server::answering(move |asked| {
        if asked.path.ends_with("/token") && counted.fetch_add(1, SeqCst) > 0 {
            return reply(503, json!({"error": "temporarily_unavailable"}));
        }
        login(asked).unwrap_or_else(enabled)
    })
    .await;
    let (provider, clock) = at_seconds(&server.url);
    get(&provider).await.unwrap();
    clock.store(3400, SeqCst);
    get(&provider).await.unwrap();
    assert_eq!(logins.load(SeqCst), 2);
    clock.store(3599, SeqCst);
    assert_eq!(get(&provider).await.unwrap_err().error_type(), "provider_unavailable");
}

#[tokio::test]
async fn who_comes_together_logs_in_once() {
    let server = Server::answering(|asked| login(asked).unwrap_or_else(enabled)).await;
    let provider = with(&server.url, application());
    let (one, two, three) = tokio::join!(get(&provider), get(&provider), get(&provider));
    assert!(one.is_ok() && two.is_ok() && three.is_ok());
    assert_eq!(server.times("token"), 1);
}

#[tokio::test]
async fn a_token_that_is_refused_is_replaced_once() {
    let tokens = Arc::new(AtomicUsize::new(0));
    let given = Arc::clone(&tokens);
    let server = Server::answering(move |asked| match asked.header("authorization") {
        _ if asked.path.ends_with("/token") => token(&format!("token-{}", given.fetch_add(1, SeqCst))),
        "" | "Bearer token-0" => challenge(),
        _ => enabled(),
    })
    .await;
    assert_eq!(get(&with(&server.url, application())).await.unwrap(), VERSION);
    assert_eq!(tokens.load(SeqCst), 2);
}

#[tokio::test]
async fn a_vault_that_refuses_every_token_is_asked_no_further() {
    let server = Server::answering(|asked| match login(asked) {
        Some(reply) => reply,
        None => challenge(),
    })
    .await;
    let error = get(&with(&server.url, application())).await.unwrap_err();
    assert_eq!(error.error_type(), "authentication_invalid_credentials");
    assert_eq!(server.times("/secrets/"), 3);
}

#[tokio::test]
async fn a_challenge_for_another_service_gets_no_token() {
    let server = Server::answering(|asked| login(asked).unwrap_or_else(enabled)).await;
    let config = AzureKeyVaultConfig {
        verify_challenge: true,
        ..config(&server.url, application(), TransportConfig::default())
    };
    let provider = AzureKeyVaultProvider::new(config, WallClock::default()).unwrap();
    let error = get(&provider).await.unwrap_err();
    assert_eq!(error.error_type(), "configuration_invalid_provider", "{error}");
    assert_eq!(server.times("token"), 0);
}

#[tokio::test]
async fn a_workload_shows_its_federated_token_and_a_machine_asks_beside_itself() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jwt");
    std::fs::write(&file, "canary-jwt\n").unwrap();
    let server = Server::answering(|asked| {
        if asked.path.starts_with("/metadata/") {
            return reply(200, json!({"access_token": "t", "expires_in": "3599"}));
        }
        login(asked).unwrap_or_else(enabled)
    })
    .await;
    let workload = AzureCredentials::WorkloadIdentity {
        tenant_id: Some("mine".into()),
        client_id: Some("app".into()),
        token_file: Some(file),
    };
    get(&with(&server.url, workload)).await.unwrap();
    let asked = &server.asked()[1];
    assert_eq!(asked.path, "/mine/oauth2/v2.0/token");
    assert!(asked.body.ends_with(
        "client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer\
         &client_assertion=canary-jwt"
    ));
    let endpoint = format!("{}/metadata/identity/oauth2/token", server.url).parse().ok();
    let machine = AzureCredentials::ManagedIdentity { client_id: Some("app".into()), endpoint };
    get(&with(&server.url, machine)).await.unwrap();
    let asked = server.asked().into_iter().find(|asked| asked.path.starts_with("/metadata/")).unwrap();
    assert_eq!(asked.header("metadata"), "true");
    assert!(
        asked.path.ends_with("?api-version=2018-02-01&resource=https%3A%2F%2Fvault.azure.net&client_id=app")
    );
}

#[tokio::test]
async fn a_token_service_that_refuses_says_why() {
    for (status, error, description, kind) in [
        (401, "invalid_client", "AADSTS7000215: Invalid client secret", "authentication_invalid_credentials"),
        (401, "invalid_client", "AADSTS7000222: The keys are expired", "authentication_expired_credentials"),
        (400, "unauthorized_client", "AADSTS700016: not found", "authentication_invalid_credentials"),
        (403, "access_denied", "", "authentication_insufficient_permissions"),
        (400, "something_new", "", "authentication_token_refresh_failed"),
        (429, "temporarily_unavailable", "", "provider_rate_limited"),
        (503, "temporarily_unavailable", "", "provider_unavailable"),
    ] {
        let refused = reply(status, json!({"error": error, "error_description": description}));
        let server = Server::answering(move |asked| match asked.path.ends_with("/token") {
            true => refused.clone(),
            false => challenge(),
        })
        .await;
        let error = get(&with(&server.url, application())).await.unwrap_err();
        assert_eq!(error.error_type(), kind, "{error}");
        assert!(!error.to_string().contains("canary"), "{error}");
    }
}

#[tokio::test]
async fn a_secret_is_given_out_within_its_time_only() {
    // The clock says 2025-06-01, which is 1748736000.
    for (times, kind) in [
        (json!({"nbf": 1_748_735_999, "exp": 1_748_736_001}), None),
        (json!({"nbf": 1_748_736_001}), Some("access_not_yet_valid")),
        (json!({"exp": 1_748_736_000}), Some("access_expired")),
        (json!({"enabled": false}), Some("access_disabled")),
    ] {
        let mut attributes = json!({"enabled": true, "created": 1});
        attributes.as_object_mut().unwrap().extend(times.as_object().unwrap().clone());
        let found = secret(attributes);
        let server = Server::answering(move |asked| login(asked).unwrap_or_else(|| found.clone())).await;
        let got = with(&server.url, application()).get_secret("db", GetSecretOptions::default()).await;
        assert_eq!(got.as_ref().err().map(SecretsError::error_type), kind, "{times}");
        if let Ok(secret) = got {
            assert_eq!(secret.valid_until.unwrap().timestamp(), 1_748_736_001);
        }
    }
}

#[tokio::test]
async fn a_list_never_leads_away_from_its_vault() {
    let server = Server::answering(|asked| {
        login(asked)
            .unwrap_or_else(|| reply(200, json!({"value": [], "nextLink": "https://evil.example/secrets"})))
    })
    .await;
    let provider = with(&server.url, application());
    let error = provider.list_secrets("", ListOptions::default()).await.unwrap_err();
    assert_eq!(error.error_type(), "provider_internal_error", "{error}");
    assert_eq!(server.times("/secrets"), 2);
}

#[tokio::test]
async fn health_needs_to_be_known_and_not_to_be_allowed() {
    for (status, code, healthy) in
        [(200, "", true), (403, "ForbiddenByRbac", true), (403, "ForbiddenByFirewall", false)]
    {
        let answer = match status {
            200 => reply(200, json!({"value": []})),
            _ => reply(
                403,
                json!({"error": {"code": "Forbidden", "message": "", "innererror": {"code": code}}}),
            ),
        };
        let server = Server::answering(move |asked| login(asked).unwrap_or_else(|| answer.clone())).await;
        assert_eq!(with(&server.url, application()).health_check().await.is_ok(), healthy, "{code}");
    }
}

/// What is said of a version that the vault does not find, when this is its answer to what versions there are.
async fn error_of_version(versions: Reply) -> SecretsError {
    let not_found = reply(404, json!({"error": {"code": "SecretNotFound", "message": "no"}}));
    let server = Server::answering(move |asked| {
        let of_versions = asked.path.contains("/versions?").then(|| versions.clone());
        login(asked).or(of_versions).unwrap_or_else(|| not_found.clone())
    })
    .await;
    let options = GetSecretOptions { version: Some(VERSION.into()), ..GetSecretOptions::default() };
    with(&server.url, application()).get_secret("db", options).await.unwrap_err()
}

#[tokio::test]
async fn a_version_that_is_not_there_is_told_apart_from_a_secret_that_is_not_there() {
    let id = format!("https://home.vault.azure.net/secrets/db/{VERSION}");
    let one = json!({"value": [{"id": id, "attributes": {"created": 1}}]});
    let forbidden =
        json!({"error": {"code": "Forbidden", "message": "", "innererror": {"code": "ForbiddenByRbac"}}});
    for (answer, kind) in [
        (reply(200, one), "not_found_version"),
        (reply(200, json!({"value": []})), "not_found_secret"),
        (reply(404, json!({"error": {"code": "SecretNotFound", "message": ""}})), "not_found_secret"),
        // Who may not see what versions there are is told what was asked.
        (reply(403, forbidden), "not_found_version"),
        (Reply::Cut, "network_connection_failed"),
    ] {
        assert_eq!(error_of_version(answer.clone()).await.error_type(), kind, "{answer:?}");
    }
}

#[tokio::test]
async fn a_machines_token_service_that_is_starting_is_not_available() {
    for (status, body, kind) in [
        (404, json!({}), "provider_unavailable"),
        (410, json!({}), "provider_unavailable"),
        (400, json!({"error": "invalid_request"}), "authentication_invalid_credentials"),
        (400, json!({}), "authentication_token_refresh_failed"),
        (200, json!({"access_token": "", "expires_in": 1}), "authentication_token_refresh_failed"),
        (200, json!({"access_token": "t"}), "authentication_token_refresh_failed"),
    ] {
        let answer = reply(status, body.clone());
        let server = Server::answering(move |asked| match asked.path.starts_with("/metadata/") {
            true => answer.clone(),
            false => challenge(),
        })
        .await;
        let endpoint = format!("{}/metadata/token", server.url).parse().ok();
        let machine = AzureCredentials::ManagedIdentity { client_id: None, endpoint };
        assert_eq!(get(&with(&server.url, machine)).await.unwrap_err().error_type(), kind, "{status} {body}");
    }
}

#[tokio::test]
async fn a_vault_that_tells_nothing_of_the_token_it_wants_gets_none() {
    let silent = |headers| Reply::Answer { status: 401, headers, body: String::new() };
    let no_directory = vec![("www-authenticate", r#"Bearer resource="https://vault.azure.net""#.into())];
    for (reply, kind) in [
        (silent(Vec::new()), "authentication_invalid_credentials"),
        (silent(no_directory), "configuration_invalid_provider"),
    ] {
        let server = Server::answering(move |_| reply.clone()).await;
        assert_eq!(get(&with(&server.url, application())).await.unwrap_err().error_type(), kind);
        assert_eq!(server.times("token"), 0);
    }
}
