//! E7 (docs/invariants.md): what was destroyed stays so. After the answer no confirmed read gives the value, and in the end
//! no node has the payload. Nothing is destroyed that nobody asked to destroy.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Violation, at_the_end, named, shown_by,
    testimony::{numbered, path_of, seen},
};
use crate::story::{Ask, Operation, Story};

/// Looks for values that came back, and for others that are gone.
pub fn check(story: &Story) -> Vec<Violation> {
    let operations = story.operations();
    let (mut destroyed, mut doomed) = (BTreeMap::new(), BTreeSet::new());
    for operation in operations.iter().filter(|operation| !operation.told.is_refused()) {
        let (Ask::Destroy { versions, .. }, Some(path)) = (&operation.asked.ask, path_of(operation.asked))
        else {
            continue;
        };
        doomed.extend(versions.iter().map(|number| (path.clone(), *number)));
        if operation.told.is_done() {
            versions.iter().for_each(|number| {
                destroyed.entry((path.clone(), *number)).or_insert(*operation);
            });
        }
    }
    let mut violations = read_after(&operations, story, &destroyed);
    for (node, kept) in story.kept.iter().enumerate() {
        for (path, secret) in &kept.secrets {
            for version in &secret.versions {
                let Some(number) = version.number else { continue };
                let version_of = (path.clone(), number);
                if let Some(by) = destroyed.get(&version_of)
                    && (version.payload || !version.destroyed)
                {
                    let says = format!(
                        "node {node} still keeps version {number} of {path}, which {} destroyed",
                        named(by)
                    );
                    violations.push(at_the_end("E7", story, says));
                }
                if version.destroyed && !doomed.contains(&version_of) {
                    let says = format!(
                        "node {node} lost the value of version {number} of {path}, which nobody destroyed"
                    );
                    violations.push(at_the_end("E7", story, says));
                }
            }
        }
    }
    violations
}

/// Confirmed reads that gave a value that had been destroyed before they were asked.
fn read_after(
    operations: &[Operation<'_>],
    story: &Story,
    destroyed: &BTreeMap<(String, u64), Operation<'_>>,
) -> Vec<Violation> {
    let seen = seen(operations);
    let ids = numbered(story, &seen);
    let mut violations = Vec::new();
    for seen in seen.iter().filter(|seen| matches!(seen.by.asked.ask, Ask::Read { quorum: true, .. })) {
        let path = seen.path();
        let number = ids.get(&path).and_then(|ids| ids.iter().find(|(_, id)| *id == seen.id));
        let Some(by) = number.and_then(|(number, _)| destroyed.get(&(path.clone(), *number))) else {
            continue;
        };
        if by.told_us < seen.by.asked_us {
            let says =
                format!("{} was given the value of {path} that {} had destroyed", named(&seen.by), named(by));
            violations.push(shown_by("E7", &seen.by, says));
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::{
        super::tale::{Tale, create, read, refusal, value, version},
        check,
    };
    use crate::story::{Ask, KeptVersion};

    /// A name whose first version was destroyed, and is kept as `change` makes it.
    fn tale(change: impl Fn(&mut KeptVersion)) -> Tale {
        let mut tale = Tale::of(3);
        tale.goes(create("plain-1"), 201, version("v1", 1)).keeps(&[("v1", "plain-1")]);
        tale.goes(Ask::Destroy { name: "n".into(), versions: vec![1] }, 200, version("v1", 1));
        for node in &mut tale.0.kept {
            node.secrets.values_mut().for_each(|secret| change(&mut secret.versions[0]));
        }
        tale
    }

    fn erase(version: &mut KeptVersion) {
        (version.payload, version.destroyed, version.value) = (false, true, None);
    }

    #[test]
    fn what_is_gone_everywhere_passes() {
        tale(erase).goes(read(), 410, refusal("version_destroyed")).passes(check);
    }

    #[test]
    fn a_read_of_what_was_destroyed_is_seen() {
        let mut tale = tale(erase);
        tale.goes(read(), 200, value("v1", 1, "plain-1"))
            .fires(check, "was given the value of a/n that op 1");
    }

    #[test]
    fn a_payload_that_is_still_there_is_seen() {
        tale(|_| {}).fires(check, "node 0 still keeps version 1 of a/n");
        tale(|version| version.destroyed = true).fires(check, "node 2 still keeps version 1 of a/n");
    }

    #[test]
    fn a_value_that_nobody_destroyed_and_is_gone_is_seen() {
        let mut tale = Tale::of(1);
        tale.goes(create("plain-1"), 201, version("v1", 1)).keeps(&[("v1", "plain-1")]);
        tale.0.kept[0].secrets.values_mut().for_each(|secret| erase(&mut secret.versions[0]));
        tale.fires(check, "node 0 lost the value of version 1 of a/n");
    }
}
