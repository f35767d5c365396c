//! Secrets that change: noticing it, telling of it, and the version before. Knows nothing of how a secret is fetched or
//! cached; it asks the client.

mod event;
mod refreshes;
mod versions;
mod watch;

use std::time::Duration;

use serde::Deserialize;

pub(crate) use event::Listeners;
pub use event::{RotationEvent, RotationListener};
pub(crate) use refreshes::Refreshes;
pub(crate) use versions::Versions;
pub use watch::{Watch, WatchConfig};

/// How long versions overlap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RotationConfig {
    /// For how long the version before stays to be had after a change. Zero keeps none.
    #[serde(with = "humantime_serde")]
    pub grace: Duration,
    /// How often, for each path, a failed login may have the store asked past the cache.
    #[serde(with = "humantime_serde")]
    pub refresh_interval: Duration,
}

impl Default for RotationConfig {
    fn default() -> Self {
        Self { grace: Duration::from_secs(300), refresh_interval: Duration::from_secs(30) }
    }
}
