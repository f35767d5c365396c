//! D4 (docs/invariants.md): a node does not go back behind what it answered. What it wrote, or showed, it knows from then
//! on: whoever asks the same node later is shown that version or a later one as the current one, with its number, and finds
//! it in the history and its name in the list; and what it destroyed, or said to be destroyed, it shows to nobody.
//!
//! The line of a secret only grows, and the current version is its last by time. So it may be one that is not agreed, and
//! stays so when something of an earlier time is agreed; it never becomes one of an earlier time. Of two versions of one
//! millisecond it is known which is later only if both have numbers. A node that was replaced is another one.

use std::collections::BTreeMap;

use super::{
    Violation,
    lives::Life,
    named, shown_by,
    sightings::{Sighting, Sightings, Version},
    testimony::{numbered, owner_of, path_of, seen},
};
use crate::{
    desk::text,
    story::{Ask, Operation, Story},
};

/// Looks for answers that are behind what the same node answered before.
pub fn check(story: &Story) -> Vec<Violation> {
    let operations = story.operations();
    let book = Book::of(story, &operations);
    let mut violations = Vec::new();
    for operation in operations.iter().filter(|operation| operation.told.status().is_some()) {
        let wrong = book.wrong_with(operation).into_iter();
        violations
            .extend(wrong.map(|says| shown_by("D4", operation, format!("{} {says}", named(operation)))));
    }
    violations
}

/// What is known of a story as a whole.
struct Book<'a> {
    sightings: Sightings<'a>,
    /// The numbers of versions that nodes said to be destroyed, by node and secret.
    gone: BTreeMap<(Life, String), Vec<(u64, Operation<'a>)>>,
    /// The ids of versions, by secret and number.
    ids: BTreeMap<String, BTreeMap<u64, String>>,
}

impl<'a> Book<'a> {
    fn of(story: &Story, operations: &[Operation<'a>]) -> Self {
        let sightings = Sightings::of(story, operations);
        let mut gone: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for operation in operations {
            let Some(path) = path_of(operation.asked) else { continue };
            let numbers = gone_by(operation).into_iter().map(|number| (number, *operation));
            gone.entry((sightings.lives.asked(operation), path)).or_default().extend(numbers);
        }
        Self { sightings, gone, ids: numbered(story, &seen(operations)) }
    }

    /// What the node that was asked had shown of a secret before.
    fn before(&self, operation: &Operation<'_>, path: &str) -> impl Iterator<Item = &Sighting<'a>> {
        let asked_us = operation.asked_us;
        self.sightings.of_asked(operation, path).filter(move |sighting| sighting.by.told_us < asked_us)
    }

    fn wrong_with(&self, operation: &Operation<'a>) -> Vec<String> {
        let mut wrong = Vec::new();
        for shown in self.sightings.shown_by(operation) {
            let before = self.before(operation, &shown.path);
            wrong.extend(before.filter_map(|had| is_behind(&shown, had)));
            wrong.extend(self.is_gone(operation, &shown));
        }
        wrong.extend(self.missing(operation));
        wrong
    }

    /// That the value which was shown had been destroyed.
    fn is_gone(&self, operation: &Operation<'_>, shown: &Sighting<'_>) -> Option<String> {
        if !matches!(operation.asked.ask, Ask::Read { .. } | Ask::Expand { .. }) {
            return None;
        }
        let gone = self.gone.get(&(self.sightings.lives.asked(operation), shown.path.clone()))?;
        let ids = self.ids.get(&shown.path)?;
        let is_shown = |number: &u64| ids.get(number).is_some_and(|id| id == shown.version.id);
        let mut before = gone.iter().filter(|(_, by)| by.told_us < operation.asked_us);
        let (number, by) = before.find(|(number, _)| is_shown(number))?;
        Some(format!("was shown the value of version {number} of {}, gone since {}", shown.path, named(by)))
    }

    /// What the node had, and the answer ought to show and does not.
    fn missing(&self, operation: &Operation<'_>) -> Vec<String> {
        let Operation { asked, told, .. } = operation;
        let (body, path) = (told.body(), path_of(asked));
        let is_missed = told.code() == Some("not_found") && owner_of(asked) == asked.caller;
        let is_whole = told.is_done() && body["next"].is_null();
        let has = |rows: &str, pointer: &str, wanted: &str| {
            let rows = body[rows].as_array().map_or(&[][..], Vec::as_slice);
            rows.iter().any(|row| text(row, pointer) == Some(wanted))
        };
        match (&asked.ask, path) {
            (Ask::History { .. }, Some(path)) if is_whole => {
                self.lacked(operation, &path, |had| !has("versions", "/id", had.id)).into_iter().collect()
            }
            (Ask::Read { version: Some(version), .. }, Some(path)) if is_missed => {
                let number = version.parse().ok();
                let is_meant =
                    |had: &Version<'_>| had.id == version || had.number.is_some() && had.number == number;
                self.lacked(operation, &path, is_meant).into_iter().collect()
            }
            (Ask::Destroy { .. }, _) => Vec::new(),
            (_, Some(path)) if is_missed => self.lacked(operation, &path, |_| true).into_iter().collect(),
            (Ask::List, _) if is_whole => {
                let paths = self.sightings.paths_of_asked(operation);
                let unlisted = paths.filter(|path| !has("secrets", "/name", &path[asked.caller.len() + 1..]));
                unlisted.filter_map(|path| self.lacked(operation, path, |_| true)).collect()
            }
            _ => Vec::new(),
        }
    }

    /// That the node had a version of which this is so.
    fn lacked(
        &self,
        operation: &Operation<'_>,
        path: &str,
        is_so: impl Fn(&Version<'_>) -> bool,
    ) -> Option<String> {
        let had = self.before(operation, path).find(|had| is_so(&had.version))?;
        Some(format!("was not shown version {} of {path}, which {} was", had.version.id, named(&had.by)))
    }
}

/// The numbers of versions that an answer says to be destroyed.
fn gone_by(operation: &Operation<'_>) -> Vec<u64> {
    match &operation.asked.ask {
        Ask::Destroy { versions, .. } if operation.told.is_done() => versions.clone(),
        Ask::Read { version: Some(version), .. } if operation.told.code() == Some("version_destroyed") => {
            version.parse().into_iter().collect()
        }
        _ => Vec::new(),
    }
}

/// What is wrong with a version that is shown after another was.
fn is_behind(shown: &Sighting<'_>, had: &Sighting<'_>) -> Option<String> {
    let (path, Version { id, from, number, .. }) = (&shown.path, shown.version);
    if shown.is_current && shown.version.is_before(&had.version) {
        let Version { id: had_id, from: had_from, .. } = had.version;
        return Some(format!(
            "was shown version {id} of {path}, of {from}, as the current one, and {} was shown {had_id}, of {had_from}",
            named(&had.by)
        ));
    }
    let lost_its_number = had.version.id == id && had.version.number.is_some() && number.is_none();
    // A file shows no numbers.
    let shows_it = !matches!(shown.by.asked.ask, Ask::Expand { .. } | Ask::Encrypt { .. });
    (lost_its_number && shows_it).then(|| {
        format!("was shown version {id} of {path} without its number, which {} was shown", named(&had.by))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{
        super::tale::{Tale, read, refusal, update, value},
        check,
    };
    use crate::story::Ask;

    /// An answer that shows a version of `n`, of a time.
    fn shows(id: &str, number: impl Into<Option<u64>>, from: &str) -> Value {
        let version = json!({ "id": id, "number": number.into(), "valid_from": from });
        json!({ "name": "n", "value": format!("plain-{id}"), "version": version })
    }

    fn look(version: Option<&str>) -> Ask {
        Ask::Read { name: "n".into(), version: version.map(Into::into), quorum: false, owner: None }
    }

    /// A page of the history: ids, which are times too, and numbers.
    fn history(rows: &[(&str, Option<u64>)], next: Value) -> Value {
        let row = |(id, number): &(&str, Option<u64>)| shows(id, *number, id)["version"].take();
        json!({ "name": "n", "versions": rows.iter().map(row).collect::<Vec<_>>(), "next": next })
    }

    /// Node 0 has answered that it wrote version `v2`, of the time `v2`.
    fn tale() -> Tale {
        let mut tale = Tale::of(3);
        tale.goes(update("plain-v2", None), 200, shows("v2", 2, "v2"));
        tale
    }

    #[test]
    fn what_a_node_has_or_what_is_later_passes() {
        let mut tale = tale();
        tale.goes(look(None), 200, shows("v2", 2, "v2")).goes(look(Some("1")), 200, shows("v1", 1, "v1"));
        tale.goes(update("plain-v3", None), 202, shows("v3", None, "v3"));
        // What was agreed elsewhere is of an earlier time: it takes the number, and not the place of the current one.
        tale.goes(look(None), 200, shows("v3", None, "v3"));
        let line = [("v3", None), ("v2b", Some(3)), ("v2", Some(2)), ("v1", Some(1))];
        tale.goes(Ask::History { name: "n".into() }, 200, history(&line, Value::Null));
        tale.goes(look(None), 200, shows("v4", 4, "v4")).passes(check);
    }

    #[test]
    fn a_file_with_a_value_that_was_written_twice_says_nothing() {
        let mut tale = tale();
        tale.goes(update("plain-v2", None), 202, value("v9", None, "plain-v2"));
        let file = json!({ "content": r#"{"N":"plain-v2"}"# });
        tale.goes(Ask::Expand { names: vec!["n".into()] }, 200, file).passes(check);
    }

    #[test]
    fn a_read_that_is_behind_is_seen_and_one_on_another_node_passes() {
        let mut other = tale();
        let op = other.asks("a", 1, look(None));
        other.told(op, 200, shows("v1", 1, "v1")).passes(check);
        let mut tale = tale();
        tale.goes(look(None), 200, shows("v1", 1, "v1"));
        tale.fires(
            check,
            "was shown version v1 of a/n, of v1, as the current one, and op 0 (client 0 for a at node 0) was shown v2, of v2",
        );
    }

    #[test]
    fn a_read_that_was_asked_before_the_answer_passes() {
        let mut tale = Tale::of(3);
        let (write, look) = (tale.asks("a", 0, update("plain-v2", None)), tale.asks("a", 0, look(None)));
        tale.told(write, 200, shows("v2", 2, "v2")).told(look, 200, shows("v1", 1, "v1")).passes(check);
    }

    #[test]
    fn a_node_that_was_lost_with_its_disk_owes_nothing() {
        let mut tale = tale();
        tale.loses(0).goes(look(None), 200, shows("v1", 1, "v1")).passes(check);
    }

    #[test]
    fn a_file_and_a_list_that_are_behind_are_seen() {
        let mut tale = tale();
        tale.goes(look(Some("1")), 200, shows("v1", 1, "v1"));
        tale.goes(Ask::Expand { names: vec!["n".into()] }, 200, json!({ "content": r#"{"N":"plain-v1"}"# }));
        tale.fires(check, "op 2 (client 0 for a at node 0) was shown version v1 of a/n");
        let row = |from: &str| shows(from, 1, from);
        tale.goes(Ask::List, 200, json!({ "next": null, "secrets": [row("v1")] }));
        tale.fires(check, "op 3 (client 0 for a at node 0) was shown version v1 of a/n");
    }

    #[test]
    fn a_version_that_loses_its_number_is_seen() {
        tale().goes(look(None), 200, shows("v2", None, "v2")).fires(check, "without its number");
    }

    #[test]
    fn what_a_history_or_a_list_lacks_is_seen_unless_there_is_another_page() {
        let asked = || Ask::History { name: "n".into() };
        tale().goes(asked(), 200, history(&[("v3", Some(3))], json!("more"))).passes(check);
        let mut lacks = tale();
        lacks.goes(asked(), 200, history(&[("v3", Some(3))], Value::Null));
        lacks.fires(check, "was not shown version v2 of a/n, which op 0");
        tale()
            .goes(Ask::List, 200, json!({ "next": null, "secrets": [] }))
            .fires(check, "was not shown version v2");
    }

    #[test]
    fn a_miss_of_what_the_node_showed_is_seen() {
        tale().goes(look(None), 404, refusal("not_found")).fires(check, "was not shown version v2 of a/n");
        tale()
            .goes(look(Some("v2")), 404, refusal("not_found"))
            .fires(check, "was not shown version v2 of a/n");
        tale().goes(look(Some("v3")), 404, refusal("not_found")).passes(check);
    }

    #[test]
    fn a_value_that_was_destroyed_here_and_is_shown_is_seen() {
        let mut tale = tale();
        tale.goes(Ask::Destroy { name: "n".into(), versions: vec![2] }, 200, shows("v2", 2, "v2"));
        tale.goes(look(None), 410, refusal("version_destroyed")).passes(check);
        tale.goes(read(), 200, shows("v2", 2, "v2"))
            .fires(check, "the value of version 2 of a/n, gone since op 1");
    }
}
