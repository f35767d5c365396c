//! What monitoring sees: metrics by their names, spans with their attributes, log levels.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    io::{self, Write},
    sync::{Arc, Mutex, Once},
};

use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use secrets_manager::{ListOptions, ProviderType, SecretsClient};
use tokio::time::advance;
use tracing::{Level, Metadata};
use tracing_subscriber::fmt::{MakeWriter, format::FmtSpan};

use crate::script::{Script, client, denied, down, fresh, limited, read, read_with, secs, settle};

/// What one test writes to the log, with spans as they end. The subscriber is one for all tests, as those of single threads
/// would have to agree on which events are worth making; what it writes goes to the test whose thread it is.
#[derive(Clone)]
pub struct Log {
    text: Arc<Mutex<Vec<u8>>>,
    level: Level,
}

thread_local! {
    static LOG: RefCell<Option<Log>> = const { RefCell::new(None) };
}

/// Ends the keeping of a log.
pub struct Keeping;

impl Drop for Keeping {
    fn drop(&mut self) {
        LOG.set(None);
    }
}

impl Log {
    /// Keeps what this thread logs, at `level` and above, while the guard lives.
    pub fn at(level: Level) -> (Self, Keeping) {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            tracing_subscriber::fmt()
                .with_writer(ToThread)
                .with_max_level(Level::TRACE)
                .with_span_events(FmtSpan::CLOSE)
                .with_ansi(false)
                .without_time()
                .init();
        });
        let log = Self { text: Arc::default(), level };
        LOG.set(Some(log.clone()));
        (log, Keeping)
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.text.lock().unwrap().clone()).unwrap()
    }

    fn has(&self, words: &[&str]) -> bool {
        self.text().lines().any(|line| words.iter().all(|word| line.contains(word)))
    }
}

/// Finds the log of the test whose thread it is.
struct ToThread;

/// A place in it, or none.
struct Line(Option<Log>);

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(log) = &self.0 {
            log.text.lock().unwrap().extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for ToThread {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line(LOG.with_borrow(Clone::clone))
    }

    fn make_writer_for(&'a self, event: &Metadata<'_>) -> Line {
        Line(LOG.with_borrow(Clone::clone).filter(|log| *event.level() <= log.level))
    }
}

/// All metrics, as `name{label=value,…}`, with counts for histograms.
pub fn metrics(snapshotter: &Snapshotter) -> BTreeMap<String, u64> {
    let mut all = BTreeMap::new();
    for (key, _, _, value) in snapshotter.snapshot().into_vec() {
        let key = key.key();
        let mut labels: Vec<_> =
            key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        labels.sort();
        let value = match value {
            DebugValue::Counter(count) => count,
            DebugValue::Gauge(level) => level.into_inner() as u64,
            DebugValue::Histogram(values) => values.len() as u64,
        };
        all.insert(format!("{}{{{}}}", key.name(), labels.join(",")), value);
    }
    all.retain(|_, value| *value != 0);
    all
}

#[tokio::test(start_paused = true)]
async fn metrics_have_the_names_and_labels_that_dashboards_know() {
    let recorder = DebuggingRecorder::new();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let script = Script::new(ProviderType::Vault);
    let client = client(&script);
    script.set("db", "1", "value");
    read(&client, "db").await;
    read(&client, "db").await;
    read(&client, "db").await;
    script.then(Err(limited(None)));
    script.set("db", "2", "new");
    read_with(&client, "db", fresh()).await;
    client.list_secrets("", ListOptions::default()).await.unwrap();
    client.describe_secret("db").await.unwrap();
    client.rotate_secret("db").await.unwrap();
    client.rotate_secret("none").await.unwrap_err();
    read(&client, "db").await;
    let expected = [
        ("secrets_cache_hits_total{provider=vault}", 2),
        ("secrets_cache_misses_total{provider=vault}", 2),
        ("secrets_cache_size{provider=vault}", 1),
        ("secrets_errors_total{error_type=not_found_secret,provider=vault}", 1),
        ("secrets_errors_total{error_type=provider_rate_limited,provider=vault}", 1),
        ("secrets_request_duration_seconds{operation=describe,provider=vault}", 1),
        ("secrets_request_duration_seconds{operation=get,provider=vault}", 4),
        ("secrets_request_duration_seconds{operation=list,provider=vault}", 1),
        ("secrets_request_duration_seconds{operation=rotate,provider=vault}", 2),
        ("secrets_requests_total{operation=describe,provider=vault,status=success}", 1),
        ("secrets_requests_total{operation=get,provider=vault,status=error}", 1),
        ("secrets_requests_total{operation=get,provider=vault,status=success}", 3),
        ("secrets_requests_total{operation=list,provider=vault,status=success}", 1),
        ("secrets_requests_total{operation=rotate,provider=vault,status=error}", 1),
        ("secrets_requests_total{operation=rotate,provider=vault,status=success}", 1),
        ("secrets_rotation_total{provider=vault,status=detected}", 1),
        ("secrets_rotation_total{provider=vault,status=failed}", 1),
        ("secrets_rotation_total{provider=vault,status=triggered}", 1),
    ];
    let expected = expected.map(|(name, count)| (name.to_owned(), count));
    assert_eq!(metrics(&recorder.snapshotter()), BTreeMap::from(expected));
}

#[tokio::test(start_paused = true)]
async fn spans_have_the_attributes_that_traces_are_searched_by() {
    let (log, _guard) = Log::at(Level::INFO);
    let script = Script::new(ProviderType::Vault);
    let client = client(&script);
    script.set("app/db", "7", "value");
    read(&client, "app/db").await;
    let get = ["secrets.get{secret_path=\"app/db\" provider=\"vault\" version=\"7\"", "close"];
    assert!(log.has(&[get[0], "cached=false", get[1]]), "{}", log.text());
    read(&client, "app/db").await;
    assert!(log.has(&[get[0], "cached=true", get[1]]));
    client.list_secrets("app/", ListOptions::default()).await.unwrap();
    assert!(
        log.has(&["secrets.list{prefix=\"app/\" provider=\"vault\" count=1}", "close"]),
        "{}",
        log.text()
    );
    client.rotate_secret("app/db").await.unwrap();
    assert!(log.has(&["secrets.rotate{secret_path=\"app/db\" provider=\"vault\"}", "close"]));
}

#[tokio::test(start_paused = true)]
async fn each_kind_of_news_is_logged_at_its_level() {
    let (log, _guard) = Log::at(Level::TRACE);
    let script = Script::new(ProviderType::Vault);
    let client = client(&script);
    script.set("db", "1", "value");
    read(&client, "db").await;
    assert!(log.has(&["INFO", "secret access", "secret_path=\"db\""]), "{}", log.text());
    assert!(log.has(&["TRACE", "the store answered", "operation=\"get\""]));
    script.then(Err(limited(None)));
    read_with(&client, "db", fresh()).await;
    assert!(log.has(&["WARN", "the store is asked too often"]));
    client.invalidate_cache("db");
    assert!(log.has(&["DEBUG", "invalidating"]));
    read(&client, "db").await;
    advance(secs(241)).await;
    script.fail(denied("db"));
    read(&client, "db").await;
    settle().await;
    assert!(log.has(&["WARN", "was not renewed"]), "{}", log.text());
    read(&client, "db").await;
    assert!(log.has(&["ERROR", "no secret access", "error_type=\"access_denied\""]));
    script.fail(down());
    read(&client, "other").await;
    assert!(log.has(&["ERROR", "no secret access", "error_type=\"provider_unavailable\""]));
}
