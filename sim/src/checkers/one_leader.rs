//! R5 (docs/invariants.md): a term has one leader, and it leads once: no two nodes lead in one term, and a node that is
//! started again leads in no term in which it led before. Nodes say themselves that they lead; each writes a term down
//! once for each start.

use std::collections::BTreeMap;

use super::Violation;
use crate::story::{Story, What};

/// Looks for terms that were led twice.
pub fn check(story: &Story) -> Vec<Violation> {
    let (mut leaders, mut violations) = (BTreeMap::new(), Vec::new());
    for event in &story.events {
        let What::Leads { node, term } = event.what else { continue };
        let Some(first) = leaders.insert(term, node) else { continue };
        let says = if first == node {
            format!("node {node} leads in term {term}, in which it led before it was started again")
        } else {
            format!("node {node} leads in term {term}, in which node {first} leads")
        };
        violations.push(Violation { rule: "R5".to_owned(), at_us: event.at_us, says });
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::{super::tale::Tale, check};
    use crate::story::What;

    /// A story in which node 0 leads in term 1, and node 1 after it.
    fn tale() -> Tale {
        let mut tale = Tale::of(3);
        tale.happens(What::Leads { node: 0, term: 1 }).happens(What::Leads { node: 1, term: 2 });
        tale
    }

    #[test]
    fn a_leader_for_each_term_passes() {
        tale().happens(What::Leads { node: 0, term: 4 }).passes(check);
    }

    #[test]
    fn two_leaders_of_a_term_are_seen() {
        tale()
            .happens(What::Leads { node: 2, term: 2 })
            .fires(check, "node 2 leads in term 2, in which node 1 leads");
    }

    #[test]
    fn a_node_that_leads_again_in_a_term_is_seen() {
        let mut tale = tale();
        tale.happens(What::Stopped { node: 1 }).happens(What::Serves { node: 1, boot: 1 });
        tale.happens(What::Leads { node: 1, term: 2 });
        tale.fires(check, "node 1 leads in term 2, in which it led before it was started again");
    }
}
