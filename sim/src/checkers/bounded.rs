//! docs/operations.md: a node keeps a bounded part of the log, and its disk grows with what was written and with nothing
//! else.

use super::{Violation, at_the_end, testimony::values};
use crate::story::Story;

/// Entries that may come between the moment when a snapshot is due and the one when entries before it are let go of.
const ENTRIES_LATE: u64 = 300;
/// Bytes of a node that holds nothing: files that are set aside ahead, tables, a log of what was done.
const EMPTY_BYTES: u64 = 24 << 20;
/// Bytes that an operation may leave: records, ciphertext, pages that are free, lines of the audit log.
const BYTES_PER_OPERATION: u64 = 24 << 10;

/// Looks for nodes that keep too much.
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
            violations.push(at_the_end("bounds", story, says));
        }
        if bytes_max < kept.bytes {
            let says = format!("node {node} takes {} bytes, and may take {bytes_max}", kept.bytes);
            violations.push(at_the_end("bounds", story, says));
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::{super::tale::Tale, check};

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
