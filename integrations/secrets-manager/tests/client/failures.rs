//! Each fault of a store: how often it is asked, what the caller is told, and what the breaker does.

use secrets_manager::{
    AuthenticationError, NetworkError, ParseError, ProviderError, ProviderType, SecretNotFoundError,
    SecretsError,
    resilience::{CircuitBreakerConfig, RetryConfig},
};
use tokio::time::{Instant, advance};

use crate::script::{Script, builder, client, cut, denied, down, fresh, limited, read, read_with, secs};

/// A breaker that never opens, for counting attempts.
fn patient() -> CircuitBreakerConfig {
    CircuitBreakerConfig { failure_threshold: u32::MAX, ..CircuitBreakerConfig::default() }
}

#[tokio::test(start_paused = true)]
async fn each_fault_is_asked_again_as_the_table_says() {
    let provider = ProviderType::Vault;
    let detail = String::new;
    let faults: [(SecretsError, usize); 10] = [
        (AuthenticationError::NoCredentials { provider, detail: detail() }.into(), 3),
        (limited(None), 5),
        (ProviderError::InternalError { provider, detail: detail() }.into(), 3),
        (down(), 3),
        (cut(), 3),
        (NetworkError::Timeout { detail: detail() }.into(), 3),
        (NetworkError::TlsError { detail: detail() }.into(), 3),
        (AuthenticationError::ExpiredCredentials { provider, detail: detail() }.into(), 1),
        (denied("db"), 1),
        (ParseError::InvalidSecretFormat { path: "db".into(), detail: detail() }.into(), 1),
    ];
    for (fault, attempts) in faults {
        let script = Script::new(provider);
        let client = builder(&script).circuit_breaker(patient()).build().unwrap();
        script.fail(fault.clone());
        assert_eq!(read(&client, "db").await, fault.error_type());
        assert_eq!(script.calls(), attempts, "{fault}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_recovers_meanwhile_is_not_an_error() {
    let script = Script::new(ProviderType::Vault);
    script.set("db", "1", "value");
    script.then(Err(limited(None))).then(Err(down()));
    let client = client(&script);
    assert_eq!(read(&client, "db").await, "value");
    assert_eq!(script.calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_never_answers_is_given_up_on_at_the_deadline() {
    let script = Script::held(ProviderType::Vault);
    let retry = RetryConfig { deadline: secs(7), ..RetryConfig::default() };
    let client = builder(&script).retry(retry).build().unwrap();
    let began = Instant::now();
    assert_eq!(read(&client, "db").await, "network_timeout");
    assert!((secs(7)..secs(8)).contains(&began.elapsed()));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_keeps_failing_is_left_alone_and_then_tried() {
    let script = Script::new(ProviderType::Vault);
    let client = client(&script);
    script.fail(down());
    assert_eq!(read(&client, "a").await, "provider_unavailable");
    assert_eq!(read(&client, "b").await, "provider_unavailable", "the store's own word, not the breaker's");
    assert_eq!(script.calls(), 5);
    assert_eq!(read(&client, "c").await, "provider_circuit_open");
    assert_eq!(script.calls(), 5);
    advance(secs(30)).await;
    script.recover();
    script.set("c", "1", "value");
    assert_eq!(read(&client, "c").await, "value");
    assert_eq!(read_with(&client, "c", fresh()).await, "value");
}

#[tokio::test(start_paused = true)]
async fn an_old_value_bridges_an_open_breaker() {
    let script = Script::new(ProviderType::Vault);
    script.set("db", "1", "old");
    let client = client(&script);
    read(&client, "db").await;
    script.fail(down());
    read(&client, "a").await;
    read(&client, "b").await;
    advance(secs(301)).await;
    for path in ["a", "b"] {
        read(&client, path).await;
    }
    let calls = script.calls();
    assert_eq!(read(&client, "db").await, "old");
    assert_eq!(script.calls(), calls, "the breaker is open");
}

#[tokio::test(start_paused = true)]
async fn one_store_that_fails_leaves_the_others_alone() {
    let (vault, aws) = (Script::new(ProviderType::Vault), Script::new(ProviderType::Aws));
    let client = builder(&vault).provider(aws.clone()).default_provider(ProviderType::Vault);
    let client = client
        .map_path(secrets_manager::client::PathPattern::new("aws/*").unwrap(), ProviderType::Aws)
        .build()
        .unwrap();
    aws.set("aws/db", "1", "value");
    vault.fail(down());
    for path in ["a", "b", "c"] {
        read(&client, path).await;
    }
    assert_eq!(read(&client, "d").await, "provider_circuit_open");
    assert_eq!(read(&client, "aws/db").await, "value");
}

#[tokio::test(start_paused = true)]
async fn one_secret_that_is_not_understood_leaves_the_others_to_be_read() {
    let (provider, detail) = (ProviderType::Vault, "a page of a proxy".to_owned());
    let script = Script::new(provider);
    let client = client(&script);
    script.fail(ProviderError::InternalError { provider, detail });
    for _ in 0..3 {
        assert_eq!(read(&client, "broken").await, "provider_internal_error");
    }
    script.recover();
    script.set("db", "1", "value");
    assert_eq!(read(&client, "db").await, "value");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_says_no_is_never_left_alone() {
    let script = Script::new(ProviderType::Vault);
    let client = client(&script);
    script.fail(SecretNotFoundError::Deleted { path: "x".into() });
    for number in 0..20 {
        assert_eq!(read(&client, &format!("{number}")).await, "not_found_deleted");
    }
    script.recover();
    script.set("db", "1", "value");
    assert_eq!(read(&client, "db").await, "value");
}
