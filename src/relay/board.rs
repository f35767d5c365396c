//! What an API process knows of the nodes: how each of them was last seen, and which one it asks. It stays with the one
//! it has chosen, so that its clients read what they wrote; a node is chosen when it has confirmed that it has all that
//! was agreed before, or, if none can, because it answers at all. An answer from elsewhere puts the choice in doubt. Keeps A3.
//! Knows nothing of how nodes are asked.

use std::collections::BTreeMap;

use covault_model::id::NodeId;
use tokio::sync::watch;

/// How a node was last seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Seen {
    /// It answers, and a majority stands behind it.
    Majority,
    /// It answers, and none does.
    Minority,
    /// It does not answer, or has not been asked yet.
    Silent,
}

/// The node that is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chosen {
    pub node: NodeId,
    /// Whether it has confirmed that it had all that was agreed before.
    pub confirmed: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct View {
    seen: BTreeMap<NodeId, Seen>,
    chosen: Option<Chosen>,
    /// Whether a node is being looked for.
    searching: bool,
    /// Answers that a node which is being looked for may not know of.
    doubts: u64,
}

impl View {
    fn choice(&self) -> Option<NodeId> {
        let Chosen { node, confirmed } = self.chosen?;
        let holds = match self.seen.get(&node)? {
            Seen::Majority => confirmed,
            Seen::Minority => !self.seen.values().any(|seen| *seen == Seen::Majority),
            Seen::Silent => false,
        };
        holds.then_some(node)
    }
}

/// All of it, shared, with a way to wait for news.
pub(super) struct Board {
    /// Orders nodes that are seen alike: differently for each process, so that not all of them ask one node.
    me: NodeId,
    view: watch::Sender<View>,
}

impl Board {
    /// A board on which all of `nodes` are silent.
    pub fn new(me: NodeId, nodes: impl IntoIterator<Item = NodeId>) -> Self {
        let seen = nodes.into_iter().map(|node| (node, Seen::Silent)).collect();
        Self { me, view: watch::Sender::new(View { seen, ..View::default() }) }
    }

    /// The process whose board it is.
    pub fn me(&self) -> NodeId {
        self.me
    }

    /// Notes how a node was seen; true when that is news.
    pub fn note(&self, node: NodeId, seen: Seen) -> bool {
        self.view.send_if_modified(|view| match view.seen.get_mut(&node) {
            Some(held) if *held != seen => {
                *held = seen;
                true
            }
            _ => false,
        })
    }

    /// Puts `nodes` in place of those that were there; what was seen of the ones that stay is kept.
    pub fn follow(&self, nodes: impl IntoIterator<Item = NodeId>) {
        self.view.send_modify(|view| {
            let seen = |node| view.seen.get(&node).copied().unwrap_or(Seen::Silent);
            view.seen = nodes.into_iter().map(|node| (node, seen(node))).collect();
        });
    }

    /// A node is looked for from now on; gives what [`Board::settle`] is to be told.
    pub fn begin_search(&self) -> u64 {
        self.view.send_modify(|view| view.searching = true);
        self.view.borrow().doubts
    }

    /// Ends a search with what it found, unless the node chosen before it is good again. False when a client has been
    /// answered since it began: what was confirmed before that need not hold the answer, so it is to be begun again.
    pub fn settle(&self, found: Option<Chosen>, doubts: u64) -> bool {
        let mut settled = false;
        self.view.send_modify(|view| {
            let sure = view.doubts == doubts || found.is_none_or(|chosen| !chosen.confirmed);
            let holds = view.choice().is_some();
            if sure && !holds {
                view.chosen = found;
            }
            settled = sure || holds;
            view.searching = !settled;
        });
        settled
    }

    /// Notes that a client is given the answer of this node. What it asks next must not go to a node that knows less.
    pub fn answered_by(&self, node: NodeId) {
        self.view.send_if_modified(|view| {
            let chosen = view.choice() == Some(node);
            if !chosen {
                view.chosen = None;
            }
            let doubted = view.searching || !chosen;
            view.doubts += u64::from(doubted);
            doubted
        });
    }

    /// The node chosen last, unless there is reason to look for another: it is silent, or not confirmed or in the
    /// minority while one has a majority.
    pub fn choice(&self) -> Option<NodeId> {
        self.view.borrow().choice()
    }

    /// All nodes, those first that are to be asked first.
    pub fn candidates(&self) -> Vec<NodeId> {
        let mut all: Vec<_> = self.view.borrow().seen.iter().map(|(node, seen)| (*seen, *node)).collect();
        let apart = |node: &NodeId| -> [u8; 32] { std::array::from_fn(|at| node.0[at] ^ self.me.0[at]) };
        all.sort_by_key(|(seen, node)| (*seen, apart(node)));
        all.into_iter().map(|(_, node)| node).collect()
    }

    /// How a node was last seen; silent if there is none of that id.
    pub fn seen(&self, node: &NodeId) -> Seen {
        self.view.borrow().seen.get(node).copied().unwrap_or(Seen::Silent)
    }

    /// How many nodes were last seen in each way.
    pub fn count(&self, seen: Seen) -> usize {
        self.view.borrow().seen.values().filter(|held| **held == seen).count()
    }

    /// Returns once a node is silent, or none of them any more.
    pub async fn silence_of(&self, node: NodeId) {
        let silent = |view: &View| view.seen.get(&node).is_none_or(|seen| *seen == Seen::Silent);
        // It fails only when the board is gone, and then nobody waits.
        let _ = self.view.subscribe().wait_for(silent).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(number: u8) -> NodeId {
        NodeId([number; 32])
    }

    impl Board {
        fn choose(&self, chosen: Option<Chosen>) {
            self.view.send_modify(|view| view.chosen = chosen);
        }
    }

    fn board() -> Board {
        Board::new(node(4), [node(1), node(2), node(5)])
    }

    fn chosen(number: u8, confirmed: bool) -> Option<Chosen> {
        Some(Chosen { node: node(number), confirmed })
    }

    #[test]
    fn those_with_a_majority_come_first_and_each_process_has_its_own_order() {
        let board = board();
        assert_eq!(board.candidates(), [node(5), node(1), node(2)], "nearest to its own id first");
        board.note(node(2), Seen::Majority);
        board.note(node(1), Seen::Minority);
        assert_eq!(board.candidates(), [node(2), node(1), node(5)]);
        let other = Board::new(node(3), [node(1), node(2), node(5)]);
        assert_eq!(other.candidates(), [node(2), node(1), node(5)]);
    }

    #[test]
    fn a_choice_holds_until_it_is_silent_or_another_is_better() {
        let board = board();
        assert_eq!(board.choice(), None);
        board.choose(chosen(1, true));
        assert_eq!(board.choice(), None, "silent");
        board.note(node(1), Seen::Majority);
        board.note(node(2), Seen::Majority);
        assert_eq!(board.choice(), Some(node(1)));
        board.note(node(1), Seen::Minority);
        assert_eq!(board.choice(), None, "another has a majority");
        board.note(node(2), Seen::Minority);
        assert_eq!(board.choice(), Some(node(1)), "none has");
    }

    #[test]
    fn a_choice_that_nothing_confirmed_holds_only_while_nobody_could() {
        let board = board();
        board.choose(chosen(1, false));
        board.note(node(1), Seen::Minority);
        assert_eq!(board.choice(), Some(node(1)));
        board.note(node(1), Seen::Majority);
        assert_eq!(board.choice(), None);
    }

    #[test]
    fn what_was_confirmed_before_a_client_was_answered_is_not_chosen() {
        let board = board();
        board.choose(chosen(1, true));
        let doubts = board.begin_search();
        board.note(node(2), Seen::Majority);
        board.answered_by(node(1));
        assert!(!board.settle(chosen(2, true), doubts), "node 2 may not know what node 1 answered");
        let doubts = board.begin_search();
        assert!(board.settle(chosen(2, true), doubts));
        assert_eq!(board.choice(), Some(node(2)));
        board.answered_by(node(2));
        assert_eq!(board.choice(), Some(node(2)));
        board.answered_by(node(1));
        assert_eq!(board.choice(), None, "an answer on its way when the other was chosen");
    }

    #[test]
    fn a_search_leaves_a_choice_that_is_good_again() {
        let board = board();
        board.choose(chosen(1, true));
        let doubts = board.begin_search();
        board.note(node(1), Seen::Majority);
        board.answered_by(node(1));
        assert!(board.settle(chosen(2, true), doubts));
        assert_eq!(board.choice(), Some(node(1)));
        assert!(board.settle(None, board.begin_search()) && board.choice().is_some());
    }

    #[test]
    fn nodes_that_are_gone_are_not_chosen_and_new_ones_are_silent_at_first() {
        let board = board();
        board.note(node(1), Seen::Majority);
        board.choose(chosen(1, true));
        board.follow([node(1), node(6)]);
        assert_eq!((board.choice(), board.seen(&node(6))), (Some(node(1)), Seen::Silent));
        board.follow([node(6)]);
        assert_eq!((board.choice(), board.seen(&node(1))), (None, Seen::Silent));
        assert!(!board.note(node(1), Seen::Majority), "it is none of them");
        assert_eq!(board.count(Seen::Silent), 1);
    }

    #[tokio::test]
    async fn whoever_waits_for_a_node_is_told_that_it_is_silent_or_gone() {
        let board = board();
        board.note(node(1), Seen::Majority);
        let waiting = board.silence_of(node(1));
        tokio::pin!(waiting);
        tokio::select! {
            biased;
            () = &mut waiting => panic!("it is not silent"),
            () = std::future::ready(()) => {}
        }
        board.note(node(1), Seen::Silent);
        waiting.await;
        board.silence_of(node(9)).await;
    }
}
