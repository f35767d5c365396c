//! What can be done to a cluster, as data: drawn, printed, taken away one by one when a run is made smaller. Knows
//! nothing of how it is done.

use std::fmt;

use covault_model::limits::SKEW_MS_MAX;
use serde::{Deserialize, Serialize};

use crate::chance::Chance;

/// Something that is done for a while, and then made good.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Harm {
    /// When it begins, in milliseconds after the cluster is whole.
    pub at_ms: u64,
    /// How long it lasts.
    pub for_ms: u64,
    /// What it is.
    pub fault: Fault,
}

/// What is done. Nodes are told by their place, from 0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fault {
    /// The machine loses power; what was not synced is gone. At the end it starts again.
    Crash(usize),
    /// All lose power at once.
    CrashAll,
    /// Told to stop and started again, in order.
    Restart(usize),
    /// All, one after another.
    Rolling,
    /// Machines are cut off from all other machines; clients reach them still.
    Island(Vec<usize>),
    /// The first hears nothing of the second.
    Deaf(usize, usize),
    /// Nobody hears the machine, but it hears all.
    Mute(usize),
    /// All packets of a machine take so many milliseconds.
    Slow(usize, u64),
    /// So many packets in a million are lost, of all machines.
    Lossy(u32),
    /// The disk has no room for anything more.
    Full(usize),
    /// The clock jumps by so many milliseconds, and back at the end.
    Clock(usize, i64),
    /// The machine is lost with its disk: it is taken away, and a new one joins in its place.
    Replace(usize),
    /// The node is taken away while it runs, and goes on running for so long after that was done. Then it is put away with
    /// its disk, and a new one joins in its place.
    Remove(usize),
}

impl Fault {
    /// One fault for a cluster of so many nodes.
    pub fn draw(chance: &mut Chance, nodes: usize) -> Self {
        let node = chance.below(nodes as u64) as usize;
        let other = (node + chance.between(1, nodes as u64 - 1) as usize) % nodes;
        match chance.below(100) {
            0..18 => Self::Crash(node),
            18..22 => Self::CrashAll,
            22..29 => Self::Restart(node),
            29..33 => Self::Rolling,
            33..50 => {
                let size = chance.between(1, nodes as u64 / 2) as usize;
                Self::Island(chance.some_of(nodes, size))
            }
            50..58 => Self::Deaf(node, other),
            58..64 => Self::Mute(node),
            64..71 => Self::Slow(node, chance.between(20, 400)),
            71..76 => Self::Lossy(chance.between(10_000, 250_000) as u32),
            76..81 => Self::Full(node),
            // Within the bound of the product, which is 30 seconds.
            81..87 => Self::Clock(node, chance.below(24_000) as i64 - 12_000),
            // Beyond it, and not so far that what was stamped with it is held back until clients have left.
            87..90 => {
                let by_ms = chance.between(33_000, 36_000) as i64;
                Self::Clock(node, if chance.percent(50) { by_ms } else { -by_ms })
            }
            90..95 => Self::Replace(node),
            _ => Self::Remove(node),
        }
    }

    /// The nodes that it names; none if it is done to all.
    pub fn places(&self) -> Vec<usize> {
        match self {
            Self::CrashAll | Self::Rolling | Self::Lossy(_) => Vec::new(),
            Self::Island(nodes) => nodes.clone(),
            Self::Deaf(node, other) => vec![*node, *other],
            Self::Crash(node)
            | Self::Restart(node)
            | Self::Mute(node)
            | Self::Slow(node, _)
            | Self::Full(node)
            | Self::Clock(node, _)
            | Self::Replace(node)
            | Self::Remove(node) => vec![*node],
        }
    }

    /// One word for it, as coverage counts it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Crash(_) => "crash",
            Self::CrashAll => "crash of all",
            Self::Restart(_) => "restart",
            Self::Rolling => "rolling restart",
            Self::Island(_) => "island",
            Self::Deaf(..) => "deaf",
            Self::Mute(_) => "mute",
            Self::Slow(..) => "slow",
            Self::Lossy(_) => "lossy",
            Self::Full(_) => "full disk",
            Self::Clock(_, by_ms) if by_ms.unsigned_abs() <= SKEW_MS_MAX => "clock step",
            Self::Clock(..) => "clock beyond bound",
            Self::Replace(_) => "replaced",
            Self::Remove(_) => "taken away",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CrashAll => f.write_str("all nodes lose power"),
            Self::Rolling => f.write_str("all nodes are started again, one after another"),
            Self::Crash(node) => write!(f, "node {node} loses power"),
            Self::Restart(node) => write!(f, "node {node} is told to stop, and started again"),
            Self::Island(nodes) => write!(f, "nodes {nodes:?} are cut off"),
            Self::Deaf(node, other) => write!(f, "node {node} hears nothing of node {other}"),
            Self::Mute(node) => write!(f, "node {node} is not heard"),
            Self::Slow(node, ms) => write!(f, "packets of node {node} take {ms} ms"),
            Self::Lossy(lost) => write!(f, "{lost} packets in a million are lost"),
            Self::Full(node) => write!(f, "the disk of node {node} is full"),
            Self::Clock(node, ms) => write!(f, "the clock of node {node} jumps by {ms} ms"),
            Self::Replace(node) => write!(f, "node {node} is lost, and another joins in its place"),
            Self::Remove(node) => {
                write!(f, "node {node} is taken away, and another joins in its place later")
            }
        }
    }
}
