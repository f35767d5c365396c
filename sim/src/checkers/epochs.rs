//! T2, T5 (docs/invariants.md): the active epoch of a caller never goes back in what is agreed, each epoch is activated once,
//! and one that was destroyed stays so: tokens are of no epoch that was destroyed before they were asked for, and in the
//! end no node keeps a mapping of one. What a node lists by itself may be old, also when it answers a repeated change.

use std::collections::BTreeMap;

use super::{Violation, at_the_end, named, shown_by, testimony::has_same_key};
use crate::story::{Ask, Operation, Story};

/// Looks for epochs that go back or come back.
pub fn check(story: &Story) -> Vec<Violation> {
    let operations = story.operations();
    let mut violations = Vec::new();
    violations.extend(twice(&operations));
    violations.extend(gone_back(&operations));
    for destroyed in operations.iter().filter(|operation| operation.told.is_done()) {
        let Ask::DestroyEpoch { epoch } = destroyed.asked.ask else { continue };
        let later = operations.iter().filter(|later| destroyed.told_us < later.asked_us);
        let of_caller =
            later.filter(|later| later.asked.caller == destroyed.asked.caller && later.told.is_done());
        violations.extend(of_caller.filter_map(|later| come_back(later, epoch, destroyed, &operations)));
        let of_epoch = format!("{}/{epoch}/", destroyed.asked.caller);
        for (node, kept) in story.kept.iter().enumerate() {
            let left = kept.mappings.keys().filter(|key| key.starts_with(&of_epoch)).count();
            if left != 0 {
                let says = format!(
                    "node {node} keeps {left} mappings of epoch {of_epoch} that {} destroyed",
                    named(destroyed)
                );
                violations.push(at_the_end("T5", story, says));
            }
        }
    }
    violations
}

/// Epochs that two requests were told they had activated.
fn twice(operations: &[Operation<'_>]) -> Vec<Violation> {
    let (mut activated, mut violations) = (BTreeMap::new(), Vec::new());
    for operation in operations.iter().filter(|operation| operation.told.is_done()) {
        let Ask::Activate { epoch, .. } = operation.asked.ask else { continue };
        let first = *activated.entry((&operation.asked.caller, epoch)).or_insert(*operation);
        let is_retry = operation.asked.key.is_some() && first.asked.key == operation.asked.key;
        if first.asked.op != operation.asked.op && !is_retry {
            let says = format!(
                "epoch {epoch} was activated twice: by {} and by {}",
                named(&first),
                named(operation)
            );
            violations.push(shown_by("T2", operation, says));
        }
    }
    violations
}

/// Agreed answers that show an earlier active epoch than one before them did.
fn gone_back(operations: &[Operation<'_>]) -> Vec<Violation> {
    let mut violations = Vec::new();
    let done = operations.iter().filter(|operation| operation.told.is_done());
    let changes = done.filter(|operation| is_change(operation, operations));
    let changes: Vec<_> = changes.filter_map(|change| Some((change, active(change)?))).collect();
    for (later, active) in &changes {
        let of_caller = changes.iter().filter(|(before, _)| before.asked.caller == later.asked.caller);
        let before = of_caller.filter(|(before, _)| before.told_us < later.asked_us);
        if let Some((before, was)) = before.max_by_key(|(_, active)| *active).filter(|(_, was)| active < was)
        {
            let says = format!(
                "epoch {active} is active to {}, and {was} was to {} before",
                named(later),
                named(before),
            );
            violations.push(shown_by("T2", later, says));
        }
        if matches!(later.asked.ask, Ask::Activate { epoch, .. } if *active < epoch) {
            let says = format!("{} activated an epoch, and was told that {active} is active", named(later));
            violations.push(shown_by("T2", later, says));
        }
    }
    violations
}

/// Whether a request changed epochs, and not one before it that had its key.
fn is_change(operation: &Operation<'_>, operations: &[Operation<'_>]) -> bool {
    let mut before = operations.iter().filter(|before| before.asked.op < operation.asked.op);
    matches!(operation.asked.ask, Ask::Activate { .. } | Ask::DestroyEpoch { .. })
        && !before.any(|before| has_same_key(before, operation))
}

fn active(operation: &Operation<'_>) -> Option<u64> {
    operation.told.body()["active"].as_u64()
}

/// What an answer says of an epoch that was destroyed before it was asked for.
fn come_back(
    later: &Operation<'_>,
    epoch: u64,
    destroyed: &Operation<'_>,
    operations: &[Operation<'_>],
) -> Option<Violation> {
    let body = later.told.body();
    let listed = body["epochs"].as_array().map_or(&[][..], Vec::as_slice);
    let is_whole = |row: &serde_json::Value| row["epoch"] == epoch && row["destroyed_at"].is_null();
    let what = match &later.asked.ask {
        _ if is_change(later, operations) && listed.iter().any(is_whole) => "told that it is there",
        // A node that has not heard of another epoch may have this one as active, but not one that has heard.
        Ask::Tokenize { .. } if body["epoch"] == epoch && later.told.status() == Some(200) => {
            "given tokens of it"
        }
        _ => return None,
    };
    let says = format!("{} was {what} after {} had destroyed epoch {epoch}", named(later), named(destroyed));
    Some(shown_by("T2", later, says))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{
        super::tale::{Tale, refusal},
        check,
    };
    use crate::story::Ask;

    fn activate(epoch: u64) -> Ask {
        Ask::Activate { epoch, after: epoch - 1 }
    }

    fn epochs(active: u64, destroyed: &[u64]) -> Value {
        let row =
            |epoch| json!({ "epoch": epoch, "destroyed_at": destroyed.contains(&epoch).then_some("now") });
        json!({ "active": active, "epochs": (1..=active).map(row).collect::<Vec<_>>() })
    }

    #[test]
    fn epochs_that_rise_pass() {
        let mut tale = Tale::of(3);
        tale.goes(activate(2), 200, epochs(2, &[])).goes(activate(2), 409, refusal("epoch_conflict"));
        tale.goes(Ask::Epochs, 200, epochs(1, &[])).goes(
            Ask::DestroyEpoch { epoch: 1 },
            200,
            epochs(2, &[1]),
        );
        tale.goes(activate(3), 200, epochs(3, &[1]));
        let op = tale.asks("b", 0, activate(2));
        tale.told(op, 200, epochs(2, &[])).passes(check);
    }

    #[test]
    fn a_repeated_change_may_be_answered_with_what_a_node_lists_by_itself() {
        let mut tale = Tale::of(3);
        let first = tale.retries("a", 0, activate(3), Some("k"));
        tale.told(first, 200, epochs(3, &[]));
        tale.goes(Ask::DestroyEpoch { epoch: 1 }, 200, epochs(3, &[1]));
        let again = tale.retries("a", 1, activate(3), Some("k"));
        tale.told(again, 200, epochs(3, &[])).passes(check);
    }

    #[test]
    fn an_epoch_that_was_activated_twice_is_seen() {
        let mut tale = Tale::of(3);
        tale.goes(activate(2), 200, epochs(2, &[])).goes(activate(2), 200, epochs(2, &[]));
        tale.fires(check, "epoch 2 was activated twice");
    }

    #[test]
    fn an_active_epoch_that_goes_back_is_seen() {
        let mut tale = Tale::of(3);
        tale.goes(activate(3), 200, epochs(3, &[])).goes(
            Ask::DestroyEpoch { epoch: 1 },
            200,
            epochs(2, &[1]),
        );
        tale.fires(check, "epoch 2 is active to op 1");
        tale.goes(activate(5), 200, epochs(4, &[1])).fires(check, "was told that 4 is active");
    }

    #[test]
    fn an_epoch_that_comes_back_is_seen() {
        let mut tale = Tale::of(3);
        tale.goes(Ask::DestroyEpoch { epoch: 1 }, 200, epochs(2, &[1])).goes(
            activate(3),
            200,
            epochs(3, &[]),
        );
        tale.fires(check, "told that it is there after op 0");
        tale.goes(Ask::Tokenize { values: vec!["x".into()] }, 200, json!({ "epoch": 1 }));
        tale.fires(check, "given tokens of it after op 0");
        tale.0.kept[1].mappings.insert("a/1/x".into(), "sealed".into());
        tale.fires(check, "node 1 keeps 1 mappings of epoch a/1/");
    }
}
