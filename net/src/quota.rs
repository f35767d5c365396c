//! How many lines about refused connections a minute may have in the log: whoever can reach the port can have itself
//! refused as often as it likes, and must not fill a disk. What is left out is counted, as all of it is in `stats`.
//! Knows nothing of who was refused and why.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

const MINUTE: Duration = Duration::from_secs(60);
const LINES_MAX: u32 = 60;

/// The lines of one endpoint.
#[derive(Debug, Default)]
pub(crate) struct LineQuota(Mutex<Option<Minute>>);

#[derive(Debug)]
struct Minute {
    begun: Instant,
    lines: u32,
    left_out: u64,
}

impl LineQuota {
    /// Whether there is room for one more line; if so, how many were left out since the last that there was room for.
    pub(crate) fn take(&self, now: Instant) -> Option<u64> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let minute = held.get_or_insert(Minute { begun: now, lines: 0, left_out: 0 });
        if MINUTE <= now - minute.begun {
            (minute.begun, minute.lines) = (now, 0);
        }
        if minute.lines == LINES_MAX {
            minute.left_out += 1;
            return None;
        }
        minute.lines += 1;
        Some(std::mem::take(&mut minute.left_out))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_minute_has_so_many_lines_and_the_next_says_how_many_were_left_out() {
        let (quota, begun) = (LineQuota::default(), Instant::now());
        for second in 0..60 {
            assert_eq!(quota.take(begun + Duration::from_millis(900 * second)), Some(0));
        }
        for _ in 0..5 {
            assert_eq!(quota.take(begun + MINUTE - Duration::from_nanos(1)), None);
        }
        assert_eq!(quota.take(begun + MINUTE), Some(5));
        assert_eq!(quota.take(begun + MINUTE), Some(0));
    }
}
