//! V3, E2, E3 (docs/invariants.md): the versions of a secret form one line. Each is in force until the next one is, without
//! gap or overlap, the last one without end; numbers rise with times, and on a node's disk they are 1, 2, 3 …

use serde_json::Value;

use super::{Violation, at_the_end, named, shown_by};
use crate::{
    desk::text,
    story::{Ask, KeptSecret, Operation, Story},
};

/// Looks for histories that are no line, in answers and on disks.
pub fn check(story: &Story) -> Vec<Violation> {
    let mut violations = Vec::new();
    for operation in story.operations().iter().filter(|operation| operation.told.is_done()) {
        let Ask::History { name } = &operation.asked.ask else { continue };
        let wrong = wrong_with_answer(operation).into_iter();
        violations.extend(wrong.map(|what| {
            let says = format!("the history of {name} that {} was told {what}", named(operation));
            shown_by("V3", operation, says)
        }));
    }
    for (node, kept) in story.kept.iter().enumerate() {
        for (path, secret) in &kept.secrets {
            let says =
                wrong_with_line(secret).map(|what| format!("the line of {path} on node {node} {what}"));
            violations.extend(says.map(|says| at_the_end("V3", story, says)));
        }
    }
    violations
}

/// Newest first, as it was answered. A node that is behind may lack versions, so that numbers may have gaps here.
fn wrong_with_answer(operation: &Operation<'_>) -> Vec<String> {
    let rows = operation.told.body()["versions"].as_array().map_or(&[][..], Vec::as_slice);
    let mut wrong = Vec::new();
    if rows.first().is_some_and(|newest| !newest["valid_to"].is_null()) {
        wrong.push("has an end to its last version".to_owned());
    }
    for pair in rows.windows(2) {
        let (newer, older) = (&pair[0], &pair[1]);
        let id = text(older, "/id").unwrap_or_default();
        if older["valid_to"] != newer["valid_from"] {
            wrong.push(format!("has a gap or an overlap after version {id}"));
        }
        if text(newer, "/valid_from") < text(older, "/valid_from") {
            wrong.push(format!("has a version before {id} that is older"));
        }
        if older["state"] == "current" {
            wrong.push(format!("has {id} as the current version, which is not the last"));
        }
    }
    let numbers: Vec<u64> = rows.iter().filter_map(|row| row["number"].as_u64()).collect();
    if numbers.windows(2).any(|pair| pair[0] <= pair[1]) {
        wrong.push(format!("has the numbers {numbers:?}"));
    }
    wrong.extend(provisional_before_agreed(rows));
    wrong
}

/// A version without a number that something agreed has passed is superseded, and is called so.
fn provisional_before_agreed(rows: &[Value]) -> Option<String> {
    let older = rows.iter().skip_while(|row| row["number"].is_null());
    let provisional = older.filter(|row| row["state"] == "provisional").find_map(|row| text(row, "/id"));
    provisional.map(|id| format!("has {id} as provisional, though a later version was agreed"))
}

/// Oldest first, as it is kept.
fn wrong_with_line(secret: &KeptSecret) -> Option<String> {
    let times: Vec<u64> = secret.versions.iter().map(|version| version.from_ms).collect();
    if times.windows(2).any(|pair| pair[1] < pair[0]) {
        return Some(format!("has the times {times:?}"));
    }
    let numbers: Vec<u64> = secret.versions.iter().filter_map(|version| version.number).collect();
    (!numbers.iter().copied().eq(1..=numbers.len() as u64)).then(|| format!("has the numbers {numbers:?}"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{
        super::tale::{Tale, kept},
        check,
    };
    use crate::story::Ask;

    /// A history of rows, newest first: number, state, from, to.
    fn told(rows: &[(Value, &str, &str, Value)]) -> Tale {
        let row = |(number, state, from, to): &(Value, &str, &str, Value)| json!({ "id": from, "number": number, "state": state, "valid_from": from, "valid_to": to });
        let mut tale = Tale::of(1);
        let body = json!({ "name": "n", "versions": rows.iter().map(row).collect::<Vec<_>>() });
        tale.goes(Ask::History { name: "n".into() }, 200, body);
        tale
    }

    #[test]
    fn a_line_passes() {
        let passed_over = (Value::Null, "superseded", "b", json!("c"));
        told(&[(json!(2), "current", "c", Value::Null), passed_over, (json!(1), "past", "a", json!("b"))])
            .passes(check);
        let mut tale = Tale::of(1);
        tale.keeps(&[("v1", "plain-1"), ("v2", "plain-2")]).passes(check);
    }

    #[test]
    fn a_gap_an_end_and_a_second_current_version_are_seen() {
        let older = (json!(1), "current", "a", json!("b"));
        let tale = told(&[(json!(2), "current", "c", json!("d")), older]);
        tale.fires(check, "a gap or an overlap after version a");
        tale.fires(check, "an end to its last version");
        tale.fires(check, "has a as the current version");
    }

    #[test]
    fn what_was_passed_over_and_is_called_provisional_is_seen() {
        let older = (Value::Null, "provisional", "a", json!("c"));
        told(&[(json!(2), "current", "c", Value::Null), older])
            .fires(check, "though a later version was agreed");
    }

    #[test]
    fn numbers_that_do_not_rise_are_seen() {
        let older = (json!(2), "past", "a", json!("c"));
        told(&[(json!(2), "current", "c", Value::Null), older]).fires(check, "has the numbers [2, 2]");
        let mut tale = Tale::of(1);
        tale.keeps(&[("v1", "plain-1")]);
        if let Some(secret) = tale.0.kept[0].secrets.get_mut("a/n") {
            secret.versions.push(kept("v3", Some(3), "plain-3", 9));
        }
        tale.fires(check, "the line of a/n on node 0 has the numbers [1, 3]");
    }
}
