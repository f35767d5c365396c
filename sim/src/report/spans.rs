//! What lasted from when to when on which node: serving, leading, being harmed. Knows nothing of drawing.

use crate::{
    fault::Fault,
    story::{Story, What},
};

/// Something that lasted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span<T> {
    /// From when, in microseconds.
    pub from_us: u64,
    /// Until when.
    pub to_us: u64,
    /// What it was.
    pub of: T,
}

/// When each node served, by node.
pub fn serving(story: &Story, end_us: u64) -> Vec<Span<usize>> {
    let mut since: Vec<Option<u64>> = vec![None; story.plan.nodes];
    let mut spans = Vec::new();
    for event in &story.events {
        match event.what {
            What::Serves { node, .. } if node < since.len() => {
                since[node].get_or_insert(event.at_us);
            }
            What::Stopped { node } | What::Failed { node, .. } if node < since.len() => {
                let span = |from_us| Span { from_us, to_us: event.at_us, of: node };
                spans.extend(since[node].take().map(span));
            }
            _ => {}
        }
    }
    let last = |(of, since): (usize, Option<u64>)| Some(Span { from_us: since?, to_us: end_us, of });
    spans.extend(since.into_iter().enumerate().filter_map(last));
    spans
}

/// Who led in which term: until it stopped, or until another led in a later one.
pub fn reigns(story: &Story, end_us: u64) -> Vec<Span<(usize, u64)>> {
    let mut spans: Vec<Span<(usize, u64)>> = Vec::new();
    let mut now: Option<(u64, usize, u64)> = None;
    for event in &story.events {
        let (next, ends) = match (&event.what, now) {
            (What::Leads { node, term }, None) => (Some((event.at_us, *node, *term)), false),
            (What::Leads { node, term }, Some((_, _, reigns))) if reigns < *term => {
                (Some((event.at_us, *node, *term)), true)
            }
            (What::Stopped { node } | What::Failed { node, .. }, Some((_, leads, _))) if *node == leads => {
                (None, true)
            }
            _ => continue,
        };
        if let (true, Some((from_us, node, term))) = (ends, now) {
            spans.push(Span { from_us, to_us: event.at_us, of: (node, term) });
        }
        now = next;
    }
    spans.extend(now.map(|(from_us, node, term)| Span { from_us, to_us: end_us, of: (node, term) }));
    spans
}

/// Which faults lasted when. One that was never mended lasts until the end.
pub fn faults(story: &Story, end_us: u64) -> Vec<Span<&Fault>> {
    let mut spans: Vec<(bool, Span<&Fault>)> = Vec::new();
    for event in &story.events {
        match &event.what {
            What::Harmed(fault) => {
                spans.push((true, Span { from_us: event.at_us, to_us: end_us, of: fault }));
            }
            What::Mended(fault) => {
                if let Some((open, span)) = spans.iter_mut().find(|(open, span)| *open && span.of == fault) {
                    (*open, span.to_us) = (false, event.at_us);
                }
            }
            _ => {}
        }
    }
    spans.into_iter().map(|(_, span)| span).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telling::tests::story;

    #[test]
    fn a_node_serves_until_it_stops_or_the_story_ends() {
        let mut story = story();
        story.push(1, What::Serves { node: 0, boot: 0 });
        story.push(5, What::Stopped { node: 0 });
        story.push(6, What::Stopped { node: 0 });
        story.push(8, What::Serves { node: 0, boot: 1 });
        let span = |from_us, to_us| Span { from_us, to_us, of: 0 };
        assert_eq!(serving(&story, 20), [span(1, 5), span(8, 20)]);
    }

    #[test]
    fn a_leader_leads_until_another_does_or_it_stops_and_an_old_term_is_no_reign() {
        let mut story = story();
        story.push(1, What::Leads { node: 0, term: 3 });
        story.push(4, What::Leads { node: 1, term: 5 });
        story.push(5, What::Leads { node: 0, term: 4 });
        story.push(7, What::Stopped { node: 1 });
        story.push(9, What::Leads { node: 2, term: 6 });
        let span = |from_us, to_us, of| Span { from_us, to_us, of };
        assert_eq!(reigns(&story, 20), [span(1, 4, (0, 3)), span(4, 7, (1, 5)), span(9, 20, (2, 6))]);
    }

    #[test]
    fn of_two_equal_faults_the_first_is_mended_first() {
        let mut story = story();
        let fault = Fault::Crash(1);
        story.push(1, What::Harmed(fault.clone()));
        story.push(2, What::Harmed(fault.clone()));
        story.push(3, What::Mended(fault.clone()));
        let span = |from_us, to_us| Span { from_us, to_us, of: &fault };
        assert_eq!(faults(&story, 9), [span(1, 3), span(2, 9)]);
    }
}
