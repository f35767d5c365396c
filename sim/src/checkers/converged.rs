//! X5, H3, E5 (docs/invariants.md): after healing all nodes have the same records of every secret, tell the same of them,
//! and have the same registry and the same mappings. They wait for no record, but for one that a node had to itself which
//! was lost with its disk: what others were sent of that node may follow on it.

use std::{collections::BTreeMap, fmt::Debug};

use super::{Violation, at_the_end};
use crate::{
    fault::Fault,
    story::{Kept, KeptSecret, Story, What},
};

/// Looks for differences between the first node that could be read and the others.
pub fn check(story: &Story) -> Vec<Violation> {
    let mut readable = story.kept.iter().enumerate().filter(|(_, kept)| !kept.registry.is_empty());
    let Some((first, one)) = readable.next() else { return Vec::new() };
    let mut violations = Vec::new();
    for (node, other) in readable {
        let found = differences(one, other).into_iter();
        violations.extend(found.map(|(rule, what)| {
            at_the_end(rule, story, format!("nodes {first} and {node} differ in the end: {what}"))
        }));
    }
    let lost = |what: &What| matches!(what, What::Harmed(Fault::Replace(_)) | What::Mended(Fault::Remove(_)));
    let was_disk_lost = story.events.iter().any(|event| lost(&event.what));
    for (node, kept) in story.kept.iter().enumerate() {
        let ought_to_come = |path: &String, id: &String| {
            let has = |kept: &Kept| kept.secrets.get(path).is_some_and(|secret| secret.records.contains(id));
            !was_disk_lost || story.kept.iter().any(has)
        };
        let awaiting = kept.secrets.iter();
        let awaiting =
            awaiting.filter(|(path, secret)| secret.awaited.iter().any(|id| ought_to_come(path, id)));
        violations.extend(awaiting.map(|(path, secret)| {
            at_the_end("X5", story, format!("node {node} waits for records of {path}: {:?}", secret.awaited))
        }));
    }
    violations
}

fn differences(one: &Kept, other: &Kept) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    found.extend(
        unequal(&one.registry, &other.registry).map(|(part, ..)| ("E5", format!("the registry's {part}"))),
    );
    found.extend(
        unequal(&one.mappings, &other.mappings)
            .map(|(id, one, other)| ("T3", format!("the mapping {id} is {one:?} and {other:?}"))),
    );
    for (path, one, other) in unequal(&one.secrets, &other.secrets) {
        found.extend(match (one, other) {
            (Some(one), Some(other)) => between(path, one, other),
            _ => vec![("X5", format!("only one of them has {path}"))],
        });
    }
    found
}

fn between(path: &str, one: &KeptSecret, other: &KeptSecret) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    if one.records != other.records {
        let lacks =
            |a: &KeptSecret, b: &KeptSecret| a.records.iter().filter(|id| !b.records.contains(id)).count();
        let (more, less) = (lacks(one, other), lacks(other, one));
        found
            .push(("X5", format!("of {path} one has {more} records that the other lacks, the other {less}")));
    }
    if one.versions != other.versions {
        let ids = |secret: &KeptSecret| -> Vec<String> {
            secret.versions.iter().map(|version| format!("{version:?}")).collect()
        };
        let (a, b) = (ids(one), ids(other));
        let first = a.iter().zip(&b).find(|(a, b)| a != b);
        found.push(("H3", format!("the versions of {path}, {} and {}, first {first:?}", a.len(), b.len())));
    }
    if one.labels != other.labels {
        found.push(("H3", format!("the labels of {path}, {:?} and {:?}", one.labels, other.labels)));
    }
    found
}

/// Keys under which two maps have different things, or one of them nothing.
fn unequal<'a, V: PartialEq + Debug>(
    one: &'a BTreeMap<String, V>,
    other: &'a BTreeMap<String, V>,
) -> impl Iterator<Item = (&'a String, Option<&'a V>, Option<&'a V>)> {
    let only_other = other.keys().filter(|key| !one.contains_key(*key));
    let both = one.keys().chain(only_other).map(|key| (key, one.get(key), other.get(key)));
    both.filter(|(_, one, other)| one != other)
}

#[cfg(test)]
mod tests {
    use super::{super::tale::Tale, check};
    use crate::{fault::Fault, story::What};

    fn tale() -> Tale {
        let mut tale = Tale::of(3);
        tale.ends_readable();
        tale.keeps(&[("v1", "plain-1")]);
        tale
    }

    #[test]
    fn nodes_that_are_alike_pass() {
        tale().passes(check);
    }

    #[test]
    fn other_labels_versions_and_records_are_seen() {
        let mut tale = tale();
        if let Some(secret) = tale.0.kept[1].secrets.get_mut("a/n") {
            secret.labels.insert("k".into(), "v".into());
            secret.records.push("r".into());
            secret.versions[0].deleted = true;
        }
        tale.fires(check, "the labels of a/n");
        tale.fires(check, "of a/n one has 0 records that the other lacks, the other 1");
        tale.fires(check, "the versions of a/n");
    }

    #[test]
    fn another_registry_a_lost_mapping_and_an_awaited_record_are_seen() {
        let mut tale = tale();
        tale.0.kept[2].registry.insert("names".into(), "other".into());
        tale.0.kept[2].mappings.insert("a/1/x".into(), "sealed".into());
        if let Some(secret) = tale.0.kept[0].secrets.get_mut("a/n") {
            secret.awaited.push("r9".into());
        }
        tale.fires(check, "nodes 0 and 2 differ in the end: the registry's names");
        tale.fires(check, "the mapping a/1/x is None");
        tale.fires(check, "node 0 waits for records of a/n");
    }

    #[test]
    fn a_record_may_be_awaited_that_was_lost_with_the_only_disk_that_had_it() {
        let mut tale = tale();
        for kept in &mut tale.0.kept {
            kept.secrets.entry("a/n".into()).or_default().awaited.push("r9".into());
        }
        tale.fires(check, "node 2 waits for records of a/n");
        tale.happens(What::Harmed(Fault::Replace(1))).passes(check);
        tale.0.kept[1].secrets.entry("a/n".into()).or_default().records.push("r9".into());
        tale.fires(check, "node 0 waits for records of a/n");
    }

    #[test]
    fn a_secret_that_one_node_lacks_is_seen() {
        let mut tale = tale();
        tale.0.kept[1].secrets.clear();
        tale.fires(check, "only one of them has a/n");
    }
}
