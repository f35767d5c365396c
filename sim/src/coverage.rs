//! Which faults met which operations, and what came of them: what a run has tried, in a few numbers that add up over
//! runs. An operation meets a fault when one lasts while the other is under way. Knows nothing of rules.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    story::{Story, Told, What},
    telling,
};

/// The row of operations that no fault met.
pub const CALM: &str = "no fault";

/// What runs have tried.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    /// Faults that were begun, by kind.
    pub faults: BTreeMap<String, u64>,
    /// Operations by kind, whatever they met.
    pub asked: BTreeMap<String, Outcomes>,
    /// The same by the kind of fault that they met, then by their own kind.
    pub met: BTreeMap<String, BTreeMap<String, Outcomes>>,
}

/// How operations ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcomes {
    /// Answered with success.
    pub done: u64,
    /// Answered with a refusal.
    pub refused: u64,
    /// They may have been done.
    pub unknown: u64,
    /// The node was not there.
    pub unreached: u64,
}

/// A fault while it lasts.
struct Spell {
    kind: &'static str,
    from_us: u64,
    to_us: u64,
}

impl Coverage {
    /// What one run tried.
    pub fn of(story: &Story) -> Self {
        let spells = spells(story);
        let mut coverage = Self::default();
        for spell in &spells {
            *coverage.faults.entry(spell.kind.to_owned()).or_default() += 1;
        }
        for operation in story.operations() {
            let kind = telling::kind(&operation.asked.ask);
            let overlaps =
                |spell: &&Spell| spell.from_us <= operation.told_us && operation.asked_us < spell.to_us;
            let mut met: Vec<&str> = spells.iter().filter(overlaps).map(|spell| spell.kind).collect();
            met.sort_unstable();
            met.dedup();
            if met.is_empty() {
                met.push(CALM);
            }
            coverage.asked.entry(kind.to_owned()).or_default().count(operation.told);
            for fault in met {
                let row = coverage.met.entry(fault.to_owned()).or_default();
                row.entry(kind.to_owned()).or_default().count(operation.told);
            }
        }
        coverage
    }

    /// Takes what another run tried into this.
    pub fn add(&mut self, other: &Self) {
        for (kind, count) in &other.faults {
            *self.faults.entry(kind.clone()).or_default() += count;
        }
        for (kind, outcomes) in &other.asked {
            self.asked.entry(kind.clone()).or_default().add(*outcomes);
        }
        for (fault, row) in &other.met {
            let own = self.met.entry(fault.clone()).or_default();
            for (kind, outcomes) in row {
                own.entry(kind.clone()).or_default().add(*outcomes);
            }
        }
    }

    /// How often anything was asked.
    pub fn operations(&self) -> u64 {
        self.asked.values().map(Outcomes::all).sum()
    }
}

impl Outcomes {
    /// How many operations there were.
    pub fn all(&self) -> u64 {
        self.done + self.refused + self.unknown + self.unreached
    }

    fn count(&mut self, told: &Told) {
        let which = match told {
            Told::Unreached => &mut self.unreached,
            told if told.is_done() => &mut self.done,
            told if told.is_unknown() => &mut self.unknown,
            _ => &mut self.refused,
        };
        *which += 1;
    }

    fn add(&mut self, other: Self) {
        self.done += other.done;
        self.refused += other.refused;
        self.unknown += other.unknown;
        self.unreached += other.unreached;
    }
}

/// All faults of a story. One that was never mended lasts until its end.
fn spells(story: &Story) -> Vec<Spell> {
    let mut spells: Vec<(&crate::fault::Fault, Spell)> = Vec::new();
    for event in &story.events {
        match &event.what {
            What::Harmed(fault) => {
                let spell = Spell { kind: fault.kind(), from_us: event.at_us, to_us: u64::MAX };
                spells.push((fault, spell));
            }
            What::Mended(fault) => {
                let open = |(begun, spell): &&mut (_, Spell)| *begun == fault && spell.to_us == u64::MAX;
                if let Some((_, spell)) = spells.iter_mut().find(open) {
                    spell.to_us = event.at_us;
                }
            }
            _ => {}
        }
    }
    spells.into_iter().map(|(_, spell)| spell).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fault::Fault,
        telling::tests::{answer, create, story},
    };

    #[test]
    fn an_operation_counts_under_each_kind_of_fault_that_lasts_while_it_is_under_way() {
        let mut story = story();
        story.push(10, What::Harmed(Fault::Crash(0)));
        story.push(11, What::Harmed(Fault::Crash(1)));
        story.push(12, What::Harmed(Fault::Mute(2)));
        story.push(20, create(0, "n0"));
        story.push(21, What::Mended(Fault::Mute(2)));
        story.push(30, What::Told { op: 0, told: answer(201) });
        story.push(31, What::Mended(Fault::Crash(0)));
        story.push(32, What::Mended(Fault::Crash(1)));
        story.push(40, create(1, "n0"));
        story.push(41, What::Told { op: 1, told: answer(409) });
        let coverage = Coverage::of(&story);
        assert_eq!(coverage.faults["crash"], 2);
        let done = Outcomes { done: 1, ..Outcomes::default() };
        assert_eq!(coverage.met["crash"]["create"], done);
        assert_eq!(coverage.met["mute"]["create"], done);
        assert_eq!(coverage.met[CALM]["create"], Outcomes { refused: 1, ..Outcomes::default() });
        assert_eq!(coverage.operations(), 2);
    }

    #[test]
    fn an_operation_without_an_answer_is_unknown_and_coverage_adds_up() {
        let mut story = story();
        story.push(1, create(0, "n0"));
        story.push(2, create(1, "n1"));
        story.push(3, What::Told { op: 1, told: Told::Unreached });
        let mut coverage = Coverage::of(&story);
        coverage.add(&Coverage::of(&story));
        let both = Outcomes { unknown: 2, unreached: 2, ..Outcomes::default() };
        assert_eq!(coverage.asked["create"], both);
        assert_eq!(coverage.met[CALM]["create"], both);
    }
}
