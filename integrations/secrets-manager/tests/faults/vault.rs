//! Logins to a scripted Vault: renewed, replaced, told apart from a missing policy; and its redirects and namespaces.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use secrets_manager::{
    GetSecretOptions, SecretProvider, SecretsError, WallClock,
    providers::vault::{VaultAuth, VaultConfig, VaultProvider},
    transport::TransportConfig,
};
use serde_json::json;

use crate::server::{Asked, Reply, Server, json as reply};

pub fn config(url: &str, auth: VaultAuth, transport: TransportConfig) -> VaultConfig {
    let address = url.parse().unwrap();
    VaultConfig { address, auth, mount_path: "secret".into(), namespace: None, transport }
}

pub fn app_role() -> VaultAuth {
    VaultAuth::AppRole { role_id: "app".into(), secret_id: "canary-secret".into(), mount: "approle".into() }
}

pub fn with(url: &str, auth: VaultAuth) -> VaultProvider {
    VaultProvider::new(config(url, auth, TransportConfig::default()), WallClock::default()).unwrap()
}

pub fn provider(url: &str, transport: TransportConfig) -> Box<dyn SecretProvider> {
    Box::new(VaultProvider::new(config(url, app_role(), transport), WallClock::default()).unwrap())
}

/// A login that lasts an hour, and a token that Vault knows.
pub fn login(asked: &Asked) -> Option<Reply> {
    if asked.path.ends_with("/login") {
        return Some(lease("canary-token", 3600, true));
    }
    asked
        .path
        .ends_with("/lookup-self")
        .then(|| reply(200, json!({"data": {"ttl": 3600, "renewable": true}})))
}

fn lease(token: &str, lasts: u64, renewable: bool) -> Reply {
    let auth = json!({"client_token": token, "lease_duration": lasts, "renewable": renewable});
    reply(200, json!({"data": null, "auth": auth}))
}

fn secret() -> Reply {
    let metadata = json!({"created_time": "2025-01-01T00:00:00.5Z", "custom_metadata": null, "deletion_time": "",
        "destroyed": false, "version": 3});
    reply(200, json!({"data": {"data": {"password": "swordfish"}, "metadata": metadata}}))
}

pub fn denied() -> Reply {
    reply(403, json!({"errors": ["permission denied"]}))
}

async fn get(provider: &VaultProvider) -> Result<String, SecretsError> {
    provider.get_secret("db", GetSecretOptions::default()).await.map(|secret| secret.version.to_string())
}

/// Lets time pass while no request is under way.
async fn pass(seconds: u64) {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(seconds)).await;
    tokio::time::resume();
}

#[tokio::test]
async fn who_comes_together_logs_in_once() {
    let server = Server::answering(|asked| login(asked).unwrap_or_else(secret)).await;
    let provider = with(&server.url, app_role());
    let (one, two, three) = tokio::join!(get(&provider), get(&provider), get(&provider));
    assert_eq!([one.unwrap(), two.unwrap(), three.unwrap()], ["3", "3", "3"]);
    assert_eq!((server.times("login"), server.times("data")), (1, 3));
}

#[tokio::test]
async fn a_token_is_renewed_before_it_is_over_and_had_anew_afterwards() {
    let logins = AtomicUsize::new(0);
    let server = Server::answering(move |asked| match &*asked.path {
        "/v1/auth/token/renew-self" => lease(asked.header("x-vault-token"), 600, true),
        "/v1/auth/approle/login" => lease(&logins.fetch_add(1, SeqCst).to_string(), 3600, true),
        _ => secret(),
    })
    .await;
    let provider = with(&server.url, app_role());
    get(&provider).await.unwrap();
    pass(2000).await;
    get(&provider).await.unwrap();
    assert_eq!(server.times("renew-self"), 0);
    pass(500).await;
    get(&provider).await.unwrap();
    assert_eq!((server.times("renew-self"), server.times("login")), (1, 1));
    // It was given for less than half of the time before: it is near the most that it may last, so a new one is had.
    pass(450).await;
    get(&provider).await.unwrap();
    assert_eq!((server.times("renew-self"), server.times("login")), (1, 2));
    pass(3700).await;
    get(&provider).await.unwrap();
    assert_eq!((server.times("renew-self"), server.times("login")), (1, 3));
}

#[tokio::test]
async fn a_renewal_that_fails_leaves_a_token_that_is_still_good() {
    let server = Server::answering(|asked| match &*asked.path {
        "/v1/auth/token/renew-self" => reply(503, json!({"errors": ["Vault is sealed"]})),
        _ => login(asked).unwrap_or_else(secret),
    })
    .await;
    let provider = with(&server.url, app_role());
    get(&provider).await.unwrap();
    pass(2500).await;
    get(&provider).await.unwrap();
    get(&provider).await.unwrap();
    assert_eq!((server.times("renew-self"), server.times("login")), (1, 1));
}

#[tokio::test]
async fn a_refused_token_that_vault_does_not_know_is_replaced_once() {
    let logins = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&logins);
    let server = Server::answering(move |asked| match &*asked.path {
        "/v1/auth/approle/login" => {
            lease(if counted.fetch_add(1, SeqCst) == 0 { "old" } else { "new" }, 3600, true)
        }
        _ if asked.header("x-vault-token") == "old" => denied(),
        _ => secret(),
    })
    .await;
    assert_eq!(get(&with(&server.url, app_role())).await.unwrap(), "3");
    assert_eq!((logins.load(SeqCst), server.times("data"), server.times("lookup-self")), (2, 2, 1));
}

#[tokio::test]
async fn a_refused_token_that_vault_knows_lacks_a_policy() {
    let server = Server::answering(|asked| login(asked).unwrap_or_else(denied)).await;
    let error = get(&with(&server.url, app_role())).await.unwrap_err();
    assert_eq!(error.error_type(), "access_denied");
    assert_eq!((server.times("login"), server.times("data")), (1, 1));
}

#[tokio::test]
async fn a_token_that_somebody_made_is_said_to_have_expired_only_if_it_was_known() {
    let known = Arc::new(AtomicBool::new(true));
    let told = Arc::clone(&known);
    let server = Server::answering(move |asked| {
        if !told.load(SeqCst) {
            return denied();
        }
        login(asked).unwrap_or_else(secret)
    })
    .await;
    let provider = with(&server.url, VaultAuth::Token("canary".into()));
    get(&provider).await.unwrap();
    known.store(false, SeqCst);
    assert_eq!(get(&provider).await.unwrap_err().error_type(), "authentication_expired_credentials");
    let provider = with(&server.url, VaultAuth::Token("canary".into()));
    assert_eq!(get(&provider).await.unwrap_err().error_type(), "authentication_invalid_credentials");
}

#[tokio::test]
async fn a_token_that_may_not_look_itself_up_lacks_a_policy_where_it_could_read_before() {
    let server = Server::answering(|asked| match &*asked.path {
        "/v1/secret/data/db" => secret(),
        "/v1/sys/health" => reply(200, json!({})),
        _ => denied(),
    })
    .await;
    let provider = with(&server.url, VaultAuth::Token("canary".into()));
    let other = || provider.get_secret("other", GetSecretOptions::default());
    let error = other().await.unwrap_err();
    assert_eq!(error.error_type(), "authentication_invalid_credentials", "it may be no token at all");
    assert!(error.to_string().contains("look itself up"), "{error}");
    get(&provider).await.unwrap();
    assert_eq!(other().await.unwrap_err().error_type(), "access_denied");
    get(&provider).await.unwrap();
    provider.health_check().await.unwrap();
}

#[tokio::test]
async fn a_token_without_an_end_that_is_revoked_is_known_no_longer() {
    let known = Arc::new(AtomicBool::new(true));
    let told = Arc::clone(&known);
    let server = Server::answering(move |asked| match &*asked.path {
        _ if !told.load(SeqCst) => denied(),
        "/v1/auth/token/lookup-self" => reply(200, json!({"data": {"ttl": 0, "renewable": false}})),
        _ => secret(),
    })
    .await;
    let provider = with(&server.url, VaultAuth::Token("canary".into()));
    get(&provider).await.unwrap();
    known.store(false, SeqCst);
    assert_eq!(get(&provider).await.unwrap_err().error_type(), "authentication_invalid_credentials");
}

#[tokio::test]
async fn a_file_without_a_token_is_no_refusal_and_nobody_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "\n").unwrap();
    let server = Server::answering(|_| denied()).await;
    let kubernetes =
        VaultAuth::Kubernetes { role: "app".into(), jwt_path: file.clone(), mount: "kubernetes".into() };
    for auth in [VaultAuth::TokenFile(file), kubernetes] {
        let error = get(&with(&server.url, auth)).await.unwrap_err();
        assert_eq!(error.error_type(), "authentication_no_credentials");
    }
    assert_eq!(server.times(""), 0);
}

#[tokio::test]
async fn a_file_with_a_token_is_read_again_when_its_token_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "old\n").unwrap();
    let server = Server::answering(|asked| match asked.header("x-vault-token") {
        "new" => login(asked).unwrap_or_else(secret),
        _ => denied(),
    })
    .await;
    let provider = with(&server.url, VaultAuth::TokenFile(file.clone()));
    assert_eq!(get(&provider).await.unwrap_err().error_type(), "authentication_invalid_credentials");
    std::fs::write(&file, "new\n").unwrap();
    assert_eq!(get(&provider).await.unwrap(), "3");
}

#[tokio::test]
async fn a_token_that_others_keep_fresh_is_used_past_the_end_that_it_had() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "kept\n").unwrap();
    let fresh = Arc::new(AtomicBool::new(true));
    let told = Arc::clone(&fresh);
    let server = Server::answering(move |asked| match told.load(SeqCst) {
        true => login(asked).unwrap_or_else(secret),
        false => denied(),
    })
    .await;
    let provider = with(&server.url, VaultAuth::TokenFile(file));
    for _ in 0..2 {
        assert_eq!(get(&provider).await.unwrap(), "3");
        pass(3700).await;
    }
    fresh.store(false, SeqCst);
    assert_eq!(get(&provider).await.unwrap_err().error_type(), "authentication_expired_credentials");
}

#[tokio::test]
async fn a_service_account_logs_in_with_the_token_that_is_in_its_file_now() {
    let folder = tempfile::tempdir().unwrap();
    let jwt_path = folder.path().join("jwt");
    std::fs::write(&jwt_path, "canary-jwt\n").unwrap();
    let server = Server::answering(|asked| login(asked).unwrap_or_else(secret)).await;
    let auth = VaultAuth::Kubernetes { role: "app".into(), jwt_path, mount: "clusters/one".into() };
    get(&with(&server.url, auth)).await.unwrap();
    let asked = &server.asked()[0];
    assert_eq!((&*asked.method, &*asked.path), ("POST", "/v1/auth/clusters/one/login"));
    assert_eq!(asked.body, r#"{"jwt":"canary-jwt","role":"app"}"#);
}

#[tokio::test]
async fn a_login_that_is_refused_says_so() {
    for (status, kind) in [
        (400, "authentication_invalid_credentials"),
        (403, "authentication_insufficient_permissions"),
        (503, "provider_unavailable"),
    ] {
        let server = Server::answering(move |_| reply(status, json!({"errors": ["no"]}))).await;
        assert_eq!(get(&with(&server.url, app_role())).await.unwrap_err().error_type(), kind);
    }
    let second_factor =
        reply(200, json!({"auth": {"client_token": "", "lease_duration": 0, "renewable": false}}));
    let server = Server::answering(move |_| second_factor.clone()).await;
    let error = get(&with(&server.url, app_role())).await.unwrap_err();
    assert_eq!(error.error_type(), "authentication_token_refresh_failed");
}

#[tokio::test]
async fn every_request_says_what_it_is_and_in_which_namespace() {
    let server = Server::answering(|asked| login(asked).unwrap_or_else(secret)).await;
    let config = VaultConfig {
        namespace: Some("team/one".into()),
        mount_path: "kv/deep".into(),
        ..config(&server.url, app_role(), TransportConfig::default())
    };
    get(&VaultProvider::new(config, WallClock::default()).unwrap()).await.unwrap();
    for asked in server.asked() {
        assert_eq!(asked.header("x-vault-request"), "true");
        assert_eq!(asked.header("x-vault-namespace"), "team/one");
    }
    assert_eq!(server.asked()[1].path, "/v1/kv/deep/data/db");
}

#[tokio::test]
async fn a_standby_is_followed_once() {
    let active = Server::answering(|asked| login(asked).unwrap_or_else(secret)).await;
    let to = active.url.clone();
    let standby = Server::answering(move |asked| Reply::Answer {
        status: 307,
        headers: vec![("location", format!("{to}{}", asked.path))],
        body: String::new(),
    })
    .await;
    let provider = with(&standby.url, app_role());
    assert_eq!(get(&provider).await.unwrap(), "3");
    assert_eq!(active.asked()[0].body, r#"{"role_id":"app","secret_id":"canary-secret"}"#);
    let to = standby.url.clone();
    let lost = Server::answering(move |asked| Reply::Answer {
        status: 307,
        headers: vec![("location", format!("{to}{}", asked.path))],
        body: String::new(),
    })
    .await;
    let before = standby.asked().len();
    assert_eq!(get(&with(&lost.url, app_role())).await.unwrap_err().error_type(), "provider_unavailable");
    assert_eq!(standby.asked().len(), before + 1);
}

#[tokio::test]
async fn who_sends_on_to_another_page_is_no_standby_and_nothing_is_shown_there() {
    let page = Server::answering(|asked| login(asked).unwrap_or_else(secret)).await;
    let to = page.url.clone();
    let gateway = Server::answering(move |_| Reply::Answer {
        status: 307,
        headers: vec![("location", format!("{to}/login?back=/v1/auth/approle/login"))],
        body: String::new(),
    })
    .await;
    let error = get(&with(&gateway.url, app_role())).await.unwrap_err();
    assert_eq!(error.error_type(), "provider_unavailable");
    assert!(!error.to_string().contains("canary") && page.asked().is_empty(), "{error}");
}

#[tokio::test]
async fn what_vault_answers_instead_of_a_secret_means_what_it_documents() {
    for (status, kind) in [
        (400, "configuration_invalid_request"),
        (404, "configuration_invalid_request"),
        (412, "provider_unavailable"),
        (429, "provider_rate_limited"),
        (472, "provider_unavailable"),
        (473, "provider_unavailable"),
        (474, "provider_unavailable"),
        (500, "provider_internal_error"),
        (503, "provider_unavailable"),
    ] {
        let refused = reply(status, json!({"errors": ["why"]}));
        let server = Server::answering(move |asked| login(asked).unwrap_or_else(|| refused.clone())).await;
        let error = get(&with(&server.url, app_role())).await.unwrap_err();
        assert_eq!(error.error_type(), kind, "{status}: {error}");
    }
}

#[tokio::test]
async fn health_is_that_of_the_node_and_of_the_login() {
    for (status, kind) in
        [(200, None), (429, None), (473, None), (501, Some(())), (503, Some(())), (472, Some(()))]
    {
        let server = Server::answering(move |asked| match &*asked.path {
            "/v1/sys/health" => reply(status, json!({"sealed": status == 503})),
            _ => login(asked).unwrap_or_else(denied),
        })
        .await;
        let health = with(&server.url, app_role()).health_check().await;
        let expected = kind.map(|()| "provider_unavailable");
        assert_eq!(health.err().map(|error| error.error_type()), expected, "{status}");
    }
}

#[tokio::test]
async fn a_number_keeps_all_its_digits_and_keys_their_order() {
    let body = r#"{"data":{"data":{"b":12345678901234567890123,"a":"\u00fc"},"metadata":{"created_time":
        "2025-01-01T00:00:00Z","custom_metadata":null,"deletion_time":"","destroyed":false,"version":1}}}"#;
    let server = Server::answering(|asked| {
        login(asked).unwrap_or_else(|| Reply::Answer { status: 200, headers: Vec::new(), body: body.into() })
    })
    .await;
    let secret = with(&server.url, app_role()).get_secret("db", GetSecretOptions::default()).await.unwrap();
    assert_eq!(*secret.bytes().unwrap(), br#"{"b":12345678901234567890123,"a":"\u00fc"}"#);
}
