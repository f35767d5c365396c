//! R2, I1, D2 (docs/invariants.md): of what was refused nothing is stored, what is stored was asked for where it stands, and
//! one request makes one version. A request under a key may have made a second one, if the first was only kept.

use std::collections::BTreeMap;

use super::{
    Violation, at_the_end, named,
    testimony::{Write, writes},
};
use crate::story::{KeptVersion, Story};

/// Looks at the values that nodes keep for those that should not be there.
pub fn check(story: &Story) -> Vec<Violation> {
    let operations = story.operations();
    let writes = writes(&operations);
    let mut violations = Vec::new();
    for (node, kept) in story.kept.iter().enumerate() {
        for (path, secret) in &kept.secrets {
            let mut by_value: BTreeMap<&str, Vec<&KeptVersion>> = BTreeMap::new();
            for version in &secret.versions {
                if let Some(value) = &version.value {
                    by_value.entry(value).or_default().push(version);
                }
            }
            for (value, versions) in by_value {
                let wrong = wrong_with(path, value, &versions, writes.get(value));
                violations
                    .extend(wrong.map(|(rule, says)| at_the_end(rule, story, format!("node {node} {says}"))));
            }
        }
    }
    violations
}

fn wrong_with(
    path: &str,
    value: &str,
    versions: &[&KeptVersion],
    write: Option<&Write<'_>>,
) -> Option<(&'static str, String)> {
    let Some(write) = write else {
        return Some(("V1", format!("keeps {value} as a version of {path}, which nobody wrote")));
    };
    let first = named(&write.tries[0]);
    if write.path != path {
        return Some((
            "N3",
            format!("keeps {value} as a version of {path}, which {first} wrote to {}", write.path),
        ));
    }
    if write.is_refused() {
        let why = write.tries[0].told.code().unwrap_or("unreached");
        return Some((
            "R2",
            format!("keeps {value} as a version of {path}, though {first} was refused ({why})"),
        ));
    }
    let agreed = versions.iter().filter(|version| version.number.is_some()).count();
    let most = write.tries.len();
    (1 < agreed || most < versions.len())
        .then(|| ("I1", format!("keeps {} versions of {path} that {first} made of {value}", versions.len())))
}

#[cfg(test)]
mod tests {
    use super::{
        super::tale::{Tale, create, refusal, update, version},
        check,
    };

    #[test]
    fn what_was_done_or_may_have_been_passes() {
        let mut tale = Tale::of(3);
        tale.goes(create("plain-1"), 201, version("v1", 1));
        tale.goes(update("plain-2", None), 503, refusal("outcome_unknown"));
        tale.keeps(&[("v1", "plain-1"), ("v2", "plain-2")]).passes(check);
    }

    #[test]
    fn what_was_refused_and_is_there_is_seen() {
        let mut tale = Tale::of(3);
        tale.goes(create("plain-1"), 503, refusal("quorum_unavailable")).keeps(&[("v1", "plain-1")]);
        tale.fires(check, "was refused (quorum_unavailable)");
    }

    #[test]
    fn a_value_that_nobody_wrote_there_is_seen() {
        let mut tale = Tale::of(3);
        let op = tale.asks("b", 0, create("plain-1"));
        tale.told(op, 201, version("v1", 1)).keeps(&[("v1", "plain-1"), ("v2", "plain-9")]);
        tale.fires(check, "keeps plain-1 as a version of a/n, which op 0");
        tale.fires(check, "keeps plain-9 as a version of a/n, which nobody wrote");
    }

    #[test]
    fn a_request_that_was_done_twice_is_seen() {
        let mut tale = Tale::of(3);
        tale.goes(create("plain-1"), 201, version("v1", 1)).goes(
            update("plain-2", None),
            200,
            version("v2", 2),
        );
        tale.keeps(&[("v1", "plain-1"), ("v2", "plain-2"), ("v3", "plain-2")]);
        tale.fires(check, "keeps 2 versions of a/n that op 1");
    }
}
