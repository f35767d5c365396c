//! What members do for their cluster by themselves. Shows M2 and R6.

use std::time::Instant;

use covault_model::{
    command::Action,
    id::NodeId,
    refusal::{NoAuthority, NodeFault},
    roster::NodeAddress,
};
use tokio::{task::JoinHandle, time::timeout};

use super::{DEADLINE, Node, ann, eventually, id, new_value, path, three, three_with};
use crate::node::tending::Tending;

fn tending(node: &Node) -> Tending {
    let running = node.running();
    Tending {
        consensus: running.consensus.clone(),
        records: running.records.clone(),
        store: running.store.clone(),
        host: node.clock.clone(),
        node: id(node.number),
        address: NodeAddress(node.address),
        by: ann().session.caller,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_was_taken_away_lets_go_of_itself_and_ends() {
    let nodes = three(None).await;
    let leads = |node: &&Node| node.running().consensus.standing().leader == Some(id(node.number));
    let leader = nodes.iter().find(leads).unwrap();
    let node = id(leader.number);
    leader.agree(Action::Reach(node, NodeAddress(leader.address))).await;
    // Whoever asked for it fell down before it had the members changed.
    leader.agree(Action::RemoveNode(node)).await;
    timeout(DEADLINE, tending(leader).start()).await.expect("it ends").unwrap();
    go_on_without(node, &nodes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_taken_away_and_is_elected_afterwards_does_not_lead_for_long() {
    let nodes = three(None).await;
    let leader_to = |node: &Node| node.running().consensus.standing().leader;
    let taken = nodes.iter().find(|node| leader_to(&nodes[0]) != Some(id(node.number))).unwrap();
    let node = id(taken.number);
    taken.agree(Action::Reach(node, NodeAddress(taken.address))).await;
    taken.agree(Action::RemoveNode(node)).await;
    let looks = tending(taken).start();
    let others = || nodes.iter().filter(|other| other.number != taken.number);
    let begun = Instant::now();
    // Whoever has handed over takes over from nobody, so that it comes to the one that was taken away.
    while !looks.is_finished() && leader_to(taken) != Some(node) {
        assert!(begun.elapsed() < DEADLINE, "it is not elected");
        for other in others() {
            if leader_to(other) == Some(id(other.number)) {
                other.running().consensus.hand_over().await;
            }
        }
        tokio::task::yield_now().await;
    }
    // Should another have followed it already, that one lets go of it.
    let all: Vec<_> = others().map(|other| tending(other).start()).chain([looks]).collect();
    go_on_without(node, &nodes).await;
    all.iter().for_each(JoinHandle::abort);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_asked_to_take_itself_away_answers_before_it_would_give_up() {
    for leads in [true, false] {
        let nodes = three(None).await;
        let leader = nodes[0].running().consensus.standing().leader.unwrap();
        let find = |leads| nodes.iter().find(|node| (id(node.number) == leader) == leads).unwrap();
        let (leader, taken) = (find(true), find(leads));
        let node = id(taken.number);
        taken.agree(Action::Reach(node, NodeAddress(taken.address))).await;
        let (vault, asker) = (&taken.running().vault, ann());
        timeout(taken.patience / 4, vault.remove_member(&asker, node, None))
            .await
            .expect("it answers")
            .unwrap();
        let tending = tending(leader).start();
        go_on_without(node, &nodes).await;
        tending.abort();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_node_is_taken_away_while_one_that_was_before_votes_still() {
    let nodes = three(None).await;
    for node in &nodes {
        node.agree(Action::Reach(id(node.number), NodeAddress(node.address))).await;
    }
    let leader = nodes[0].running().consensus.standing().leader.unwrap();
    let followers: Vec<_> = nodes.iter().filter(|node| id(node.number) != leader).collect();
    let remove = async |by: &Node, node| by.running().vault.remove_member(&ann(), node, None).await.err();
    let (first, second) = (id(followers[0].number), id(followers[1].number));
    assert_eq!(remove(followers[0], first).await, None);
    let by = nodes.iter().find(|node| id(node.number) == leader).unwrap();
    assert_eq!(remove(by, second).await, Some(NoAuthority::QuorumUnavailable.into()));
    let tending = tending(by).start();
    eventually("it votes no more", || !by.running().consensus.standing().voters().contains(&first)).await;
    assert_eq!(remove(by, second).await, None);
    tending.abort();
}

/// Waits until all other nodes have another leader, and do not count this one among them.
async fn go_on_without(node: NodeId, nodes: &[Node]) {
    eventually("the others go on without it", || {
        nodes.iter().filter(|other| id(other.number) != node).all(|other| {
            let standing = other.running().consensus.standing();
            standing.leader.is_some_and(|leader| leader != node) && !standing.voters().contains(&node)
        })
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_without_room_has_one_lead_that_has_some() {
    let nodes = three_with(Node { map_bytes: 4 << 20, ..Node::new(1) }, None).await;
    let value = "v".repeat(50_000);
    let create = async |number: usize| {
        let name = path(&format!("s{number}"));
        nodes[1].running().vault.create(&ann(), &name, new_value(&value), None).await
    };
    let mut number = 0;
    let refused = loop {
        number += 1;
        // What is not in the tables yet counts as well, and takes less room once it is.
        nodes[0].confirm().await;
        if let Err(refusal) = create(number).await {
            break refusal;
        }
    };
    assert_eq!(refused, NodeFault::StorageFull.into(), "the leader has no room");
    let tending = tending(&nodes[0]).start();
    let leader = || nodes[1].running().consensus.standing().leader;
    eventually("another leads", || leader().is_some_and(|leader| leader != id(1))).await;
    create(number).await.unwrap();
    tending.abort();
}
