//! X1, M1 (docs/invariants.md): whoever has a key that nobody enrolled is answered nothing of what nodes ask each other,
//! whether it knows the cluster or not.

use super::Violation;
use crate::story::{Knock, Story, What};

/// Looks for nodes that answered a stranger as if it were a peer.
pub fn check(story: &Story) -> Vec<Violation> {
    let answered = story.events.iter().filter_map(|event| match &event.what {
        What::Knocked { node, by: by @ (Knock::Member | Knock::Foreigner), answered: true, .. } => {
            let says = format!("node {node} answered somebody whom nobody enrolled, who asked as a {by:?}");
            Some(Violation { rule: "X1".to_owned(), at_us: event.at_us, says })
        }
        _ => None,
    });
    answered.collect()
}

#[cfg(test)]
mod tests {
    use super::{super::tale::Tale, check};
    use crate::story::{Knock, What};

    fn knocked(by: Knock, answered: bool) -> What {
        What::Knocked { node: 1, by, answered, told: String::new() }
    }

    #[test]
    fn a_stranger_that_is_not_heard_and_a_joiner_that_is_refused_pass() {
        let mut tale = Tale::of(3);
        tale.happens(knocked(Knock::Member, false)).happens(knocked(Knock::Joiner, true)).passes(check);
    }

    #[test]
    fn a_stranger_that_is_answered_is_seen() {
        let mut tale = Tale::of(3);
        tale.happens(knocked(Knock::Member, true))
            .fires(check, "node 1 answered somebody whom nobody enrolled");
    }
}
