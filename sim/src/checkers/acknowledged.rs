//! D1, T6 (docs/invariants.md): what was acknowledged is on every node in the end, with the number that was told. What only
//! one node had when it answered (`202`, and marks) may go with that node's disk; what was agreed may not.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Violation, at_the_end, named,
    testimony::{is_same_request, owner_of, path_of},
};
use crate::{
    desk::text,
    fault::Fault,
    story::{Ask, Kept, Operation, Story, What},
};

/// Looks for acknowledged writes that a node lacks in the end.
pub fn check(story: &Story) -> Vec<Violation> {
    let operations = story.operations();
    let mut violations = Vec::new();
    // What cannot be read is for another checker.
    let readable = || story.kept.iter().enumerate().filter(|(_, kept)| !kept.registry.is_empty());
    for operation in operations.iter().filter(|operation| operation.told.is_done()) {
        if !is_agreed(operation) && was_lost_with_its_disk(story, operation) {
            continue;
        }
        for (node, kept) in readable() {
            let lacks = lacking(operation, kept, &operations).into_iter();
            violations.extend(lacks.map(|what| {
                let says =
                    format!("{} was told {}, and node {node} {what}", named(operation), status(operation));
                at_the_end("D1", story, says)
            }));
        }
    }
    for (path, key, value, operation) in lone_labels(&operations) {
        let lost = was_lost_with_its_disk(story, operation);
        for (node, kept) in readable().filter(|_| !lost) {
            let held = kept.secrets.get(&path).and_then(|secret| secret.labels.get(&key));
            if held != value.as_ref() {
                let says = format!(
                    "{} set label {key} of {path} to {value:?}, and node {node} has {held:?}",
                    named(operation)
                );
                violations.push(at_the_end("D1", story, says));
            }
        }
    }
    for (path, id, operation) in deleted_for_good(&operations) {
        let lost = was_lost_with_its_disk(story, operation);
        for (node, kept) in readable().filter(|_| !lost) {
            let mut versions = kept.secrets.get(&path).into_iter().flat_map(|secret| &secret.versions);
            if versions.any(|version| version.id == id && !version.deleted && !version.destroyed) {
                let says =
                    format!("{} deleted version {id} of {path}, and node {node} shows it", named(operation));
                violations.push(at_the_end("D1", story, says));
            }
        }
    }
    violations
}

fn status(operation: &Operation<'_>) -> u16 {
    operation.told.status().unwrap_or_default()
}

/// Whether a majority stood behind the answer.
fn is_agreed(operation: &Operation<'_>) -> bool {
    status(operation) != 202
}

/// Whether the node that answered lost its disk at any time after it was asked.
fn was_lost_with_its_disk(story: &Story, operation: &Operation<'_>) -> bool {
    let node = operation.asked.node;
    // One that is taken away while it runs keeps its disk until another joins in its place.
    let lost = [What::Harmed(Fault::Replace(node)), What::Mended(Fault::Remove(node))];
    story.events.iter().any(|event| operation.asked_us <= event.at_us && lost.contains(&event.what))
}

/// What a node should have of an acknowledged write and does not.
fn lacking(operation: &Operation<'_>, kept: &Kept, operations: &[Operation<'_>]) -> Vec<String> {
    let (asked, body) = (operation.asked, operation.told.body());
    match &asked.ask {
        Ask::Create { .. } | Ask::Update { .. } => {
            let (Some(path), Some(id)) = (path_of(asked), text(body, "/version/id")) else {
                return Vec::new();
            };
            lacking_version(&path, id, body["version"]["number"].as_u64(), kept).into_iter().collect()
        }
        Ask::Encrypt { values } => {
            let paths = values.keys().map(|name| format!("{}/{name}", owner_of(asked)));
            let lacks =
                paths.filter(|path| kept.secrets.get(path).is_none_or(|secret| secret.versions.is_empty()));
            lacks.map(|path| format!("has no {path}")).collect()
        }
        Ask::Tokenize { .. } if !may_be_destroyed(operation, operations) => lacking_mappings(operation, kept),
        _ => Vec::new(),
    }
}

fn lacking_version(path: &str, id: &str, number: Option<u64>, kept: &Kept) -> Option<String> {
    let secret = kept.secrets.get(path);
    match secret.and_then(|secret| secret.versions.iter().find(|version| version.id == id)) {
        None => Some(format!("has no version {id} of {path}")),
        Some(version) if number.is_some() && version.number != number => {
            Some(format!("keeps version {id} of {path} as {:?} and not as {number:?}", version.number))
        }
        Some(_) => None,
    }
}

/// Whether somebody may have destroyed the epoch of these tokens: of that nothing is left.
fn may_be_destroyed(tokenized: &Operation<'_>, operations: &[Operation<'_>]) -> bool {
    let (owner, of_tokens) = (owner_of(tokenized.asked), &tokenized.told.body()["epoch"]);
    let mut others = operations.iter().filter(|other| !other.told.is_refused());
    others.any(|other| match other.asked.ask {
        Ask::DestroyEpoch { epoch } => owner_of(other.asked) == owner && *of_tokens == epoch,
        _ => false,
    })
}

/// The mappings of tokens that say which they are.
fn lacking_mappings(operation: &Operation<'_>, kept: &Kept) -> Vec<String> {
    let body = operation.told.body();
    let of_epoch = format!("{}/{}/", owner_of(operation.asked), body["epoch"]);
    let tokens = body["tokens"].as_array().map_or(&[][..], Vec::as_slice);
    let tokens = tokens.iter().filter_map(|placed| text(placed, "/token"));
    let lacks = tokens.filter(|token| {
        let id = token.rsplit('_').next().unwrap_or_default();
        !kept.mappings.contains_key(&format!("{of_epoch}{id}"))
    });
    lacks.map(|token| format!("has no mapping of {token}")).collect()
}

type Label<'a> = (String, String, Option<String>, &'a Operation<'a>);

/// Labels that one request alone set or took away, so that nothing can have come after it. Of a request that was asked
/// several times under its key it is the try that was done.
fn lone_labels<'a>(operations: &'a [Operation<'a>]) -> Vec<Label<'a>> {
    let mut by_key: BTreeMap<_, Vec<(&Option<String>, &Operation<'_>)>> = BTreeMap::new();
    for operation in operations.iter().filter(|operation| !operation.told.is_refused()) {
        let (Ask::Label { labels, .. }, Some(path)) = (&operation.asked.ask, path_of(operation.asked)) else {
            continue;
        };
        for (key, value) in labels {
            by_key.entry((path.clone(), key)).or_default().push((value, operation));
        }
    }
    let mut lone = Vec::new();
    for ((path, key), set) in by_key {
        let is_one = set.len() == 1 || set.iter().all(|(_, other)| is_same_request(set[0].1, other));
        let done = set.iter().find(|(_, operation)| operation.told.is_done());
        if let (true, Some((value, operation))) = (is_one, done) {
            lone.push((path, key.clone(), (*value).clone(), *operation));
        }
    }
    lone
}

/// Versions that an answer shows as deleted, of secrets of which nobody may have brought one back.
fn deleted_for_good<'a>(operations: &'a [Operation<'a>]) -> Vec<(String, &'a str, &'a Operation<'a>)> {
    let brings_back = |operation: &&Operation<'_>| {
        matches!(operation.asked.ask, Ask::Undelete { .. }) && !operation.told.is_refused()
    };
    let brought_back: BTreeSet<String> =
        operations.iter().filter(brings_back).filter_map(|operation| path_of(operation.asked)).collect();
    let deletes = operations.iter().filter(|operation| matches!(operation.asked.ask, Ask::Delete { .. }));
    let shown = deletes.filter(|operation| operation.told.body()["version"]["state"] == "deleted");
    let shown = shown.filter_map(|operation| {
        Some((path_of(operation.asked)?, text(operation.told.body(), "/version/id")?, operation))
    });
    shown.filter(|(path, ..)| !brought_back.contains(path)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{
        super::tale::{Tale, create, refusal, update, version},
        check,
    };
    use crate::story::Ask;

    fn tale() -> Tale {
        let mut tale = Tale::of(3);
        tale.ends_readable();
        tale
    }

    #[test]
    fn what_every_node_has_passes() {
        let mut tale = tale();
        tale.goes(create("plain-1"), 201, version("v1", 1)).goes(
            update("plain-2", None),
            202,
            version("v2", None),
        );
        tale.keeps(&[("v1", "plain-1"), ("v2", "plain-2")]).passes(check);
    }

    #[test]
    fn an_agreed_write_that_a_node_lacks_is_seen_whatever_became_of_who_answered() {
        let mut tale = tale();
        tale.goes(create("plain-1"), 201, version("v1", 1)).goes(
            update("plain-2", None),
            200,
            version("v2", 2),
        );
        tale.loses(0).keeps(&[("v1", "plain-1")]);
        tale.fires(check, "was told 200, and node 1 has no version v2 of a/n");
    }

    #[test]
    fn a_kept_write_may_go_with_the_disk_of_its_node_and_not_otherwise() {
        let mut tale = tale();
        tale.goes(create("plain-1"), 201, version("v1", 1)).goes(
            update("plain-2", None),
            202,
            version("v2", None),
        );
        tale.keeps(&[("v1", "plain-1")]).fires(check, "was told 202, and node 2 has no version v2");
        tale.loses(0).passes(check);
    }

    #[test]
    fn another_number_than_the_one_that_was_told_is_seen() {
        let mut tale = tale();
        tale.goes(create("plain-1"), 201, version("v1", 1)).goes(
            update("plain-2", None),
            200,
            version("v2", 3),
        );
        tale.keeps(&[("v1", "plain-1"), ("v2", "plain-2")]).fires(check, "as Some(2) and not as Some(3)");
    }

    #[test]
    fn a_lost_mapping_is_seen_unless_somebody_may_have_destroyed_its_epoch() {
        let mut tale = tale();
        let told = json!({ "epoch": 1, "tokens": [{ "pointer": "/values/0", "token": "tok_1_aa" }] });
        tale.goes(Ask::Tokenize { values: vec!["x".into()] }, 200, told);
        tale.fires(check, "has no mapping of tok_1_aa");
        let destroy = Ask::DestroyEpoch { epoch: 1 };
        tale.goes(destroy.clone(), 409, refusal("epoch_conflict"));
        tale.goes(Ask::DestroyEpoch { epoch: 2 }, 200, json!({ "active": 3 }));
        tale.fires(
            check,
            "op 0 (client 0 for a at node 0) was told 200, and node 2 has no mapping of tok_1_aa",
        );
        tale.asks("a", 1, destroy);
        tale.passes(check);
    }

    #[test]
    fn a_label_that_nobody_else_touched_and_is_gone_is_seen() {
        let mut tale = tale();
        let labels = [("k".to_owned(), Some("v".to_owned()))].into();
        tale.goes(Ask::Label { name: "n".into(), labels }, 200, version("v1", 1)).keeps(&[("v1", "plain-1")]);
        tale.fires(check, "set label k of a/n to Some(\"v\"), and node 0 has None");
    }

    #[test]
    fn a_version_that_was_deleted_and_is_shown_again_is_seen_unless_somebody_brought_it_back() {
        let mut tale = tale();
        let told = json!({ "name": "n", "version": { "id": "v1", "number": 1, "state": "deleted" } });
        tale.goes(Ask::Delete { name: "n".into() }, 200, told).keeps(&[("v1", "plain-1")]);
        tale.fires(check, "op 0 (client 0 for a at node 0) deleted version v1 of a/n, and node 2 shows it");
        tale.goes(Ask::Undelete { name: "n".into() }, 200, version("v1", 1)).passes(check);
    }
}
