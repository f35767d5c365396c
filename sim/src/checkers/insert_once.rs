//! E1, I1 (docs/invariants.md): of any number of creates of a name one is told that it was done, and a request that is
//! asked again under its key is told the same as before.

use std::collections::BTreeMap;

use super::{Violation, named, shown_by, testimony::path_of};
use crate::{
    desk::text,
    story::{Ask, Operation, Story},
};

/// Looks for names that were created twice, and for retries that were told two things.
pub fn check(story: &Story) -> Vec<Violation> {
    let operations = story.operations();
    let mut violations = Vec::new();
    let mut creators: BTreeMap<String, Operation<'_>> = BTreeMap::new();
    let mut first_told: BTreeMap<_, (Operation<'_>, u64, &str)> = BTreeMap::new();
    for operation in operations.iter().filter(|operation| operation.told.is_done()) {
        for path in created_by(operation) {
            let first = creators.entry(path.clone()).or_insert(*operation);
            if !is_same_request(first, operation) {
                let says =
                    format!("{path} was created twice: by {} and by {}", named(first), named(operation));
                violations.push(shown_by("E1", operation, says));
            }
        }
        let (Some(key), Some((number, id))) = (&operation.asked.key, agreed(operation)) else { continue };
        let told = (*operation, number, id);
        let first =
            *first_told.entry((&operation.asked.caller, key, path_of(operation.asked))).or_insert(told);
        if (first.1, first.2) != (number, id) {
            let (first, op) = ((named(&first.0), first.1, first.2), named(operation));
            let says = format!(
                "two answers to the request with key {key} differ: {} was told version {} ({}), {op} version {number} ({id})",
                first.0, first.1, first.2,
            );
            violations.push(shown_by("I1", operation, says));
        }
    }
    violations
}

/// The names that an operation was told it created.
fn created_by(operation: &Operation<'_>) -> Vec<String> {
    match &operation.asked.ask {
        Ask::Create { .. } => path_of(operation.asked).into_iter().collect(),
        Ask::Encrypt { values } => {
            values.keys().map(|name| format!("{}/{name}", operation.asked.caller)).collect()
        }
        _ => Vec::new(),
    }
}

/// The agreed version that a write was told it made. One that was only kept may be made a second time by a retry at a
/// node where it has not come to.
fn agreed<'a>(operation: &Operation<'a>) -> Option<(u64, &'a str)> {
    let (Ask::Create { .. } | Ask::Update { .. }) = &operation.asked.ask else { return None };
    let version = &operation.told.body()["version"];
    Some((version["number"].as_u64()?, text(version, "/id")?))
}

fn is_same_request(a: &Operation<'_>, b: &Operation<'_>) -> bool {
    a.asked.op == b.asked.op
        || (a.asked.key.is_some() && (&a.asked.caller, &a.asked.key) == (&b.asked.caller, &b.asked.key))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{
        super::tale::{Tale, create, encrypt, refusal, update, version},
        check,
    };

    #[test]
    fn one_create_and_its_retry_pass() {
        let mut tale = Tale::of(3);
        for _ in 0..2 {
            let op = tale.retries("a", 0, create("plain-1"), Some("k"));
            tale.told(op, 201, version("v1", 1));
        }
        tale.goes(create("plain-2"), 409, refusal("secret_exists"));
        let op = tale.asks("b", 1, create("plain-3"));
        tale.told(op, 201, version("w1", 1)).passes(check);
    }

    #[test]
    fn a_second_create_of_a_name_is_seen() {
        let mut tale = Tale::of(3);
        tale.goes(create("plain-1"), 201, version("v1", 1)).goes(create("plain-2"), 201, version("v2", 1));
        tale.fires(check, "a/n was created twice");
    }

    #[test]
    fn a_file_that_creates_a_name_that_is_there_is_seen() {
        let mut tale = Tale::of(3);
        tale.goes(create("plain-1"), 201, version("v1", 1));
        tale.goes(encrypt(&[("n", "plain-2")]), 200, json!({ "created": ["n"] }));
        tale.fires(check, "a/n was created twice");
    }

    #[test]
    fn a_retry_that_is_told_another_version_is_seen() {
        let mut tale = Tale::of(3);
        for id in ["v2", "v3"] {
            let op = tale.retries("a", 0, update("plain-1", None), Some("k"));
            tale.told(op, 200, version(id, 2));
        }
        tale.fires(check, "two answers to the request with key k differ");
    }
}
