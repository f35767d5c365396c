//! What members do for their cluster by themselves. Shows M2.

use covault_model::{command::Action, roster::NodeAddress};
use tokio::time::timeout;

use super::{DEADLINE, ann, eventually, id, three};
use crate::node::tending::Tending;

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_was_taken_away_lets_go_of_itself_and_ends() {
    let nodes = three(None).await;
    let leads = |node: &&super::Node| node.running().consensus.standing().leader == Some(id(node.number));
    let leader = nodes.iter().find(leads).unwrap();
    let (node, running) = (id(leader.number), leader.running());
    leader.agree(Action::Reach(node, NodeAddress(leader.address))).await;
    // Whoever asked for it fell down before it had the members changed.
    leader.agree(Action::RemoveNode(node)).await;
    let tending = Tending {
        consensus: running.consensus.clone(),
        records: running.records.clone(),
        store: running.store.clone(),
        host: leader.clock.clone(),
        node,
        address: NodeAddress(leader.address),
        by: ann().session.caller,
    };
    timeout(DEADLINE, tending.start()).await.expect("it ends").unwrap();
    let others: Vec<_> = nodes.iter().filter(|other| other.number != leader.number).collect();
    eventually("the others go on without it", || {
        others.iter().all(|other| {
            let standing = other.running().consensus.standing();
            standing.leader.is_some_and(|leader| leader != node) && !standing.voters().contains(&node)
        })
    })
    .await;
}
