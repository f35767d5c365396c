//! Which nodes can have reached which, as everything that was done to them at a time has it. Two nodes reach each other
//! while both have power and no link between them is cut, in neither direction: who cannot answer is not reached. Packets
//! that are slow, or lost by chance, arrive some time. Knows nothing of rules.

use std::collections::BTreeSet;

use crate::{
    fault::Fault,
    links::cuts,
    story::{Story, What},
};

/// What was done to the nodes, from one change to the next.
pub struct Reach<'a> {
    nodes: usize,
    spans: Vec<Span<'a>>,
}

/// A time in which the same things last.
struct Span<'a> {
    from_us: u64,
    to_us: u64,
    lasting: Vec<&'a Fault>,
}

impl<'a> Reach<'a> {
    /// As a story has it.
    pub fn of(story: &'a Story) -> Self {
        let (mut spans, mut from_us) = (Vec::new(), 0);
        let mut lasting: Vec<&Fault> = Vec::new();
        for event in &story.events {
            let (What::Harmed(fault) | What::Mended(fault)) = &event.what else { continue };
            spans.push(Span { from_us, to_us: event.at_us, lasting: lasting.clone() });
            from_us = event.at_us;
            if matches!(event.what, What::Harmed(_)) {
                lasting.push(fault);
            } else if let Some(at) = lasting.iter().position(|other| *other == fault) {
                lasting.remove(at);
            }
        }
        spans.push(Span { from_us, to_us: u64::MAX, lasting });
        Self { nodes: story.plan.nodes, spans }
    }

    /// The nodes that `node` can have reached at any time of these, itself and those behind others included.
    pub fn within(&self, node: usize, (from_us, to_us): (u64, u64)) -> BTreeSet<usize> {
        let met = |span: &&Span<'_>| span.from_us <= to_us && from_us <= span.to_us;
        let spans: Vec<&Span<'_>> = self.spans.iter().filter(met).collect();
        let (mut reached, mut next) = (BTreeSet::from([node]), vec![node]);
        while let Some(from) = next.pop() {
            for to in 0..self.nodes {
                if !reached.contains(&to) && spans.iter().any(|span| span.joins(from, to)) {
                    reached.insert(to);
                    next.push(to);
                }
            }
        }
        reached
    }

    /// For how long two nodes reached each other directly, in microseconds: the longest time of these without a break.
    pub fn together_us(&self, a: usize, b: usize, (from_us, to_us): (u64, u64)) -> u64 {
        let (mut longest, mut since_us) = (0, None);
        for span in self.spans.iter().filter(|span| span.from_us < to_us && from_us < span.to_us) {
            if span.joins(a, b) {
                let since_us = *since_us.get_or_insert(span.from_us.max(from_us));
                longest = longest.max(span.to_us.min(to_us) - since_us);
            } else {
                since_us = None;
            }
        }
        longest
    }

    /// Whether `node` was cut off from every majority all this time. While a member is replaced fewer vote.
    pub fn is_alone(&self, node: usize, during_us: (u64, u64)) -> bool {
        let voters_min = self.nodes - 1;
        self.within(node, during_us).len() <= voters_min / 2
    }
}

impl Span<'_> {
    fn joins(&self, a: usize, b: usize) -> bool {
        !self.lasting.iter().any(|fault| {
            let is_down = match fault {
                Fault::CrashAll => true,
                Fault::Crash(node) | Fault::Replace(node) => *node == a || *node == b,
                _ => false,
            };
            is_down || cuts(fault, a, b) || cuts(fault, b, a)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tale::Tale, Reach};
    use crate::{fault::Fault, story::What};

    /// Five nodes of which two are cut off after a millisecond, and another loses power after two; all is good after four.
    fn tale() -> Tale {
        let (island, crash) = (Fault::Island(vec![0, 1]), Fault::Crash(4));
        let mut tale = Tale::of(5);
        tale.happens(What::Harmed(island.clone())).happens(What::Harmed(crash.clone()));
        tale.happens(What::Mended(island)).happens(What::Mended(crash));
        tale
    }

    #[test]
    fn who_was_reached_at_any_time_was_reached() {
        let tale = tale();
        let reach = Reach::of(&tale.0);
        let reached = |node, from_ms: u64, to_ms: u64| {
            reach.within(node, (from_ms * 1000 + 1, to_ms * 1000 - 1)).into_iter().collect::<Vec<_>>()
        };
        assert_eq!(reached(0, 0, 1), [0, 1, 2, 3, 4]);
        assert_eq!(reached(0, 1, 3), [0, 1]);
        assert_eq!(reached(2, 1, 2), [2, 3, 4]);
        assert_eq!(reached(2, 2, 3), [2, 3]);
        assert_eq!(reached(2, 1, 3), [2, 3, 4]);
        assert_eq!(reached(0, 2, 5), [0, 1, 2, 3, 4]);
        assert!(reach.is_alone(0, (1_001, 2_999)) && !reach.is_alone(2, (1_001, 1_999)));
    }

    #[test]
    fn the_longest_time_together_goes_on_over_what_is_done_to_others() {
        let tale = tale();
        let reach = Reach::of(&tale.0);
        assert_eq!(reach.together_us(2, 3, (500, 9_500)), 9_000);
        assert_eq!(reach.together_us(0, 2, (0, 9_000)), 6_000);
        assert_eq!(reach.together_us(0, 2, (1_000, 3_000)), 0);
    }

    #[test]
    fn who_hears_and_is_not_heard_is_not_reached_but_through_others() {
        let mut tale = Tale::of(3);
        tale.happens(What::Harmed(Fault::Deaf(0, 1)));
        assert_eq!(Reach::of(&tale.0).within(0, (1_001, 9_000)).len(), 3);
        tale.happens(What::Harmed(Fault::Mute(0)));
        assert_eq!(Reach::of(&tale.0).within(0, (2_001, 9_000)).len(), 1);
    }
}
