//! What many runs came to together. The order in which they are added does not matter. Knows nothing of how they were
//! run.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{coverage::Coverage, verdict::Verdict};

/// Many runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// How many there were.
    pub seeds: u64,
    /// How long they lasted, in simulated microseconds.
    pub simulated_us: u64,
    /// What they tried.
    pub coverage: Coverage,
    /// Violations by rule.
    pub violations: BTreeMap<String, u64>,
    /// The seeds of runs in which a rule did not hold.
    pub failing: BTreeSet<u64>,
}

impl Summary {
    /// Takes another run into it.
    pub fn add(&mut self, verdict: &Verdict) {
        self.seeds += 1;
        self.simulated_us += verdict.simulated_us;
        self.coverage.add(&verdict.coverage);
        for violation in &verdict.violations {
            *self.violations.entry(violation.rule.clone()).or_default() += 1;
        }
        if !verdict.holds() {
            self.failing.insert(verdict.plan.seed);
        }
    }

    /// One sentence about how fast they were.
    pub fn pace(&self, took: Duration, jobs: usize) -> String {
        let simulated = self.simulated_us as f64 / 1e6;
        let real = took.as_secs_f64();
        let pace = if real > 0.0 { simulated / real } else { 0.0 };
        format!(
            "{simulated:.0} simulated seconds in {real:.1} real seconds, {jobs} at once: {pace:.1} times real time"
        )
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seeds       {} ({} failed)", self.seeds, self.failing.len())?;
        writeln!(f, "operations  {}", self.coverage.operations())?;
        for (kind, outcomes) in &self.coverage.asked {
            writeln!(
                f,
                "  {kind:<16} {:>9}  done {}, refused {}, unknown {}, not reached {}",
                outcomes.all(),
                outcomes.done,
                outcomes.refused,
                outcomes.unknown,
                outcomes.unreached
            )?;
        }
        writeln!(f, "faults      {}", self.coverage.faults.values().sum::<u64>())?;
        for (kind, count) in &self.coverage.faults {
            writeln!(f, "  {kind:<16} {count:>9}")?;
        }
        write!(f, "violations  {}", self.violations.values().sum::<u64>())?;
        for (rule, count) in &self.violations {
            write!(f, "\n  {rule:<26} {count}")?;
        }
        if !self.failing.is_empty() {
            let seeds: Vec<String> = self.failing.iter().map(u64::to_string).collect();
            write!(f, "\nfailed seeds  {}", seeds.join(" "))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        checkers::Violation,
        fault::Fault,
        plan::Plan,
        story::What,
        telling::tests::{answer, create, story},
        verdict,
    };

    fn verdicts() -> [Verdict; 3] {
        let mut story = story();
        story.push(1_000_000, What::Harmed(Fault::CrashAll));
        story.push(2_000_000, create(0, "n0"));
        story.push(3_000_000, What::Told { op: 0, told: answer(201) });
        let wrong = Violation { rule: "E1".into(), at_us: 7, says: "made twice".into() };
        let mut failed = Verdict::on(&story, vec![wrong.clone(), wrong]);
        failed.plan.seed = 9;
        let hung = Verdict::without_a_story(Plan::draw(4), verdict::HUNG, "it hung".into());
        [Verdict::on(&story, Vec::new()), failed, hung]
    }

    #[test]
    fn a_summary_counts_seeds_time_faults_operations_and_violations() {
        let mut summary = Summary::default();
        verdicts().iter().for_each(|verdict| summary.add(verdict));
        assert_eq!((summary.seeds, summary.simulated_us), (3, 6_000_000));
        assert_eq!(summary.coverage.faults["crash of all"], 2);
        assert_eq!(summary.coverage.operations(), 2);
        assert_eq!(summary.violations["E1"], 2);
        assert_eq!(summary.violations[verdict::HUNG], 1);
        assert_eq!(summary.failing, [4, 9].into());
        let text = summary.to_string();
        for line in ["seeds       3 (2 failed)", "violations  3", "failed seeds  4 9"] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn the_order_in_which_runs_end_does_not_show() {
        let (mut one, mut other) = (Summary::default(), Summary::default());
        verdicts().iter().for_each(|verdict| one.add(verdict));
        verdicts().iter().rev().for_each(|verdict| other.add(verdict));
        assert_eq!(one, other);
    }

    #[test]
    fn no_time_at_all_is_no_division_by_zero() {
        assert!(Summary::default().pace(Duration::ZERO, 1).ends_with("0.0 times real time"));
    }
}
