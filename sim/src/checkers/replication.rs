//! C2 (docs/invariants.md): what an answer says of how widely something is kept is true. A quorum is more than half of the
//! members that vote; what was agreed is on as many disks, what was only kept is on fewer; and no more nodes have it than
//! can have been reached.

use serde_json::Value;

use super::{Violation, named, reach::Reach, shown_by};
use crate::story::{Ask, Operation, Story};

/// How long a packet may have been on its way.
const ON_THE_WAY_US: u64 = 2_000_000;

/// Looks for answers that say more than holds.
pub fn check(story: &Story) -> Vec<Violation> {
    let reach = Reach::of(story);
    let mut violations = Vec::new();
    for operation in story.operations().iter().filter(|operation| operation.told.is_done()) {
        let said = &operation.told.body()["replication"];
        if said.is_null() && !is_write(&operation.asked.ask) {
            continue;
        }
        if let Some(what) =
            wrong_with(operation, said, story.plan.nodes).or_else(|| too_many(operation, said, &reach))
        {
            let says = format!("{} was told {said} of how widely it is kept, {what}", named(operation));
            violations.push(shown_by("C2", operation, says));
        }
    }
    violations
}

/// Whether an answer of success to it always says how widely that is kept. A tokenize does unless all was known.
fn is_write(ask: &Ask) -> bool {
    use Ask::{Create, Delete, Destroy, Encrypt, Label, Undelete, Update};
    matches!(
        ask,
        Create { .. }
            | Update { .. }
            | Label { .. }
            | Delete { .. }
            | Undelete { .. }
            | Destroy { .. }
            | Encrypt { .. }
    )
}

/// What does not fit in the numbers by themselves.
fn wrong_with(operation: &Operation<'_>, said: &Value, nodes: usize) -> Option<String> {
    let number = |field: &str| said[field].as_u64();
    let (Some(acknowledged), Some(members), Some(quorum)) =
        (number("acknowledged"), number("members"), number("quorum"))
    else {
        return Some("which are not three numbers".to_owned());
    };
    // One is missing while it is replaced.
    if !(nodes as u64 - 1..=nodes as u64).contains(&members) {
        return Some(format!("and there are {nodes} members"));
    }
    if quorum != members / 2 + 1 {
        return Some(format!("and a quorum is {}", members / 2 + 1));
    }
    // A node that was taken away, or does not vote yet, may be all that has it.
    if members < acknowledged {
        return Some("which no members can have said".to_owned());
    }
    let is_kept = operation.told.status() == Some(202);
    match &operation.asked.ask {
        // Kept as widely as that, it may still be of an epoch that nobody confirmed.
        Ask::Tokenize { .. } if is_kept => None,
        Ask::Label { .. } | Ask::Delete { .. } | Ask::Undelete { .. } => None,
        _ if is_kept && quorum <= acknowledged => Some("which is agreed, and not kept".to_owned()),
        _ if !is_kept && acknowledged < quorum => Some("which is kept, and not agreed".to_owned()),
        _ => None,
    }
}

/// More nodes than the one that answered and those that it can have reached. What comes again with its key may have
/// reached them before.
fn too_many(operation: &Operation<'_>, said: &Value, reach: &Reach<'_>) -> Option<String> {
    if operation.asked.key.is_some() {
        return None;
    }
    let during_us = (operation.asked_us.saturating_sub(ON_THE_WAY_US), operation.told_us);
    let reached = reach.within(operation.asked.node, during_us).len() as u64;
    (reached < said["acknowledged"].as_u64()?).then(|| format!("and {reached} of them could be reached"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{
        super::tale::{Tale, create, update},
        check,
    };
    use crate::{
        fault::Fault,
        story::{Ask, What},
    };

    fn told(acknowledged: u64, members: u64, quorum: u64) -> Value {
        json!({ "replication": { "acknowledged": acknowledged, "members": members, "quorum": quorum } })
    }

    fn label() -> Ask {
        Ask::Label { name: "n".into(), labels: [("k".to_owned(), None)].into() }
    }

    #[test]
    fn numbers_that_are_true_pass() {
        let mut tale = Tale::of(3);
        tale.goes(create("plain-1"), 201, told(2, 3, 2)).goes(update("plain-2", None), 202, told(1, 3, 2));
        tale.goes(update("plain-2", None), 202, told(0, 3, 2));
        tale.goes(label(), 200, told(1, 3, 2)).goes(update("plain-3", None), 200, told(2, 2, 2));
        tale.goes(Ask::Tokenize { values: vec!["x".into()] }, 200, json!({ "replication": null }));
        tale.passes(check);
    }

    #[test]
    fn numbers_that_do_not_fit_are_seen() {
        let seen = |ask: Ask, status, body, says| {
            let mut tale = Tale::of(3);
            tale.goes(ask, status, body).fires(check, says);
        };
        seen(create("plain-1"), 201, told(1, 3, 2), "which is kept, and not agreed");
        seen(update("plain-1", None), 202, told(2, 3, 2), "which is agreed, and not kept");
        seen(create("plain-1"), 201, told(2, 3, 1), "and a quorum is 2");
        seen(create("plain-1"), 201, told(4, 7, 4), "and there are 3 members");
        seen(create("plain-1"), 201, told(4, 3, 2), "which no members can have said");
        seen(create("plain-1"), 201, json!({}), "which are not three numbers");
    }

    #[test]
    fn more_nodes_than_can_have_been_reached_are_seen() {
        let mut tale = Tale::of(3);
        tale.happens(What::Harmed(Fault::Island(vec![0]))).passes_ms(3_000);
        tale.goes(label(), 200, told(1, 3, 2)).passes(check);
        tale.goes(label(), 200, told(2, 3, 2)).fires(check, "and 1 of them could be reached");
    }
}
