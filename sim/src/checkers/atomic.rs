//! E6, F3 (docs/invariants.md): a `.env` file that is encrypted makes all its secrets or none, and one that is expanded has
//! all its values, each one that was written there, or nothing of it comes out.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    Violation, at_the_end, named, shown_by,
    testimony::{Write, writes},
};
use crate::{
    desk::{key_of, text},
    story::{Ask, Kept, Operation, Story},
};

/// Looks for files of which a part was done.
pub fn check(story: &Story) -> Vec<Violation> {
    let operations = story.operations();
    let writes = writes(&operations);
    let mut violations = Vec::new();
    for operation in &operations {
        match &operation.asked.ask {
            Ask::Encrypt { values } => violations.extend(in_parts(story, operation, values)),
            Ask::Expand { names } if operation.told.is_done() => {
                let wrong = names.iter().filter_map(|name| wrong_with_line(operation, name, &writes));
                violations.extend(wrong.map(|says| shown_by("F3", operation, says)));
            }
            _ => {}
        }
    }
    violations
}

/// Nodes that keep some of what a file was to make, and others not; or not all of one that was made.
fn in_parts(story: &Story, operation: &Operation<'_>, values: &BTreeMap<String, String>) -> Vec<Violation> {
    let mut violations = Vec::new();
    let readable = story.kept.iter().enumerate().filter(|(_, kept)| !kept.registry.is_empty());
    for (node, kept) in readable {
        let (mut made, mut not_made) = (Vec::new(), Vec::new());
        for (name, value) in values {
            match is_made(kept, &format!("{}/{name}", operation.asked.caller), value) {
                Some(true) => made.push(name),
                Some(false) => not_made.push(name),
                None => {}
            }
        }
        if !not_made.is_empty() && (operation.told.is_done() || !made.is_empty()) {
            let says = format!(
                "of the file that {} encrypted, node {node} has {made:?} as it says, and not {not_made:?}",
                named(operation)
            );
            violations.push(at_the_end("E6", story, says));
        }
    }
    violations
}

/// Whether the first version of a secret has this value; nobody knows of a value that is gone.
fn is_made(kept: &Kept, path: &str, value: &str) -> Option<bool> {
    let Some(secret) = kept.secrets.get(path) else { return Some(false) };
    let first = secret.versions.iter().find(|version| version.number == Some(1))?;
    first.value.as_ref().map(|first| first == value)
}

fn wrong_with_line(
    operation: &Operation<'_>,
    name: &str,
    writes: &BTreeMap<&str, Write<'_>>,
) -> Option<String> {
    let content = text(operation.told.body(), "/content").unwrap_or_default();
    let file: Value = serde_json::from_str(content).unwrap_or_default();
    let path = format!("{}/{name}", operation.asked.caller);
    let Some(value) = file[key_of(name)].as_str() else {
        return Some(format!("the file that {} was given lacks {path}", named(operation)));
    };
    let write = writes.get(value).filter(|write| write.path == path && write.asked_us() < operation.told_us);
    write.is_none().then(|| {
        format!(
            "the file that {} was given has {value} for {path}, which was not written there",
            named(operation)
        )
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{
        super::tale::{Tale, create, encrypt, kept, refusal, version},
        check,
    };
    use crate::story::{Ask, KeptSecret};

    /// Nodes that keep these secrets of `a`, each with one version.
    fn tale(secrets: &[(&str, &str)]) -> Tale {
        let mut tale = Tale::of(3);
        for node in &mut tale.0.kept {
            node.registry.insert("names".into(), "same".into());
            for (name, value) in secrets {
                let versions = vec![kept("v", Some(1), value, 1)];
                node.secrets.insert(format!("a/{name}"), KeptSecret { versions, ..KeptSecret::default() });
            }
        }
        tale
    }

    fn file() -> Ask {
        encrypt(&[("n", "plain-1"), ("m", "plain-2")])
    }

    #[test]
    fn all_or_nothing_passes() {
        tale(&[("n", "plain-1"), ("m", "plain-2")]).goes(file(), 200, json!({})).passes(check);
        tale(&[("n", "plain-9")]).goes(file(), 409, refusal("secret_exists")).passes(check);
    }

    #[test]
    fn a_file_that_was_made_in_part_is_seen() {
        let mut tale = tale(&[("n", "plain-1"), ("m", "plain-9")]);
        tale.goes(file(), 503, refusal("outcome_unknown"));
        tale.fires(check, "node 0 has [\"n\"] as it says, and not [\"m\"]");
    }

    #[test]
    fn a_file_that_was_acknowledged_and_is_not_there_is_seen() {
        tale(&[])
            .goes(file(), 200, json!({}))
            .fires(check, "node 1 has [] as it says, and not [\"m\", \"n\"]");
    }

    #[test]
    fn an_expanded_file_that_lacks_a_value_or_has_anothers_is_seen() {
        let expand = || Ask::Expand { names: vec!["n".into(), "m".into()] };
        let mut tale = Tale::of(3);
        tale.goes(create("plain-1"), 201, version("v1", 1));
        tale.goes(expand(), 200, json!({ "content": r#"{"N":"plain-1"}"# })).fires(check, "lacks a/m");
        tale.goes(expand(), 200, json!({ "content": r#"{"N":"plain-1","M":"plain-1"}"# }));
        tale.fires(check, "has plain-1 for a/m");
    }
}
