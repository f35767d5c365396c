//! Which faults met which operations, and what came of them: what a run has tried, in a few numbers that add up over
//! runs. An operation meets a fault when one lasts while the other is under way. What is asked in another's namespace,
//! what is asked again under its key, and what strangers and thieves of keys try counts apart. Knows nothing of rules.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{
    story::{Ask, Asked, Story, Told, What},
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

/// How one operation ended.
#[derive(Clone, Copy)]
enum Outcome {
    Done,
    Refused,
    Unknown,
    Unreached,
}

impl Outcome {
    fn of(told: &Told) -> Self {
        match told {
            Told::Unreached => Self::Unreached,
            told if told.is_done() => Self::Done,
            told if told.is_unknown() => Self::Unknown,
            _ => Self::Refused,
        }
    }

    /// What came of something hostile: what may be kept until its time comes is taken, too.
    fn of_hostile(taken: bool) -> Self {
        if taken { Self::Done } else { Self::Refused }
    }
}

/// One word for a request that is none of a retrier.
fn kind(asked: &Asked) -> &'static str {
    match &asked.ask {
        Ask::Of { .. } | Ask::Read { owner: Some(_), .. } => "trespass",
        ask => telling::kind(ask),
    }
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
        let mut keys = BTreeSet::new();
        for operation in story.operations() {
            let asked = operation.asked;
            let is_retry = asked.key.as_ref().is_some_and(|key| !keys.insert((&asked.caller, key)));
            let kind = if is_retry { "retry" } else { kind(asked) };
            coverage.note(
                &spells,
                kind,
                (operation.asked_us, operation.told_us),
                Outcome::of(operation.told),
            );
        }
        for event in &story.events {
            let (kind, outcome) = match &event.what {
                What::Garbled { .. } => ("garbage", Outcome::Unknown),
                What::Knocked { answered, .. } => ("knock", Outcome::of_hostile(*answered)),
                What::Lied { taken, .. } => ("lie", Outcome::of_hostile(*taken)),
                _ => continue,
            };
            coverage.note(&spells, kind, (event.at_us, event.at_us), outcome);
        }
        coverage
    }

    /// Counts something that was under way between two times.
    fn note(&mut self, spells: &[Spell], kind: &str, (from_us, to_us): (u64, u64), outcome: Outcome) {
        let overlaps = |spell: &&Spell| spell.from_us <= to_us && from_us < spell.to_us;
        let mut met: BTreeSet<&str> = spells.iter().filter(overlaps).map(|spell| spell.kind).collect();
        if met.is_empty() {
            met.insert(CALM);
        }
        self.asked.entry(kind.to_owned()).or_default().count(outcome);
        for fault in met {
            let row = self.met.entry(fault.to_owned()).or_default();
            row.entry(kind.to_owned()).or_default().count(outcome);
        }
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

    fn count(&mut self, outcome: Outcome) {
        *match outcome {
            Outcome::Done => &mut self.done,
            Outcome::Refused => &mut self.refused,
            Outcome::Unknown => &mut self.unknown,
            Outcome::Unreached => &mut self.unreached,
        } += 1;
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
        story::{Knock, Lie},
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
    fn retries_trespass_lies_knocks_and_clocks_beyond_the_bound_count_apart() {
        let mut story = story();
        story.push(1, What::Harmed(Fault::Clock(0, -40_000)));
        story.push(2, What::Harmed(Fault::Clock(1, 9_000)));
        for op in 0..2 {
            let What::Asked(mut asked) = create(op, "n0") else { unreachable!("it is asked") };
            asked.key = Some("k".into());
            story.push(3, What::Asked(asked));
        }
        let What::Asked(mut asked) = create(2, "n0") else { unreachable!("it is asked") };
        asked.ask = Ask::Of { owner: "caller1".into(), ask: Box::new(Ask::List) };
        story.push(4, What::Asked(asked));
        let (node, told) = (0, String::new());
        story.push(5, What::Knocked { node, by: Knock::Member, answered: false, told: told.clone() });
        story.push(6, What::Lied { node, lie: Lie::FromTheFuture, taken: true, told });
        let coverage = Coverage::of(&story);
        for (kind, outcomes) in [
            ("create", Outcomes { unknown: 1, ..Outcomes::default() }),
            ("retry", Outcomes { unknown: 1, ..Outcomes::default() }),
            ("trespass", Outcomes { unknown: 1, ..Outcomes::default() }),
            ("knock", Outcomes { refused: 1, ..Outcomes::default() }),
            ("lie", Outcomes { done: 1, ..Outcomes::default() }),
        ] {
            assert_eq!(coverage.met["clock beyond bound"][kind], outcomes, "{kind}");
            assert_eq!(coverage.met["clock step"][kind], outcomes, "{kind}");
        }
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
