//! What a cached read costs, beside what the cache library alone takes for the same look-up in the same run.

#![allow(clippy::unwrap_used)]

use std::{
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use chrono::DateTime;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use quick_cache::sync::Cache;
use secrets_manager::{
    Client, GetSecretOptions, ListOptions, ProviderType, RotationResult, SecretMetadata, SecretNotFoundError,
    SecretPage, SecretProvider, SecretValue, SecretsClient, SecretsError,
};
use tokio::runtime::{Builder, Runtime};

/// As many secrets as a service may have.
const SECRETS: usize = 500;

/// Has every secret.
struct Everything;

#[async_trait]
impl SecretProvider for Everything {
    async fn get_secret(&self, path: &str, _: GetSecretOptions) -> Result<SecretValue, SecretsError> {
        Ok(value(path))
    }

    async fn list_page(&self, _: &str, _: ListOptions) -> Result<SecretPage, SecretsError> {
        Ok(SecretPage::default())
    }

    async fn describe_secret(&self, path: &str) -> Result<SecretMetadata, SecretsError> {
        Ok((*value(path).metadata).clone())
    }

    async fn rotate_secret(&self, path: &str) -> Result<RotationResult, SecretsError> {
        Err(SecretNotFoundError::SecretDoesNotExist { path: path.into() }.into())
    }

    fn provider_type(&self) -> ProviderType {
        ProviderType::Vault
    }

    async fn health_check(&self) -> Result<(), SecretsError> {
        Ok(())
    }
}

fn value(path: &str) -> SecretValue {
    SecretValue {
        value: "correct horse battery staple".into(),
        binary: false,
        version: "3".into(),
        created_at: DateTime::UNIX_EPOCH,
        updated_at: None,
        valid_until: None,
        metadata: Arc::new(SecretMetadata::new(path, "3", DateTime::UNIX_EPOCH)),
    }
}

fn paths() -> Vec<String> {
    (0..SECRETS).map(|number| format!("app/production/service-{number}/password")).collect()
}

fn warm(runtime: &Runtime, paths: &[String]) -> Client {
    let client = Client::builder().provider(Arc::new(Everything)).build().unwrap();
    runtime.block_on(async {
        for path in paths {
            client.get_secret(path, GetSecretOptions::default()).await.unwrap();
        }
    });
    client
}

fn cached_reads(criterion: &mut Criterion) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let paths = paths();
    let client = warm(&runtime, &paths);
    let bare = Cache::<String, SecretValue>::new(2 * SECRETS);
    for path in &paths {
        bare.insert(path.clone(), value(path));
    }
    let mut group = criterion.benchmark_group("cached");
    group.bench_function("bare", |bencher| {
        let mut next = paths.iter().cycle();
        bencher.iter(|| bare.get(next.next().unwrap().as_str()).unwrap());
    });
    group.bench_function("client", |bencher| {
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

fn missed_reads(criterion: &mut Criterion) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let paths = paths();
    criterion.bench_function("missed", |bencher| {
        bencher.iter_batched(
            || Client::builder().provider(Arc::new(Everything)).build().unwrap(),
            |client| runtime.block_on(client.get_secret(&paths[0], GetSecretOptions::default())).unwrap(),
            BatchSize::SmallInput,
        );
    });
}

criterion_group!(benches, cached_reads, missed_reads);
criterion_main!(benches);
