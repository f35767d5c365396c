//! E1, I1 (docs/invariants.md): of any number of creates of a name one is told that it was done. A request that was done once
//! it was agreed is told the same when it is asked again under its key, and is not refused then; another one under that key
//! is not done. What a node did without agreement under a key it knows again.

use std::collections::BTreeMap;

use super::{
    Violation, named, shown_by,
    testimony::{has_same_key, is_same_request, path_of},
};
use crate::{
    desk::text,
    fault::Fault,
    story::{Ask, Operation, Story, What},
};

/// Looks for names that were created twice, and for retries that were told two things.
pub fn check(story: &Story) -> Vec<Violation> {
    let operations = story.operations();
    let mut violations = Vec::new();
    let mut creators: BTreeMap<String, Operation<'_>> = BTreeMap::new();
    let mut by_key: BTreeMap<_, Vec<Operation<'_>>> = BTreeMap::new();
    for operation in operations.iter().filter(|operation| operation.told.status().is_some()) {
        for path in created_by(operation).into_iter().filter(|_| operation.told.is_done()) {
            let first = creators.entry(path.clone()).or_insert(*operation);
            if first.asked.op != operation.asked.op && !has_same_key(first, operation) {
                let says =
                    format!("{path} was created twice: by {} and by {}", named(first), named(operation));
                violations.push(shown_by("E1", operation, says));
            }
        }
        if let Some(key) = &operation.asked.key {
            by_key.entry((&operation.asked.caller, key)).or_default().push(*operation);
        }
    }
    for ((_, key), tries) in by_key {
        for (at, later) in tries.iter().enumerate() {
            let wrong = tries[..at].iter().find_map(|first| wrong_with(story, first, later));
            violations.extend(wrong.map(|says| shown_by("I1", later, format!("with key {key} {says}"))));
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

/// What is wrong with two answers to requests under one key.
fn wrong_with(story: &Story, first: &Operation<'_>, later: &Operation<'_>) -> Option<String> {
    let (a, b) = (named(first), named(later));
    let (agreed, both) = (is_agreed(first), is_agreed(first) && is_agreed(later));
    if !is_same_request(first, later) {
        return both.then(|| format!("two requests were done: {a} and {b}"));
    }
    if both
        && let (Some((one, id)), Some((other, other_id))) = (version(first), version(later))
        && (one, id) != (other, other_id)
    {
        return Some(format!(
            "two answers differ: {a} was told version {one} ({id}), {b} version {other} ({other_id})"
        ));
    }
    let refused = later.told.status().filter(|status| (400..500).contains(status));
    if agreed && first.told_us < later.asked_us && refused.is_some() {
        let code = later.told.code().unwrap_or_default();
        return Some(format!("{a} was told that it was done, and {b} was refused ({code})"));
    }
    let (one, other) = (tokens(first)?, tokens(later)?);
    (one != other && first.told_us < later.asked_us && is_known_there(story, first, later))
        .then(|| format!("two answers differ: {a} was given {one:?}, {b} {other:?}"))
}

/// Whether it was done, and the registry knows: of marks and tokens a node knows what it did itself, or has heard of, and
/// what was only kept may be made a second time by a retry at a node where it has not come to.
fn is_agreed(operation: &Operation<'_>) -> bool {
    let is_registered = match &operation.asked.ask {
        Ask::Create { .. } | Ask::Update { .. } => version(operation).is_some(),
        Ask::Encrypt { .. } | Ask::Destroy { .. } | Ask::Activate { .. } | Ask::DestroyEpoch { .. } => true,
        _ => false,
    };
    operation.told.is_done() && is_registered
}

/// The agreed version that a write was told it made.
fn version<'a>(operation: &Operation<'a>) -> Option<(u64, &'a str)> {
    let (Ask::Create { .. } | Ask::Update { .. }) = &operation.asked.ask else { return None };
    let version = &operation.told.body()["version"];
    Some((version["number"].as_u64()?, text(version, "/id")?))
}

/// The tokens that a request was given.
fn tokens<'a>(operation: &Operation<'a>) -> Option<Vec<&'a str>> {
    let (Ask::Tokenize { .. }, true) = (&operation.asked.ask, operation.told.is_done()) else { return None };
    let rows = operation.told.body()["tokens"].as_array()?;
    Some(rows.iter().filter_map(|row| text(row, "/token")).collect())
}

/// Whether both were asked of one node, which has kept its disk between them.
fn is_known_there(story: &Story, first: &Operation<'_>, later: &Operation<'_>) -> bool {
    let node = first.asked.node;
    let lost = [What::Harmed(Fault::Replace(node)), What::Mended(Fault::Remove(node))];
    let between = |at_us: u64| first.asked_us <= at_us && at_us <= later.told_us;
    later.asked.node == node
        && !story.events.iter().any(|event| between(event.at_us) && lost.contains(&event.what))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{
        super::tale::{Tale, create, encrypt, refusal, update, version},
        check,
    };
    use crate::story::Ask;

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
        tale.fires(check, "with key k two answers differ");
    }

    #[test]
    fn two_requests_that_were_done_under_one_key_are_seen() {
        let mut tale = Tale::of(3);
        for (id, value) in [("v2", "plain-1"), ("v3", "plain-2")] {
            let op = tale.retries("a", 0, update(value, None), Some("k"));
            tale.told(op, 200, version(id, 2));
        }
        tale.fires(check, "with key k two requests were done");
    }

    #[test]
    fn a_retry_of_what_was_done_that_is_refused_is_seen() {
        let mut tale = Tale::of(3);
        let op = tale.retries("a", 0, update("plain-1", Some("v1")), Some("k"));
        tale.told(op, 200, version("v2", 2));
        let op = tale.retries("a", 1, update("plain-1", Some("v1")), Some("k"));
        tale.told(op, 412, refusal("version_mismatch"));
        tale.fires(check, "was told that it was done, and op 1 (client 0 for a at node 1) was refused");
    }

    #[test]
    fn other_tokens_from_the_node_that_gave_some_under_the_key_are_seen() {
        let told =
            |token: &str| json!({ "epoch": 1, "tokens": [{ "pointer": "/values/0", "token": token }] });
        let mut tale = Tale::of(3);
        for (node, token) in [(0, "t1"), (1, "t2")] {
            let op = tale.retries("a", node, Ask::Tokenize { values: vec!["x".into()] }, Some("k"));
            tale.told(op, 200, told(token));
        }
        tale.passes(check);
        let op = tale.retries("a", 0, Ask::Tokenize { values: vec!["x".into()] }, Some("k"));
        tale.told(op, 200, told("t3")).fires(check, "was given [\"t1\"], op 2");
    }
}
