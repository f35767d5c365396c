//! How much each caller may have tokenized and detokenized in a second, on this node: so that a stolen token is
//! no quick way through all small values. What a caller has not used of a second it may use in the next; a
//! request counts for no more than a second's worth, so that any request is taken in the end.
//! Knows nothing of what is asked.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use covault_model::{hlc::Millis, name::CallerName};

/// Callers remembered at a time; beyond that those are let go of that have all of their second.
const CALLERS_MAX: usize = 4096;

/// The pace of callers.
pub(super) struct Pace {
    /// Values in a second; none for no bound.
    values_per_second: Option<u64>,
    /// When a caller will have used nothing again, in microseconds.
    free_at: Mutex<HashMap<CallerName, u64>>,
}

impl Pace {
    /// So many values in a second for each caller; none for no bound.
    pub fn new(values_per_second: Option<u64>) -> Self {
        Self { values_per_second, free_at: Mutex::default() }
    }

    /// Whether `caller` may ask for so many values now; if so, they are counted.
    #[must_use]
    pub fn takes(&self, caller: &CallerName, values: usize, now: Millis) -> bool {
        const SECOND: u64 = 1_000_000;
        let Some(pace) = self.values_per_second else { return true };
        let now = now.0.saturating_mul(1000);
        let cost = (values as u64).min(pace).saturating_mul(SECOND) / pace.max(1);
        let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
        let from = free_at.get(caller).copied().unwrap_or(0).max(now);
        // A clock that went back by more than a second must not shut a caller out.
        let from = if now + 2 * SECOND < from { now } else { from };
        if now + SECOND < from + cost {
            return false;
        }
        if CALLERS_MAX <= free_at.len() {
            free_at.retain(|_, free| now < *free);
        }
        free_at.insert(caller.clone(), from + cost);
        true
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_caller_has_its_pace_and_no_more_and_takes_nothing_from_another() {
        let pace = Pace::new(Some(100));
        let [ann, bob] = ["ann", "bob"].map(|name| CallerName::parse(name).unwrap());
        let start = 1_750_000_000_000;
        assert!(pace.takes(&ann, 60, Millis(start)));
        assert!(!pace.takes(&ann, 60, Millis(start)));
        assert!(pace.takes(&ann, 40, Millis(start)));
        assert!(!pace.takes(&ann, 1, Millis(start)));
        assert!(pace.takes(&bob, 100, Millis(start)));
        assert!(!pace.takes(&ann, 60, Millis(start + 599)));
        assert!(pace.takes(&ann, 60, Millis(start + 600)));
        assert!(pace.takes(&ann, 1_000_000, Millis(start + 1600)), "a large one waits for a second's worth");
        assert!(!pace.takes(&ann, 1, Millis(start + 1600)));
        assert!(pace.takes(&ann, 1, Millis(start - 3_600_000)), "the clock went back");
    }

    #[test]
    fn without_a_bound_anything_is_taken() {
        let pace = Pace::new(None);
        let ann = CallerName::parse("ann").unwrap();
        assert!((0..10).all(|_| pace.takes(&ann, usize::MAX, Millis(0))));
    }
}
