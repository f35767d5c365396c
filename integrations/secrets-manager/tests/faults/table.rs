//! The table of faults: what each means, in each store alike.

use std::time::Duration;

use secrets_manager::{GetSecretOptions, SecretsError, transport::TransportConfig};

use crate::{
    server::{Reply, Server, json, page},
    stores::{STORES, Store},
};

fn quick() -> TransportConfig {
    TransportConfig { timeout: Duration::from_millis(500), ..TransportConfig::default() }
}

async fn ask(store: &Store, url: &str) -> SecretsError {
    let provider = (store.provider)(url, quick());
    let error = provider.get_secret("db", GetSecretOptions::default()).await.unwrap_err();
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains("canary"), "{}: {shown}", store.name);
    error
}

/// The error of each store when this is what it answers for a secret, and when it answers so from the first request on.
async fn errors(reply: Reply) -> Vec<(&'static str, SecretsError)> {
    let mut errors = Vec::new();
    for store in &STORES {
        let (late, login) = (reply.clone(), store.login);
        let server = Server::answering(move |asked| login(asked).unwrap_or_else(|| late.clone())).await;
        errors.push((store.name, ask(store, &server.url).await));
        let early = reply.clone();
        let server = Server::answering(move |_| early.clone()).await;
        errors.push((store.name, ask(store, &server.url).await));
    }
    errors
}

async fn each_is(kind: &str, reply: Reply) {
    for (store, error) in errors(reply.clone()).await {
        assert_eq!(error.error_type(), kind, "{store}: {reply:?}: {error}");
        assert!(error.is_retryable(), "{store}: {error}");
    }
}

#[tokio::test]
async fn a_store_that_is_asked_too_often_says_how_long_to_wait() {
    let headers = vec![("retry-after", "7".to_owned())];
    let reply = Reply::Answer { status: 429, headers, body: "{}".into() };
    for (store, error) in errors(reply).await {
        assert_eq!(error.error_type(), "provider_rate_limited", "{store}: {error}");
        assert_eq!(error.retry_after(), Some(Duration::from_secs(7)), "{store}");
    }
}

#[tokio::test]
async fn a_server_that_fails_is_an_internal_error_whatever_the_page() {
    each_is("provider_internal_error", json(500, serde_json::json!({}))).await;
    each_is("provider_internal_error", page(500, "<html>oops</html>")).await;
}

#[tokio::test]
async fn a_server_that_is_down_is_not_available() {
    for status in [502, 503, 504] {
        each_is("provider_unavailable", page(status, "<html>down</html>")).await;
    }
}

#[tokio::test]
async fn an_answer_that_nobody_understands_is_an_internal_error() {
    for body in ["", "{", "[]", "{}", "{\"data\":{}}", "{\"value\":7}", "<html>", "\u{0}"] {
        each_is("provider_internal_error", page(200, body)).await;
    }
}

#[tokio::test]
async fn a_page_that_says_404_does_not_say_that_there_is_no_secret() {
    for (store, error) in errors(page(404, "<html>nginx</html>")).await {
        assert!(!error.is_not_found(), "{store}: {error}");
    }
}

#[tokio::test]
async fn a_connection_that_is_cut_is_an_error_of_the_network() {
    each_is("network_connection_failed", Reply::Cut).await;
}

#[tokio::test]
async fn an_answer_without_end_is_not_read_to_its_end() {
    let body = format!("{{\"data\":\"{}\"}}", "a".repeat(5 << 20));
    each_is("network_connection_failed", page(200, &body)).await;
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up() {
    each_is("network_timeout", Reply::Hang).await;
}

#[tokio::test]
async fn a_server_that_is_not_there_is_an_error_of_the_network() {
    let address = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for store in &STORES {
        let error = ask(store, &format!("http://{address}")).await;
        assert_eq!(error.error_type(), "network_connection_failed", "{}: {error}", store.name);
    }
}

#[tokio::test]
async fn a_server_that_nobody_vouches_for_gets_no_request() {
    for store in &STORES {
        let server = Server::that_nobody_vouches_for(|_| page(200, "{}")).await;
        let error = ask(store, &server.url).await;
        assert_eq!(error.error_type(), "network_tls", "{}: {error}", store.name);
        assert!(server.asked().is_empty());
    }
}
