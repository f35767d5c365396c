//! Waiting for a condition: polled until a deadline, never a fixed sleep that hopes.

use std::{
    thread,
    time::{Duration, Instant},
};

const POLL: Duration = Duration::from_millis(5);

/// The longest that any condition of the suites may take on a slow, busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Polls until `look` gives something; `None` once `limit` has passed.
pub fn within<T>(limit: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if deadline <= Instant::now() {
            return None;
        }
        thread::sleep(POLL);
    }
}

/// Polls until `look` gives something; panics with `what` when patience ends.
pub fn eventually<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, look).unwrap_or_else(|| panic!("waited {PATIENCE:?} for: {what}"))
}
