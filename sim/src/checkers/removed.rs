//! M2, R4 (docs/invariants.md): a node that was taken away speaks for no majority any more, though it runs; its key opens no
//! door; and in the end the members are the nodes that there are.

use std::collections::BTreeSet;

use super::{Violation, at_the_end, named, shown_by};
use crate::{
    fault::Fault,
    story::{Ask, Operation, Story, Told, What},
};

/// How long after a node was taken away, and nothing else was done to anybody, the others may still hear it: they look once a
/// second whom to let go of, and a leader that is taken away leads until a majority of the others has let go of it.
const LET_GO_WITHIN_US: u64 = 4_000_000;
/// How long after all was made good each node has heard of it.
const HEARD_WITHIN_US: u64 = 12_000_000;

/// Looks for nodes that are members after they were taken away.
pub fn check(story: &Story) -> Vec<Violation> {
    let operations = story.operations();
    let mut violations = Vec::new();
    for (node, from_us, to_us) in absences(story) {
        let meanwhile = |operation: &&Operation<'_>| {
            operation.asked.node == node && from_us <= operation.asked_us && operation.told_us < to_us
        };
        let spoke = operations.iter().filter(meanwhile).filter(|operation| speaks_for_a_majority(operation));
        violations.extend(spoke.map(|operation| {
            let says = format!("{} was answered as by a member, which node {node} was not", named(operation));
            shown_by("M2", operation, says)
        }));
    }
    violations.extend(heard_with_a_key_of_nobody(story));
    violations.extend(of_members(story));
    violations
}

/// From when to when each node that was taken away while it ran was surely let go of, and went on running.
fn absences(story: &Story) -> Vec<(usize, u64, u64)> {
    let mut absences = Vec::new();
    let (mut leaving, mut others) = (BTreeSet::new(), Vec::new());
    // Who is a member no more, and since when nothing else is done.
    let mut gone: Option<(usize, u64)> = None;
    for event in &story.events {
        if let Some((node, quiet_us)) = gone
            && others.is_empty()
            && quiet_us + LET_GO_WITHIN_US <= event.at_us
        {
            absences.push((node, quiet_us + LET_GO_WITHIN_US, u64::MAX));
            gone = None;
        }
        match &event.what {
            What::Harmed(Fault::Remove(node)) => drop(leaving.insert(*node)),
            What::Removed { node, .. } if leaving.contains(node) => gone = Some((*node, event.at_us)),
            What::Mended(Fault::Remove(node)) => {
                leaving.remove(node);
                gone = None;
                let open = absences.iter_mut().find(|(of, _, to_us)| of == node && *to_us == u64::MAX);
                open.into_iter().for_each(|(_, _, to_us)| *to_us = event.at_us);
            }
            What::Harmed(fault) => others.push(fault),
            What::Mended(fault) => {
                if let Some(at) = others.iter().position(|other| *other == fault) {
                    others.swap_remove(at);
                }
                gone = gone.map(|(node, _)| (node, event.at_us));
            }
            _ => {}
        }
    }
    absences
}

/// Whether an answer could only be had of a majority.
fn speaks_for_a_majority(operation: &Operation<'_>) -> bool {
    let Told::Answer { status, majority, .. } = operation.told else { return false };
    let is_agreed = match &operation.asked.ask {
        Ask::Read { quorum, .. } => *quorum && *status < 500,
        Ask::Create { .. } | Ask::Encrypt { .. } => *status < 300,
        Ask::Update { .. } | Ask::Tokenize { .. } => *status == 200,
        Ask::Destroy { .. } | Ask::Activate { .. } | Ask::DestroyEpoch { .. } => *status < 300,
        _ => false,
    };
    is_agreed || *majority == Some(true)
}

/// Answers to somebody with a stolen key after its node was taken away and all nodes have heard of that.
fn heard_with_a_key_of_nobody(story: &Story) -> Vec<Violation> {
    let robbed = story.events.iter().find_map(|event| match event.what {
        What::Robbed { node } => Some((node, event.at_us)),
        _ => None,
    });
    let Some(((robbed, since_us), healed_us)) = robbed.zip(story.healed_us()) else { return Vec::new() };
    let is_gone = |event: &&crate::story::Event| {
        since_us < event.at_us
            && event.at_us < healed_us
            && matches!(&event.what, What::Removed { node, .. } if *node == robbed)
    };
    if !story.events.iter().any(|event| is_gone(&event)) {
        return Vec::new();
    }
    let late = story.events.iter().filter(|event| healed_us + HEARD_WITHIN_US <= event.at_us);
    let heard = late.filter_map(|event| match &event.what {
        What::Lied { node, lie, told, .. } if told.is_empty() => {
            let says = format!("node {node} answered the key of a node that was taken away: {lie:?}");
            Some(Violation { rule: "M2".to_owned(), at_us: event.at_us, says })
        }
        _ => None,
    });
    heard.collect()
}

/// Nodes that have others as members than those that there are.
fn of_members(story: &Story) -> Vec<Violation> {
    let there_are: BTreeSet<&String> = story.kept.iter().map(|kept| &kept.node).collect();
    let readable = story.kept.iter().enumerate().filter(|(_, kept)| !kept.registry.is_empty());
    let wrong = readable.filter(|(_, kept)| kept.members.iter().collect::<BTreeSet<_>>() != there_are);
    wrong
        .map(|(node, kept)| {
            let says = format!("node {node} has the members {:?}, and there are {there_are:?}", kept.members);
            at_the_end("M2", story, says)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{
        super::tale::{Tale, read, refusal, update, value, version},
        HEARD_WITHIN_US, LET_GO_WITHIN_US, check,
    };
    use crate::{
        fault::Fault,
        story::{Event, Lie, Told, What},
    };

    /// Node 0 was taken away while it ran, long enough ago.
    fn tale() -> Tale {
        let mut tale = Tale::of(3);
        tale.happens(What::Robbed { node: 0 }).happens(What::Harmed(Fault::Remove(0)));
        tale.goes(read(), 200, value("v1", 1, "plain-1"));
        tale.happens(What::Removed { node: 0, id: "n0".into() });
        let at_us = tale.0.events[tale.0.events.len() - 1].at_us + LET_GO_WITHIN_US;
        tale.0.events.push(Event { at_us, what: What::Leads { node: 1, term: 2 } });
        tale
    }

    fn lied(told: &str) -> What {
        What::Lied { node: 1, lie: Lie::Nameless, taken: told.is_empty(), told: told.into() }
    }

    #[test]
    fn one_that_goes_on_by_itself_and_the_new_one_in_its_place_pass() {
        let mut tale = tale();
        let alone = [
            (read(), 503, refusal("unconfirmed"), None),
            (update("plain-2", None), 202, version("p", None), Some(false)),
        ];
        for (ask, status, body, majority) in alone {
            let op = tale.asks("a", 0, ask);
            tale.happens(What::Told { op, told: Told::Answer { status, body, majority } });
        }
        tale.happens(What::Mended(Fault::Remove(0))).goes(read(), 200, value("v1", 1, "plain-1"));
        tale.heals(HEARD_WITHIN_US / 1000).happens(lied("refused")).passes(check);
    }

    #[test]
    fn one_that_answers_as_a_member_is_seen() {
        let mut tale = tale();
        tale.goes(read(), 200, value("v1", 1, "plain-1"));
        tale.fires(check, "op 1 (client 0 for a at node 0) was answered as by a member");
    }

    #[test]
    fn a_leader_that_nobody_could_let_go_of_yet_passes() {
        let mut tale = Tale::of(3);
        let island = Fault::Island(vec![2]);
        tale.happens(What::Harmed(island.clone())).happens(What::Harmed(Fault::Remove(0)));
        tale.happens(What::Removed { node: 0, id: "n0".into() });
        let at_us = tale.0.events[tale.0.events.len() - 1].at_us + 2 * LET_GO_WITHIN_US;
        tale.0.events.push(Event { at_us, what: What::Mended(island) });
        tale.goes(read(), 200, value("v1", 1, "plain-1")).passes(check);
    }

    #[test]
    fn a_key_of_nobody_that_is_answered_is_seen() {
        let mut tale = tale();
        tale.happens(What::Mended(Fault::Remove(0))).heals(HEARD_WITHIN_US / 1000).happens(lied(""));
        tale.fires(check, "node 1 answered the key of a node that was taken away");
    }

    #[test]
    fn a_member_that_is_none_is_seen() {
        let mut tale = Tale::of(3);
        for (kept, id) in tale.0.kept.iter_mut().zip(["x", "y", "z"]) {
            kept.node = id.into();
            kept.registry.insert("names".into(), "same".into());
            kept.members = ["x", "y", "z"].map(str::to_owned).into();
        }
        tale.passes(check);
        tale.0.kept[1].members.insert("n0".into());
        tale.fires(check, "node 1 has the members");
    }
}
