//! What each node showed of the versions of secrets, and when: what is known of its own view from outside. Knows nothing
//! of rules.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    lives::{Life, Lives},
    testimony::{Seen, seen},
};
use crate::{
    desk::{key_of, text},
    story::{Ask, Operation, Story},
};

/// A version as answers show it.
#[derive(Debug, Clone, Copy)]
pub struct Version<'a> {
    /// Its id.
    pub id: &'a str,
    /// Since when it is in force, as a text that sorts as time does.
    pub from: &'a str,
    /// Its number, if the answer shows one.
    pub number: Option<u64>,
    /// Its value, if the answer shows it or the request brought it.
    pub value: Option<&'a str>,
}

impl Version<'_> {
    /// Whether this one surely comes before that one in the line. Of two of one millisecond it is known only if both have
    /// numbers.
    pub fn is_before(&self, other: &Self) -> bool {
        let numbers = self.number.zip(other.number);
        self.from < other.from || self.from == other.from && numbers.is_some_and(|(one, two)| one < two)
    }
}

/// A version that a node has in the line of a secret, as one of its answers says.
#[derive(Debug, Clone)]
pub struct Sighting<'a> {
    /// The request with the answer.
    pub by: Operation<'a>,
    /// Owner and name of the secret.
    pub path: String,
    /// The version.
    pub version: Version<'a>,
    /// Whether it is the last one of the line there.
    pub is_current: bool,
}

/// What all nodes showed.
pub struct Sightings<'a> {
    /// Which node was asked.
    pub lives: Lives,
    /// Versions by values that only one of them has.
    by_value: BTreeMap<&'a str, Version<'a>>,
    by_secret: BTreeMap<(Life, String), Vec<Sighting<'a>>>,
}

impl<'a> Sightings<'a> {
    /// As a story has it.
    pub fn of(story: &Story, operations: &[Operation<'a>]) -> Self {
        let by_value = by_value(story, &seen(operations));
        let mut all = Self { lives: Lives::of(story), by_value, by_secret: BTreeMap::new() };
        for operation in operations {
            let life = all.lives.asked(operation);
            for sighting in all.shown_by(operation) {
                all.by_secret.entry((life, sighting.path.clone())).or_default().push(sighting);
            }
        }
        all
    }

    /// What the node that was asked showed of a secret in all of its answers.
    pub fn of_asked(&self, operation: &Operation<'_>, path: &str) -> impl Iterator<Item = &Sighting<'a>> {
        self.by_secret.get(&(self.lives.asked(operation), path.to_owned())).into_iter().flatten()
    }

    /// The secrets of the caller of which the node that was asked showed anything in any answer.
    pub fn paths_of_asked(&self, operation: &Operation<'_>) -> impl Iterator<Item = &String> {
        let (life, owned) = (self.lives.asked(operation), format!("{}/", operation.asked.caller));
        let from = self.by_secret.range((life, owned.clone())..);
        let paths = from.map(|((other, path), _)| (*other, path));
        paths
            .take_while(move |(other, path)| *other == life && path.starts_with(&owned))
            .map(|(_, path)| path)
    }

    /// The versions that an answer shows.
    pub fn shown_by(&self, operation: &Operation<'a>) -> Vec<Sighting<'a>> {
        let Operation { asked, told, .. } = operation;
        if !told.is_done() {
            return Vec::new();
        }
        let sighting = |path, version, is_current| Sighting { by: *operation, path, version, is_current };
        let mut shown: Vec<_> = seen(&[*operation])
            .iter()
            .enumerate()
            .map(|(at, seen)| sighting(seen.path(), version_of(seen), is_current(&asked.ask, at)))
            .collect();
        let mut show = |name: &str, value: &str, is_current| {
            let version = self.by_value.get(value);
            let path = format!("{}/{name}", asked.caller);
            shown.extend(version.map(|version| sighting(path, *version, is_current)));
        };
        match &asked.ask {
            // One that comes again may have been done by another node.
            Ask::Encrypt { values } if asked.key.is_none() => {
                values.iter().for_each(|(name, value)| show(name, value, false));
            }
            Ask::Expand { names } => {
                let file = text(told.body(), "/content").unwrap_or_default();
                let file: serde_json::Value = serde_json::from_str(file).unwrap_or_default();
                names
                    .iter()
                    .for_each(|name| show(name, file[key_of(name)].as_str().unwrap_or_default(), true));
            }
            _ => {}
        }
        shown
    }
}

fn version_of<'a>(seen: &Seen<'a>) -> Version<'a> {
    Version { id: seen.id, from: seen.from, number: seen.number, value: seen.value }
}

/// Versions by their values, as far as a value is that of one version only: what was asked for twice may have made two. A
/// value does not say whether its version has a number.
fn by_value<'a>(story: &Story, seen: &[Seen<'a>]) -> BTreeMap<&'a str, Version<'a>> {
    let mut ids: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let secrets = story.kept.iter().flat_map(|kept| kept.secrets.values());
    for version in secrets.flat_map(|secret| &secret.versions) {
        if let Some(value) = &version.value {
            ids.entry(value).or_default().insert(&version.id);
        }
    }
    for (value, id) in seen.iter().filter_map(|seen| Some((seen.value?, seen.id))) {
        ids.entry(value).or_default().insert(id);
    }
    let shown =
        seen.iter().filter_map(|seen| Some((seen.value?, Version { number: None, ..version_of(seen) })));
    shown.filter(|(value, _)| ids.get(value).is_some_and(|ids| ids.len() == 1)).collect()
}

/// Whether the version that an answer shows at this place is the last one of its secret's line.
fn is_current(ask: &Ask, at: usize) -> bool {
    match ask {
        Ask::Create { .. } | Ask::Update { .. } | Ask::Read { version: Some(_), .. } => false,
        Ask::History { .. } => at == 0,
        _ => true,
    }
}
