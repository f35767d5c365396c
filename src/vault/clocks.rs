//! What the clocks of other members say, against this node's. A reading goes on with the time that has passed
//! since by no wall clock, so that a clock which jumps is noticed when it jumps. Keeps V5: a node whose clock is
//! off by more than the bound stamps nothing.
//! Knows nothing of how they are asked.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use covault_model::{
    hlc::Millis,
    id::NodeId,
    refusal::{NodeFault, Refusal},
    skew::Skew,
};
use tokio::time::Instant;

use super::Vault;

/// How long a reading counts.
const READING_LASTS: Duration = Duration::from_secs(60);

/// The clocks of the other members.
#[derive(Default)]
pub struct Clocks(Mutex<BTreeMap<NodeId, Reading>>);

struct Reading {
    said: Millis,
    /// Halfway between the question and its answer.
    at: Instant,
}

impl Clocks {
    /// Takes in what a member said, who was asked and answered at these moments.
    pub fn heard(&self, node: NodeId, said: Millis, (asked, answered): (Instant, Instant)) {
        let at = asked + answered.saturating_duration_since(asked) / 2;
        self.readings().insert(node, Reading { said, at });
    }

    /// Forgets those that are not `members`.
    pub fn retain(&self, members: &[NodeId]) {
        self.readings().retain(|node, _| members.contains(node));
    }

    /// Of how many members there is a reading, however old.
    pub fn heard_of(&self) -> usize {
        self.readings().len()
    }

    /// How far each clock that was heard of a moment ago is ahead of one that says `now`.
    pub fn ahead(&self, now: Millis) -> BTreeMap<NodeId, Skew> {
        let current = |(node, reading): (&NodeId, &Reading)| {
            let since = reading.at.elapsed();
            (since < READING_LASTS).then(|| (*node, difference(reading.said, since, now)))
        };
        self.readings().iter().filter_map(current).collect()
    }

    /// How far a clock that says `now` is ahead of what most members' clocks say.
    pub fn skew(&self, now: Millis) -> Skew {
        Skew::against(self.ahead(now).into_values())
    }

    fn readings(&self) -> MutexGuard<'_, BTreeMap<NodeId, Reading>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn difference(said: Millis, since: Duration, now: Millis) -> Skew {
    let says = i128::from(said.0) + since.as_millis() as i128;
    let ahead = says - i128::from(now.0);
    Skew(i64::try_from(ahead).unwrap_or(if ahead < 0 { i64::MIN } else { i64::MAX }))
}

impl Vault {
    /// The time, for what it is stamped into: none while this node's clock is off.
    pub(super) fn time_to_stamp(&self) -> Result<Millis, Refusal> {
        let now = self.now();
        if self.parts.clocks.skew(now).is_beyond_bound() {
            return Err(NodeFault::ClockSkew.into());
        }
        Ok(now)
    }
}
