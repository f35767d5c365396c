//! Many who ask the same at once, and answers that come too late.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use secrets_manager::{Client, GetSecretOptions, ProviderType, SecretsClient};
use tokio::{
    task::{JoinHandle, JoinSet},
    time::advance,
};

use crate::script::{
    Script, builder, client, denied, down, fresh, missing, pinned, read, read_with, secs, settle,
};

/// A store that answers only as it is let, and has `db` with this text.
fn held(text: &str) -> (Arc<Script>, Client) {
    let script = Script::held(ProviderType::Vault);
    script.set("db", "1", text);
    let client = client(&script);
    (script, client)
}

/// Asks for `db` in a task of its own, and lets the question get to the store.
async fn asking(client: &Client, options: GetSecretOptions) -> JoinHandle<String> {
    let client = client.clone();
    let reader = tokio::spawn(async move { read_with(&client, "db", options).await });
    settle().await;
    reader
}

async fn asking_any(client: &Client) -> JoinHandle<String> {
    asking(client, GetSecretOptions::default()).await
}

/// So many who ask for `db` at once.
fn crowd(client: &Client, count: usize) -> JoinSet<String> {
    let reader = |client: Client| async move { read(&client, "db").await };
    (0..count).map(|_| reader(client.clone())).collect()
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_who_miss_at_once_make_one_call() {
    let (script, client) = held("value");
    let readers = crowd(&client, 10_000);
    settle().await;
    assert_eq!(script.calls(), 1);
    script.let_pass(1);
    let answers = readers.join_all().await;
    assert!(answers.len() == 10_000 && answers.iter().all(|answer| answer == "value"));
    assert_eq!(script.calls(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_misses_while_the_answer_of_another_lands_makes_no_call_of_his_own() {
    for there in [true, false] {
        let script = Script::new(ProviderType::Vault);
        let client = client(&script);
        for call in 1..=2000 {
            if there {
                script.set("db", "1", "value");
            }
            let answers = crowd(&client, 4).join_all().await;
            assert!(answers.iter().all(|answer| answer == if there { "value" } else { "not_found_secret" }));
            assert_eq!(script.calls(), call, "there: {there}");
            client.invalidate_cache("db");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_is_shared_with_all_who_waited() {
    let (script, client) = held("value");
    script.fail(denied("db"));
    let readers = crowd(&client, 100);
    settle().await;
    script.let_pass(1);
    assert!(readers.join_all().await.iter().all(|answer| answer == "access_denied"));
    assert_eq!(script.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn when_the_one_who_asks_goes_away_the_next_one_asks() {
    let (script, client) = held("value");
    let first = asking_any(&client).await;
    let others = [asking_any(&client).await, asking_any(&client).await];
    assert_eq!(script.calls(), 1);
    first.abort();
    settle().await;
    assert_eq!(script.calls(), 2);
    script.let_pass(1);
    for other in others {
        assert_eq!(other.await.unwrap(), "value");
    }
    assert_eq!(script.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_answer_from_before_an_invalidation_is_not_cached_after_it() {
    for prefix in [false, true] {
        let (script, client) = held("old");
        let early = asking_any(&client).await;
        script.set("db", "2", "new");
        if prefix {
            client.invalidate_cache_prefix("d");
        } else {
            client.invalidate_cache("db");
        }
        script.let_pass(1);
        assert_eq!(early.await.unwrap(), "old", "it was asked before");
        script.let_pass(1);
        assert_eq!(read(&client, "db").await, "new");
        assert_eq!(script.calls(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn who_asks_after_an_invalidation_does_not_wait_for_an_answer_from_before() {
    let (script, client) = held("old");
    let early = asking_any(&client).await;
    client.invalidate_cache("db");
    script.set("db", "2", "new");
    let late = asking_any(&client).await;
    script.let_pass(2);
    assert_eq!((early.await.unwrap(), late.await.unwrap()), ("old".to_owned(), "new".to_owned()));
    assert_eq!(read(&client, "db").await, "new");
}

#[tokio::test(start_paused = true)]
async fn a_value_on_its_way_when_the_store_takes_it_back_is_not_cached() {
    let (script, client) = held("old");
    script.then(Err(denied("db")));
    let verdict = asking_any(&client).await;
    let value = asking(&client, pinned("1")).await;
    // The store answers in the order of the questions: the verdict comes first.
    script.let_pass(2);
    assert_eq!(
        (verdict.await.unwrap(), value.await.unwrap()),
        ("access_denied".to_owned(), "old".to_owned())
    );
    script.fail(denied("db"));
    script.let_pass(1);
    assert_eq!(read_with(&client, "db", pinned("1")).await, "access_denied");
}

#[tokio::test(start_paused = true)]
async fn an_absence_from_before_an_invalidation_is_not_remembered() {
    let script = Script::held(ProviderType::Vault);
    let client = client(&script);
    let early = asking_any(&client).await;
    script.set("db", "1", "there");
    client.invalidate_cache("db");
    script.let_pass(2);
    assert_eq!(early.await.unwrap(), missing("db").error_type());
    assert_eq!(read(&client, "db").await, "there");
}

#[tokio::test(start_paused = true)]
async fn who_skips_the_cache_does_not_wait_for_an_answer_from_before() {
    let (script, client) = held("old");
    let early = asking_any(&client).await;
    script.set("db", "2", "new");
    let skipping = asking(&client, fresh()).await;
    script.let_pass(2);
    assert_eq!((early.await.unwrap(), skipping.await.unwrap()), ("old".to_owned(), "new".to_owned()));
    assert_eq!(read(&client, "db").await, "new", "the older answer did not replace the newer one");
}

/// A client that has had `db` in its cache for longer than its TTL, and whose store is down and answers when it is let.
async fn held_and_down() -> (Arc<Script>, Client) {
    let (script, client) = held("old");
    script.let_pass(1);
    read(&client, "db").await;
    advance(secs(301)).await;
    script.fail(down());
    (script, client)
}

#[tokio::test(start_paused = true)]
async fn who_may_have_an_old_value_does_not_wait_while_another_who_may_not_asks_again() {
    let (script, client) = held_and_down().await;
    let skipping = asking(&client, fresh()).await;
    let any = asking_any(&client).await;
    script.let_pass(1);
    assert_eq!(any.await.unwrap(), "old");
    assert!(!skipping.is_finished(), "it asks again");
    assert_eq!((read(&client, "db").await.as_str(), script.calls()), ("old", 2));
    script.let_pass(10);
    assert_eq!(skipping.await.unwrap(), "provider_unavailable");
}

#[tokio::test(start_paused = true)]
async fn who_may_have_an_old_value_gets_it_when_another_has_no_answer_at_all() {
    let (_script, client) = held_and_down().await;
    let skipping = asking(&client, fresh()).await;
    let any = asking_any(&client).await;
    assert_eq!(any.await.unwrap(), "old");
    assert_eq!(skipping.await.unwrap(), "network_timeout");
}

#[tokio::test(start_paused = true)]
async fn who_refreshes_while_another_does_gets_no_old_value_either() {
    let (script, client) = held_and_down().await;
    let refresh = |client: Client| tokio::spawn(async move { client.refresh_after_auth_failure("db").await });
    let both = [refresh(client.clone()), refresh(client.clone())];
    settle().await;
    script.let_pass(10);
    for one in both {
        assert_eq!(one.await.unwrap().unwrap_err().error_type(), "provider_unavailable");
    }
}

#[tokio::test(start_paused = true)]
async fn the_answer_to_another_who_asks_anew_is_still_everybodys() {
    let (script, client) = held_and_down().await;
    let skipping = asking(&client, fresh()).await;
    let any = asking_any(&client).await;
    script.recover();
    script.set("db", "2", "new");
    script.let_pass(1);
    assert_eq!(any.await.unwrap(), "old", "the first try failed");
    script.let_pass(1);
    assert_eq!(skipping.await.unwrap(), "new");
    assert_eq!((read(&client, "db").await.as_str(), script.calls()), ("new", 3));
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_panics_keeps_nothing_from_the_reader() {
    let script = Script::new(ProviderType::Vault);
    script.set("db", "1", "value");
    let client = builder(&script).on_rotation(|_| panic!("a listener of a test")).build().unwrap();
    read(&client, "db").await;
    script.set("db", "2", "new");
    assert_eq!(read_with(&client, "db", fresh()).await, "new");
    assert_eq!(read(&client, "db").await, "new");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_reader_on_any_thread_sees_a_version_from_before_the_last_invalidation() {
    let script = Script::new(ProviderType::Vault);
    script.set("db", "0", "0");
    let client = client(&script);
    let floor = Arc::new(AtomicU64::new(0));
    let mut readers = JoinSet::new();
    for _ in 0..3 {
        let (client, floor) = (client.clone(), floor.clone());
        readers.spawn(async move {
            loop {
                let least = floor.load(Ordering::SeqCst);
                let seen: u64 = read(&client, "db").await.parse().unwrap();
                assert!(least <= seen, "{seen} after {least}");
                if seen == 3000 {
                    return;
                }
                tokio::task::yield_now().await;
            }
        });
    }
    for version in 1..=3000_u64 {
        script.set("db", &version.to_string(), &version.to_string());
        client.invalidate_cache("db");
        floor.store(version, Ordering::SeqCst);
        if version % 7 == 0 {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(readers.join_all().await.len(), 3);
}
