//! A slower cache behind the one in memory: what it is asked, and what it is told.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use secrets_manager::{
    Client, ProviderType, SecretValue, SecretsClient,
    cache::{CacheKey, CacheStats, SecretCache},
};
use tokio::time::advance;

use crate::script::{Script, builder, denied, down, fresh, read, read_with, secs, settle, value};

/// Keeps values by path, fresh or not as the test says.
#[derive(Default)]
struct Slow {
    values: Mutex<HashMap<String, SecretValue>>,
    over: Mutex<bool>,
}

impl Slow {
    fn end(&self) {
        *self.over.lock().unwrap() = true;
    }

    fn holds(&self, path: &str) -> bool {
        self.values.lock().unwrap().contains_key(path)
    }
}

impl SecretCache for Slow {
    fn get(&self, key: &CacheKey<'_>) -> Option<SecretValue> {
        if *self.over.lock().unwrap() { None } else { self.get_stale(key) }
    }

    fn get_stale(&self, key: &CacheKey<'_>) -> Option<SecretValue> {
        self.values.lock().unwrap().get(&*key.path).cloned()
    }

    fn put(&self, key: &CacheKey<'_>, value: SecretValue, _: Duration) {
        self.values.lock().unwrap().insert(key.path.to_string(), value);
    }

    fn invalidate(&self, path: &str) {
        self.values.lock().unwrap().remove(path);
    }

    fn invalidate_prefix(&self, prefix: &str) {
        self.values.lock().unwrap().retain(|path, _| !path.starts_with(prefix));
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
