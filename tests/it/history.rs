//! The line of versions as seen from outside: no gap, no overlap (V3), `at=` answers from it, pages join.

use serde_json::Value;

use crate::support::{Client, Vault};

fn written(member: &Client, name: &str, versions: usize) -> Vec<Value> {
    member.create(name, "value 1");
    for number in 2..=versions {
        member.update(name, &format!("value {number}"));
    }
    member.history(name)
}

#[test]
fn validity_has_no_gap_and_no_overlap() {
    let vault = Vault::start();
    let member = vault.member();
    let rows = written(&member, "line", 40);
    assert_eq!(rows.len(), 40);
    assert_eq!(rows[0]["valid_to"], Value::Null);
    assert_eq!(rows[0]["state"], "current");
    for pair in rows.windows(2) {
        assert_eq!(pair[1]["valid_to"], pair[0]["valid_from"]);
        assert_eq!(pair[0]["number"].as_u64(), pair[1]["number"].as_u64().map(|number| number + 1));
        assert!(pair[1]["valid_from"].as_str() <= pair[0]["valid_from"].as_str());
        assert_eq!(pair[1]["state"], "past");
    }
}

#[test]
fn every_row_says_who_and_when() {
    let vault = Vault::start();
    let member = vault.member();
    let me = member.get("/v1/self").expect(200);
    for row in written(&member, "who", 3) {
        assert_eq!(row["caller"], me.body_json()["name"]);
        for field in ["valid_from", "created_at"] {
            let time = row[field].as_str().unwrap();
            assert!(time.len() == 24 && time.ends_with('Z') && time.as_bytes()[19] == b'.', "{time}");
        }
        assert_eq!(row["author"].as_str().unwrap().len(), 64);
        assert!(row.get("value").is_none(), "history carries no value");
    }
}

#[test]
fn at_answers_with_the_version_that_was_in_force() {
    let vault = Vault::start();
    let member = vault.member();
    let rows = written(&member, "then", 12);
    for row in &rows {
        let from = row["valid_from"].as_str().unwrap();
        let read = member.get(&format!("/v1/secrets/then?at={from}")).expect(200);
        // Several versions may begin in one millisecond; then the last of them is in force at its end.
        let last = rows
            .iter()
            .filter(|row| row["valid_from"] == from)
            .map(|row| row["number"].as_u64())
            .max()
            .unwrap();
        assert_eq!(read.at("/version/number").as_u64(), last);
        assert_eq!(read.text("/value"), format!("value {}", last.unwrap()));
    }
    member.get("/v1/secrets/then?at=2001-01-01T00:00:00.000Z").expect_problem(404, "not_found");
    let latest = member.get("/v1/secrets/then?at=2999-01-01T00:00:00.000Z");
    assert_eq!(latest.expect(200).at("/version/number"), 12);
}

#[test]
fn pages_of_any_size_join_to_the_same_line() {
    let vault = Vault::start();
    let member = vault.member();
    let whole = written(&member, "paged", 23);
    for limit in [1, 2, 7, 22, 23, 24] {
        let mut rows = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = member.get(&format!("/v1/history/paged?limit={limit}{cursor}")).expect(200);
            rows.extend(page.at("/versions").as_array().unwrap().iter().cloned());
            match page.at("/next").as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(rows, whole, "limit {limit}");
    }
}

#[test]
fn the_history_of_a_missing_secret_is_refused() {
    let vault = Vault::start();
    vault.member().get("/v1/history/none").expect_problem(404, "not_found");
}
