//! Whether those that vote may change without a mapping being missed that was told to exist. What half of the voters
//! have, rounded up, is found by whoever looks through a majority of them, and what was told to exist a majority has.
//! One voter more or fewer leaves that true where they were odd in number; where they were even, it may be on one too
//! few. So as many as are needed of those that are to vote first take in what a majority has.
//!
//! ```text
//!   LookThrough → LookedThrough    of which of these nodes the one that is asked has all issues now
//! ```
//!
//! Keeps T7. Knows nothing of who decides on a change, and why.

use std::collections::BTreeSet;

use covault_model::id::NodeId;
use tokio::{task::JoinSet, time::timeout};

use super::{
    message::{Ask, Told},
    records::Records,
    search::{FETCH_DEADLINE, SearchError},
};

impl Records {
    /// Whether the nodes that vote may change from `before` to `after`, which has one more or one less. If it may,
    /// it may do so only while they are still those. Takes no longer than one question to a peer.
    pub async fn may_vote_next(&self, before: &BTreeSet<NodeId>, after: &BTreeSet<NodeId>) -> bool {
        if !before.len().is_multiple_of(2) {
            return true;
        }
        let mut asked = JoinSet::new();
        for node in after.iter().copied() {
            let (records, nodes) = (self.clone(), before.clone());
            asked.spawn(async move { records.has_looked_through(node, &nodes).await });
        }
        let (majority, wanted) = (before.len() / 2 + 1, after.len().div_ceil(2));
        let mut ready = 0;
        while ready < wanted
            && let Some(told) = asked.join_next().await
        {
            ready += usize::from(matches!(told, Ok(Ok(through)) if majority <= through));
        }
        wanted <= ready
    }

    /// Of how many of `nodes` a node has all issues, once it has taken in what it lacked.
    async fn has_looked_through(&self, node: NodeId, nodes: &BTreeSet<NodeId>) -> Result<usize, SearchError> {
        if node == self.me() {
            return Ok(self.look_through(nodes).await.len());
        }
        match self.ask(node, &Ask::LookThrough(nodes.clone())).await? {
            Told::LookedThrough(through) => Ok(nodes.intersection(&through).count()),
            _ => Err(SearchError::Garbled),
        }
    }

    /// Takes in what these nodes have and this one lacks, and says of which it has all there is now.
    pub(super) async fn look_through(&self, nodes: &BTreeSet<NodeId>) -> BTreeSet<NodeId> {
        let mut searched = JoinSet::new();
        for node in nodes.iter().copied() {
            let records = self.clone();
            searched.spawn(async move {
                let all = node == records.me() || records.has_all_of(node).await;
                all.then_some(node)
            });
        }
        searched.join_all().await.into_iter().flatten().collect()
    }

    async fn has_all_of(&self, peer: NodeId) -> bool {
        match timeout(FETCH_DEADLINE, self.reconcile_issues(peer)).await {
            Ok(taken) => self.judge(peer, taken).is_ok_and(|taken| taken.left == 0),
            Err(_) => false,
        }
    }
}
