//! Secrets that change: who notices, who is told, and the version before.

use std::sync::{Arc, Mutex};

use secrecy::ExposeSecret;
use secrets_manager::{
    Client, ProviderType, RotationError, SecretsClient,
    rotation::{RotationConfig, RotationEvent, WatchConfig},
};
use tokio::time::{advance, sleep};

use crate::script::{
    Script, builder, client, denied, down, fresh, missing, read, read_with, secs, settle, text,
};

type Events = Arc<Mutex<Vec<RotationEvent>>>;

fn listening(script: &Arc<Script>) -> (Client, Events) {
    let events = Events::default();
    let kept = events.clone();
    let client = builder(script).on_rotation(move |event| kept.lock().unwrap().push(event.clone()));
    (client.build().unwrap(), events)
}

fn script() -> Arc<Script> {
    let script = Script::new(ProviderType::Vault);
    script.set("db", "1", "old");
    script
}

fn previous(client: &Client) -> Option<String> {
    client.previous("db").map(|value| value.value.expose_secret().to_owned())
}

#[tokio::test(start_paused = true)]
async fn a_watch_notices_another_version_and_has_it_cached_before_anybody_asks() {
    let script = script();
    let (client, events) = listening(&script);
    let _watch = client.watch("db", WatchConfig { interval: secs(10) });
    sleep(secs(60)).await;
    assert_eq!((script.calls(), events.lock().unwrap().len()), (1, 0), "a look fetches no value");
    assert!((4..=7).contains(&script.described()));
    script.set("db", "2", "new");
    sleep(secs(12)).await;
    let calls = script.calls();
    assert_eq!(read(&client, "db").await, "new");
    assert_eq!(script.calls(), calls);
    let expected = RotationEvent {
        provider: ProviderType::Vault,
        path: "db".into(),
        previous_version: "1".into(),
        version: "2".into(),
    };
    assert_eq!(*events.lock().unwrap(), [expected]);
    sleep(secs(60)).await;
    assert_eq!(events.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_watch_outlasts_a_store_that_is_down_and_ends_when_it_is_dropped() {
    let script = script();
    let (client, events) = listening(&script);
    let watch = client.watch("db", WatchConfig { interval: secs(10) });
    sleep(secs(5)).await;
    script.fail(down());
    sleep(secs(100)).await;
    script.recover();
    script.set("db", "2", "new");
    sleep(secs(100)).await;
    assert_eq!(events.lock().unwrap().len(), 1);
    drop(watch);
    settle().await;
    let described = script.described();
    sleep(secs(100)).await;
    assert_eq!(script.described(), described);
}

#[tokio::test(start_paused = true)]
async fn a_change_is_noticed_by_a_renewal_and_by_a_later_read_too() {
    let script = script();
    let (client, events) = listening(&script);
    read(&client, "db").await;
    script.set("db", "2", "new");
    advance(secs(250)).await;
    read(&client, "db").await;
    settle().await;
    assert_eq!(events.lock().unwrap().len(), 1);
    script.set("db", "3", "newer");
    client.invalidate_cache("db");
    read(&client, "db").await;
    assert_eq!(events.lock().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_version_before_stays_to_be_had_for_its_time_of_grace() {
    let script = script();
    let client = client(&script);
    read(&client, "db").await;
    assert_eq!(previous(&client), None);
    script.set("db", "2", "new");
    assert_eq!(text(client.refresh_after_auth_failure("db").await), "new");
    advance(secs(299)).await;
    assert_eq!(previous(&client).as_deref(), Some("old"));
    advance(secs(1)).await;
    assert_eq!(previous(&client), None);
}

#[tokio::test(start_paused = true)]
async fn a_rotation_forgets_what_is_cached_and_keeps_the_version_before() {
    let script = script();
    let client = client(&script);
    read(&client, "db").await;
    assert!(client.rotate_secret("db").await.unwrap().triggered);
    assert_eq!(previous(&client), None, "it is the current one still");
    script.set("db", "2", "new");
    assert_eq!(read(&client, "db").await, "new");
    assert_eq!(previous(&client).as_deref(), Some("old"));
}

#[tokio::test(start_paused = true)]
async fn a_rotation_that_runs_already_forgets_what_is_cached_too() {
    let script = script();
    let client = client(&script);
    read(&client, "db").await;
    script.fail(RotationError::RotationInProgress { path: "db".into() });
    assert_eq!(client.rotate_secret("db").await.unwrap_err().error_type(), "rotation_in_progress");
    script.recover();
    script.set("db", "2", "new");
    assert_eq!(read(&client, "db").await, "new");
    assert_eq!(previous(&client).as_deref(), Some("old"));
}

#[tokio::test(start_paused = true)]
async fn a_rotation_that_no_store_answered_leaves_what_bridges_its_absence() {
    let script = script();
    let client = client(&script);
    read(&client, "db").await;
    script.fail(down());
    assert!(client.rotate_secret("db").await.is_err());
    assert_eq!(read(&client, "db").await, "old");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_takes_a_secret_back_takes_the_version_before_too() {
    let script = script();
    let client = client(&script);
    read(&client, "db").await;
    script.set("db", "2", "new");
    client.refresh_after_auth_failure("db").await.unwrap();
    script.fail(missing("db"));
    assert!(client.describe_secret("db").await.is_err());
    assert_eq!(previous(&client), None);
}

#[tokio::test(start_paused = true)]
async fn a_watch_notices_a_change_with_the_right_to_read_alone() {
    let script = script();
    script.deny_descriptions();
    let (client, events) = listening(&script);
    let _watch = client.watch("db", WatchConfig { interval: secs(10) });
    sleep(secs(35)).await;
    let calls = script.calls();
    assert_eq!((read(&client, "db").await.as_str(), script.calls()), ("old", calls), "it is cached");
    script.set("db", "2", "new");
    sleep(secs(15)).await;
    assert_eq!(events.lock().unwrap().len(), 1);
    let calls = script.calls();
    assert_eq!((read(&client, "db").await.as_str(), script.calls()), ("new", calls));
    assert_eq!(previous(&client).as_deref(), Some("old"));
    assert_eq!(script.described(), 1, "what was denied once is not asked for at each look");
}

#[tokio::test(start_paused = true)]
async fn a_watch_takes_what_may_be_read_no_longer_from_the_cache() {
    let script = script();
    let client = client(&script);
    let _watch = client.watch("db", WatchConfig { interval: secs(10) });
    sleep(secs(15)).await;
    script.fail(denied("db"));
    sleep(secs(15)).await;
    assert_eq!(read(&client, "db").await, "access_denied");
    let described = script.described();
    sleep(secs(30)).await;
    assert!(described < script.described(), "it goes on to ask for the description");
}

#[tokio::test(start_paused = true)]
async fn a_description_that_is_denied_takes_nothing_that_may_be_read() {
    let script = script();
    let client = client(&script);
    read(&client, "db").await;
    script.deny_descriptions();
    assert!(client.describe_secret("db").await.is_err());
    assert_eq!((read(&client, "db").await.as_str(), script.calls()), ("old", 1));
    script.fail(denied("db"));
    assert_eq!(read_with(&client, "db", fresh()).await, "access_denied");
    assert_eq!(read(&client, "db").await, "access_denied", "a read that is denied takes all");
}

#[tokio::test(start_paused = true)]
async fn failed_logins_ask_the_store_once_in_an_interval_for_each_path() {
    let script = script();
    script.set("other", "1", "x");
    let client = client(&script);
    read(&client, "db").await;
    for _ in 0..20 {
        client.refresh_after_auth_failure("db").await.unwrap();
    }
    assert_eq!(script.calls(), 2);
    client.refresh_after_auth_failure("other").await.unwrap();
    assert_eq!(script.calls(), 3);
    advance(secs(30)).await;
    client.refresh_after_auth_failure("db").await.unwrap();
    assert_eq!(script.calls(), 4);
}

#[tokio::test(start_paused = true)]
async fn failed_logins_at_once_all_get_the_new_value_from_one_call() {
    let script = Script::held(ProviderType::Vault);
    script.set("db", "1", "old");
    let client = client(&script);
    script.let_pass(1);
    read(&client, "db").await;
    script.set("db", "2", "new");
    let refresh =
        |client: Client| tokio::spawn(async move { text(client.refresh_after_auth_failure("db").await) });
    let all: Vec<_> = (0..50).map(|_| refresh(client.clone())).collect();
    settle().await;
    script.let_pass(1);
    for one in all {
        assert_eq!(one.await.unwrap(), "new");
    }
    assert_eq!(script.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_fails_gives_no_old_value_and_takes_none_from_the_others() {
    let script = script();
    let client = client(&script);
    read(&client, "db").await;
    script.fail(down());
    assert_eq!(text(client.refresh_after_auth_failure("db").await), "provider_unavailable");
    assert_eq!(read(&client, "db").await, "old");
}

#[tokio::test(start_paused = true)]
async fn without_a_time_of_grace_no_version_before_is_kept() {
    let script = script();
    let rotation = RotationConfig { grace: secs(0), ..RotationConfig::default() };
    let client = builder(&script).rotation(rotation).build().unwrap();
    read(&client, "db").await;
    script.set("db", "2", "new");
    client.refresh_after_auth_failure("db").await.unwrap();
    assert_eq!(previous(&client), None);
}

#[tokio::test(start_paused = true)]
async fn a_stage_is_forgotten_when_the_current_version_changes() {
    let script = script();
    let client = client(&script);
    let stage =
        || secrets_manager::GetSecretOptions { stage: Some("AWSPREVIOUS".into()), ..Default::default() };
    read(&client, "db").await;
    crate::script::read_with(&client, "db", stage()).await;
    script.set("db", "2", "new");
    client.refresh_after_auth_failure("db").await.unwrap();
    assert_eq!(crate::script::read_with(&client, "db", stage()).await, "new");
}

#[tokio::test(start_paused = true)]
async fn a_watch_fetches_the_value_where_the_store_tells_no_version_without_it() {
    let script = script();
    let (client, events) = listening(&script);
    let untold = |version, text| {
        let value = crate::script::value("db", version, text);
        let metadata =
            secrets_manager::SecretMetadata { current_version: String::new(), ..(*value.metadata).clone() };
        secrets_manager::SecretValue { metadata: metadata.into(), ..value }
    };
    script.set_value("db", untold("1", "old"));
    let _watch = client.watch("db", WatchConfig { interval: secs(10) });
    sleep(secs(15)).await;
    assert!(events.lock().unwrap().is_empty());
    script.set_value("db", untold("2", "new"));
    sleep(secs(15)).await;
    assert_eq!(events.lock().unwrap().len(), 1);
    let calls = script.calls();
    assert_eq!((read(&client, "db").await.as_str(), script.calls()), ("new", calls));
}
