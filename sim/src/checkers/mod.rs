//! The rules that a story is held against, one file each. A checker is a pure function of the story and says what it
//! found in sentences. Each has a test that makes it fire and one that it lets pass. What a rule promises, and what it
//! does not, is in `docs/invariants.md`, `docs/guarantees.md` and `docs/failure.md`. Knows nothing of how a story came
//! about.

mod acknowledged;
mod adopted;
mod alone;
mod answers;
mod atomic;
mod bounded;
mod clocks;
mod converged;
mod destroyed;
mod epochs;
mod insert_once;
mod isolated;
mod liars;
mod linearizable;
mod lives;
mod misses;
mod no_plaintext;
mod numbers;
mod one_view;
mod order;
mod own_marks;
mod own_reads;
mod reach;
mod recovered;
mod refused;
mod reigns;
mod removed;
mod replication;
mod sightings;
mod strangers;
#[cfg(test)]
mod tale;
pub mod testimony;
mod tokens;
mod views;

use serde::{Deserialize, Serialize};

use crate::story::{Operation, Story};

/// A rule that did not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// Which, by the numbers of `docs/invariants.md`.
    pub rule: String,
    /// When it showed, in simulated microseconds.
    pub at_us: u64,
    /// What is wrong, in a sentence.
    pub says: String,
}

/// One checker.
pub struct Checker {
    /// Its name.
    pub name: &'static str,
    /// The rules that it holds a story against.
    pub rules: &'static str,
    /// What it finds.
    pub check: fn(&Story) -> Vec<Violation>,
}

/// All of them.
pub const CHECKERS: [Checker; 29] = [
    Checker { name: "insert once", rules: "E1, I1", check: insert_once::check },
    Checker { name: "numbers never change", rules: "E2, V1", check: numbers::check },
    Checker { name: "acknowledged survives", rules: "D1", check: acknowledged::check },
    Checker { name: "refused is not stored", rules: "R2, I1", check: refused::check },
    Checker { name: "linearizable registry", rules: "E1, E2, E4, R1, D1", check: linearizable::check },
    Checker { name: "confirmed misses are true", rules: "R1, X6", check: misses::check },
    Checker { name: "order and validity", rules: "V3, E2, E3", check: order::check },
    Checker { name: "convergence", rules: "X5, H3, E5", check: converged::check },
    Checker { name: "views equal their rebuild", rules: "H4, U2", check: views::check },
    Checker { name: "adopted or superseded", rules: "X7", check: adopted::check },
    Checker { name: "atomic .env", rules: "E6, F3", check: atomic::check },
    Checker { name: "one view of a file", rules: "F3", check: one_view::check },
    Checker { name: "tokens agree", rules: "T1, T3, T6", check: tokens::check },
    Checker { name: "epochs rise", rules: "T2, T5", check: epochs::check },
    Checker { name: "destroyed stays destroyed", rules: "E7, X3", check: destroyed::check },
    Checker { name: "a node's own answers", rules: "D4", check: own_reads::check },
    Checker { name: "marks do not come back", rules: "D4, H3", check: own_marks::check },
    Checker { name: "isolation", rules: "N3", check: isolated::check },
    Checker { name: "strangers are nobody", rules: "X1, M1", check: strangers::check },
    Checker { name: "lies count for nothing", rules: "X1, X2, X4, T5, R3", check: liars::check },
    Checker { name: "taken away is no member", rules: "M2, R4", check: removed::check },
    Checker { name: "no plaintext", rules: "S1", check: no_plaintext::check },
    Checker { name: "nobody leads twice in a term", rules: "R5", check: reigns::check },
    Checker { name: "alone speaks for nobody", rules: "R2", check: alone::check },
    Checker { name: "clocks that are off stamp nothing", rules: "V5", check: clocks::check },
    Checker { name: "answers of the contract", rules: "C1", check: answers::check },
    Checker { name: "how widely it is kept", rules: "C2", check: replication::check },
    Checker { name: "recovery", rules: "R1, R2", check: recovered::check },
    Checker { name: "bounded log, disk, memory and talk", rules: "B1", check: bounded::check },
];

/// What a checker says of one story before it only counts.
const SAID_MAX: usize = 8;

/// Everything that is wrong with a story, in the order in which it showed. Of what a checker found many times it says
/// how often.
pub fn all(story: &Story) -> Vec<Violation> {
    let mut violations: Vec<_> = CHECKERS.iter().flat_map(|checker| checker.found_in(story)).collect();
    violations.sort_by(|a, b| (a.at_us, &a.rule, &a.says).cmp(&(b.at_us, &b.rule, &b.says)));
    violations
}

impl Checker {
    fn found_in(&self, story: &Story) -> Vec<Violation> {
        let mut found = (self.check)(story);
        let more = found.len().saturating_sub(SAID_MAX);
        found.truncate(SAID_MAX);
        if 0 < more {
            let says = format!("\"{}\" ({}) was violated {more} times more", self.name, self.rules);
            found.push(at_the_end(self.rules, story, says));
        }
        found
    }
}

/// A violation that an operation shows.
fn shown_by(rule: &str, operation: &Operation<'_>, says: String) -> Violation {
    let at_us = if operation.told_us == u64::MAX { operation.asked_us } else { operation.told_us };
    Violation { rule: rule.to_owned(), at_us, says }
}

/// A violation that shows at the end of a story.
fn at_the_end(rule: &str, story: &Story, says: String) -> Violation {
    let at_us = story.events.last().map_or(0, |event| event.at_us);
    Violation { rule: rule.to_owned(), at_us, says }
}

/// How an operation is called in a sentence.
fn named(operation: &Operation<'_>) -> String {
    let asked = operation.asked;
    format!("op {} (client {} for {} at node {})", asked.op, asked.client, asked.caller, asked.node)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::CHECKERS;

    const PAGE: &str = include_str!("../../../docs/simulation.md");
    const RULES: &str = include_str!("../../../docs/invariants.md");

    #[test]
    fn the_page_says_of_each_rule_who_judges_it_or_that_nobody_does() {
        for checker in &CHECKERS {
            let row = format!("| {} | {} | `", checker.name, checker.rules);
            assert!(PAGE.contains(&row), "{row} is not on the page");
        }
        let judged: BTreeSet<&str> = CHECKERS.iter().flat_map(|checker| checker.rules.split(", ")).collect();
        let (_, unjudged) =
            PAGE.split_once("No world is held against ").expect("the page says which are not judged");
        let unjudged = unjudged.split_once(':').expect("a list of them").0.split(", ").collect();
        let rules = RULES.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(' '));
        let is_rule = |name: &&str| name[1..].parse::<u8>().is_ok();
        let rules: BTreeSet<&str> = rules.map(|(name, _)| name).filter(is_rule).collect();
        assert_eq!(judged.union(&unjudged).copied().collect::<BTreeSet<_>>(), rules);
        assert_eq!(judged.intersection(&unjudged).next(), None);
    }
}
