//! Everything that a seed decides before its world begins: how many nodes, how far apart, who asks what how often, and
//! what is done to them when. A run is a function of its plan. Knows nothing of how any of it is done.

use covault_model::mutant::Mutant;
use serde::{Deserialize, Serialize};

use crate::{
    actors::{Mix, draw_mix},
    chance::Chance,
    fault::{Fault, Harm},
};

/// What a world is made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// What all chance of the run comes of.
    pub seed: u64,
    /// Nodes, 3 to 7.
    pub nodes: usize,
    /// Clients, each one actor.
    pub clients: usize,
    /// Callers that the clients act for; fewer than clients, so that some share a namespace.
    pub callers: usize,
    /// Names that are fought over.
    pub names: usize,
    /// How long harm is done, in simulated milliseconds.
    pub harm_ms: u64,
    /// How long everything may take to recover after that.
    pub heal_ms: u64,
    /// The least and the most that a packet takes from one machine to another, in milliseconds.
    pub latency_ms: (u64, u64),
    /// Packets between nodes that are lost, in a million.
    pub lost: u32,
    /// Packets between nodes that come twice, in a million.
    pub doubled: u32,
    /// The longest that a client thinks between two requests, in milliseconds.
    pub thinks_ms: u64,
    /// How long a client waits for an answer, in milliseconds.
    pub patience_ms: u64,
    /// How far each node's clock is off at the start, in milliseconds.
    pub skews_ms: Vec<i64>,
    /// What clients do how often.
    pub mix: Mix,
    /// Log entries between two snapshots of a node.
    pub entries_per_snapshot: u64,
    /// What is done, in order of its beginning.
    pub harms: Vec<Harm>,
    /// A known bug that all nodes have, by its name; none unless somebody asks for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mutant: Option<String>,
}

/// How large worlds are drawn.
struct Size {
    /// How many nodes, and how often.
    nodes: &'static [(usize, u64)],
    /// The least and the most of the time in which harm is done, in milliseconds.
    harm_ms: (u64, u64),
    /// The least and the most of the longest that a client thinks between two requests, in milliseconds.
    thinks_ms: (u64, u64),
}

const USUAL: Size =
    Size { nodes: &[(3, 60), (4, 10), (5, 25), (7, 5)], harm_ms: (8_000, 20_000), thinks_ms: (150, 700) };
const SMALL: Size = Size { nodes: &[(3, 1)], harm_ms: (8_000, 12_000), thinks_ms: (50, 400) };
/// Clients work on for the first part of it, and nodes search each other for what they lack a few times.
const HEAL_MS: u64 = 50_000;

impl Plan {
    /// The plan of a seed.
    pub fn draw(seed: u64) -> Self {
        Self::of_size(seed, &USUAL)
    }

    /// The plan of a seed for a small world: three nodes, harmed for a shorter time.
    pub fn draw_small(seed: u64) -> Self {
        Self::of_size(seed, &SMALL)
    }

    fn of_size(seed: u64, size: &Size) -> Self {
        let mut chance = Chance::of(seed, "plan");
        let nodes = chance.weighted(size.nodes);
        let harm_ms = chance.between(size.harm_ms.0, size.harm_ms.1);
        let near = chance.percent(60);
        let latency_ms = if near { (1, chance.between(1, 5)) } else { (1, chance.between(10, 40)) };
        let skewed = chance.percent(30);
        let clients = chance.between(3, 10) as usize;
        Self {
            seed,
            nodes,
            clients,
            callers: chance.between(1, clients as u64 / 2 + 1) as usize,
            names: chance.between(2, 12) as usize,
            harm_ms,
            heal_ms: HEAL_MS,
            latency_ms,
            lost: if chance.percent(50) { chance.below(50_000) as u32 } else { 0 },
            doubled: if chance.percent(30) { chance.below(50_000) as u32 } else { 0 },
            thinks_ms: chance.between(size.thinks_ms.0, size.thinks_ms.1),
            patience_ms: chance.between(3_000, 10_000),
            skews_ms: (0..nodes)
                .map(|_| if skewed { chance.below(8_000) as i64 - 4_000 } else { 0 })
                .collect(),
            mix: draw_mix(&mut Chance::of(seed, "mix")),
            entries_per_snapshot: *chance.one(&[20, 100, 2_000]),
            harms: draw_harms(&mut chance, nodes, harm_ms),
            mutant: None,
        }
    }

    /// Why a plan that somebody wrote cannot be run, if it cannot.
    pub fn flaw(&self) -> Option<String> {
        let absent = |node: &usize| self.nodes <= *node;
        if !(3..=7).contains(&self.nodes) {
            return Some("there are 3 to 7 nodes".into());
        }
        if self.skews_ms.len() != self.nodes {
            return Some("each node has one skew".into());
        }
        if [self.clients, self.callers, self.names].contains(&0) || self.thinks_ms == 0 {
            return Some("clients, callers, names and the time to think are not 0".into());
        }
        if self.mix.iter().all(|(_, weight)| *weight == 0) {
            return Some("clients have a habit at least".into());
        }
        if let Some(name) = &self.mutant
            && Mutant::ALL.iter().all(|mutant| mutant.name() != name)
        {
            return Some(format!("there is no known bug of the name {name}"));
        }
        if self.latency_ms.1 < self.latency_ms.0 {
            return Some("the least latency is not above the most".into());
        }
        let harm = self.harms.iter().find(|harm| harm.fault.places().iter().any(absent))?;
        Some(format!("there is no such node: {}", harm.fault))
    }
}

/// One after another mostly, at times two at once; what is done to a node ends before the next thing that needs it.
fn draw_harms(chance: &mut Chance, nodes: usize, until_ms: u64) -> Vec<Harm> {
    let mut harms: Vec<Harm> = Vec::new();
    let mut at_ms = chance.between(500, 3_000);
    while at_ms < until_ms {
        // A node looks for a majority for 5 seconds: what is to happen without one needs longer.
        let for_ms =
            if chance.percent(75) { chance.between(300, 6_000) } else { chance.between(6_000, 14_000) };
        let for_ms = for_ms.min(until_ms - at_ms);
        // Steps of one clock are not to add up.
        let steps_again = |fault: &Fault| {
            let lasting = harms.iter().filter(|harm| at_ms < harm.at_ms + harm.for_ms);
            let mut steps = lasting.filter(|harm| matches!(harm.fault, Fault::Clock(..)));
            matches!(fault, Fault::Clock(..)) && steps.any(|harm| harm.fault.places() == fault.places())
        };
        let mut fault = Fault::draw(chance, nodes);
        while steps_again(&fault) {
            fault = Fault::draw(chance, nodes);
        }
        harms.push(Harm { at_ms, for_ms, fault });
        let overlaps = chance.percent(25);
        at_ms += if overlaps { chance.between(50, 500) } else { for_ms + chance.between(200, 4_000) };
    }
    harms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_drawn_plan_can_be_run() {
        for seed in 0..2_000 {
            assert_eq!(Plan::draw(seed).flaw(), None, "seed {seed}");
            assert_eq!(Plan::draw_small(seed).flaw(), None, "seed {seed}, small");
        }
    }

    #[test]
    fn a_plan_that_names_a_node_that_is_not_there_has_a_flaw() {
        let mut plan = Plan::draw(1);
        plan.harms.push(Harm { at_ms: 0, for_ms: 1, fault: Fault::Deaf(0, plan.nodes) });
        assert!(plan.flaw().is_some_and(|flaw| flaw.starts_with("there is no such node")));
    }

    #[test]
    fn a_plan_in_which_clients_do_nothing_has_a_flaw() {
        assert!(Plan { mix: Vec::new(), ..Plan::draw(1) }.flaw().is_some());
    }

    #[test]
    fn a_plan_without_a_skew_for_each_node_has_a_flaw() {
        assert!(Plan { skews_ms: Vec::new(), ..Plan::draw(1) }.flaw().is_some());
    }
}
