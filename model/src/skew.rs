//! How far a clock is off, by what the clocks of others say. Keeps V5: what fewer than half of the members say,
//! whatever they say, never makes a sound clock look wrong.
//! Knows nothing of how they are asked.

use alloc::vec::Vec;

use serde::Serialize;

use crate::limits::SKEW_MS_MAX;

/// Milliseconds that a clock is ahead of another, or of what most say; negative when it is behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize)]
#[serde(transparent)]
pub struct Skew(pub i64);

impl Skew {
    /// How far a clock is ahead of most, when each of `others` is so far ahead of it: the middle one of all clocks,
    /// itself among them. Of two in the middle the one nearer to it, so that of two nodes neither is judged by the
    /// other alone.
    #[must_use]
    pub fn against(others: impl IntoIterator<Item = Self>) -> Self {
        let mut all: Vec<i64> = others.into_iter().map(|other| other.0).chain([0]).collect();
        all.sort_unstable();
        let (low, high) = (all[(all.len() - 1) / 2], all[all.len() / 2]);
        let middle = if high.unsigned_abs() < low.unsigned_abs() { high } else { low };
        Self(middle.saturating_neg())
    }

    /// Whether it is more than a node may be off that stamps anything.
    #[must_use]
    pub fn is_beyond_bound(self) -> bool {
        SKEW_MS_MAX < self.0.unsigned_abs()
    }
}
