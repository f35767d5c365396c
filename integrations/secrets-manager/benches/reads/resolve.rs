//! A text with ten references to cached secrets, beside the ten reads alone.

use std::hint::black_box;

use criterion::Criterion;
use secrets_manager::{GetSecretOptions, SecretsClient};

use crate::store::{Everything, builder, one_thread, paths, warm};

/// So many references are in a text.
pub const REFERENCES: usize = 10;

/// Ten lines as in a configuration; `key` stands behind each path.
pub fn text(key: &str) -> String {
    let line =
        |path: &String| format!("url = \"postgres://app:{{{{secret:{path}{key}}}}}@db.internal/app\"\n");
    paths().iter().take(REFERENCES).map(line).collect()
}

pub fn texts(criterion: &mut Criterion) {
    let (runtime, paths) = (one_thread(), paths());
    let client = warm(&runtime, builder(&Everything::new()));
    let mut group = criterion.benchmark_group("resolve");
    group.bench_function("reads_alone", |bencher| {
        bencher.iter(|| {
            runtime.block_on(async {
                for path in &paths[..REFERENCES] {
                    black_box(client.get_secret(path, GetSecretOptions::default()).await.unwrap());
                }
            });
        });
    });
    for (name, text) in [("values", text("")), ("keys", text("#password"))] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| runtime.block_on(client.resolve_references(&text)).unwrap());
        });
    }
    group.finish();
}
