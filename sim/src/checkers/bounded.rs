//! B1 (docs/invariants.md): a node keeps a bounded part of the log, its disk and its memory grow with what was asked and
//! with nothing else, and nodes that have nothing to do send each other little. Memory is that of all nodes together, with
//! the simulator, which remembers all answers.

use super::{Violation, at_the_end, testimony::values};
use crate::story::Story;

/// Entries that may come between the moment when a snapshot is due and the one when entries before it are let go of.
const ENTRIES_LATE: u64 = 300;
/// Bytes of a node that holds nothing: files that are set aside ahead, tables, a log of what was done.
const EMPTY_BYTES: u64 = 24 << 20;
/// Bytes that an operation may leave: records, ciphertext, pages that are free, lines of the audit log.
const BYTES_PER_OPERATION: u64 = 24 << 10;
/// Bytes of memory of a node that has nothing to do.
const IDLE_MEMORY_BYTES: u64 = 8 << 20;
/// Bytes of memory that an operation may leave in the whole world: its answer, packets, log entries that are kept.
const MEMORY_BYTES_PER_OPERATION: u64 = 12 << 10;
/// Packets in a second between a leader that has nothing to say and one follower: heartbeats, their answers, and what
/// acknowledges either, lost ones sent again.
const IDLE_PACKETS: u64 = 60;

/// Looks for nodes that keep too much, or that say too much.
pub fn check(story: &Story) -> Vec<Violation> {
    let operations = story.operations();
    let entries_max = 2 * story.plan.entries_per_snapshot + ENTRIES_LATE;
    let written = (operations.len() + values(&operations).len()) as u64;
    let bytes_max = EMPTY_BYTES + BYTES_PER_OPERATION * written;
    let mut violations = Vec::new();
    for (node, kept) in story.kept.iter().enumerate() {
        let entries = kept.log_entries;
        if entries_max < entries {
            let says = format!("node {node} keeps {entries} entries of the log, and may keep {entries_max}");
            violations.push(at_the_end("B1", story, says));
        }
        if bytes_max < kept.bytes {
            let says = format!("node {node} takes {} bytes, and may take {bytes_max}", kept.bytes);
            violations.push(at_the_end("B1", story, says));
        }
    }
    let memory_max =
        IDLE_MEMORY_BYTES * story.plan.nodes as u64 + MEMORY_BYTES_PER_OPERATION * operations.len() as u64;
    if memory_max < story.memory_bytes {
        let says = format!(
            "all nodes together took {} bytes of memory, and may take {memory_max}",
            story.memory_bytes
        );
        violations.push(at_the_end("B1", story, says));
    }
    let packets_max = IDLE_PACKETS * (story.plan.nodes as u64 - 1);
    if packets_max < story.idle_packets_per_s {
        let says = format!(
            "with nothing to do nodes sent {} packets a second, and may send {packets_max}",
            story.idle_packets_per_s
        );
        violations.push(at_the_end("B1", story, says));
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::{super::tale::Tale, check};

    #[test]
    fn memory_that_nothing_was_asked_for_is_seen() {
        let mut tale = Tale::of(3);
        tale.0.memory_bytes = 20 << 20;
        tale.passes(check);
        tale.0.memory_bytes = 25 << 20;
        tale.fires(check, "all nodes together took 26214400 bytes of memory");
    }

    #[test]
    fn nodes_that_go_on_talking_are_seen() {
        let mut tale = Tale::of(3);
        tale.0.idle_packets_per_s = 81;
        tale.passes(check);
        tale.0.idle_packets_per_s = 437;
        tale.fires(check, "nodes sent 437 packets a second, and may send 120");
    }

    #[test]
    fn a_small_node_passes_and_one_that_grows_is_seen() {
        let mut tale = Tale::of(3);
        (tale.0.kept[0].bytes, tale.0.kept[0].log_entries) = (1 << 20, 100);
        tale.passes(check);
        (tale.0.kept[1].bytes, tale.0.kept[2].log_entries) = (1 << 30, 100_000);
        tale.fires(check, "node 1 takes");
        tale.fires(check, "node 2 keeps 100000 entries");
    }
}
