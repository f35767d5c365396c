//! A leader that is about to stop: another leads at once, with no timer run out, and nobody who proposes meanwhile is
//! refused. Shows R6.

#![allow(clippy::unwrap_used)]

use covault_model::registry::Outcome;
use covault_net::Channel;

use super::three::{DEADLINE, Node, eventually, id, know_key, leader_of, three};
use crate::consensus::message::{self, LeaderAsk, LeaderTold};

/// Three nodes of which none stands for election by itself, and which of them leads.
async fn calm() -> (Vec<Node>, usize) {
    let nodes = three().await;
    for node in &nodes {
        node.consensus().raft.runtime_config().elect(false);
        node.consensus().confirm().await.unwrap();
    }
    let leader = leader_of(&nodes).await;
    (nodes, leader)
}

/// The place of the leader that a node knows of, as soon as it does.
async fn led_by(node: &Node) -> usize {
    let place = || {
        let leader = node.consensus().standing().leader?;
        (1..=3).position(|number| id(number) == leader)
    };
    eventually("a leader", || place().is_some()).await;
    place().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn another_leads_when_the_leader_has_handed_over_and_all_that_was_proposed_is_agreed() {
    let (nodes, leader) = calm().await;
    let proposals: Vec<_> = (0..60)
        .map(|number| {
            let consensus = nodes[usize::from(number) % 3].consensus().clone();
            tokio::spawn(async move { consensus.propose(know_key(number, 1), 100).await })
        })
        .collect();
    nodes[leader].consensus().hand_over().await;
    assert_ne!(led_by(&nodes[leader]).await, leader);
    for proposal in proposals {
        assert_eq!(proposal.await.unwrap().unwrap().outcome, Ok(Outcome::Done));
    }
    for node in &nodes {
        node.consensus().propose(know_key(100, 1), 100).await.unwrap();
        node.consensus().confirm().await.unwrap();
        assert!((0..60).all(|number| node.known(number).is_some()), "node {}", node.number);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn leadership_goes_to_none_that_is_about_to_stop_and_stays_if_all_are() {
    let (nodes, leader) = calm().await;
    let (one, other) = ((leader + 1) % 3, (leader + 2) % 3);
    nodes[one].consensus().hand_over().await;
    nodes[leader].consensus().hand_over().await;
    assert_eq!(led_by(&nodes[leader]).await, other);
    nodes[other].consensus().hand_over().await;
    assert_eq!(led_by(&nodes[other]).await, other, "nobody is left to take over");
    for node in &nodes {
        node.consensus().propose(know_key(1, 1), 100).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_leader_has_another_stand_for_election() {
    let (nodes, leader) = calm().await;
    let (asker, asked) = ((leader + 1) % 3, (leader + 2) % 3);
    let ask = message::write(&LeaderAsk::Stand);
    let endpoint = &nodes[asker].running().endpoint;
    let told = endpoint.call(id(nodes[asked].number), Channel::Forward, ask.into(), DEADLINE).await.unwrap();
    assert!(matches!(message::read(&told).unwrap(), LeaderTold::NotProposed(None)));
    nodes[asked].consensus().propose(know_key(1, 1), 100).await.unwrap();
    assert_eq!(led_by(&nodes[asked]).await, leader);
}
