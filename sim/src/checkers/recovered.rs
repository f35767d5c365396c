//! R1, R2 (docs/invariants.md), docs/failure.md: when everything was made good nothing has to be done. After a bounded time
//! every node answers what clients ask of it, and no node fails any more. Each serves in the end, whether it was asked or
//! not: the world says so of one that does not.

use super::{Violation, named, shown_by};
use crate::story::{Event, Operation, Story, Told, What};

/// How long after the last harm a node may still refuse: longer than connections outlive a cut, than a leader needs that
/// was cut off, and than a node that was replaced needs to be taken in.
const WITHIN_US: u64 = 12_000_000;
/// Of the last requests to a node so many are looked at, since packets go on being lost.
const LAST: usize = 3;
/// And fewer than so many say nothing, for the same reason.
const LEAST: usize = 2;
/// How long after somebody came with a stolen key a node may be of no use: it closes the connection with the node that the
/// key is of, and to dial again takes three seconds when packets are lost.
const DISTURBED_US: u64 = 5_000_000;

/// Looks for nodes that did not recover.
pub fn check(story: &Story) -> Vec<Violation> {
    let Some(healed_us) = story.healed_us() else { return Vec::new() };
    let from_us = healed_us + WITHIN_US;
    let late = story.events.iter().filter(|event| from_us <= event.at_us);
    let failed = late.filter_map(|event| match &event.what {
        What::Failed { node, why } => {
            let says = format!("node {node} failed after all was made good: {why}");
            Some(Violation { rule: "R1".to_owned(), at_us: event.at_us, says })
        }
        _ => None,
    });
    let operations = story.operations();
    let unserved = (0..story.plan.nodes).filter_map(|node| unserved(node, from_us, story, &operations));
    failed.chain(unserved).collect()
}

/// Says of a node that answered none of the last things that were asked of it. What was on its way when the clients were
/// stopped says nothing: a client that waits for too long gives up, and that is told.
fn unserved(node: usize, from_us: u64, story: &Story, operations: &[Operation<'_>]) -> Option<Violation> {
    let lied = |event: &&Event| matches!(event.what, What::Lied { node: at, .. } if at == node);
    let lies_us: Vec<u64> = story.events.iter().filter(lied).map(|event| event.at_us).collect();
    let was_disturbed = |op: &Operation<'_>| {
        lies_us.iter().any(|at_us| *at_us <= op.told_us && op.asked_us < at_us + DISTURBED_US)
    };
    let ended = operations.iter().rev().filter(|op| op.told_us < u64::MAX);
    let late = ended.filter(|op| op.asked.node == node && from_us <= op.asked_us);
    let last: Vec<_> = late.filter(|op| !was_disturbed(op)).take(LAST).collect();
    let newest = *last.first()?;
    let is_unserved = LEAST <= last.len() && !last.iter().any(|operation| is_served(operation));
    is_unserved.then(|| {
        let what = newest.told.code().unwrap_or("nothing");
        let says =
            format!("node {node} did not recover: {} was told {what}, as those before it", named(newest));
        shown_by("R1", newest, says)
    })
}

/// Whether a node answered as one that serves. One that nobody stands behind has answers, too, and says so.
fn is_served(operation: &Operation<'_>) -> bool {
    match operation.told {
        Told::Answer { status, majority, .. } => *status < 500 && *status != 202 && *majority != Some(false),
        Told::Unreached | Told::Lost => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::tale::{Tale, read, refusal, value},
        LAST, LEAST, check,
    };
    use crate::story::{Lie, Told, What};

    #[test]
    fn a_node_that_answers_again_passes() {
        let mut tale = Tale::of(3);
        tale.goes(read(), 503, refusal("unconfirmed")).heals(13_000);
        tale.goes(read(), 503, refusal("unconfirmed"))
            .goes(read(), 200, value("v1", 1, "plain-1"))
            .passes(check);
    }

    #[test]
    fn a_node_that_goes_on_refusing_is_seen() {
        let mut tale = Tale::of(3);
        tale.heals(13_000).goes(read(), 503, refusal("unconfirmed")).passes(check);
        tale.goes(read(), 503, refusal("unconfirmed"));
        tale.fires(check, "node 0 did not recover: op 1");
    }

    #[test]
    fn what_was_on_its_way_in_the_end_says_nothing() {
        let mut tale = Tale::of(3);
        tale.heals(13_000).goes(read(), 200, value("v1", 1, "plain-1"));
        for _ in 0..LAST {
            tale.asks("a", 0, read());
        }
        tale.passes(check);
    }

    #[test]
    fn a_node_to_which_somebody_came_with_a_stolen_key_has_time_to_reach_the_others_again() {
        let mut tale = Tale::of(3);
        tale.heals(13_000);
        tale.happens(What::Lied { node: 0, lie: Lie::Forged, taken: false, told: "refused".into() });
        tale.goes(read(), 503, refusal("unconfirmed")).goes(read(), 503, refusal("unconfirmed"));
        tale.passes(check);
        tale.passes_ms(5_000);
        tale.goes(read(), 503, refusal("unconfirmed")).goes(read(), 503, refusal("unconfirmed"));
        tale.fires(check, "node 0 did not recover");
    }

    #[test]
    fn a_node_that_leaves_clients_waiting_is_seen() {
        let mut tale = Tale::of(3);
        tale.heals(13_000);
        for _ in 0..LEAST {
            let op = tale.asks("a", 0, read());
            tale.happens(What::Told { op, told: Told::Lost });
        }
        tale.fires(check, "node 0 did not recover");
    }

    #[test]
    fn a_node_that_fails_afterwards_is_seen() {
        let mut tale = Tale::of(3);
        tale.heals(13_000).happens(What::Failed { node: 2, why: "the disk".into() });
        tale.fires(check, "node 2 failed after all was made good");
    }
}
