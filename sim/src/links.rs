//! The links between machines as everything that lasts at a time has them: cut in a direction, or slow. Clients reach
//! every machine: they stand beside it. Knows nothing of when harm begins and ends.

use std::time::Duration;

use turmoil::Sim;

use crate::{fault::Fault, plan::Plan};

/// The links of a world.
pub struct Links {
    nodes: usize,
    latency_ms: (u64, u64),
}

impl Links {
    /// Links that are as they should be.
    pub fn new(plan: &Plan) -> Self {
        Self { nodes: plan.nodes, latency_ms: plan.latency_ms }
    }

    /// Makes them what these faults make of them together.
    pub fn lay(&self, sim: &Sim<'_>, faults: &[&Fault]) {
        for from in 0..self.nodes {
            for to in (0..self.nodes).filter(|to| *to != from) {
                let (a, b) = (name(from), name(to));
                if faults.iter().any(|fault| cuts(fault, from, to)) {
                    sim.partition_oneway(a, b);
                } else {
                    sim.repair_oneway(a, b);
                }
            }
            for to in 0..from {
                self.set_latency(sim, from, to, faults);
            }
        }
    }

    fn set_latency(&self, sim: &Sim<'_>, a: usize, b: usize, faults: &[&Fault]) {
        let slow = faults.iter().filter_map(|fault| match fault {
            Fault::Slow(node, ms) if *node == a || *node == b => Some(*ms),
            _ => None,
        });
        let (least, most) = slow.max().map_or(self.latency_ms, |ms| (ms, ms));
        sim.set_link_latency(name(a), name(b), Duration::from_millis(least));
        sim.set_link_max_message_latency(name(a), name(b), Duration::from_millis(most));
    }
}

fn name(node: usize) -> String {
    format!("node{node}")
}

/// Whether nothing goes from one to the other.
pub fn cuts(fault: &Fault, from: usize, to: usize) -> bool {
    match fault {
        Fault::Island(nodes) => nodes.contains(&from) != nodes.contains(&to),
        Fault::Deaf(node, other) => *node == to && *other == from,
        Fault::Mute(node) => *node == from,
        _ => false,
    }
}
