//! E2, V1 (docs/invariants.md): a number of a secret is that of one version for ever, in whatever answer and on whatever
//! node, a version has one number, and one value.

use std::collections::BTreeMap;

use super::{
    Violation, at_the_end, named, shown_by,
    testimony::{Seen, seen},
};
use crate::story::Story;

/// What is known of all versions so far, with who said so.
#[derive(Default)]
struct Known {
    ids: BTreeMap<(String, u64), (String, String)>,
    numbers: BTreeMap<(String, String), (u64, String)>,
    values: BTreeMap<String, (String, String)>,
}

/// Looks for numbers that moved and versions that changed.
pub fn check(story: &Story) -> Vec<Violation> {
    let (mut known, mut violations) = (Known::default(), Vec::new());
    for seen in seen(&story.operations()) {
        let Seen { by, id, number, value, .. } = seen;
        let wrong = known.take_in(&seen.path(), id, number, value, &named(&by));
        violations.extend(wrong.into_iter().map(|(rule, says)| shown_by(rule, &by, says)));
    }
    for (node, kept) in story.kept.iter().enumerate() {
        for (path, secret) in &kept.secrets {
            for version in &secret.versions {
                let (who, value) = (format!("node {node} in the end"), version.value.as_deref());
                let wrong = known.take_in(path, &version.id, version.number, value, &who);
                violations.extend(wrong.into_iter().map(|(rule, says)| at_the_end(rule, story, says)));
            }
        }
    }
    violations
}

impl Known {
    /// Adds what `who` says of a version; gives what contradicts what was said before.
    fn take_in(
        &mut self,
        path: &str,
        id: &str,
        number: Option<u64>,
        value: Option<&str>,
        who: &str,
    ) -> Vec<(&'static str, String)> {
        let mut wrong = Vec::new();
        if let Some(number) = number {
            let said = (id.to_owned(), who.to_owned());
            let (other, first) = self.ids.entry((path.to_owned(), number)).or_insert(said);
            if other != id {
                let says = format!("version {number} of {path} is {other} to {first}, and {id} to {who}");
                wrong.push(("E2", says));
            }
            let said = (number, who.to_owned());
            let (other, first) = self.numbers.entry((path.to_owned(), id.to_owned())).or_insert(said);
            if *other != number {
                let says =
                    format!("version {id} of {path} has number {other} to {first}, and {number} to {who}");
                wrong.push(("E2", says));
            }
        }
        if let Some(value) = value {
            let said = (value.to_owned(), who.to_owned());
            let (other, first) = self.values.entry(id.to_owned()).or_insert(said);
            if other != value {
                let says =
                    format!("version {id} of {path} has the value {other} to {first}, and {value} to {who}");
                wrong.push(("V1", says));
            }
        }
        wrong
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::tale::{Tale, create, read, value, version},
        check,
    };

    #[test]
    fn a_version_that_stays_what_it_is_passes() {
        let mut tale = Tale::of(3);
        tale.goes(create("plain-1"), 201, version("v1", 1)).goes(read(), 200, value("v1", 1, "plain-1"));
        tale.keeps(&[("v1", "plain-1")]).passes(check);
    }

    #[test]
    fn a_number_that_moves_is_seen() {
        let mut tale = Tale::of(3);
        tale.goes(create("plain-1"), 201, version("v1", 1)).goes(read(), 200, value("v2", 1, "plain-2"));
        tale.fires(check, "version 1 of a/n is v1 to op 0");
    }

    #[test]
    fn a_number_that_a_node_kept_for_another_version_is_seen() {
        let mut tale = Tale::of(3);
        tale.goes(create("plain-1"), 201, version("v1", 1)).keeps(&[("v2", "plain-2")]);
        tale.fires(check, "and v2 to node 0 in the end");
    }

    #[test]
    fn a_version_that_gets_another_number_or_value_is_seen() {
        let mut tale = Tale::of(3);
        tale.goes(create("plain-1"), 201, version("v1", 1)).goes(read(), 200, value("v1", 2, "plain-2"));
        tale.fires(check, "version v1 of a/n has number 1");
        tale.fires(check, "version v1 of a/n has the value plain-1");
    }
}
