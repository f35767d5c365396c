//! C1 (docs/invariants.md), docs/api.md: every answer is one that the request may have. Only an update without a
//! condition that need not be agreed is ever kept (`202`); a well-formed request with a good token is neither
//! misunderstood nor turned away; a node never says that it is broken.

use super::{Violation, clocks::stamps, named, shown_by};
use crate::{
    fault::Fault,
    story::{Ask, Operation, Story},
};

/// Refusals for now that any request may have.
const NOT_NOW: [&str; 7] = [
    "quorum_unavailable",
    "outcome_unknown",
    "unconfirmed",
    "stale_time",
    "shutting_down",
    "overloaded",
    "timeout",
];
/// Those of a node whose disk takes nothing more.
const OF_THE_DISK: [&str; 3] = ["storage_full", "storage_failed", "audit_unavailable"];

/// Looks for answers that the contract does not have.
pub fn check(story: &Story) -> Vec<Violation> {
    let wrong = |operation: &Operation<'_>| {
        let status = operation.told.status()?;
        let code = operation.told.code();
        (!may_be_told(story, operation, status, code)).then(|| {
            let says = format!(
                "{} was answered {status} {}, which {:?} never is",
                named(operation),
                code.unwrap_or("without a code"),
                operation.asked.ask,
            );
            shown_by("C1", operation, says)
        })
    };
    story.operations().iter().filter_map(wrong).collect()
}

fn may_be_told(story: &Story, operation: &Operation<'_>, status: u16, code: Option<&str>) -> bool {
    let ask = &operation.asked.ask;
    match (status, code) {
        (503, Some(code)) if NOT_NOW.contains(&code) => true,
        // Whether its clock was off is for another checker.
        (503, Some("clock_skew")) => stamps(ask),
        (503, Some(code)) if OF_THE_DISK.contains(&code) => was_full(story),
        (422, Some("idempotency_conflict")) => operation.asked.key.is_some(),
        // Of a retry whose tokens were of an epoch that was destroyed since.
        (404, Some("not_found")) if operation.asked.key.is_some() && matches!(ask, Ask::Tokenize { .. }) => {
            true
        }
        (429, Some("rate_limited")) => matches!(ask, Ask::Tokenize { .. } | Ask::Detokenize { .. }),
        (200..300, None) => may_be_done(ask, status),
        (400..500, Some(code)) => may_be_refused(ask, code),
        _ => false,
    }
}

fn may_be_done(ask: &Ask, status: u16) -> bool {
    match ask {
        Ask::Create { .. } => status == 201,
        Ask::Update { expect: None, agreed: false, .. } | Ask::Tokenize { .. } => matches!(status, 200 | 202),
        Ask::Of { ask, .. } => **ask == Ask::List && status == 200,
        _ => status == 200,
    }
}

fn may_be_refused(ask: &Ask, code: &str) -> bool {
    let codes: &[&str] = match ask {
        Ask::Create { .. } | Ask::Encrypt { .. } => &["secret_exists"],
        Ask::Update { expect: Some(_), .. } => &["not_found", "version_mismatch"],
        Ask::Update { .. } | Ask::History { .. } | Ask::Label { .. } | Ask::Destroy { .. } => &["not_found"],
        Ask::Read { .. } => &["not_found", "version_deleted", "version_destroyed"],
        Ask::Delete { .. } | Ask::Undelete { .. } => &["not_found", "version_destroyed"],
        Ask::Expand { .. } => &["unresolved_reference"],
        Ask::Detokenize { .. } => &["not_found"],
        Ask::Activate { .. } | Ask::DestroyEpoch { .. } => &["epoch_conflict", "not_found", "limit_reached"],
        Ask::Of { .. } => &["not_found", "forbidden", "unresolved_reference"],
        Ask::List | Ask::Tokenize { .. } | Ask::Epochs | Ask::Status => &[],
    };
    codes.contains(&code)
}

/// Whether a disk was to be full at any time: that of the node which was asked, or of the one that leads.
fn was_full(story: &Story) -> bool {
    story.plan.harms.iter().any(|harm| matches!(harm.fault, Fault::Full(_)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{
        super::tale::{Tale, create, read, refusal, update, version},
        check,
    };

    #[test]
    fn answers_of_the_contract_pass() {
        let mut tale = Tale::of(3);
        tale.goes(create("plain-1"), 201, version("v1", 1)).goes(
            create("plain-2"),
            409,
            refusal("secret_exists"),
        );
        tale.goes(update("plain-3", None), 202, version("p", None)).goes(
            read(),
            410,
            refusal("version_deleted"),
        );
        tale.goes(update("plain-4", Some("v1")), 503, refusal("outcome_unknown")).passes(check);
    }

    #[test]
    fn a_kept_create_and_a_kept_condition_are_seen() {
        let mut tale = Tale::of(3);
        tale.goes(create("plain-1"), 202, version("v1", None))
            .fires(check, "op 0 (client 0 for a at node 0) was answered 202");
        tale.goes(update("plain-2", Some("v1")), 202, version("v2", None)).fires(check, "op 1");
    }

    #[test]
    fn a_broken_node_and_a_good_token_that_is_refused_are_seen() {
        let mut tale = Tale::of(3);
        tale.goes(read(), 500, refusal("internal")).fires(check, "was answered 500 internal");
        tale.goes(read(), 401, refusal("unauthenticated")).fires(check, "was answered 401 unauthenticated");
        tale.goes(read(), 200, json!({ "code": "?" })).fires(check, "op 2");
    }
}
