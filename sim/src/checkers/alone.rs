//! R2 (docs/invariants.md), docs/failure.md: a node that is cut off from every majority has nothing agreed and confirms
//! nothing; and it knows that it is alone, after nine seconds at the latest.

use super::{Violation, named, reach::Reach, shown_by};
use crate::story::{Ask, Operation, Story, Told};

/// What may still be on its way when a node is cut off: packets that take long, and a leader's belief in those that
/// followed it a moment ago.
const ON_THE_WAY_US: u64 = 2_000_000;
/// After this time a node says that it is alone, and a second for the answer that it was about to give.
const NOTICED_WITHIN_US: u64 = 10_000_000;

/// Looks for nodes that are alone and speak for a majority.
pub fn check(story: &Story) -> Vec<Violation> {
    let reach = Reach::of(story);
    let mut violations = Vec::new();
    for operation in story.operations().iter().filter(|operation| operation.told.status().is_some()) {
        let was_alone_for = |us: u64| {
            let from_us = operation.asked_us.saturating_sub(us);
            reach.is_alone(operation.asked.node, (from_us, operation.told_us))
        };
        let what = if needs_a_majority(operation) && was_alone_for(ON_THE_WAY_US) {
            format!("was told {}, for which it takes a majority", said(operation))
        } else if says_majority(operation) && was_alone_for(NOTICED_WITHIN_US) {
            "was told that a majority stands behind it".to_owned()
        } else {
            continue;
        };
        let says = format!("{} {what}, and none could be reached", named(operation));
        violations.push(shown_by("R2", operation, says));
    }
    violations
}

fn said(operation: &Operation<'_>) -> String {
    let status = operation.told.status().unwrap_or_default();
    operation.told.code().map_or(status.to_string(), |code| format!("{status} {code}"))
}

/// Whether only a majority can have said so while the request was on its way. What comes again with its key may have been
/// agreed before.
fn needs_a_majority(operation: &Operation<'_>) -> bool {
    let Operation { asked, told, .. } = operation;
    let is_new = told.is_done() && asked.key.is_none();
    match &asked.ask {
        Ask::Create { .. } | Ask::Encrypt { .. } => is_new,
        Ask::Update { .. } | Ask::Tokenize { .. } => is_new && told.status() == Some(200),
        Ask::Destroy { .. } | Ask::Activate { .. } | Ask::DestroyEpoch { .. } => is_new,
        Ask::Read { quorum: true, .. } if told.is_done() => true,
        _ => told.code() == Some("not_found"),
    }
}

fn says_majority(operation: &Operation<'_>) -> bool {
    matches!(operation.told, Told::Answer { majority: Some(true), .. })
        || operation.told.is_done() && operation.told.body()["standing"] == "majority"
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{
        super::tale::{Tale, create, read, refusal, update, value, version},
        check,
    };
    use crate::{
        fault::Fault,
        story::{Ask, What},
    };

    /// A node that has been cut off for so many milliseconds.
    fn alone_for(ms: u64) -> Tale {
        let mut tale = Tale::of(3);
        tale.happens(What::Harmed(Fault::Island(vec![0]))).passes_ms(ms);
        tale
    }

    fn look() -> Ask {
        Ask::Read { name: "n".into(), version: None, quorum: false, owner: None }
    }

    #[test]
    fn what_a_node_may_say_that_is_alone_passes() {
        let mut tale = alone_for(3_000);
        tale.goes(look(), 200, value("v1", 1, "plain-1"));
        tale.goes(update("plain-2", None), 202, version("p", None));
        tale.goes(read(), 503, refusal("unconfirmed")).passes(check);
    }

    #[test]
    fn what_was_on_its_way_passes_and_who_reaches_one_of_two_is_not_alone() {
        alone_for(500).goes(create("plain-1"), 201, version("v1", 1)).passes(check);
        let mut tale = Tale::of(3);
        tale.happens(What::Harmed(Fault::Crash(1))).passes_ms(20_000);
        tale.goes(create("plain-1"), 201, version("v1", 1)).passes(check);
    }

    #[test]
    fn what_a_node_that_is_alone_has_agreed_or_confirmed_is_seen() {
        let tale = |ask, status, body| {
            let mut tale = alone_for(3_000);
            tale.goes(ask, status, body);
            tale
        };
        tale(create("plain-1"), 201, version("v1", 1)).fires(check, "was told 201, for which it takes");
        tale(update("plain-1", None), 200, version("v1", 1)).fires(check, "was told 200, for which it takes");
        tale(read(), 200, value("v1", 1, "plain-1")).fires(check, "was told 200, for which it takes");
        tale(look(), 404, refusal("not_found")).fires(check, "was told 404 not_found, for which it takes");
        tale(create("plain-1"), 409, refusal("secret_exists")).passes(check);
    }

    #[test]
    fn a_node_that_does_not_notice_that_it_is_alone_is_seen() {
        let mut tale = alone_for(11_000);
        tale.goes(look(), 200, value("v1", 1, "plain-1"))
            .fires(check, "was told that a majority stands behind it");
        let mut tale = alone_for(11_000);
        tale.goes(Ask::Status, 200, json!({ "standing": "majority" }))
            .fires(check, "and none could be reached");
    }

    #[test]
    fn a_node_that_was_cut_off_and_is_back_is_not_alone() {
        let mut tale = alone_for(11_000);
        tale.happens(What::Mended(Fault::Island(vec![0])));
        tale.goes(look(), 200, value("v1", 1, "plain-1")).passes(check);
    }
}
