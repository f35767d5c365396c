//! What is counted about requests, for Prometheus. The recorder belongs to one API, not to the process,
//! so that several nodes can live in one program. Handles are looked up once and kept, since a look-up
//! per request costs more than a read.
//! Knows nothing of callers or names: its labels are operations and status codes.

use std::{sync::OnceLock, time::Duration};

use metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata, Recorder, Unit};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use crate::api::{problem::Code, routes::Operation, table::ROUTES};

const REQUESTS: &str = "covault_requests_total";
const SECONDS: &str = "covault_request_seconds";
const CONNECTIONS: &str = "covault_connections";
/// Upper bounds of the histogram's buckets, in seconds.
const BUCKETS: &[f64] =
    &[0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5, 10.0];
const METADATA: Metadata<'static> = Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

/// The metrics of one API.
pub struct Metrics {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
    /// Every status an answer can have, in rising order.
    statuses: Vec<u16>,
    /// One per operation and status, made when it is first needed.
    requests: Vec<OnceLock<Counter>>,
    /// One per operation.
    seconds: Vec<Histogram>,
    connections: Gauge,
}

impl Metrics {
    /// Metrics that count from zero.
    pub fn new() -> Self {
        let builder = PrometheusBuilder::new().set_buckets(BUCKETS).expect("there are buckets");
        let recorder = builder.build_recorder();
        recorder.describe_counter(REQUESTS.into(), Some(Unit::Count), "Requests answered.".into());
        recorder.describe_histogram(SECONDS.into(), Some(Unit::Seconds), "Time to an answer.".into());
        recorder.describe_gauge(CONNECTIONS.into(), Some(Unit::Count), "Connections open now.".into());
        let statuses = statuses();
        let seconds = operations().map(|id| {
            let labels = vec![Label::from_static_parts("operation", id)];
            recorder.register_histogram(&Key::from_parts(SECONDS, labels), &METADATA)
        });
        Self {
            seconds: seconds.collect(),
            requests: (0..Operation::COUNT * statuses.len()).map(|_| OnceLock::new()).collect(),
            connections: recorder.register_gauge(&Key::from_name(CONNECTIONS), &METADATA),
            handle: recorder.handle(),
            statuses,
            recorder,
        }
    }

    /// Counts one answer.
    pub fn answered(&self, operation: Operation, status: u16, took: Duration) {
        self.seconds[operation as usize].record(took.as_secs_f64());
        if let Ok(at) = self.statuses.binary_search(&status) {
            let slot = &self.requests[operation as usize * self.statuses.len() + at];
            slot.get_or_init(|| self.counter(operation, status)).increment(1);
        }
    }

    fn counter(&self, operation: Operation, status: u16) -> Counter {
        let labels = vec![
            Label::from_static_parts("operation", operation.id()),
            Label::new("status", status.to_string()),
        ];
        self.recorder.register_counter(&Key::from_parts(REQUESTS, labels), &METADATA)
    }

    /// A connection was opened.
    pub fn connected(&self) {
        self.connections.increment(1.0);
    }

    /// A connection was closed.
    pub fn disconnected(&self) {
        self.connections.decrement(1.0);
    }

    /// The text of these metrics.
    pub fn render(&self) -> String {
        self.handle.render()
    }

    /// Folds recorded times into their buckets. To be called every few seconds: times wait in memory
    /// until then.
    pub fn upkeep(&self) {
        self.handle.run_upkeep();
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

fn operations() -> impl Iterator<Item = &'static str> {
    ROUTES.iter().map(|route| route.id).chain(["unknown"])
}

fn statuses() -> Vec<u16> {
    let successes = ROUTES.iter().flat_map(|route| route.answers).map(|(status, _)| *status);
    let mut all: Vec<u16> = successes.chain(Code::ALL.iter().map(|code| code.status())).collect();
    all.sort_unstable();
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted_by_operation_and_status() {
        let metrics = Metrics::new();
        metrics.answered(Operation::ReadSecret, 200, Duration::from_millis(2));
        metrics.answered(Operation::ReadSecret, 200, Duration::from_millis(2));
        metrics.answered(Operation::Unknown, 404, Duration::from_millis(2));
        metrics.connected();
        metrics.upkeep();
        let text = metrics.render();
        for line in [
            "covault_requests_total{operation=\"read_secret\",status=\"200\"} 2",
            "covault_requests_total{operation=\"unknown\",status=\"404\"} 1",
            "covault_request_seconds_count{operation=\"read_secret\"} 2",
            "covault_connections 1",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
