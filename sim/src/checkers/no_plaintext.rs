//! S1 (docs/invariants.md): no value is on a disk or in a log in the clear, and none comes back in a refusal.

use super::{Violation, at_the_end, named, shown_by};
use crate::{inspection::plaintext::BEGINS, story::Story};

/// Says which values stand where they must not.
pub fn check(story: &Story) -> Vec<Violation> {
    let mut violations = Vec::new();
    for operation in &story.operations() {
        let refused = operation.told.status().is_some_and(|status| 400 <= status);
        if refused && operation.told.body().to_string().contains(BEGINS) {
            let says = format!("the refusal of {} has a value in it", named(operation));
            violations.push(shown_by("S1", operation, says));
        }
    }
    let in_logs = story.logged.iter().map(|found| format!("in the nodes' logs there is {found}"));
    violations.extend(in_logs.map(|says| at_the_end("S1", story, says)));
    for (node, kept) in story.kept.iter().enumerate() {
        let on_disk =
            kept.plaintext.iter().map(|found| format!("on the disk of node {node} there is {found}"));
        violations.extend(on_disk.map(|says| at_the_end("S1", story, says)));
    }
    violations
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{
        super::tale::{Tale, create, refusal},
        check,
    };

    #[test]
    fn a_refusal_with_a_value_in_it_is_seen() {
        let mut tale = Tale::of(3);
        tale.goes(create("plain-1"), 409, refusal("secret_exists")).passes(check);
        tale.goes(create("plain-2"), 409, json!({ "detail": "there is plain-1" }));
        tale.fires(check, "the refusal of op 1");
    }

    #[test]
    fn a_value_in_a_log_is_seen() {
        let mut tale = Tale::of(3);
        tale.0.logged.push("plain-000001-1 in nodes.log".into());
        tale.fires(check, "in the nodes' logs there is plain-000001-1");
    }

    #[test]
    fn a_value_on_a_disk_is_seen() {
        let mut tale = Tale::of(3);
        tale.0.kept[2].plaintext.push("plain-000001-1 in data.mdb".into());
        tale.fires(check, "on the disk of node 2 there is plain-000001-1");
    }
}
