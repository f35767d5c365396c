//! A read that the cache answers, beside what the cache library alone takes for the same look-up; and one that it does
//! not.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use criterion::{BatchSize, Bencher, Criterion};
use quick_cache::sync::Cache;
use secrets_manager::{Client, GetSecretOptions, SecretValue, SecretsClient};
use tokio::runtime::Runtime;

use crate::store::{Everything, SECRETS, builder, one_thread, paths, value, warm};

pub fn reads(criterion: &mut Criterion) {
    let (runtime, paths) = (one_thread(), paths());
    let client = warm(&runtime, builder(&Everything::new()));
    let bare = Cache::<String, SecretValue>::new(2 * SECRETS);
    for path in &paths {
        bare.insert(path.clone(), value(path));
    }
    let mut group = criterion.benchmark_group("cached");
    group.bench_function("bare", |bencher| {
        let mut next = paths.iter().cycle();
        bencher.iter(|| bare.get(next.next().unwrap().as_str()).unwrap());
    });
    // What a cache takes at least whose entries have an end.
    group.bench_function("bare_and_clock", |bencher| {
        let mut next = paths.iter().cycle();
        bencher.iter(|| (bare.get(next.next().unwrap().as_str()).unwrap(), Instant::now()));
    });
    group.bench_function("client", |bencher| in_turns(bencher, &runtime, &client));
    group.bench_function("trait_object", |bencher| {
        let client: &dyn SecretsClient = &client;
        let mut next = paths.iter().cycle();
        bencher.iter_custom(|count| {
            runtime.block_on(async {
                let began = Instant::now();
                for _ in 0..count {
                    let path = next.next().unwrap();
                    black_box(client.get_secret(path, GetSecretOptions::default()).await.unwrap());
                }
                began.elapsed()
            })
        });
    });
    group.finish();
    tail(&runtime, &client, &paths);
}

/// Reads one secret after the other.
pub fn in_turns(bencher: &mut Bencher<'_>, runtime: &Runtime, client: &Client) {
    let paths = paths();
    let mut next = paths.iter().cycle();
    bencher.iter_custom(|count| {
        runtime.block_on(async {
            let began = Instant::now();
            for _ in 0..count {
                let path = next.next().unwrap();
                black_box(client.get_secret(path, GetSecretOptions::default()).await.unwrap());
            }
            began.elapsed()
        })
    });
}

/// Prints how long single reads take. Looking at the clock is part of each.
fn tail(runtime: &Runtime, client: &Client, paths: &[String]) {
    let mut took: Vec<Duration> = runtime.block_on(async {
        let mut took = Vec::with_capacity(1_000_000);
        for path in paths.iter().cycle().take(1_000_000) {
            let began = Instant::now();
            black_box(client.get_secret(path, GetSecretOptions::default()).await.unwrap());
            took.push(began.elapsed());
        }
        took
    });
    took.sort_unstable();
    let at = |share: f64| took[(took.len() as f64 * share) as usize];
    println!("single reads: p50 {:?}, p99 {:?}, p99.9 {:?}", at(0.5), at(0.99), at(0.999));
}

pub fn misses(criterion: &mut Criterion) {
    let (runtime, paths) = (one_thread(), paths());
    criterion.bench_function("missed", |bencher| {
        bencher.iter_batched(
            || builder(&Everything::new()).build().unwrap(),
            |client| runtime.block_on(client.get_secret(&paths[0], GetSecretOptions::default())).unwrap(),
            BatchSize::SmallInput,
        );
    });
}
