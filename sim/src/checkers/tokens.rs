//! T1, T3, T6, N3 (docs/invariants.md): a value of a caller has one token in an epoch, whichever node is asked, and a token
//! stands for one value of one caller. Who shows a token gets exactly that value; one that was told to be on a
//! majority's disks (`200`) is found, unless its epoch was destroyed.

use std::collections::BTreeMap;

use super::{Violation, named, shown_by};
use crate::{
    desk::text,
    story::{Ask, Operation, Story},
};

/// What a token stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Behind<'a> {
    caller: &'a str,
    epoch: u64,
    value: &'a str,
}

/// A token that was given out.
struct Given<'a> {
    behind: Behind<'a>,
    by: Operation<'a>,
    /// When it was told first to be on a majority's disks; absent while it was not.
    kept_us: Option<u64>,
}

/// Looks for tokens that do not agree, and for some that were lost.
pub fn check(story: &Story) -> Vec<Violation> {
    let operations = story.operations();
    let (mut given, mut violations) = (BTreeMap::new(), Vec::new());
    for operation in operations.iter().filter(|operation| operation.told.is_done()) {
        violations.extend(take_in(operation, &mut given));
    }
    violations.extend(two_tokens_of_one_value(&given));
    for operation in &operations {
        let Ask::Detokenize { tokens } = &operation.asked.ask else { continue };
        if operation.told.is_done() {
            violations.extend(wrong_values(operation, tokens, &given, &operations));
        } else if operation.told.code() == Some("not_found") {
            violations.extend(lost(operation, tokens, &given, &operations));
        }
    }
    violations
}

/// Adds the tokens of an answer; says of each that stood for something else before.
fn take_in<'a>(operation: &Operation<'a>, given: &mut BTreeMap<&'a str, Given<'a>>) -> Vec<Violation> {
    let Ask::Tokenize { values } = &operation.asked.ask else { return Vec::new() };
    let (body, mut violations) = (operation.told.body(), Vec::new());
    let epoch = body["epoch"].as_u64().unwrap_or_default();
    let told_us = (operation.told.status() == Some(200)).then_some(operation.told_us);
    for placed in body["tokens"].as_array().map_or(&[][..], Vec::as_slice) {
        let at = text(placed, "/pointer").and_then(|pointer| pointer.rsplit('/').next()?.parse().ok());
        let value = at.and_then(|at: usize| values.get(at));
        let (Some(token), Some(value)) = (text(placed, "/token"), value) else { continue };
        let behind = Behind { caller: &operation.asked.caller, epoch, value };
        let fresh = || Given { behind: behind.clone(), by: *operation, kept_us: None };
        let first = given.entry(token).or_insert_with(fresh);
        if first.behind != behind {
            let says = format!(
                "token {token} stands for {:?} to {}, and for {behind:?} to {}",
                first.behind,
                named(&first.by),
                named(operation),
            );
            violations.push(shown_by("T3", operation, says));
        }
        first.kept_us = [first.kept_us, told_us].into_iter().flatten().min();
    }
    violations
}

fn two_tokens_of_one_value(given: &BTreeMap<&str, Given<'_>>) -> Vec<Violation> {
    let (mut tokens, mut violations) = (BTreeMap::new(), Vec::new());
    for (token, Given { behind, by, .. }) in given {
        let first = tokens.insert((behind.caller, behind.epoch, behind.value), (token, by));
        if let Some((other, first)) = first {
            let says =
                format!("{behind:?} has token {other} to {}, and {token} to {}", named(first), named(by));
            violations.push(shown_by("T1", by, says));
        }
    }
    violations
}

/// Values that came back and are not those that the tokens were given for.
fn wrong_values(
    operation: &Operation<'_>,
    tokens: &[String],
    given: &BTreeMap<&str, Given<'_>>,
    operations: &[Operation<'_>],
) -> Vec<Violation> {
    let values = operation.told.body()["values"].as_array().map_or(&[][..], Vec::as_slice);
    let mut violations = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let value = values.get(at).and_then(|value| value.as_str()).unwrap_or_default();
        let known = given.get(token.as_str()).map(|given| &given.behind);
        let fits = known.map_or_else(
            || tokenized(operations, operation, value),
            |behind| behind.caller == operation.asked.caller && behind.value == value,
        );
        if !fits {
            let says =
                format!("{} was given {value:?} for {token}, which stands for {known:?}", named(operation));
            violations.push(shown_by("T1", operation, says));
        }
    }
    violations
}

/// Whether the caller of `by` had this value tokenized, as far as that may have been done.
fn tokenized(operations: &[Operation<'_>], by: &Operation<'_>, value: &str) -> bool {
    operations.iter().filter(|operation| operation.asked.caller == by.asked.caller).any(|operation| {
        matches!(&operation.asked.ask, Ask::Tokenize { values } if values.iter().any(|other| other == value))
    })
}

/// A miss of tokens that were all on a majority's disks before they were asked for.
fn lost(
    operation: &Operation<'_>,
    tokens: &[String],
    given: &BTreeMap<&str, Given<'_>>,
    operations: &[Operation<'_>],
) -> Option<Violation> {
    let is_there = |token: &String| {
        given.get(token.as_str()).is_some_and(|given| {
            given.behind.caller == operation.asked.caller
                && given.kept_us.is_some_and(|kept_us| kept_us < operation.asked_us)
                && !may_be_destroyed(&given.behind, operation, operations)
        })
    };
    tokens.iter().all(is_there).then(|| {
        let says = format!(
            "{} was told that {tokens:?} are not there, each of which had been told to be on a majority's disks",
            named(operation)
        );
        shown_by("T6", operation, says)
    })
}

fn may_be_destroyed(behind: &Behind<'_>, by: &Operation<'_>, operations: &[Operation<'_>]) -> bool {
    operations.iter().take_while(|operation| operation.asked_us < by.told_us).any(|operation| {
        operation.asked.caller == behind.caller
            && operation.asked.ask == Ask::DestroyEpoch { epoch: behind.epoch }
            && !operation.told.is_refused()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{
        super::tale::{Tale, refusal},
        check,
    };
    use crate::story::Ask;

    fn tokenize(value: &str) -> Ask {
        Ask::Tokenize { values: vec![value.into()] }
    }

    fn detokenize(token: &str) -> Ask {
        Ask::Detokenize { tokens: vec![token.into()] }
    }

    fn told(token: &str, epoch: u64) -> Value {
        json!({ "epoch": epoch, "tokens": [{ "pointer": "/values/0", "token": token }] })
    }

    /// A story in which `x` has a token that a majority keeps.
    fn tale() -> Tale {
        let mut tale = Tale::of(3);
        tale.goes(tokenize("x"), 200, told("t1", 1));
        tale
    }

    #[test]
    fn one_token_for_one_value_passes() {
        let mut tale = tale();
        tale.goes(tokenize("x"), 202, told("t1", 1)).goes(tokenize("x"), 200, told("t2", 2));
        tale.goes(detokenize("t1"), 200, json!({ "values": ["x"] }));
        tale.goes(detokenize("unknown"), 404, refusal("not_found"));
        tale.goes(Ask::DestroyEpoch { epoch: 1 }, 200, json!({}));
        tale.goes(detokenize("t1"), 404, refusal("not_found")).passes(check);
    }

    #[test]
    fn two_tokens_for_one_value_and_two_values_for_one_token_are_seen() {
        let mut tale = tale();
        tale.goes(tokenize("x"), 200, told("t9", 1)).fires(check, "has token t1 to op 0");
        tale.goes(tokenize("y"), 200, told("t1", 1)).fires(check, "token t1 stands for");
    }

    #[test]
    fn anothers_token_or_another_value_is_seen() {
        let mut tale = tale();
        tale.goes(detokenize("t1"), 200, json!({ "values": ["y"] })).fires(check, "was given \"y\" for t1");
        let op = tale.asks("b", 0, detokenize("t1"));
        tale.told(op, 200, json!({ "values": ["x"] }))
            .fires(check, "op 2 (client 0 for b at node 0) was given \"x\"");
    }

    #[test]
    fn a_miss_of_what_a_majority_had_is_seen() {
        let mut tale = tale();
        tale.goes(detokenize("t1"), 404, refusal("not_found"))
            .fires(check, "was told that [\"t1\"] are not there");
    }

    #[test]
    fn a_miss_of_what_only_one_node_had_passes() {
        let mut tale = Tale::of(3);
        tale.goes(tokenize("x"), 202, told("t1", 1))
            .goes(detokenize("t1"), 404, refusal("not_found"))
            .passes(check);
    }
}
