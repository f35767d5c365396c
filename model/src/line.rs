//! The line of a secret's versions and which of them was in force when.
//! Keeps V3: one line by (time, id); each version holds from its own time to the next one's.
//! Knows nothing of where the line is kept: callers hand in neighbours.

use serde::{Deserialize, Serialize};

use crate::{
    hlc::{Hlc, Millis},
    id::{RecordId, VersionId},
};

/// A version's place in the line of its secret. Ordered by time, then by id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    /// When the version was made.
    pub time: Hlc,
    /// Its id, which decides between equal times.
    pub id: VersionId,
}

impl Place {
    /// The greatest place that a version of this time can have.
    pub const fn last_of(time: Hlc) -> Self {
        Self { time, id: RecordId([0xff; 32]) }
    }
}

/// The stretch of time a version is in force, half open: `from <= t < to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// The version's own time.
    pub from: Hlc,
    /// The next version's time; absent for the last of the line.
    pub to: Option<Hlc>,
}

impl Validity {
    /// The validity of the version at `place` when `next` follows it in the line.
    pub fn between(place: &Place, next: Option<&Place>) -> Self {
        Self { from: place.time, to: next.map(|next| next.time) }
    }

    /// Whether the version was in force at `time`.
    pub fn covers(&self, time: Hlc) -> bool {
        self.from <= time && self.to.is_none_or(|to| time < to)
    }
}

/// The greatest place that can be in force at the end of `at`: all versions made in or before that
/// millisecond lie at or below it.
pub fn last_place_at(at: Millis) -> Place {
    Place::last_of(Hlc::end_of(at))
}

/// What a version is, seen from its secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The last of the line, and readable.
    Current,
    /// Agreed, and replaced by a later one.
    Past,
    /// Not agreed yet: it has an id and a time, but no number.
    Provisional,
    /// Never agreed, because something newer was agreed first; readable and restorable by id.
    Superseded,
    /// Marked deleted; can be brought back.
    Deleted,
    /// Its payload is erased for good.
    Destroyed,
}

/// The facts that decide a version's [`State`].
#[derive(Debug, Clone, Copy)]
pub struct Standing {
    /// Whether the registry gave it a number.
    pub agreed: bool,
    /// Whether a version agreed later lies after it.
    pub passed_over: bool,
    /// Whether it is the last of the line.
    pub last: bool,
    /// Whether its delete mark holds.
    pub deleted: bool,
    /// Whether its payload is erased.
    pub destroyed: bool,
}

impl State {
    /// The state that follows from `standing`; the harshest fact wins.
    pub fn of(standing: Standing) -> Self {
        match standing {
            Standing { destroyed: true, .. } => Self::Destroyed,
            Standing { deleted: true, .. } => Self::Deleted,
            Standing { agreed: false, passed_over: true, .. } => Self::Superseded,
            Standing { agreed: false, .. } => Self::Provisional,
            Standing { last: true, .. } => Self::Current,
            Standing { .. } => Self::Past,
        }
    }

    /// The word the contract uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Past => "past",
            Self::Provisional => "provisional",
            Self::Superseded => "superseded",
            Self::Deleted => "deleted",
            Self::Destroyed => "destroyed",
        }
    }
}
