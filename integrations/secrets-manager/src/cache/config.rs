//! How long answers are kept, and how many.

use std::time::Duration;

use serde::Deserialize;

use crate::types::ConfigurationError;

/// What the cache keeps. Durations are written as in `5m` or `30s`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CacheConfig {
    /// How long a value is fresh. Zero keeps nothing.
    #[serde(with = "humantime_serde")]
    pub ttl: Duration,
    /// How long before its end a value that is read is fetched anew in the background. Zero never does.
    #[serde(with = "humantime_serde")]
    pub refresh_ahead: Duration,
    /// Entries at most.
    pub max_entries: usize,
    /// Bytes at most: values, metadata and keys, about. A value that is larger than what one part of the cache may hold,
    /// a quarter of it or more, is not kept.
    pub max_bytes: u64,
    /// How long it is remembered that a secret or a version does not exist. Zero never is.
    #[serde(with = "humantime_serde")]
    pub negative_ttl: Duration,
    /// Whether an old value is given out while its store is throttled, down or not reached.
    pub stale_fallback: bool,
    /// For how long after its end an old value may be given out then.
    #[serde(with = "humantime_serde")]
    pub max_stale: Duration,
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self {
            ttl: Duration::from_secs(300),
            refresh_ahead: Duration::from_secs(60),
            max_entries: 1000,
            max_bytes: 16 << 20,
            negative_ttl: Duration::from_secs(30),
            stale_fallback: true,
            max_stale: Duration::from_secs(3600),
        }
    }
}

impl CacheConfig {
    /// Whether the settings can be together.
    ///
    /// # Errors
    /// [`ConfigurationError::InvalidCacheConfig`] if they cannot.
    pub fn validate(&self) -> Result<(), ConfigurationError> {
        let detail = if self.max_entries == 0 {
            "max_entries is 0: to keep nothing, set ttl to 0s".to_owned()
        } else if self.max_bytes == 0 {
            "max_bytes is 0: to keep nothing, set ttl to 0s".to_owned()
        } else if !self.ttl.is_zero() && self.ttl <= self.refresh_ahead {
            format!("refresh_ahead ({:?}) is not shorter than ttl ({:?})", self.refresh_ahead, self.ttl)
        } else {
            return Ok(());
        };
        Err(ConfigurationError::InvalidCacheConfig { detail })
    }
}
