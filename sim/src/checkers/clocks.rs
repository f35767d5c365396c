//! V5 (docs/invariants.md): a node whose clock is off by more than the bound from most others' stamps nothing, and reads go
//! on; a node whose clock is sound refuses nothing for its sake. What a node can have heard of the clocks of others is of
//! the last minute, so that between the two there are moments of which nobody can say.

use super::{Violation, named, reach::Reach, shown_by};
use crate::{
    fault::Fault,
    story::{Ask, Operation, Story, What},
};

/// How far a clock may be off, in milliseconds.
const BOUND_MS: i64 = 30_000;
/// How wrong a node may be about another's clock: it was told on the way, which takes two seconds at the most.
const UNSURE_MS: i64 = 1_000;
/// How long what was heard of another's clock counts, with how long it may have been on its way.
const HEARD_US: u64 = 62_000_000;
/// Within this time a node has asked another that it reaches what time it is: it does so every five seconds, and waits two
/// for the answer.
const ASKS_WITHIN_US: u64 = 8_000_000;
/// How many others a node must have heard to take its own clock to be off: one alone is not believed.
const HEARD_MIN: usize = 2;

/// Looks for refusals without a reason, and for writes that ought to have been refused.
pub fn check(story: &Story) -> Vec<Violation> {
    let clocks = Clocks::of(story);
    let mut violations = Vec::new();
    for operation in story.operations().iter().filter(|operation| operation.told.status().is_some()) {
        let is_refused = operation.told.code() == Some("clock_skew");
        let what = if is_refused && !stamps(&operation.asked.ask) {
            "was refused for the clock, which it does not need"
        } else if is_refused && !clocks.may_be_off(operation) {
            "was refused for the clock, which was right"
        } else if is_new(operation) && clocks.is_off(operation) {
            "was done, and the clock was off by more than the bound"
        } else {
            continue;
        };
        violations.push(shown_by("V5", operation, format!("{} {what}", named(operation))));
    }
    violations
}

/// Whether anything is stamped with the time.
pub fn stamps(ask: &Ask) -> bool {
    match ask {
        Ask::Read { .. }
        | Ask::History { .. }
        | Ask::List
        | Ask::Expand { .. }
        | Ask::Detokenize { .. }
        | Ask::Epochs
        | Ask::Status => false,
        Ask::Of { ask, .. } => stamps(ask),
        _ => true,
    }
}

/// Whether something was surely stamped: what comes again with its key may have been before, and so may a token.
fn is_new(operation: &Operation<'_>) -> bool {
    let Operation { asked, told, .. } = operation;
    told.is_done() && asked.key.is_none() && stamps(&asked.ask) && !matches!(asked.ask, Ask::Tokenize { .. })
}

/// How far clocks were off, and since when nodes have heard of each other.
struct Clocks<'a> {
    story: &'a Story,
    /// From when on, which node, by how many milliseconds.
    steps: Vec<(u64, usize, i64)>,
    reach: Reach<'a>,
    /// When each node was started.
    served_us: Vec<Vec<u64>>,
    whole_us: u64,
}

impl<'a> Clocks<'a> {
    fn of(story: &'a Story) -> Self {
        let (mut steps, mut served_us, mut whole_us) = (Vec::new(), vec![Vec::new(); story.plan.nodes], 0);
        for event in &story.events {
            match &event.what {
                What::Harmed(Fault::Clock(node, by_ms)) => steps.push((event.at_us, *node, *by_ms)),
                What::Mended(Fault::Clock(node, by_ms)) => steps.push((event.at_us, *node, -by_ms)),
                What::Serves { node, .. } => served_us[*node].push(event.at_us),
                What::Whole => whole_us = event.at_us,
                _ => {}
            }
        }
        Self { story, steps, reach: Reach::of(story), served_us, whole_us }
    }

    /// All that a node's clock was off by within a time, in milliseconds.
    fn skews_ms(&self, node: usize, (from_us, to_us): (u64, u64)) -> Vec<i64> {
        let (mut skew, mut skews) = (self.story.plan.skews_ms[node], Vec::new());
        for (at_us, _, by_ms) in self.steps.iter().filter(|(_, other, _)| *other == node) {
            if to_us < *at_us {
                break;
            }
            if from_us <= *at_us {
                skews.push(skew);
            }
            skew += by_ms;
        }
        skews.push(skew);
        skews
    }

    /// How far the node that was asked can have taken its clock to be ahead of each other's, in milliseconds.
    fn differences(&self, operation: &Operation<'_>) -> Vec<Vec<i64>> {
        let Operation { asked, asked_us, told_us, .. } = operation;
        let own = self.skews_ms(asked.node, (*asked_us, *told_us));
        let others = (0..self.story.plan.nodes).filter(|other| *other != asked.node);
        let of = |other| {
            let heard = self.skews_ms(other, (asked_us.saturating_sub(HEARD_US), *told_us));
            heard.iter().flat_map(|other| own.iter().map(move |own| own - other)).collect()
        };
        others.map(of).collect()
    }

    /// Whether the node that was asked can have taken its clock to be off.
    fn may_be_off(&self, operation: &Operation<'_>) -> bool {
        let off = |by: &Vec<i64>| by.iter().any(|by| BOUND_MS - UNSURE_MS <= by.abs());
        HEARD_MIN <= self.differences(operation).iter().filter(|by| off(by)).count()
    }

    /// Whether it must have: it has run since all had heard of each other, none was replaced or taken away, and it is off
    /// from all.
    fn is_off(&self, operation: &Operation<'_>) -> bool {
        let ahead = |by: &Vec<i64>| by.iter().all(|by| BOUND_MS + UNSURE_MS <= *by);
        let behind = |by: &Vec<i64>| by.iter().all(|by| *by <= -BOUND_MS - UNSURE_MS);
        let differences = self.differences(operation);
        (differences.iter().all(ahead) || differences.iter().all(behind)) && self.has_heard_all(operation)
    }

    /// Whether the node that was asked has heard of all others in the last minute.
    fn has_heard_all(&self, operation: &Operation<'_>) -> bool {
        let node = operation.asked.node;
        let since_us = self.whole_us.max(operation.asked_us.saturating_sub(HEARD_US / 2));
        let others = (0..self.story.plan.nodes).filter(|other| *other != node);
        let mut together =
            others.map(|other| self.reach.together_us(node, other, (since_us, operation.asked_us)));
        let runs_on = |served: &u64| *served <= since_us || operation.told_us < *served;
        let was_lost = |what: &What| matches!(what, What::Harmed(Fault::Replace(_) | Fault::Remove(_)));
        together.all(|us| ASKS_WITHIN_US <= us)
            && self.served_us[node].iter().all(runs_on)
            && !self.story.events.iter().any(|event| was_lost(&event.what))
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::tale::{Tale, create, read, refusal, value, version},
        check,
    };
    use crate::{fault::Fault, story::What};

    /// A whole cluster in which node 0's clock jumps by so much.
    fn tale(by_ms: i64) -> Tale {
        let mut tale = Tale::of(3);
        tale.0.plan.skews_ms = vec![0; 3];
        tale.happens(What::Whole).passes_ms(13_000).happens(What::Harmed(Fault::Clock(0, by_ms)));
        tale
    }

    #[test]
    fn a_clock_that_is_off_refuses_writes_and_not_reads() {
        let mut tale = tale(35_000);
        tale.goes(create("plain-1"), 503, refusal("clock_skew"));
        tale.goes(read(), 200, value("v1", 1, "plain-1")).passes(check);
    }

    #[test]
    fn a_sound_clock_that_is_not_believed_and_a_read_that_needs_none_are_seen() {
        tale(12_000)
            .goes(create("plain-1"), 503, refusal("clock_skew"))
            .fires(check, "op 0 (client 0 for a at node 0) was refused for the clock, which was right");
        tale(35_000).goes(read(), 503, refusal("clock_skew")).fires(check, "which it does not need");
        let mut other = tale(35_000);
        let op = other.asks("a", 1, create("plain-1"));
        other.told(op, 503, refusal("clock_skew")).fires(check, "at node 1) was refused for the clock");
    }

    #[test]
    fn a_write_that_is_stamped_by_a_clock_that_is_off_is_seen() {
        for by_ms in [35_000, -35_000] {
            let mut tale = tale(by_ms);
            tale.goes(create("plain-1"), 201, version("v1", 1))
                .fires(check, "was done, and the clock was off");
        }
    }

    #[test]
    fn a_clock_that_is_off_and_has_heard_of_no_other_stamps() {
        let mut tale = tale(35_000);
        tale.happens(What::Serves { node: 0, boot: 1 }).goes(create("plain-1"), 201, version("v1", 1));
        tale.passes(check);
    }

    #[test]
    fn a_clock_that_is_off_from_the_only_other_member_stamps() {
        let mut tale = tale(35_000);
        tale.happens(What::Harmed(Fault::Remove(2))).goes(create("plain-1"), 201, version("v1", 1));
        tale.passes(check);
    }

    #[test]
    fn a_clock_that_was_off_a_moment_ago_and_is_right_again_is_sound() {
        let mut tale = tale(35_000);
        tale.happens(What::Mended(Fault::Clock(0, 35_000)));
        tale.goes(create("plain-1"), 201, version("v1", 1)).passes(check);
        tale.goes(create("plain-2"), 503, refusal("clock_skew")).fires(check, "which was right");
    }
}
