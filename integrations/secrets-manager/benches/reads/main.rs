//! What reads cost: cached and not, watched, as references in a text, and by many at once.

#![allow(clippy::unwrap_used)]

mod cached;
mod crowd;
mod observed;
mod resolve;
mod store;

use criterion::{criterion_group, criterion_main};

// What is watched by a log is last: from then on, all reads of this process would look whether they are to be logged.
criterion_group!(
    benches,
    cached::reads,
    cached::misses,
    resolve::texts,
    crowd::misses,
    crowd::resolves,
    observed::reads
);
criterion_main!(benches);
