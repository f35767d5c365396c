//! A value goes through everything that a client does, with every level of the log, all metrics and all events kept; and
//! is in none of them.

use std::sync::Arc;

use metrics_util::debugging::DebuggingRecorder;
use secrets_manager::{
    GetSecretOptions, ListOptions, ProviderType, SecretsClient, cache::CacheConfig, observe::FileSink,
    rotation::WatchConfig,
};
use tokio::time::{advance, sleep};
use tracing::Level;

use crate::{
    script::{Script, builder, denied, down, fresh, limited, pinned, secs, settle},
    telemetry::{Log, metrics},
};

const CANARY: &str = "canary-7f3a";

#[tokio::test(start_paused = true)]
async fn a_value_is_in_no_log_span_metric_event_error_or_debug() {
    let recorder = DebuggingRecorder::new();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let (log, _guard) = Log::at(Level::TRACE);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let script = Script::new(ProviderType::Vault);
    let text = format!(r#"{{"password":"{CANARY}","deep":[{CANARY}"#);
    script.set("db", "1", &text);
    script.set("other", "1", CANARY);
    let client = builder(&script)
        .audit_sink(Arc::new(FileSink::open(&path).unwrap()))
        .audit_sink(Arc::new(secrets_manager::observe::TracingSink))
        .cache(CacheConfig { max_entries: 1, ..CacheConfig::default() })
        .build()
        .unwrap();
    let mut shown = String::new();
    let get = async |options: GetSecretOptions| {
        let answer = client.get_secret("db", options).await;
        format!("{answer:?}{answer:#?}")
    };
    let _watch = client.watch("db", WatchConfig { interval: secs(7) });
    for options in
        [GetSecretOptions::default(), GetSecretOptions::default(), fresh(), pinned("1"), pinned("9")]
    {
        shown += &get(options).await;
    }
    script.set("db", "2", &text);
    sleep(secs(30)).await;
    advance(secs(250)).await;
    shown += &get(GetSecretOptions::default()).await;
    settle().await;
    for error in [limited(None), down()] {
        script.fail(error);
        advance(secs(301)).await;
        shown += &get(GetSecretOptions::default()).await;
        shown += &get(fresh()).await;
    }
    script.recover();
    advance(secs(60)).await;
    shown += &get(fresh()).await;
    shown += &format!("{:?}", client.get_secret_key("db", "password").await);
    shown += &format!("{:?}", client.get_secret_key("other", "password").await);
    shown += &format!("{:?}", client.list_secrets("", ListOptions::default()).await);
    shown += &format!("{:?}{:?}", client.describe_secret("db").await, client.rotate_secret("db").await);
    shown += &format!("{:?}{:?}", client.previous("db"), client.refresh_after_auth_failure("db").await);
    script.fail(denied("db"));
    shown += &get(fresh()).await;
    shown += &format!("{client:?}");
    let counted = format!("{:?}", metrics(&recorder.snapshotter()));
    let events = std::fs::read_to_string(&path).unwrap();
    for (place, text) in [("log", log.text()), ("metrics", counted), ("events", events), ("shown", shown)] {
        assert!(100 < text.len(), "{place} has nothing in it");
        assert!(!text.contains(CANARY), "{place}");
    }
}
