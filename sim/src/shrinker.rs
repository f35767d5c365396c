//! Makes a plan that fails small: takes away what it can do without, as long as it still fails. Which plans fail is
//! asked of a judge, so the same judge gives the same small plan. The time to recover is left as it is: with too little
//! of it every plan fails. Knows nothing of runs.

use crate::{fault::Harm, plan::Plan};

/// Fewer nodes than that are no cluster.
const NODES_MIN: u64 = 3;
/// Harm shorter than that is none.
const HARM_MS_MIN: u64 = 300;
/// Times are not made shorter by less.
const GRAIN_MS: u64 = 250;

/// The smallest plan found in so many tries that still `fails`.
pub fn shrink(plan: Plan, tries: u32, fails: impl FnMut(&Plan) -> bool) -> Plan {
    let mut shrinker = Shrinker { best: plan, tries, fails };
    while shrinker.round() {}
    shrinker.best
}

struct Shrinker<F> {
    best: Plan,
    tries: u32,
    fails: F,
}

impl<F: FnMut(&Plan) -> bool> Shrinker<F> {
    /// Tries everything once; says whether anything became smaller.
    fn round(&mut self) -> bool {
        let before = self.best.clone();
        self.take_harms_away();
        self.take_habits_away();
        self.calm();
        let nodes = self.best.nodes as u64;
        self.lower(nodes, NODES_MIN, 1, with_nodes);
        self.lower(self.best.clients as u64, 1, 1, |plan, clients| {
            let clients = clients as usize;
            Plan { clients, callers: plan.callers.min(clients), ..plan.clone() }
        });
        self.lower(self.best.callers as u64, 1, 1, |plan, callers| Plan {
            callers: callers as usize,
            ..plan.clone()
        });
        self.lower(self.best.names as u64, 1, 1, |plan, names| Plan {
            names: names as usize,
            ..plan.clone()
        });
        self.shorten();
        self.best != before
    }

    /// Takes it if it still fails.
    fn attempt(&mut self, candidate: Plan) -> bool {
        if candidate == self.best || self.tries == 0 {
            return false;
        }
        self.tries -= 1;
        let fails = (self.fails)(&candidate);
        if fails {
            self.best = candidate;
        }
        fails
    }

    /// All harms, then halves of them, down to each alone.
    fn take_harms_away(&mut self) {
        let mut many = self.best.harms.len();
        while 0 < many {
            let mut at = 0;
            while at < self.best.harms.len() {
                let mut candidate = self.best.clone();
                candidate.harms.drain(at..(at + many).min(candidate.harms.len()));
                if !self.attempt(candidate) {
                    at += many;
                }
            }
            many /= 2;
        }
    }

    /// Habits in the same way: no client has them any more. One is left at least.
    fn take_habits_away(&mut self) {
        let mut many = self.best.mix.len();
        while 0 < many {
            for at in (0..self.best.mix.len()).step_by(many) {
                let mut candidate = self.best.clone();
                candidate.mix.iter_mut().skip(at).take(many).for_each(|(_, weight)| *weight = 0);
                if candidate.mix.iter().any(|(_, weight)| 0 < *weight) {
                    self.attempt(candidate);
                }
            }
            many /= 2;
        }
    }

    /// A better network and better clocks.
    fn calm(&mut self) {
        self.attempt(Plan { lost: 0, ..self.best.clone() });
        self.attempt(Plan { doubled: 0, ..self.best.clone() });
        self.attempt(Plan { skews_ms: vec![0; self.best.nodes], ..self.best.clone() });
        self.attempt(Plan { latency_ms: (1, 1), ..self.best.clone() });
    }

    /// Each harm, then the time in which harm is done.
    fn shorten(&mut self) {
        for which in 0..self.best.harms.len() {
            let Some(harm) = self.best.harms.get(which).cloned() else { return };
            self.lower(harm.for_ms, HARM_MS_MIN, GRAIN_MS, |plan, for_ms| {
                let mut plan = plan.clone();
                plan.harms[which].for_ms = for_ms;
                plan
            });
        }
        let least = self.best.harms.iter().map(|harm| harm.at_ms + harm.for_ms).max().unwrap_or(0);
        self.lower(self.best.harm_ms, least, GRAIN_MS, |plan, harm_ms| Plan { harm_ms, ..plan.clone() });
    }

    /// Lowers a number as far as `least`, first in one step, then in halves of it, no smaller than `grain`.
    fn lower(&mut self, from: u64, least: u64, grain: u64, with: impl Fn(&Plan, u64) -> Plan) {
        let mut now = from;
        let mut step = now.saturating_sub(least);
        while grain <= step {
            if self.attempt(with(&self.best, now - step)) {
                now -= step;
                step = step.min(now - least);
            } else {
                step /= 2;
            }
        }
    }
}

/// The plan with fewer nodes: what is done to the others falls away.
fn with_nodes(plan: &Plan, nodes: u64) -> Plan {
    let nodes = nodes as usize;
    let mut plan = Plan { nodes, ..plan.clone() };
    plan.skews_ms.truncate(nodes);
    plan.harms.retain(|Harm { fault, .. }| fault.places().iter().all(|place| *place < nodes));
    plan
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{actors::Habit, fault::Fault};

    const MANY: u32 = 10_000;

    fn big() -> Plan {
        let fault = |fault| Harm { at_ms: 1_000, for_ms: 4_000, fault };
        let faults = [
            Fault::Crash(1),
            Fault::Lossy(9),
            Fault::Mute(4),
            Fault::Deaf(0, 2),
            Fault::CrashAll,
            Fault::Crash(0),
        ];
        Plan {
            nodes: 5,
            clients: 8,
            callers: 4,
            names: 9,
            skews_ms: vec![5; 5],
            harms: faults.into_iter().map(fault).collect(),
            harm_ms: 20_000,
            lost: 7,
            ..Plan::draw(1)
        }
    }

    #[test]
    fn only_what_the_failure_needs_is_left() {
        let needs = [Fault::Deaf(0, 2), Fault::Crash(0)];
        let fails = |plan: &Plan| needs.iter().all(|need| plan.harms.iter().any(|harm| harm.fault == *need));
        let small = shrink(big(), MANY, fails);
        let left: Vec<&Fault> = small.harms.iter().map(|harm| &harm.fault).collect();
        assert_eq!(left, needs.iter().collect::<Vec<_>>());
        assert_eq!((small.nodes, small.clients, small.callers, small.names), (3, 1, 1, 1));
        assert_eq!((small.lost, small.skews_ms), (0, vec![0; 3]));
        assert!(small.harms.iter().all(|harm| harm.for_ms < HARM_MS_MIN + 2 * GRAIN_MS));
        assert!(small.harm_ms < 3_000);
        assert_eq!(small.mix.iter().filter(|(_, weight)| 0 < *weight).count(), 1);
        assert_eq!(small.heal_ms, big().heal_ms);
    }

    #[test]
    fn a_number_goes_as_low_as_the_failure_allows() {
        let small = shrink(big(), MANY, |plan| 3 <= plan.clients && 5 <= plan.names);
        assert_eq!((small.clients, small.names), (3, 5));
        assert!(small.harms.is_empty());
    }

    #[test]
    fn only_the_habits_that_the_failure_needs_are_left() {
        let has = |plan: &Plan, habit| plan.mix.iter().any(|(one, weight)| *one == habit && 0 < *weight);
        let fails = |plan: &Plan| has(plan, Habit::Create) && has(plan, Habit::Read);
        let small = shrink(big(), MANY, fails);
        let left: Vec<Habit> =
            small.mix.iter().filter(|(_, weight)| 0 < *weight).map(|(habit, _)| *habit).collect();
        assert_eq!(left, [Habit::Create, Habit::Read]);
    }

    #[test]
    fn nodes_that_the_failure_needs_stay() {
        let small = shrink(big(), MANY, |plan| plan.harms.iter().any(|harm| harm.fault == Fault::Mute(4)));
        assert_eq!(small.nodes, 5);
        assert_eq!(small.skews_ms.len(), 5);
    }

    #[test]
    fn every_plan_that_is_tried_can_be_run() {
        shrink(big(), MANY, |plan| {
            assert_eq!(plan.flaw(), None);
            plan.seed.is_multiple_of(2)
        });
    }

    #[test]
    fn it_stops_after_so_many_tries() {
        let mut tries = 0;
        shrink(big(), 4, |_| {
            tries += 1;
            false
        });
        assert_eq!(tries, 4);
    }

    #[test]
    fn a_plan_of_which_nothing_can_be_taken_stays() {
        assert_eq!(shrink(big(), MANY, |_| false), big());
    }
}
