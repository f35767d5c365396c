//! A cluster after its faults: all nodes tell the same history of every secret, nothing waits to be agreed, and
//! what they tell is a line without gap or overlap (V3, E2, E3).

use std::{collections::BTreeMap, time::Duration};

use serde_json::Value;

use super::{Client, within};

/// Twice what a node takes to look for what it lacks, when nothing has made it look earlier.
const CONVERGENCE: Duration = Duration::from_secs(150);

/// The versions of each secret, newest first, once all nodes tell the same of all of them. `nodes` are clients of
/// one caller, one for each node.
pub fn healed(nodes: &[Client], names: &[String]) -> BTreeMap<String, Vec<Value>> {
    let healed: BTreeMap<_, _> = names.iter().map(|name| (name.clone(), told_by_all(nodes, name))).collect();
    healed.iter().for_each(|(name, versions)| check_line(name, versions));
    healed
}

/// Returns once all nodes list the same secrets with the same words about them.
pub fn same_lists(nodes: &[Client]) {
    let mut last = Vec::new();
    let found = within(CONVERGENCE, || {
        last = nodes.iter().map(listed).collect();
        last.iter().all(|listed| listed.is_some() && *listed == last[0]).then_some(())
    });
    assert!(found.is_some(), "after {CONVERGENCE:?} the nodes list {last:#?}");
}

/// All that a node lists, page after page; none if it cannot be had now.
fn listed(node: &Client) -> Option<Vec<Value>> {
    let (mut rows, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = node.try_send("GET", &format!("/v1/secrets?limit=1000{cursor}"), &[], None).ok()?;
        rows.extend((page.status == 200).then(|| page.at("/secrets"))?.as_array()?.iter().cloned());
        match page.at("/next").as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Some(rows),
        }
    }
}

fn told_by_all(nodes: &[Client], name: &str) -> Vec<Value> {
    let path = format!("/v1/history/{name}?limit=1000");
    let told = |node: &Client| {
        let answer = node.try_send("GET", &path, &[], None).ok()?;
        match answer.status {
            200 => answer.at("/versions").as_array().cloned(),
            404 => Some(Vec::new()),
            _ => None,
        }
    };
    let mut last = Vec::new();
    let found = within(CONVERGENCE, || {
        last = nodes.iter().map(told).collect();
        let first = last[0].clone()?;
        let settled = first.iter().all(|version| version["state"] != "provisional");
        (settled && last.iter().all(|other| other.as_ref() == Some(&first))).then_some(first)
    });
    found.unwrap_or_else(|| panic!("{name}: after {CONVERGENCE:?} the nodes tell {last:#?}"))
}

fn check_line(name: &str, versions: &[Value]) {
    for pair in versions.windows(2) {
        assert_eq!(pair[1]["valid_to"], pair[0]["valid_from"], "{name}: no gap, no overlap");
        assert!(pair[1]["valid_from"].as_str() <= pair[0]["valid_from"].as_str(), "{name}: newest first");
    }
    assert!(versions.first().is_none_or(|newest| newest["valid_to"].is_null()), "{name}: the last is open");
    let numbers: Vec<u64> = versions.iter().rev().filter_map(|version| version["number"].as_u64()).collect();
    let gapless: Vec<u64> = (1..).take(numbers.len()).collect();
    assert_eq!(numbers, gapless, "{name}: numbers rise with times, without a gap");
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::check_line;

    /// Versions, newest first, as (number, from, to).
    fn check(versions: &[(Value, &str, Value)]) {
        let row = |(number, from, to): &(Value, &str, Value)| json!({"number": number, "valid_from": from, "valid_to": to});
        check_line("name", &versions.iter().map(row).collect::<Vec<_>>());
    }

    #[test]
    fn a_line_with_a_superseded_version_in_it_is_one() {
        check(&[(json!(2), "c", Value::Null), (Value::Null, "b", json!("c")), (json!(1), "a", json!("b"))]);
    }

    #[test]
    #[should_panic(expected = "no gap, no overlap")]
    fn a_gap_between_intervals_is_seen() {
        check(&[(json!(2), "c", Value::Null), (json!(1), "a", json!("b"))]);
    }

    #[test]
    #[should_panic(expected = "without a gap")]
    fn a_gap_between_numbers_is_seen() {
        check(&[(json!(3), "b", Value::Null), (json!(1), "a", json!("b"))]);
    }

    #[test]
    #[should_panic(expected = "the last is open")]
    fn an_end_without_a_next_is_seen() {
        check(&[(json!(1), "a", json!("b"))]);
    }
}
