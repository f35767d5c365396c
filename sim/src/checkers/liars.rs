//! X1 to X4 (docs/invariants.md): what an enrolled key signs or sends that does not hold is not taken, and nothing of it
//! counts on any node. A record that may be held back is told from one that holds when its time comes, not before.

use super::{Violation, at_the_end};
use crate::{
    actors::LABEL,
    story::{Lie, Story, What},
};

/// Looks for lies that were taken, and for the label that only liars set.
pub fn check(story: &Story) -> Vec<Violation> {
    let taken = story.events.iter().filter_map(|event| match &event.what {
        // By the clock of a node that is behind, what follows on the last record is of the future too.
        What::Lied { lie: Lie::FromTheFuture | Lie::FalseParents, .. } => None,
        What::Lied { node, lie, taken: true, .. } => {
            let says = format!("node {node} took what does not hold: {lie:?}");
            Some(Violation { rule: "X1".to_owned(), at_us: event.at_us, says })
        }
        _ => None,
    });
    let kept = story.kept.iter().enumerate().flat_map(|(node, kept)| {
        let lied = kept.secrets.iter().filter(|(_, secret)| secret.labels.contains_key(LABEL));
        lied.map(move |(path, _)| format!("what a liar says of {path} counts on node {node}"))
    });
    taken.chain(kept.map(|says| at_the_end("X1", story, says))).collect()
}

#[cfg(test)]
mod tests {
    use super::{super::tale::Tale, LABEL, check};
    use crate::story::{KeptSecret, Lie, What};

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
}
