//! X1 to X4, T5, R3 (docs/invariants.md): what an enrolled key signs or sends that does not hold is not taken, and nothing of
//! it counts on any node: no mark or mapping that only liars make, no name that nobody created. A record that may be held
//! back is told from one that holds when its time comes, not before. That destroyed values stay away is for another checker.

use super::{Violation, at_the_end, named, shown_by, testimony::seen};
use crate::{
    actors::{GHOST, LABEL, LIED_MAPPING},
    story::{Kept, Lie, Story, What},
};

/// Looks for lies that were taken, and for what only liars make.
pub fn check(story: &Story) -> Vec<Violation> {
    let mut violations = Vec::new();
    for event in &story.events {
        if let What::Lied { node, lie, taken: true, .. } = &event.what
            && let Some(rule) = refused_by(*lie)
        {
            let says = format!("node {node} took what does not hold: {lie:?}");
            violations.push(Violation { rule: rule.to_owned(), at_us: event.at_us, says });
        }
    }
    let operations = story.operations();
    let shown = seen(&operations);
    violations.extend(shown.iter().filter(|seen| seen.name.starts_with(GHOST)).map(|seen| {
        let says = format!("{} was shown {}, which nobody created", named(&seen.by), seen.path());
        shown_by("X2", &seen.by, says)
    }));
    for (node, kept) in story.kept.iter().enumerate() {
        let lied = lied_in(kept).into_iter();
        violations.extend(
            lied.map(|(rule, what)| at_the_end(rule, story, format!("{what} counts on node {node}"))),
        );
    }
    violations
}

/// The rule by which a node refuses a lie at once; none if it may keep it, or finds nothing wrong with it until it is asked.
fn refused_by(lie: Lie) -> Option<&'static str> {
    match lie {
        Lie::Garbage | Lie::Forged | Lie::Tampered | Lie::Misplaced | Lie::OtherPayload => Some("X1"),
        Lie::ForgedIssue | Lie::IssueOfNoEpoch | Lie::EarlyIssue => Some("T5"),
        Lie::Anothers | Lie::Moved => Some("R3"),
        // By the clock of a node that is behind, what follows on the last record is of the future too.
        Lie::FromTheFuture | Lie::FalseParents => None,
        // One that has lost power may have to hear again that the epoch was destroyed.
        Lie::Nameless | Lie::Revived | Lie::IssueOfOldEpoch => None,
    }
}

/// What a node keeps that only liars make.
fn lied_in(kept: &Kept) -> Vec<(&'static str, String)> {
    let mut lied = Vec::new();
    for (path, secret) in &kept.secrets {
        if secret.labels.contains_key(LABEL) {
            lied.push(("X1", format!("what a liar says of {path}")));
        }
        if path.split_once('/').is_some_and(|(_, name)| name.starts_with(GHOST)) {
            lied.push(("X2", format!("{path}, which nobody created,")));
        }
    }
    let of_liar = kept.mappings.keys().filter(|key| key.ends_with(&LIED_MAPPING.to_string()));
    lied.extend(of_liar.map(|key| ("T5", format!("the mapping {key}, which no node made,"))));
    lied
}

#[cfg(test)]
mod tests {
    use super::{
        super::tale::{Tale, version},
        LABEL, LIED_MAPPING, check,
    };
    use crate::story::{Ask, KeptSecret, Lie, What};

    fn lied(lie: Lie, taken: bool) -> What {
        What::Lied { node: 1, lie, taken, told: String::new() }
    }

    #[test]
    fn lies_that_are_refused_and_a_record_that_waits_for_its_time_pass() {
        let mut tale = Tale::of(3);
        tale.happens(lied(Lie::Forged, false)).happens(lied(Lie::FromTheFuture, true)).passes(check);
    }

    #[test]
    fn a_lie_that_is_taken_is_seen() {
        let mut tale = Tale::of(3);
        tale.happens(lied(Lie::Tampered, true)).fires(check, "node 1 took what does not hold: Tampered");
    }

    #[test]
    fn a_label_that_only_a_liar_sets_is_seen() {
        let mut tale = Tale::of(3);
        let labels = [(LABEL.to_owned(), "yes".to_owned())].into();
        tale.0.kept[2].secrets.insert("a/n".into(), KeptSecret { labels, ..KeptSecret::default() });
        tale.fires(check, "what a liar says of a/n counts on node 2");
    }

    #[test]
    fn a_forged_issue_and_what_was_ordered_for_another_are_seen() {
        let mut tale = Tale::of(3);
        tale.happens(lied(Lie::ForgedIssue, true))
            .fires(check, "node 1 took what does not hold: ForgedIssue");
        tale.happens(lied(Lie::Moved, true)).fires(check, "node 1 took what does not hold: Moved");
        tale.0.kept[0].mappings.insert(format!("a/1/{LIED_MAPPING}"), "sealed".into());
        tale.fires(check, "which no node made, counts on node 0");
    }

    #[test]
    fn a_name_that_nobody_created_is_seen() {
        let mut tale = Tale::of(3);
        tale.happens(lied(Lie::Nameless, true)).passes(check);
        let ask = Ask::Read { name: "ghost/0".into(), version: None, quorum: false, owner: None };
        let mut told = version("v1", None);
        told["name"] = "ghost/0".into();
        tale.goes(ask, 200, told).fires(check, "was shown a/ghost/0, which nobody created");
        tale.0.kept[2].secrets.insert("a/ghost/0".into(), KeptSecret::default());
        tale.fires(check, "a/ghost/0, which nobody created, counts on node 2");
    }
}
