//! Followers that take longer over entries than from one heartbeat to the next: over a thin wire, or with a slow disk.
//! Shows R1.

#![allow(clippy::unwrap_used)]

use std::sync::atomic::Ordering;

use super::three::{know_key, leader_of, three};

#[tokio::test(flavor = "multi_thread")]
async fn entries_that_take_longer_than_a_heartbeat_are_agreed_all_the_same() {
    let nodes = three().await;
    let leader = leader_of(&nodes).await;
    let term = nodes[leader].consensus().standing().term;
    for node in &nodes {
        node.running().slow.store(true, Ordering::Relaxed);
    }
    for number in 0..5 {
        let agreed = nodes[leader].consensus().propose(know_key(number, 1), 100).await;
        assert!(agreed.unwrap().outcome.is_ok());
    }
    assert_eq!(nodes[leader].consensus().standing().term, term, "nobody stood for election meanwhile");
}
