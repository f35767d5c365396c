//! A slower cache behind the one in memory: what it is asked, and what it is told.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use secrets_manager::{
    AuthenticationError, Client, ProviderType, SecretMetadata, SecretValue, SecretsClient,
    cache::{CacheKey, CacheStats, SecretCache},
    client::ScopeConfig,
};
use tokio::time::advance;

use crate::script::{Script, builder, date, denied, down, fresh, read, read_with, secs, settle, value};

/// Keeps values by their questions, fresh or not as the test says.
#[derive(Default)]
struct Slow {
    values: Mutex<HashMap<CacheKey<'static>, SecretValue>>,
    over: Mutex<bool>,
}

impl Slow {
    fn end(&self) {
        *self.over.lock().unwrap() = true;
    }

    fn holds(&self, path: &str) -> bool {
        self.values.lock().unwrap().keys().any(|key| key.path == path)
    }
}

impl SecretCache for Slow {
    fn get(&self, key: &CacheKey<'_>) -> Option<SecretValue> {
        if *self.over.lock().unwrap() { None } else { self.get_stale(key) }
    }

    fn get_stale(&self, key: &CacheKey<'_>) -> Option<SecretValue> {
        self.values.lock().unwrap().get(&key.clone().into_owned()).cloned()
    }

    fn put(&self, key: &CacheKey<'_>, value: SecretValue, _: Duration) {
        self.values.lock().unwrap().insert(key.clone().into_owned(), value);
    }

    fn invalidate(&self, path: &str) {
        self.values.lock().unwrap().retain(|key, _| key.path != path);
    }

    fn invalidate_prefix(&self, prefix: &str) {
        self.values.lock().unwrap().retain(|key, _| !key.path.starts_with(prefix));
    }

    fn stats(&self) -> CacheStats {
        CacheStats { entries: self.values.lock().unwrap().len(), ..CacheStats::default() }
    }
}

/// A client that was just started, with `db` in the slow cache, from before.
fn restarted() -> (Arc<Script>, Arc<Slow>, Client) {
    let (script, slow) = (Script::new(ProviderType::Vault), Arc::new(Slow::default()));
    slow.put(&CacheKey::current(ProviderType::Vault, "db"), value("db", "1", "old"), secs(300));
    script.set("db", "2", "new");
    let client = builder(&script).cache_behind(slow.clone()).build().unwrap();
    (script, slow, client)
}

#[tokio::test(start_paused = true)]
async fn a_value_from_behind_is_given_out_at_once_and_renewed_by_the_next_read() {
    let (script, _, client) = restarted();
    assert_eq!((read(&client, "db").await.as_str(), script.calls()), ("old", 0));
    assert_eq!(read(&client, "db").await, "old");
    settle().await;
    assert_eq!((read(&client, "db").await.as_str(), script.calls()), ("new", 1));
}

#[tokio::test(start_paused = true)]
async fn an_old_value_from_behind_bridges_a_store_that_is_down() {
    let (script, slow, client) = restarted();
    slow.end();
    script.fail(down());
    assert_eq!((read(&client, "db").await.as_str(), script.calls()), ("old", 1));
    assert_eq!(read_with(&client, "db", fresh()).await, "provider_unavailable");
}

#[tokio::test(start_paused = true)]
async fn a_login_that_no_store_refused_takes_nothing_from_behind() {
    let (script, slow, client) = restarted();
    slow.end();
    let (provider, detail) = (ProviderType::Vault, "no metadata service".to_owned());
    script.fail(AuthenticationError::NoCredentials { provider, detail });
    assert_eq!(read(&client, "db").await, "old");
    assert!(slow.holds("db"));
    assert_eq!(read_with(&client, "db", fresh()).await, "authentication_no_credentials");
    assert!(slow.holds("db"));
    script.recover();
    assert_eq!(read_with(&client, "db", fresh()).await, "new");
}

#[tokio::test(start_paused = true)]
async fn what_is_fetched_is_kept_behind_and_what_is_invalidated_is_not() {
    let (_, slow, client) = restarted();
    assert_eq!(read_with(&client, "db", fresh()).await, "new");
    let key = CacheKey::current(ProviderType::Vault, "db");
    assert_eq!(&*slow.get(&key).unwrap().version, "2");
    client.invalidate_cache("db");
    assert!(!slow.holds("db"));
    read(&client, "db").await;
    client.invalidate_cache_prefix("d");
    assert!(!slow.holds("db"));
    read(&client, "db").await;
    client.rotate_secret("db").await.unwrap();
    assert!(!slow.holds("db"));
}

#[tokio::test(start_paused = true)]
async fn a_value_that_the_store_took_back_is_not_kept_behind() {
    let (script, slow, client) = restarted();
    read(&client, "db").await;
    script.fail(denied("db"));
    advance(secs(301)).await;
    slow.end();
    assert_eq!(read(&client, "db").await, "access_denied");
    assert!(!slow.holds("db"));
    script.fail(down());
    assert_eq!(read(&client, "db").await, "provider_unavailable");
}

/// A client of its own with this scope, beside others, before the same slow cache.
fn beside(script: &Arc<Script>, slow: &Arc<Slow>, scope: ScopeConfig) -> Client {
    builder(script).cache_behind(slow.clone()).scope(scope).build().unwrap()
}

fn environment(name: &str) -> ScopeConfig {
    ScopeConfig { environment: Some(name.into()), ..ScopeConfig::default() }
}

#[tokio::test(start_paused = true)]
async fn what_one_environment_left_behind_is_not_given_to_another() {
    let (script, slow) = (Script::new(ProviderType::Vault), Arc::new(Slow::default()));
    script.set("staging/db", "1", "staging's");
    script.set("prod/db", "1", "prod's");
    assert_eq!(read(&beside(&script, &slow, environment("staging")), "db").await, "staging's");
    assert_eq!(read(&beside(&script, &slow, environment("prod")), "db").await, "prod's");
    assert_eq!(read(&beside(&script, &slow, environment("staging")), "db").await, "staging's");
    assert_eq!(script.calls(), 2, "each was found behind by the same environment");
    let other = beside(&script, &slow, environment("other"));
    assert_eq!(read(&other, "db").await, "not_found_secret");
    assert!(slow.holds("prod/db"), "a verdict on another environment's secret leaves this one");
}

#[tokio::test(start_paused = true)]
async fn what_one_store_left_behind_is_not_given_out_as_anothers() {
    let slow = Arc::new(Slow::default());
    for place in ["https://a.example", "https://b.example", "https://a.example"] {
        let script = Script::new(ProviderType::Vault);
        script.set_place(place);
        script.set("db", "1", place);
        assert_eq!(read(&beside(&script, &slow, ScopeConfig::default()), "db").await, place);
    }
    assert_eq!(slow.stats().entries, 2);
}

#[tokio::test(start_paused = true)]
async fn a_value_from_behind_has_the_name_that_its_reader_knows_it_by() {
    let (script, slow) = (Script::new(ProviderType::Vault), Arc::new(Slow::default()));
    script.set("prod/db", "1", "value");
    for (scope, path) in [(environment("prod"), "db"), (ScopeConfig::default(), "prod/db")] {
        let client = beside(&script, &slow, scope);
        let found = client.get_secret(path, Default::default()).await.unwrap();
        assert_eq!((found.metadata.name.as_str(), script.calls()), (path, 1));
    }
    let client = beside(&script, &slow, environment("prod"));
    client.invalidate_cache("db");
    assert!(!slow.holds("prod/db"));
    read(&client, "db").await;
    client.invalidate_cache_prefix("d");
    assert!(!slow.holds("prod/db"));
}

#[tokio::test(start_paused = true)]
async fn what_was_left_behind_without_a_look_at_the_tags_is_not_given_to_whom_they_bind() {
    let (script, slow) = (Script::new(ProviderType::Vault), Arc::new(Slow::default()));
    let tags = HashMap::from([("team".to_owned(), "billing".to_owned())]);
    let scope = || ScopeConfig { tags: tags.clone(), ..ScopeConfig::default() };
    let metadata = SecretMetadata { tags: tags.clone(), ..SecretMetadata::new("ours", "1", date(0)) };
    script.set_value("ours", SecretValue { metadata: metadata.into(), ..value("ours", "1", "value") });
    script.set("theirs", "1", "value");
    let free = beside(&script, &slow, ScopeConfig::default());
    for path in ["ours", "theirs"] {
        assert_eq!(read(&free, path).await, "value");
    }
    assert_eq!(read(&beside(&script, &slow, scope()), "theirs").await, "access_out_of_scope");
    assert_eq!(read(&beside(&script, &slow, scope()), "ours").await, "value");
    let (calls, described) = (script.calls(), script.described());
    assert_eq!(read(&beside(&script, &slow, scope()), "ours").await, "value");
    assert_eq!((script.calls(), script.described()), (calls, described), "found behind, tags and all");
}
