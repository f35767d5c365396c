//! What auditors see: every access, also those that the cache answers.

use std::sync::Arc;

use metrics_util::debugging::DebuggingRecorder;
use secrets_manager::{
    ListOptions, ProviderType, SecretsClient, SecretsConfig, WallClock,
    observe::{ChannelSink, FileSink, SecretAccessEvent, SecretOperation},
};
use tokio::{sync::mpsc::Receiver, time::advance};
use tracing::Level;

use crate::{
    script::{Script, builder, client, date, denied, fresh, pinned, read, read_with, secs, settle},
    telemetry::{Log, metrics},
};

fn all(
    receiver: &mut Receiver<SecretAccessEvent>,
) -> Vec<(SecretOperation, String, Option<String>, bool, bool)> {
    let event = |event: SecretAccessEvent| {
        (event.operation, event.secret_path, event.version, event.success, event.cached)
    };
    std::iter::from_fn(|| receiver.try_recv().ok()).map(event).collect()
}

#[tokio::test(start_paused = true)]
async fn every_access_is_an_event_also_those_that_are_cached_or_fail() {
    use SecretOperation::{Describe, Get, List, Rotate, Versions};

    let (sink, mut receiver) = ChannelSink::new(100);
    let script = Script::new(ProviderType::Vault);
    script.set("db", "1", "value");
    let client = builder(&script).audit_sink(Arc::new(sink)).build().unwrap();
    read(&client, "db").await;
    read(&client, "db").await;
    read_with(&client, "db", fresh()).await;
    read_with(&client, "db", pinned("9")).await;
    read_with(&client, "db", pinned("9")).await;
    client.list_secrets("d", ListOptions::default()).await.unwrap();
    client.describe_secret("db").await.unwrap();
    client.list_versions("db").await.unwrap();
    client.rotate_secret("db").await.unwrap();
    client.refresh_after_auth_failure("db").await.unwrap();
    let (db, one, nine) = (|| "db".to_owned(), || Some("1".to_owned()), || Some("9".to_owned()));
    let expected = [
        (Get, db(), one(), true, false),
        (Get, db(), one(), true, true),
        (Get, db(), one(), true, false),
        (Get, db(), nine(), false, false),
        (Get, db(), nine(), false, true),
        (List, "d".to_owned(), None, true, false),
        (Describe, db(), one(), true, false),
        (Versions, db(), None, true, false),
        (Rotate, db(), None, true, false),
        (Get, db(), one(), true, false),
    ];
    assert_eq!(all(&mut receiver), expected);
}

#[tokio::test(start_paused = true)]
async fn a_renewal_in_the_background_is_an_event_too() {
    let (sink, mut receiver) = ChannelSink::new(100);
    let script = Script::new(ProviderType::Vault);
    script.set("db", "1", "value");
    let client = builder(&script).audit_sink(Arc::new(sink)).build().unwrap();
    read(&client, "db").await;
    advance(secs(250)).await;
    read(&client, "db").await;
    settle().await;
    let cached: Vec<_> = all(&mut receiver).into_iter().map(|(.., cached)| cached).collect();
    assert_eq!(cached, [false, true, false]);
}

#[tokio::test(start_paused = true)]
async fn an_event_says_who_when_from_where_and_what_went_wrong() {
    let (sink, mut receiver) = ChannelSink::new(1);
    let script = Script::new(ProviderType::Vault);
    script.fail(denied("db"));
    let client = builder(&script)
        .audit_sink(Arc::new(sink))
        .caller_identity("billing")
        .source_ip("10.0.0.7")
        .clock(WallClock::new(|| date(1_700_000_000)))
        .build()
        .unwrap();
    read(&client, "db").await;
    let expected = SecretAccessEvent {
        timestamp: date(1_700_000_000),
        provider: Some(ProviderType::Vault),
        secret_path: "db".into(),
        version: None,
        operation: SecretOperation::Get,
        caller_identity: "billing".into(),
        source_ip: Some("10.0.0.7".into()),
        success: false,
        cached: false,
        error_type: Some("access_denied"),
    };
    assert_eq!(receiver.try_recv().unwrap(), expected);
}

#[tokio::test(start_paused = true)]
async fn all_sinks_get_every_event_and_one_that_fails_is_counted_and_logged() {
    let recorder = DebuggingRecorder::new();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let (log, _guard) = Log::at(Level::INFO);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let (full, receiver) = ChannelSink::new(1);
    drop(receiver);
    let script = Script::new(ProviderType::Vault);
    script.set("db", "1", "value");
    let client = builder(&script)
        .audit_sink(Arc::new(full))
        .audit_sink(Arc::new(FileSink::open(&path).unwrap()))
        .build()
        .unwrap();
    assert_eq!(read(&client, "db").await, "value");
    assert_eq!(read(&client, "db").await, "value");
    assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 2);
    assert_eq!(metrics(&recorder.snapshotter())["secrets_audit_errors_total{sink=channel}"], 2);
    assert_eq!(log.text().matches("an access is not on record").count(), 2);
}

#[tokio::test(start_paused = true)]
async fn without_a_sink_events_go_to_the_log_unless_they_are_turned_off() {
    let (log, _guard) = Log::at(Level::INFO);
    let script = Script::new(ProviderType::Vault);
    script.set("db", "1", "value");
    read(&client(&script), "db").await;
    assert_eq!(log.text().matches("secrets_manager::audit").count(), 1);
    let off = SecretsConfig { audit_enabled: false, ..SecretsConfig::default() };
    let client = secrets_manager::Client::builder().config(off).provider(script).build().unwrap();
    read(&client, "db").await;
    assert_eq!(log.text().matches("secrets_manager::audit").count(), 1);
}
