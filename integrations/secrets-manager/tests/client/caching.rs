//! What is kept, for how long, and what is never given out again.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use secrets_manager::{
    AccessError, AuthenticationError, Client, GetSecretOptions, ParseError, ProviderError, ProviderType,
    SecretNotFoundError, SecretValue, SecretsClient, SecretsError, WallClock, cache::CacheConfig,
};
use tokio::time::advance;

use crate::script::{
    Script, builder, client, cut, date, denied, down, fresh, limited, missing, pinned, read, read_with, secs,
    settle, value,
};

fn with(script: &Arc<Script>, cache: CacheConfig) -> Client {
    builder(script).cache(cache).build().unwrap()
}

fn script() -> Arc<Script> {
    let script = Script::new(ProviderType::Vault);
    script.set("db", "1", "old");
    script
}

/// A client that has `db` in its cache, and whose clock has passed its end.
async fn expired() -> (Arc<Script>, Client) {
    let script = script();
    let client = client(&script);
    assert_eq!(read(&client, "db").await, "old");
    advance(secs(301)).await;
    (script, client)
}

#[tokio::test(start_paused = true)]
async fn a_second_read_asks_nobody_until_the_ttl_is_over() {
    let script = script();
    let client = client(&script);
    read(&client, "db").await;
    advance(secs(200)).await;
    assert_eq!((read(&client, "db").await.as_str(), script.calls()), ("old", 1));
    advance(secs(101)).await;
    assert_eq!((read(&client, "db").await.as_str(), script.calls()), ("old", 2));
}

#[tokio::test(start_paused = true)]
async fn a_read_near_the_end_gives_the_old_value_and_fetches_a_new_one_once() {
    let script = script();
    let client = client(&script);
    read(&client, "db").await;
    script.set("db", "2", "new");
    advance(secs(241)).await;
    for _ in 0..10 {
        assert_eq!(read(&client, "db").await, "old");
    }
    settle().await;
    assert_eq!((read(&client, "db").await.as_str(), script.calls()), ("new", 2));
    advance(secs(239)).await;
    read(&client, "db").await;
    assert_eq!(script.calls(), 2, "the new one is fresh for its whole time");
}

#[tokio::test(start_paused = true)]
async fn versions_stages_and_times_are_kept_apart() {
    let script = script();
    let client = client(&script);
    let stage = GetSecretOptions { stage: Some("1".into()), ..GetSecretOptions::default() };
    let at = GetSecretOptions { at: Some(date(5)), ..GetSecretOptions::default() };
    for options in [GetSecretOptions::default(), pinned("1"), stage, at] {
        read_with(&client, "db", options.clone()).await;
        read_with(&client, "db", options.clone()).await;
        let (path, asked) = script.asked().pop().unwrap();
        let provider = Some(ProviderType::Vault);
        assert_eq!((path.as_str(), asked), ("db", GetSecretOptions { provider, ..options }));
    }
    assert_eq!(script.calls(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_pinned_version_is_kept_without_end() {
    let script = script();
    let client = client(&script);
    read_with(&client, "db", pinned("1")).await;
    script.set("db", "2", "new");
    advance(secs(86_400 * 365)).await;
    assert_eq!(read_with(&client, "db", pinned("1")).await, "old");
    assert_eq!(script.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_pinned_version_is_forgotten_when_its_secret_is_gone() {
    let gone: [SecretsError; 4] = [
        SecretNotFoundError::Destroyed { path: "db".into(), version: "1".into() }.into(),
        SecretNotFoundError::Deleted { path: "db".into() }.into(),
        AccessError::Disabled { path: "db".into() }.into(),
        denied("db"),
    ];
    for error in gone {
        let script = script();
        let client = client(&script);
        read_with(&client, "db", pinned("1")).await;
        script.fail(error.clone());
        assert_eq!(read(&client, "db").await, error.error_type());
        assert_eq!(read_with(&client, "db", pinned("1")).await, error.error_type());
    }
}

#[tokio::test(start_paused = true)]
async fn a_version_that_does_not_exist_leaves_the_others_cached() {
    let script = script();
    let client = client(&script);
    read(&client, "db").await;
    assert_eq!(read_with(&client, "db", pinned("9")).await, "not_found_version");
    assert_eq!((read(&client, "db").await.as_str(), script.calls()), ("old", 2));
}

#[tokio::test(start_paused = true)]
async fn what_does_not_exist_is_remembered_for_a_short_while() {
    let script = Script::new(ProviderType::Vault);
    let client = client(&script);
    for _ in 0..5 {
        assert_eq!(read(&client, "db").await, "not_found_secret");
    }
    assert_eq!(script.calls(), 1);
    script.set("db", "1", "there");
    advance(secs(29)).await;
    assert_eq!(read(&client, "db").await, "not_found_secret");
    advance(secs(1)).await;
    assert_eq!(read(&client, "db").await, "there");
}

#[tokio::test(start_paused = true)]
async fn only_what_does_not_exist_is_remembered_as_an_error() {
    for error in [denied("db"), down(), AccessError::Disabled { path: "db".into() }.into()] {
        let script = Script::new(ProviderType::Vault);
        let client = client(&script);
        script.fail(error.clone());
        assert_eq!(read(&client, "db").await, error.error_type());
        script.recover();
        script.set("db", "1", "there");
        assert_eq!(read(&client, "db").await, "there", "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_old_value_bridges_what_passes_by_itself() {
    for error in [limited(None), down(), cut()] {
        let (script, client) = expired().await;
        script.fail(error.clone());
        assert_eq!(read(&client, "db").await, "old", "{error}");
        assert_eq!(script.calls(), 2, "asked once, as there is an old value");
        assert_eq!(read(&client, "db").await, "old");
        assert_eq!(script.calls(), 2, "and left alone for a while then");
    }
}

#[tokio::test(start_paused = true)]
async fn a_value_that_the_store_took_back_is_never_given_out_again() {
    let verdicts: [SecretsError; 7] = [
        missing("db"),
        SecretNotFoundError::Deleted { path: "db".into() }.into(),
        SecretNotFoundError::Destroyed { path: "db".into(), version: "1".into() }.into(),
        denied("db"),
        AccessError::Disabled { path: "db".into() }.into(),
        AccessError::Expired { path: "db".into(), until: date(1) }.into(),
        AccessError::NotYetValid { path: "db".into(), from: date(1) }.into(),
    ];
    for verdict in verdicts {
        let (script, client) = expired().await;
        script.then(Err(verdict.clone()));
        assert_eq!(read(&client, "db").await, verdict.error_type());
        script.fail(down());
        assert_ne!(read(&client, "db").await, "old", "{verdict}");
        assert_eq!(client.previous("db").map(|value| value.version), None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_verdict_on_a_renewal_takes_the_fresh_value_too() {
    let script = script();
    let client = client(&script);
    read(&client, "db").await;
    advance(secs(241)).await;
    script.fail(denied("db"));
    assert_eq!(read(&client, "db").await, "old", "nothing is known of it yet");
    settle().await;
    assert_eq!(read(&client, "db").await, "access_denied");
}

#[tokio::test(start_paused = true)]
async fn a_value_goes_when_there_are_no_versions_and_stays_when_they_may_not_be_seen() {
    let script = script();
    let client = client(&script);
    read(&client, "db").await;
    script.fail(denied("db"));
    assert!(client.list_versions("db").await.is_err());
    assert_eq!(read(&client, "db").await, "old");
    script.fail(missing("db"));
    assert!(client.list_versions("db").await.is_err());
    assert_eq!(read(&client, "db").await, "not_found_secret");
}

#[tokio::test(start_paused = true)]
async fn a_verdict_on_a_description_takes_the_value_too() {
    let script = script();
    let client = client(&script);
    read(&client, "db").await;
    script.fail(AccessError::Disabled { path: "db".into() });
    assert!(client.describe_secret("db").await.is_err());
    assert_eq!(read(&client, "db").await, "access_disabled");
}

#[tokio::test(start_paused = true)]
async fn an_old_value_is_given_out_no_longer_than_it_may_be_stale() {
    let script = script();
    let client = with(&script, CacheConfig { max_stale: secs(600), ..CacheConfig::default() });
    read(&client, "db").await;
    script.fail(down());
    let mut last = 0;
    for second in (0..2000).step_by(50) {
        if read(&client, "db").await == "old" {
            last = second;
        }
        advance(secs(50)).await;
        settle().await;
    }
    assert!((600..900).contains(&last), "{last}");
}

#[tokio::test(start_paused = true)]
async fn the_time_that_an_old_value_is_given_for_ends_with_the_time_that_it_may_be_stale() {
    let script = script();
    let client = with(&script, CacheConfig { max_stale: secs(10), ..CacheConfig::default() });
    read(&client, "db").await;
    script.fail(down());
    advance(secs(301)).await;
    assert_eq!(read(&client, "db").await, "old");
    advance(secs(8)).await;
    assert_eq!(read(&client, "db").await, "old");
    advance(secs(1)).await;
    assert_eq!(read(&client, "db").await, "provider_unavailable");
}

#[tokio::test(start_paused = true)]
async fn what_neither_passes_nor_is_a_verdict_is_an_error_and_takes_nothing() {
    let (provider, detail) = (ProviderType::Vault, String::new);
    let errors: [SecretsError; 3] = [
        AuthenticationError::ExpiredCredentials { provider, detail: detail() }.into(),
        ProviderError::QuotaExceeded { provider, detail: detail() }.into(),
        ParseError::InvalidSecretFormat { path: "db".into(), detail: detail() }.into(),
    ];
    for error in errors {
        let (script, client) = expired().await;
        script.then(Err(error.clone()));
        assert_eq!(read(&client, "db").await, error.error_type());
        script.fail(down());
        assert_eq!(read(&client, "db").await, "old", "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn credentials_that_are_refused_take_the_old_value_with_them() {
    let (script, client) = expired().await;
    let (provider, detail) = (ProviderType::Vault, String::new());
    script.then(Err(AuthenticationError::InvalidCredentials { provider, detail }.into()));
    assert_eq!(read(&client, "db").await, "authentication_invalid_credentials");
    script.fail(down());
    assert_eq!(read(&client, "db").await, "provider_unavailable");
}

#[tokio::test(start_paused = true)]
async fn without_the_fallback_an_old_value_is_not_given_out() {
    let script = script();
    let client = with(&script, CacheConfig { stale_fallback: false, ..CacheConfig::default() });
    read(&client, "db").await;
    advance(secs(301)).await;
    script.fail(down());
    assert_eq!(read(&client, "db").await, "provider_unavailable");
}

#[tokio::test(start_paused = true)]
async fn who_skips_the_cache_gets_no_old_value_and_the_cache_gets_the_new_one() {
    let script = script();
    let client = client(&script);
    read(&client, "db").await;
    script.set("db", "2", "new");
    assert_eq!(read_with(&client, "db", fresh()).await, "new");
    assert_eq!((read(&client, "db").await.as_str(), script.calls()), ("new", 2));
    script.fail(cut());
    assert_eq!(read_with(&client, "db", fresh()).await, "network_connection_failed");
    assert_eq!(read(&client, "db").await, "new");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_given_out_after_the_date_until_which_it_is_valid() {
    let now = Arc::new(AtomicI64::new(1_000));
    let script = Script::new(ProviderType::Azure);
    let clock = now.clone();
    let clock = WallClock::new(move || date(clock.load(Ordering::Relaxed)));
    let client = builder(&script).clock(clock).build().unwrap();
    let until = SecretValue { valid_until: Some(date(1_100)), ..value("db", "1", "old") };
    script.set_value("db", until);
    assert_eq!(read(&client, "db").await, "old");
    assert_eq!(read_with(&client, "db", pinned("1")).await, "old");
    now.store(1_100, Ordering::Relaxed);
    assert_eq!(read(&client, "db").await, "access_expired");
    assert_eq!(read_with(&client, "db", pinned("1")).await, "access_expired");
    script.fail(down());
    assert_eq!(read(&client, "db").await, "provider_unavailable", "nor as an old value");
}

#[tokio::test(start_paused = true)]
async fn invalidation_is_by_path_and_by_prefix() {
    let script = script();
    script.set("app/a", "1", "a");
    script.set("app/b", "1", "b");
    let client = client(&script);
    for path in ["db", "app/a", "app/b"] {
        read(&client, path).await;
    }
    client.invalidate_cache("db");
    assert_eq!(client.cache_stats().entries, 2);
    client.invalidate_cache_prefix("app/");
    assert_eq!(client.cache_stats().entries, 0);
}

#[tokio::test(start_paused = true)]
async fn neither_bound_of_the_cache_is_ever_passed() {
    let script = Script::new(ProviderType::Vault);
    let config = CacheConfig { max_entries: 50, max_bytes: 200_000, ..CacheConfig::default() };
    let client = with(&script, config);
    for number in 0..500 {
        let path = format!("small/{number}");
        script.set(&path, "1", "x");
        read(&client, &path).await;
        let stats = client.cache_stats();
        assert!(stats.entries <= 50 && stats.bytes <= 200_000, "{stats:?}");
    }
    assert!(25 <= client.cache_stats().entries);
    for number in 0..200 {
        let path = format!("large/{number}");
        script.set(&path, "1", &"x".repeat(10_000));
        read(&client, &path).await;
        let stats = client.cache_stats();
        assert!(stats.entries <= 50 && stats.bytes <= 200_000, "{stats:?}");
    }
    script.set("huge", "1", &"x".repeat(300_000));
    assert_eq!(read(&client, "huge").await.len(), 300_000);
    assert!(client.cache_stats().bytes <= 200_000);
}

#[tokio::test(start_paused = true)]
async fn a_value_that_is_too_large_to_be_kept_leaves_no_older_one_behind() {
    let script = script();
    let client = with(&script, CacheConfig { max_bytes: 20_000, ..CacheConfig::default() });
    read(&client, "db").await;
    let large = "x".repeat(50_000);
    script.set("db", "2", &large);
    assert_eq!(read_with(&client, "db", fresh()).await, large);
    assert_eq!(read(&client, "db").await, large);
}

#[tokio::test(start_paused = true)]
async fn what_is_over_does_not_stay_in_memory() {
    let script = script();
    let client = with(&script, CacheConfig { max_stale: secs(60), ..CacheConfig::default() });
    read(&client, "db").await;
    advance(secs(400)).await;
    script.set("other", "1", "x");
    read(&client, "other").await;
    assert_eq!(client.cache_stats().entries, 1);
}

#[tokio::test(start_paused = true)]
async fn a_ttl_of_zero_keeps_nothing() {
    let script = script();
    let client = with(&script, CacheConfig { ttl: secs(0), ..CacheConfig::default() });
    read(&client, "db").await;
    read(&client, "db").await;
    read(&client, "none").await;
    assert_eq!((client.cache_stats().entries, script.calls()), (0, 3));
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    let script = script();
    let settings = [
        CacheConfig { max_entries: 0, ..CacheConfig::default() },
        CacheConfig { max_bytes: 0, ..CacheConfig::default() },
        CacheConfig { refresh_ahead: secs(300), ..CacheConfig::default() },
        CacheConfig { ttl: Duration::MAX, ..CacheConfig::default() },
        CacheConfig { max_stale: Duration::MAX, ..CacheConfig::default() },
        CacheConfig { negative_ttl: Duration::MAX, ..CacheConfig::default() },
    ];
    for cache in settings {
        assert!(builder(&script).cache(cache.clone()).build().is_err(), "{cache:?}");
    }
}
