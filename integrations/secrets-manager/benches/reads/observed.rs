//! A cached read while somebody watches: what metrics, audit events and a log add to it.

use std::{io, sync::Arc};

use criterion::Criterion;
use metrics_util::debugging::DebuggingRecorder;
use secrets_manager::observe::{AuditError, AuditSink, FileSink, SecretAccessEvent};

use crate::{
    cached::in_turns,
    store::{Everything, builder, one_thread, warm},
};

/// Takes events and keeps none: what is left is the making of the event.
struct Nowhere;

impl AuditSink for Nowhere {
    fn record(&self, _: &SecretAccessEvent) -> Result<(), AuditError> {
        Ok(())
    }

    fn name(&self) -> &'static str {
        "nowhere"
    }
}

pub fn reads(criterion: &mut Criterion) {
    let runtime = one_thread();
    let store = Everything::new();
    let mut group = criterion.benchmark_group("observed");
    group.bench_function("recorder", |bencher| {
        let recorder = DebuggingRecorder::new();
        let client = metrics::with_local_recorder(&recorder, || warm(&runtime, builder(&store)));
        in_turns(bencher, &runtime, &client);
    });
    group.bench_function("sink", |bencher| {
        in_turns(bencher, &runtime, &warm(&runtime, builder(&store).audit_sink(Arc::new(Nowhere))));
    });
    group.bench_function("file", |bencher| {
        let sink = Arc::new(FileSink::open("/dev/null").unwrap());
        in_turns(bencher, &runtime, &warm(&runtime, builder(&store).audit_sink(sink)));
    });
    group.bench_function("log", |bencher| {
        let log = tracing_subscriber::fmt().json().with_writer(io::sink).finish();
        let client = warm(&runtime, builder(&store));
        tracing::subscriber::with_default(log, || in_turns(bencher, &runtime, &client));
    });
    group.finish();
}
