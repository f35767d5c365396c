//! Followers that take longer over what they are sent than Raft waits for: over a thin wire, or with a slow disk. Raft
//! sends nothing else to a follower meanwhile. Shows R1.

#![allow(clippy::unwrap_used)]

use std::sync::atomic::Ordering;

use super::three::{Node, config, eventually, know_key, leader_of, three};

/// Raft asks again after 75 ms.
const LONGER_THAN_A_HEARTBEAT: u64 = 300;
/// Who hears nothing of a leader stands for election after 800 ms at most.
const LONGER_THAN_AN_ELECTION_WAITS: u64 = 1200;

fn slow_down(node: &Node, millis: u64) {
    node.running().slow.store(millis, Ordering::Relaxed);
}

fn term(node: &Node) -> u64 {
    node.consensus().standing().term
}

async fn entries_are_agreed_though_they_take(millis: u64, count: u16) {
    let nodes = three().await;
    let leader = &nodes[leader_of(&nodes).await];
    let before = term(leader);
    nodes.iter().for_each(|node| slow_down(node, millis));
    for number in 0..count {
        let agreed = leader.consensus().propose(know_key(number, 1), 100).await;
        assert!(agreed.unwrap().outcome.is_ok());
        assert!(leader.consensus().has_majority(), "it is followed");
    }
    assert_eq!(term(leader), before, "nobody stood for election meanwhile");
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_that_take_longer_than_a_heartbeat_are_agreed_all_the_same() {
    entries_are_agreed_though_they_take(LONGER_THAN_A_HEARTBEAT, 5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_that_take_longer_than_an_election_waits_do_not_cost_the_leader_its_place() {
    entries_are_agreed_though_they_take(LONGER_THAN_AN_ELECTION_WAITS, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_takes_longer_than_an_election_waits_does_not_cost_the_leader_its_place() {
    let mut nodes = three().await;
    let leader = leader_of(&nodes).await;
    let (away, gone) = ((leader + 1) % 3, (leader + 2) % 3);
    nodes[away].stop().await;
    for number in 0..60 {
        nodes[leader].consensus().propose(know_key(number, 1), 100).await.unwrap().outcome.unwrap();
    }
    nodes[leader].consensus().compact().await.unwrap();
    let before = term(&nodes[leader]);
    nodes[away].start(false, &[], config()).await;
    slow_down(&nodes[away], LONGER_THAN_AN_ELECTION_WAITS);
    // The one that is sent the snapshot is half of the majority that is left.
    nodes[gone].stop().await;
    eventually("the snapshot is there", || {
        assert!(nodes[leader].consensus().has_majority(), "it is followed");
        nodes[away].was_sent_a_snapshot()
    })
    .await;
    assert_eq!(term(&nodes[leader]), before, "nobody stood for election meanwhile");
}
