//! The cache in memory: the door to the cache library. Both bounds hold at any time. An entry that is over is given out
//! as stale until `max_stale` has passed, and wiped when it is thrown out, replaced, invalidated, or swept after its end.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use metrics::Gauge;
use quick_cache::{Equivalent, OptionsBuilder, Weighter, sync::Cache};
use tokio::time::Instant;

use super::{
    CacheConfig, CacheKey, CacheStats, SecretCache,
    entry::{Entry, Totals},
};
use crate::types::{ConfigurationError, ProviderType, SecretValue, SecretsError, WallClock};

/// Parts of the cache, each with a lock and an equal share of the room. More let more threads write at once; fewer keep
/// larger values and throw out more evenly.
const PARTS: usize = 4;

/// A bounded cache in memory.
pub(crate) struct MemoryCache {
    entries: Cache<Owned, Arc<Entry>, Weigh>,
    config: CacheConfig,
    wall: WallClock,
    totals: Arc<Totals>,
    hits: AtomicU64,
    misses: AtomicU64,
    swept: Mutex<Instant>,
}

/// What there is for a key.
pub(crate) enum Found {
    /// A fresh answer.
    Fresh(Arc<Entry>),
    /// A fresh value, and whoever gets this is to fetch it anew.
    Due(Arc<Entry>),
    /// None that is fresh.
    Nothing,
}

impl MemoryCache {
    /// An empty cache, whose gauges of size are those of `sizes`, in the order of
    /// [`crate::types::ProviderType::ALL`]; none are kept if it is empty.
    ///
    /// # Errors
    /// [`ConfigurationError::InvalidCacheConfig`] if the settings cannot be together.
    pub fn new(config: CacheConfig, wall: WallClock, sizes: Vec<Gauge>) -> Result<Self, ConfigurationError> {
        config.validate()?;
        let options = OptionsBuilder::new()
            .shards(PARTS)
            .estimated_items_capacity(config.max_entries)
            .weight_capacity(config.capacity())
            .build()
            .map_err(|error| ConfigurationError::InvalidCacheConfig { detail: error.to_string() })?;
        let totals = Totals { entries: AtomicUsize::new(0), bytes: AtomicU64::new(0), sizes };
        Ok(Self {
            entries: Cache::with_options(options, Weigh, Default::default(), Default::default()),
            config,
            wall,
            totals: Arc::new(totals),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
            swept: Mutex::new(Instant::now()),
        })
    }

    /// What there is for `key` now.
    pub(crate) fn find(&self, key: &CacheKey<'_>) -> Found {
        let entry = self.entries.get(key);
        let now = Instant::now(); // After the look-up: a look at the clock waits for whatever is on its way.
        let Some(entry) = entry.filter(|entry| entry.is_fresh(now) && self.is_valid(entry)) else {
            self.misses.fetch_add(1, Ordering::Relaxed);
            return Found::Nothing;
        };
        self.hits.fetch_add(1, Ordering::Relaxed);
        if entry.take_refresh(now) { Found::Due(entry) } else { Found::Fresh(entry) }
    }

    /// A fresh answer to `key`, also that there is no such secret; not counted as a read.
    pub(crate) fn answer(&self, key: &CacheKey<'_>) -> Option<Result<SecretValue, SecretsError>> {
        let now = Instant::now();
        let entry = self.usable(key, now).filter(|entry| entry.is_fresh(now))?;
        Some(entry.answer.clone())
    }

    /// Keeps for a while that there is no such secret or version.
    pub(crate) fn put_missing(&self, key: &CacheKey<'_>, error: SecretsError) {
        if !self.config.negative_ttl.is_zero() && !self.config.ttl.is_zero() {
            self.insert(key, Entry::missing(key, error, &self.config, &self.totals));
        }
    }

    /// Keeps a value that is fresh and that the next reader is to fetch anew.
    pub(crate) fn put_due(&self, key: &CacheKey<'_>, value: SecretValue) {
        let mut entry = Entry::value(key, value, self.config.ttl, &self.config, &self.totals);
        entry.refresh_at = entry.fresh_until.map(|_| Instant::now());
        self.insert(key, entry);
    }

    /// Gives what is kept for `key`, fresh or stale, half a TTL more while its store does not answer, though no more
    /// than it may be stale. None if there is nothing that may be given out.
    pub(crate) fn extend(&self, key: &CacheKey<'_>) -> Option<SecretValue> {
        let now = Instant::now();
        let old = self.usable(key, now)?;
        let value = old.answer.as_ref().ok()?.clone();
        let more = self.config.ttl / 2;
        let end = old.usable_until.map(|last| last.min(old.fresh_until.unwrap_or(now).max(now + more)));
        let mut entry = Entry::value(key, value.clone(), more, &self.config, &self.totals);
        entry.fresh_until = end;
        entry.usable_until = old.usable_until;
        entry.refresh_at = end.map(|_| now + more / 2);
        self.insert(key, entry);
        Some(value)
    }

    /// Forgets the answer to one question.
    pub(crate) fn remove(&self, key: &CacheKey<'_>) {
        self.entries.remove(key);
    }

    /// Forgets what is kept of the secret at `path` but for versions asked for by their identifiers, which stay what
    /// they are.
    pub(crate) fn invalidate_moving(&self, provider: ProviderType, path: &str) {
        self.entries.retain(|Owned(key), _| key.provider != provider || key.path != path || key.is_pinned());
    }

    /// The value for `key`, however old, if it may be given out while its store does not answer.
    fn usable(&self, key: &CacheKey<'_>, now: Instant) -> Option<Arc<Entry>> {
        let entry = self.entries.get(key)?;
        (entry.is_usable(now) && self.is_valid(&entry)).then_some(entry)
    }

    /// A value's own end, which is a date and so is asked of the wall clock each time.
    fn is_valid(&self, entry: &Entry) -> bool {
        match &entry.answer {
            Ok(SecretValue { valid_until: Some(end), .. }) => self.wall.now() < *end,
            _ => true,
        }
    }

    fn insert(&self, key: &CacheKey<'_>, entry: Entry) {
        self.sweep();
        self.entries.insert(Owned(key.clone().into_owned()), Arc::new(entry));
    }

    /// Throws out what is over, once in a TTL at most.
    fn sweep(&self) {
        let now = Instant::now();
        let mut swept = self.swept.lock().unwrap_or_else(PoisonError::into_inner);
        if self.config.ttl <= now.duration_since(*swept) {
            *swept = now;
            drop(swept);
            self.entries.retain(|_, entry| entry.is_usable(now) && self.is_valid(entry));
        }
    }
}

impl SecretCache for MemoryCache {
    fn get(&self, key: &CacheKey<'_>) -> Option<SecretValue> {
        self.answer(key)?.ok()
    }

    fn get_stale(&self, key: &CacheKey<'_>) -> Option<SecretValue> {
        self.usable(key, Instant::now())?.answer.as_ref().ok().cloned()
    }

    fn put(&self, key: &CacheKey<'_>, value: SecretValue, ttl: Duration) {
        if !ttl.is_zero() {
            self.insert(key, Entry::value(key, value, ttl, &self.config, &self.totals));
        }
    }

    fn invalidate(&self, path: &str) {
        self.entries.retain(|key, _| key.0.path != path);
    }

    fn invalidate_prefix(&self, prefix: &str) {
        self.entries.retain(|key, _| !key.0.path.starts_with(prefix));
    }

    fn stats(&self) -> CacheStats {
        CacheStats {
            entries: self.totals.entries.load(Ordering::Relaxed),
            bytes: self.totals.bytes.load(Ordering::Relaxed),
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
        }
    }
}

/// A key as it is kept; found by any borrowed key that is equal.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Owned(CacheKey<'static>);

impl Equivalent<Owned> for CacheKey<'_> {
    fn equivalent(&self, kept: &Owned) -> bool {
        *self == kept.0
    }
}

#[derive(Clone)]
struct Weigh;

impl Weighter<Owned, Arc<Entry>> for Weigh {
    fn weight(&self, _: &Owned, entry: &Arc<Entry>) -> u64 {
        entry.weight
    }
}
