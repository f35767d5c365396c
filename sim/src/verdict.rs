//! What is kept of a run once it was judged: a few kilobytes instead of its story. A run that gave no story is judged
//! too. Knows nothing of how a run is started.

use serde::{Deserialize, Serialize};

use crate::{checkers::Violation, coverage::Coverage, plan::Plan, story::Story};

/// The rule of runs that end without a story: each ends, and by itself.
pub const PANICKED: &str = "a run does not panic";
/// The rule that a run ends within the time that it is given.
pub const HUNG: &str = "a run ends in time";
/// The rule that the cluster becomes whole and stops when told to.
pub const UNTOLD: &str = "a run can be told";

/// What a run came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// What it was to be.
    pub plan: Plan,
    /// How long it lasted, in simulated microseconds.
    pub simulated_us: u64,
    /// The digest of all events and packets; empty without a story.
    pub digest: String,
    /// What it tried.
    pub coverage: Coverage,
    /// What was wrong, in the order in which it showed.
    pub violations: Vec<Violation>,
}

impl Verdict {
    /// That on a story.
    pub fn on(story: &Story, violations: Vec<Violation>) -> Self {
        Self {
            plan: story.plan.clone(),
            simulated_us: story.events.last().map_or(0, |event| event.at_us),
            digest: story.digest.clone(),
            coverage: Coverage::of(story),
            violations,
        }
    }

    /// That on a run that gave no story.
    pub fn without_a_story(plan: Plan, rule: &str, says: String) -> Self {
        let violation = Violation { rule: rule.to_owned(), at_us: 0, says };
        Self {
            plan,
            simulated_us: 0,
            digest: String::new(),
            coverage: Coverage::default(),
            violations: vec![violation],
        }
    }

    /// Whether every rule held.
    pub fn holds(&self) -> bool {
        self.violations.is_empty()
    }

    /// Whether this rule was violated.
    pub fn violates(&self, rule: &str) -> bool {
        self.violations.iter().any(|violation| violation.rule == rule)
    }
}
