//! Many at once, each a task, on as many threads as there are cores. How often the store was asked is asserted.

use std::sync::Arc;

use criterion::{BatchSize, Criterion};
use secrets_manager::{Client, GetSecretOptions, SecretsClient};
use tokio::{runtime::Runtime, task::JoinSet};

use crate::{
    resolve::{REFERENCES, text},
    store::{Everything, builder, many_threads, paths, warm},
};

const READERS: u32 = 10_000;
const RESOLVERS: u32 = 1000;

/// All miss the same secret before the store answers, beside as many tasks that do nothing.
pub fn misses(criterion: &mut Criterion) {
    let (runtime, path) = (many_threads(), Arc::<str>::from(&*paths()[0]));
    let mut group = criterion.benchmark_group("crowd");
    group.sample_size(20);
    group.bench_function("tasks_alone", |bencher| {
        bencher.iter(|| join(&runtime, READERS, || async {}));
    });
    group.bench_function("misses", |bencher| {
        bencher.iter_batched(
            || cold(READERS),
            |(store, client)| {
                join(&runtime, READERS, || {
                    let (store, client, path) = (store.clone(), client.clone(), path.clone());
                    async move {
                        store.come();
                        client.get_secret(&path, GetSecretOptions::default()).await.unwrap();
                    }
                });
                assert_eq!(store.calls(), 1);
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

/// All resolve the same text of ten references: cached, and before the store answers.
pub fn resolves(criterion: &mut Criterion) {
    let (runtime, text) = (many_threads(), Arc::<str>::from(text("")));
    let mut group = criterion.benchmark_group("crowd");
    group.sample_size(20);
    group.bench_function("resolves_cached", |bencher| {
        let store = Everything::new();
        let client = warm(&runtime, builder(&store));
        let asked = store.calls();
        bencher.iter(|| resolve(&runtime, &store, &client, &text));
        assert_eq!(store.calls(), asked);
    });
    group.bench_function("resolves_cold", |bencher| {
        bencher.iter_batched(
            || cold(RESOLVERS),
            |(store, client)| {
                resolve(&runtime, &store, &client, &text);
                assert_eq!(store.calls(), REFERENCES);
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

/// A client that has nothing cached, of a store that answers when so many have come.
fn cold(awaited: u32) -> (Arc<Everything>, Client) {
    let store = Everything::awaiting(awaited);
    let client = builder(&store).build().unwrap();
    (store, client)
}

fn resolve(runtime: &Runtime, store: &Arc<Everything>, client: &Client, text: &Arc<str>) {
    join(runtime, RESOLVERS, || {
        let (store, client, text) = (store.clone(), client.clone(), text.clone());
        async move {
            store.come();
            client.resolve_references(&text).await.unwrap();
        }
    });
}

/// Runs so many tasks, and waits for all of them.
fn join<T: Future<Output = ()> + Send + 'static>(runtime: &Runtime, count: u32, task: impl Fn() -> T) {
    runtime.block_on(async { (0..count).map(|_| task()).collect::<JoinSet<()>>().join_all().await });
}
