//! Answers of stores, kept for a while: bounded in number and in bytes, and never beyond what the store said last.
//! Knows nothing of providers, retries and scopes; the client tells it what was asked and what was answered.

mod config;
pub mod disk;
mod entry;
mod flights;
mod key;
mod memory;

use std::time::Duration;

pub use config::CacheConfig;
pub(crate) use entry::Entry;
pub(crate) use flights::{Flight, Flights};
pub use key::CacheKey;
pub(crate) use memory::{Found, MemoryCache};

use crate::types::SecretValue;

/// Where values are kept between two questions to a store.
pub trait SecretCache: Send + Sync {
    /// A value that is still fresh.
    fn get(&self, key: &CacheKey<'_>) -> Option<SecretValue>;

    /// A value that may be given out while its store does not answer: fresh, or not over for too long.
    fn get_stale(&self, key: &CacheKey<'_>) -> Option<SecretValue>;

    /// Keeps a value, fresh for `ttl`, and without an end if `key` asks for one version. It is given out no longer than
    /// it is valid, whatever `ttl` says.
    fn put(&self, key: &CacheKey<'_>, value: SecretValue, ttl: Duration);

    /// Forgets all versions of the secret at `path`, whatever the provider and its place.
    fn invalidate(&self, path: &str);

    /// Forgets all versions of all secrets whose paths begin with `prefix`.
    fn invalidate_prefix(&self, prefix: &str);

    /// What there is.
    fn stats(&self) -> CacheStats;
}

/// What a cache holds, and how often it helped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CacheStats {
    /// Entries, those included that say that a secret does not exist.
    pub entries: usize,
    /// What they take, in bytes: values, metadata and keys, about.
    pub bytes: u64,
    /// Questions that were answered.
    pub hits: u64,
    /// Questions that were not.
    pub misses: u64,
}
