//! One answer with its times. Knows nothing of how entries are found or thrown out.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use metrics::Gauge;
use tokio::time::Instant;

use super::{CacheConfig, CacheKey};
use crate::types::{SecretValue, SecretsError};

/// What an entry, its key and its metadata take beside their texts, in bytes, about.
const OVERHEAD: usize = 512;

/// An answer of a store: a value, or that there is none.
pub(crate) struct Entry {
    pub answer: Result<SecretValue, SecretsError>,
    /// None: as long as there is room.
    pub(super) fresh_until: Option<Instant>,
    /// None: never.
    pub(super) refresh_at: Option<Instant>,
    /// Until when it may be given out while the store does not answer; none as for `fresh_until`.
    pub(super) usable_until: Option<Instant>,
    /// Set by whoever refreshes it, so that nobody else does.
    refreshing: AtomicBool,
    pub(super) weight: u64,
    _counted: Counted,
}

impl Entry {
    /// A value that is fresh from now for `ttl`, or without an end.
    pub(super) fn value(
        key: &CacheKey<'_>,
        value: SecretValue,
        ttl: Duration,
        config: &CacheConfig,
        totals: &Arc<Totals>,
    ) -> Self {
        let bytes = OVERHEAD + key.len() + value.value.len() + metadata_len(&value);
        let now = Instant::now();
        let fresh_until = (!key.is_pinned()).then(|| now + ttl);
        let refreshes = !config.refresh_ahead.is_zero() && config.refresh_ahead < ttl;
        Self {
            answer: Ok(value),
            fresh_until,
            refresh_at: fresh_until.filter(|_| refreshes).map(|end| end - config.refresh_ahead),
            usable_until: fresh_until.map(|end| end + config.max_stale),
            refreshing: AtomicBool::new(false),
            weight: config.weight(bytes),
            _counted: Counted::new(totals, key, bytes),
        }
    }

    /// That there is no such secret or version.
    pub(super) fn missing(
        key: &CacheKey<'_>,
        error: SecretsError,
        config: &CacheConfig,
        totals: &Arc<Totals>,
    ) -> Self {
        let bytes = OVERHEAD + 2 * key.len();
        let end = Some(Instant::now() + config.negative_ttl);
        Self {
            answer: Err(error),
            fresh_until: end,
            refresh_at: None,
            usable_until: end,
            refreshing: AtomicBool::new(false),
            weight: config.weight(bytes),
            _counted: Counted::new(totals, key, bytes),
        }
    }

    pub(super) fn is_fresh(&self, now: Instant) -> bool {
        self.fresh_until.is_none_or(|end| now < end)
    }

    /// Whether it is to be refreshed: true for the first who asks, from when it is due.
    pub(super) fn take_refresh(&self, now: Instant) -> bool {
        self.refresh_at.is_some_and(|due| due <= now) && !self.refreshing.swap(true, Ordering::AcqRel)
    }

    pub(super) fn is_usable(&self, now: Instant) -> bool {
        self.usable_until.is_none_or(|end| now < end)
    }
}

fn metadata_len(value: &SecretValue) -> usize {
    let metadata = &value.metadata;
    let texts = [&metadata.arn, &metadata.description].map(|text| text.as_ref().map_or(0, String::len));
    let tags: usize = metadata.tags.iter().map(|(name, value)| name.len() + value.len()).sum();
    let stages: usize = metadata.stages.iter().map(String::len).sum();
    metadata.name.len() + texts[0] + texts[1] + tags + stages + value.version.len()
}

impl CacheConfig {
    /// An entry's share of the cache, by number or by bytes, whichever is larger: so that both bounds hold when the sum
    /// of all shares is within [`CacheConfig::capacity`].
    fn weight(&self, bytes: usize) -> u64 {
        self.max_bytes.max((bytes as u64).saturating_mul(self.max_entries as u64))
    }

    pub(super) fn capacity(&self) -> u64 {
        self.max_bytes.saturating_mul(self.max_entries as u64)
    }
}

/// What all entries of a cache come to, per provider and in all.
pub(super) struct Totals {
    pub entries: AtomicUsize,
    pub bytes: AtomicU64,
    /// By the provider's place in [`crate::types::ProviderType::ALL`].
    pub sizes: Vec<Gauge>,
}

/// Counts an entry for as long as it lives, however it leaves the cache.
struct Counted {
    totals: Arc<Totals>,
    provider: usize,
    bytes: u64,
}

impl Counted {
    fn new(totals: &Arc<Totals>, key: &CacheKey<'_>, bytes: usize) -> Self {
        let counted = Self { totals: totals.clone(), provider: key.provider as usize, bytes: bytes as u64 };
        totals.entries.fetch_add(1, Ordering::Relaxed);
        totals.bytes.fetch_add(counted.bytes, Ordering::Relaxed);
        if let Some(size) = totals.sizes.get(counted.provider) {
            size.increment(1.0);
        }
        counted
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.totals.entries.fetch_sub(1, Ordering::Relaxed);
        self.totals.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        if let Some(size) = self.totals.sizes.get(self.provider) {
            size.decrement(1.0);
        }
    }
}
