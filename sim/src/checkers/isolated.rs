//! N3 (docs/invariants.md): an answer shows a caller what stands in its own namespace and nothing else: no value that was
//! not written there, no name that was not made there. Another's secret is answered like a missing one, byte for byte.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::{
    Violation, named, shown_by,
    testimony::{owner_of, written_by},
};
use crate::{
    desk::text,
    inspection::plaintext::BEGINS,
    story::{Ask, Operation, Story},
};

/// What a caller may come to see: values and names of its own.
#[derive(Default)]
struct Own<'a> {
    values: BTreeSet<&'a str>,
    names: BTreeSet<&'a str>,
}

/// Looks for what callers should not have seen.
pub fn check(story: &Story) -> Vec<Violation> {
    let operations = story.operations();
    let own = own(&operations);
    let (mut violations, mut first_miss) = (Vec::new(), None);
    for operation in operations.iter().filter(|operation| operation.told.status().is_some()) {
        let strange =
            own.get(&*operation.asked.caller).map_or_else(Vec::new, |own| strange_to(own, operation));
        violations.extend(strange.into_iter().map(|what| {
            let says = format!("{} was shown {what}, which its caller never wrote", named(operation));
            shown_by("N3", operation, says)
        }));
        violations.extend(of_anothers(operation));
        if matches!(operation.asked.ask, Ask::Read { .. }) && operation.told.code() == Some("not_found") {
            let first = *first_miss.get_or_insert(*operation);
            if first.told.body() != operation.told.body() {
                let says =
                    format!("{} and {} were told of a miss in other words", named(&first), named(operation));
                violations.push(shown_by("N3", operation, says));
            }
        }
    }
    violations
}

fn own<'a>(operations: &[Operation<'a>]) -> BTreeMap<&'a str, Own<'a>> {
    let mut own: BTreeMap<&str, Own<'_>> = BTreeMap::new();
    for Operation { asked, .. } in operations {
        let own = own.entry(&asked.caller).or_default();
        for (name, value) in written_by(&asked.ask) {
            if owner_of(asked) == asked.caller {
                own.names.insert(name);
                own.values.insert(value);
            }
        }
        if let Ask::Tokenize { values } = &asked.ask {
            own.values.extend(values.iter().map(String::as_str));
        }
    }
    own
}

/// Values and listed names in an answer that are not the caller's.
fn strange_to(own: &Own<'_>, operation: &Operation<'_>) -> Vec<String> {
    let body = operation.told.body();
    let mut strange: Vec<String> = values_in(&body.to_string());
    strange.retain(|value| !own.values.contains(value.as_str()));
    let listed = body["secrets"].as_array().map_or(&[][..], Vec::as_slice);
    let names = listed.iter().filter_map(|row| text(row, "/name")).filter(|name| !own.names.contains(name));
    strange.extend(names.map(str::to_owned));
    strange
}

/// Everything in a text that is written as the values of a run are.
fn values_in(body: &str) -> Vec<String> {
    let is_of_value = |letter: &char| letter.is_ascii_alphanumeric() || *letter == '-';
    let found = body.match_indices(BEGINS);
    found.map(|(at, _)| body[at..].chars().take_while(is_of_value).collect()).collect()
}

/// An answer about another's secrets that is anything but what one would get if there were none.
fn of_anothers(operation: &Operation<'_>) -> Option<Violation> {
    let (asked, told) = (operation.asked, operation.told);
    let ask = match &asked.ask {
        Ask::Of { ask, .. } => ask,
        ask => ask,
    };
    let as_if_none = match ask {
        // That is refused whatever is there.
        Ask::Create { .. } | Ask::Encrypt { .. } => told.code() == Some("forbidden"),
        Ask::List => told.body()["secrets"] == json!([]),
        Ask::Expand { .. } => told.code() == Some("unresolved_reference"),
        _ => told.code() == Some("not_found"),
    };
    let status = told.status().unwrap_or_default();
    (owner_of(asked) != asked.caller && !as_if_none && status != 503).then(|| {
        let says = format!("{} asked {:?} and was answered {status}", named(operation), asked.ask);
        shown_by("N3", operation, says)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{
        super::tale::{Tale, create, read, refusal, value, version},
        check,
    };
    use crate::story::Ask;

    /// Callers `a` and `b`, each with a secret `n`.
    fn tale() -> Tale {
        let mut tale = Tale::of(3);
        tale.goes(create("plain-000001-1"), 201, version("v1", 1));
        let op = tale.asks("b", 0, create("plain-000002-2"));
        tale.told(op, 201, version("w1", 1));
        tale
    }

    fn of_b() -> Ask {
        Ask::Read { name: "n".into(), version: None, quorum: false, owner: Some("b".into()) }
    }

    #[test]
    fn what_is_ones_own_passes() {
        let mut tale = tale();
        tale.goes(read(), 200, value("v1", 1, "plain-000001-1")).goes(of_b(), 404, refusal("not_found"));
        tale.goes(Ask::List, 200, json!({ "secrets": [{ "name": "n" }] })).passes(check);
    }

    #[test]
    fn anothers_value_and_name_are_seen() {
        let mut tale = tale();
        tale.goes(read(), 200, value("w1", 1, "plain-000002-2")).fires(check, "was shown plain-000002-2");
        tale.goes(Ask::List, 200, json!({ "secrets": [{ "name": "m" }] })).fires(check, "was shown m");
    }

    #[test]
    fn an_answer_that_tells_anothers_secret_from_a_missing_one_is_seen() {
        let mut tale = tale();
        tale.goes(of_b(), 403, refusal("forbidden")).fires(check, "and was answered 403");
        let missing = Ask::Read { name: "m".into(), version: None, quorum: false, owner: None };
        tale.goes(missing, 404, refusal("not_found"));
        tale.goes(of_b(), 404, json!({ "code": "not_found", "detail": "not yours" }));
        tale.fires(check, "were told of a miss in other words");
    }
}
