//! H4, U2 (docs/invariants.md): what a node derived from its records is what follows from them, its history documents are
//! those of its views, and its audit log is whole. The product's own check says so of each node in the end.

use super::{Violation, at_the_end};
use crate::story::Story;

/// Says what nodes found wrong with themselves.
pub fn check(story: &Story) -> Vec<Violation> {
    let nodes = story.kept.iter().enumerate();
    let wrong = nodes.flat_map(|(node, kept)| kept.wrong.iter().map(move |wrong| (node, wrong)));
    wrong.map(|(node, wrong)| at_the_end("H4", story, format!("on node {node}: {wrong}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::{super::tale::Tale, check};

    #[test]
    fn what_a_node_finds_wrong_is_said() {
        let mut tale = Tale::of(3);
        tale.passes(check);
        tale.0.kept[1].wrong.push("the counts do not fit".into());
        tale.fires(check, "on node 1: the counts do not fit");
    }
}
