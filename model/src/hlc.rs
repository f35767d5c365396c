//! Hybrid logical time: wall milliseconds that never go back, with a counter for ties.
//! Keeps V4. After Kulkarni and others, "Logical Physical Clocks" (OPODIS 2014), packed into 64 bits.
//! Knows nothing of where `now` comes from.

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::limits::SKEW_MS_MAX;

/// Milliseconds since 1970-01-01T00:00:00Z, by some node's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Millis(pub u64);

/// A moment in hybrid time: 48 bits of milliseconds, 16 bits of counter, compared as one number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hlc(pub u64);

impl Hlc {
    const COUNTER_BITS: u32 = 16;

    /// The first moment of a millisecond.
    pub fn start_of(millis: Millis) -> Self {
        Self(millis.0.min(u64::MAX >> Self::COUNTER_BITS) << Self::COUNTER_BITS)
    }

    /// The last moment of a millisecond.
    pub fn end_of(millis: Millis) -> Self {
        Self(Self::start_of(millis).0 | ((1 << Self::COUNTER_BITS) - 1))
    }

    /// The wall-clock part.
    pub fn millis(self) -> Millis {
        Millis(self.0 >> Self::COUNTER_BITS)
    }

    /// The least later moment; a full counter carries into the milliseconds.
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// Whether this lies further ahead of `now` than the skew bound allows.
    pub fn is_beyond_skew(self, now: Millis) -> bool {
        now.0.saturating_add(SKEW_MS_MAX) < self.millis().0
    }
}

impl fmt::Debug for Hlc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hlc({}+{})", self.millis().0, self.0 & ((1 << Self::COUNTER_BITS) - 1))
    }
}

/// One node's hybrid clock. `last` must be restored at start as the latest time the node ever stored.
#[derive(Debug, Clone)]
pub struct HybridClock {
    last: Hlc,
}

impl HybridClock {
    /// A clock that will only give times later than `last`.
    pub fn resume_after(last: Hlc) -> Self {
        Self { last }
    }

    /// The latest time given or seen.
    pub fn last(&self) -> Hlc {
        self.last
    }

    /// A time later than every one given or seen before, and not before `now`.
    pub fn tick(&mut self, now: Millis) -> Hlc {
        self.last = self.last.next().max(Hlc::start_of(now));
        self.last
    }

    /// Takes in a time from elsewhere, so that later ticks come after it. `false`, and nothing is taken
    /// in, when it lies beyond the skew bound: its record is to be held back.
    #[must_use]
    pub fn observe(&mut self, seen: Hlc, now: Millis) -> bool {
        let counts = !seen.is_beyond_skew(now);
        if counts {
            self.last = self.last.max(seen);
        }
        counts
    }
}
