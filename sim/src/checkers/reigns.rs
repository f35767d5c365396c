//! R5 (docs/invariants.md): a node that is started again leads in no term in which it led before. Nodes say themselves that
//! they lead; each writes a term down once for each start. Two nodes may lead in one term, one after the other: votes are
//! ordered by their term and by who stands for election, and a log entry names both.

use std::collections::BTreeSet;

use super::{Violation, lives::Lives};
use crate::story::{Story, What};

/// Looks for terms that a node led twice.
pub fn check(story: &Story) -> Vec<Violation> {
    let lives = Lives::of(story);
    let (mut reigns, mut violations) = (BTreeSet::new(), Vec::new());
    for event in &story.events {
        let What::Leads { node, term } = event.what else { continue };
        if !reigns.insert((lives.at(node, event.at_us), term)) {
            let says =
                format!("node {node} leads in term {term}, in which it led before it was started again");
            violations.push(Violation { rule: "R5".to_owned(), at_us: event.at_us, says });
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::{super::tale::Tale, check};
    use crate::{fault::Fault, story::What};

    /// A story in which node 1 leads in term 2.
    fn tale() -> Tale {
        let mut tale = Tale::of(3);
        tale.happens(What::Leads { node: 1, term: 2 });
        tale
    }

    #[test]
    fn a_leader_of_other_terms_and_another_leader_of_the_same_term_pass() {
        let mut tale = tale();
        tale.happens(What::Leads { node: 1, term: 4 }).happens(What::Leads { node: 2, term: 2 });
        tale.passes(check);
    }

    #[test]
    fn a_node_that_leads_again_in_a_term_is_seen_and_the_one_that_joined_in_its_place_is_another() {
        let leads = What::Leads { node: 1, term: 2 };
        let mut again = tale();
        again.happens(What::Stopped { node: 1 }).happens(What::Serves { node: 1, boot: 1 });
        again.happens(leads.clone());
        again.fires(check, "node 1 leads in term 2, in which it led before it was started again");
        tale().happens(What::Harmed(Fault::Replace(1))).happens(leads).passes(check);
    }
}
