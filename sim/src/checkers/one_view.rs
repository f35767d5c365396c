//! F3 (docs/invariants.md): the references of a `.env` file are read in one view. There is a moment between request and
//! answer at which the node that was asked had all of its values as the current ones: none of them had another in its place
//! there before another of them was written, or while an older one still stood in its place.

use std::collections::BTreeMap;

use super::{
    Violation, named, shown_by,
    sightings::{Sighting, Sightings},
    testimony::{Write, writes},
};
use crate::story::{Ask, Operation, Story};

/// Looks for files whose values are not of one moment.
pub fn check(story: &Story) -> Vec<Violation> {
    let operations = story.operations();
    let (sightings, writes) = (Sightings::of(story, &operations), writes(&operations));
    let files = operations.iter().filter(|operation| matches!(operation.asked.ask, Ask::Expand { .. }));
    files.filter_map(|file| torn(file, &sightings, &writes)).collect()
}

/// Says of a file which two values are not of one moment.
fn torn(
    file: &Operation<'_>,
    sightings: &Sightings<'_>,
    writes: &BTreeMap<&str, Write<'_>>,
) -> Option<Violation> {
    let lines = sightings.shown_by(file);
    let gone = lines.iter().filter_map(|line| Some((line, until(line, sightings)?)));
    let (gone, by) = gone.min_by_key(|(_, by)| by.told_us)?;
    let come = lines.iter().map(|line| (line, from_us(line, sightings, writes)));
    let (come, from_us) = come.max_by_key(|(_, from_us)| *from_us)?;
    (by.told_us < from_us).then(|| {
        let says = format!(
            "{} was given a file with version {} of {}, in whose place {} was shown another, and with version {} of {}, which came later",
            named(file),
            gone.version.id,
            gone.path,
            named(&by),
            come.version.id,
            come.path,
        );
        shown_by("F3", file, says)
    })
}

/// The first answer which says that the node had a later version. What it had before the file was asked for is for another
/// checker.
fn until<'a>(line: &Sighting<'a>, sightings: &Sightings<'a>) -> Option<Operation<'a>> {
    let shown = sightings.of_asked(&line.by, &line.path).filter(|other| line.by.asked_us <= other.by.told_us);
    let later = shown.filter(|other| line.version.is_before(&other.version)).map(|other| other.by);
    later.min_by_key(|by| by.told_us)
}

/// The first moment at which the node can have had a version as the current one, in microseconds.
fn from_us(line: &Sighting<'_>, sightings: &Sightings<'_>, writes: &BTreeMap<&str, Write<'_>>) -> u64 {
    let written_us = line.version.value.and_then(|value| writes.get(value)).map(Write::asked_us);
    let shown = sightings.of_asked(&line.by, &line.path).filter(|other| other.by.asked_us < line.by.told_us);
    let earlier = shown.filter(|other| other.is_current && other.version.is_before(&line.version));
    earlier.map(|other| other.by.asked_us).chain(written_us).max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{super::tale::Tale, check};
    use crate::story::Ask;

    fn update(name: &str, value: &str) -> Ask {
        Ask::Update { name: name.into(), value: value.into(), expect: None, agreed: false }
    }

    /// The answer to a write of a value, whose version has its name and time.
    fn wrote(name: &str, value: &str) -> Value {
        json!({ "name": name, "version": { "id": value, "number": null, "valid_from": value } })
    }

    fn expand() -> Ask {
        Ask::Expand { names: vec!["n".into(), "m".into()] }
    }

    fn file(n: &str, m: &str) -> Value {
        json!({ "content": format!(r#"{{"N":"{n}","M":"{m}"}}"#) })
    }

    /// While a file with two names is read each is written once more, one after the other.
    fn told(n: &str, m: &str) -> Tale {
        let mut tale = Tale::of(3);
        tale.goes(update("n", "a1"), 200, wrote("n", "a1")).goes(update("m", "b1"), 200, wrote("m", "b1"));
        let op = tale.asks("a", 0, expand());
        tale.goes(update("n", "a2"), 200, wrote("n", "a2")).goes(update("m", "b2"), 200, wrote("m", "b2"));
        tale.told(op, 200, file(n, m));
        tale
    }

    #[test]
    fn values_of_one_moment_pass() {
        told("a1", "b1").passes(check);
        told("a2", "b1").passes(check);
        told("a2", "b2").passes(check);
    }

    #[test]
    fn values_of_two_moments_are_seen() {
        told("a1", "b2").fires(check, "with version a1 of a/n, in whose place op 3");
    }

    #[test]
    fn what_another_node_had_says_nothing() {
        let mut tale = told("a2", "b1");
        tale.0.events.clear();
        tale.goes(update("n", "a1"), 200, wrote("n", "a1")).goes(update("m", "b1"), 200, wrote("m", "b1"));
        let op = tale.asks("a", 1, expand());
        tale.goes(update("n", "a2"), 200, wrote("n", "a2")).goes(update("m", "b2"), 200, wrote("m", "b2"));
        tale.told(op, 200, file("a1", "b2")).passes(check);
    }
}
