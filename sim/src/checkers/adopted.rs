//! X7 (docs/invariants.md): what was kept without a majority became the next number if nothing newer was agreed, else it
//! was passed over: in the end no version without a number stands after the last one that has one. A version that was
//! destroyed is not offered, nor one under whose key another request or another try was done meanwhile, or another request
//! may have been.

use std::collections::BTreeMap;

use super::{
    Violation, at_the_end,
    testimony::{Write, has_same_key, writes, written_by},
};
use crate::story::{KeptVersion, Operation, Story};

/// Looks for versions that still wait in the end.
pub fn check(story: &Story) -> Vec<Violation> {
    let operations = story.operations();
    let writes = writes(&operations);
    let mut violations = Vec::new();
    for (node, kept) in story.kept.iter().enumerate() {
        for (path, secret) in &kept.secrets {
            let left = secret.versions.iter().rev().take_while(|version| version.number.is_none());
            let waits =
                left.filter(|version| ought_to_be_agreed(version, &secret.versions, &writes, &operations));
            violations.extend(waits.map(|version| {
                let says = format!(
                    "on node {node} version {} of {path} has no number in the end, and nothing newer was agreed",
                    version.id
                );
                at_the_end("X7", story, says)
            }));
        }
    }
    violations
}

fn ought_to_be_agreed(
    version: &KeptVersion,
    line: &[KeptVersion],
    writes: &BTreeMap<&str, Write<'_>>,
    operations: &[Operation<'_>],
) -> bool {
    let Some(value) = &version.value else { return false };
    let same_value = line.iter().filter(|other| other.value.as_ref() == Some(value));
    let other_was_agreed = 0 < same_value.filter(|other| other.number.is_some()).count();
    let key_is_taken = writes.get(value.as_str()).is_some_and(|write| {
        let mut same_key = operations.iter().filter(|other| has_same_key(&write.tries[0], other));
        same_key.any(|other| {
            let is_told_of_another =
                other.told.is_done() && other.told.body()["version"]["id"] != *version.id;
            is_told_of_another || other.told.is_unknown() && !writes_value(other, value)
        })
    });
    !(version.destroyed || other_was_agreed || key_is_taken)
}

fn writes_value(operation: &Operation<'_>, value: &str) -> bool {
    written_by(&operation.asked.ask).iter().any(|(_, written)| *written == value)
}

#[cfg(test)]
mod tests {
    use super::{
        super::tale::{Tale, create, kept, update, version},
        check,
    };
    use crate::story::KeptVersion;

    /// Nodes that keep these versions of `a/n`.
    fn tale(versions: Vec<KeptVersion>) -> Tale {
        let mut tale = Tale::of(3);
        tale.goes(create("plain-1"), 201, version("v1", 1)).keeps(&[]);
        for node in &mut tale.0.kept {
            if let Some(secret) = node.secrets.get_mut("a/n") {
                secret.versions.clone_from(&versions);
            }
        }
        tale
    }

    #[test]
    fn adopted_and_passed_over_versions_pass() {
        let line = vec![
            kept("v1", Some(1), "plain-1", 1),
            kept("p", None, "plain-2", 2),
            kept("v2", Some(2), "plain-3", 3),
        ];
        tale(line).passes(check);
    }

    #[test]
    fn one_that_nobody_offered_is_seen() {
        let line = vec![kept("v1", Some(1), "plain-1", 1), kept("p", None, "plain-2", 2)];
        tale(line).fires(check, "version p of a/n has no number in the end");
    }

    #[test]
    fn one_whose_key_another_request_had_meanwhile_passes() {
        let mut tale = tale(vec![kept("v1", Some(1), "plain-1", 1), kept("p", None, "plain-2", 2)]);
        for (value, id, status) in [("plain-2", "p", 202), ("plain-3", "w9", 200)] {
            let op = tale.retries("a", 0, update(value, None), Some("k"));
            tale.told(op, status, version(id, None));
        }
        tale.passes(check);
    }

    #[test]
    fn one_whose_retry_was_agreed_with_an_earlier_time_passes() {
        let mut tale = tale(vec![kept("v2", Some(1), "plain-2", 1), kept("p", None, "plain-2", 2)]);
        for id in ["p", "v2"] {
            let op = tale.retries("a", 0, update("plain-2", None), Some("k"));
            tale.told(op, 200, version(id, None));
        }
        tale.passes(check);
    }

    #[test]
    fn one_whose_key_another_request_may_have_had_passes_and_one_whose_retry_was_lost_does_not() {
        let waits = || {
            let mut tale = tale(vec![kept("v1", Some(1), "plain-1", 1), kept("p", None, "plain-2", 2)]);
            let op = tale.retries("a", 0, update("plain-2", None), Some("k"));
            tale.told(op, 202, version("p", None));
            tale
        };
        let mut other = waits();
        other.retries("a", 1, create("plain-3"), Some("k"));
        other.passes(check);
        let mut same = waits();
        same.retries("a", 1, update("plain-2", None), Some("k"));
        same.fires(check, "version p of a/n has no number in the end");
    }
}
