//! How often a failed login may have a store asked past the cache: a login that fails for another reason is not to become
//! a stream of questions.

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

use crate::cache::CacheKey;

/// When each secret was asked for last in this way; none that was so longer ago than the interval.
pub(crate) struct Refreshes {
    interval: Duration,
    last: HashMap<CacheKey<'static>, Instant>,
}

impl Refreshes {
    pub fn new(interval: Duration) -> Self {
        Self { interval, last: HashMap::new() }
    }

    /// Whether it may be asked for now; if so, takes note.
    pub fn is_due(&mut self, key: &CacheKey<'_>) -> bool {
        let now = Instant::now();
        self.last.retain(|_, asked| now.duration_since(*asked) < self.interval);
        let key = key.clone().into_owned();
        let due = !self.last.contains_key(&key);
        if due {
            self.last.insert(key, now);
        }
        due
    }
}
