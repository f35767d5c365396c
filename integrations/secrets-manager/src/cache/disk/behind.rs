//! The disk cache behind a client's cache in memory. Where the disk fails, the client goes on as if nothing were there; the
//! log says so.

use std::time::Duration;

use super::{DiskCache, Kept};
use crate::{
    cache::{CacheKey, CacheStats, SecretCache},
    types::{CacheError, SecretValue},
};

impl SecretCache for DiskCache {
    fn get(&self, key: &CacheKey<'_>) -> Option<SecretValue> {
        let now = self.clock.now();
        let kept = self.kept(key).filter(|kept| key.is_pinned() || now <= kept.fresh_until)?;
        Some(kept.secret)
    }

    fn get_stale(&self, key: &CacheKey<'_>) -> Option<SecretValue> {
        Some(self.kept(key)?.secret)
    }

    fn put(&self, key: &CacheKey<'_>, value: SecretValue, ttl: Duration) {
        told(self.store(key, &value, ttl));
    }

    fn invalidate(&self, path: &str) {
        told(self.remove(path));
    }

    fn invalidate_prefix(&self, prefix: &str) {
        told(self.remove_prefix(prefix));
    }

    /// Entries and their bytes on the disk; questions are not counted.
    fn stats(&self) -> CacheStats {
        let files = self.files().unwrap_or_default();
        let bytes = files.iter().map(|file| file.size).sum();
        CacheStats { entries: files.len(), bytes, ..CacheStats::default() }
    }
}

impl DiskCache {
    fn kept(&self, key: &CacheKey<'_>) -> Option<Kept> {
        told(self.load(key)).flatten()
    }
}

fn told<T>(result: Result<T, CacheError>) -> Option<T> {
    result.inspect_err(|error| tracing::warn!(%error, "the disk cache is not used")).ok()
}
