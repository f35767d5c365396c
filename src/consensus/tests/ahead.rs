//! A leader whose log runs ahead of its disk: what it has not synced it neither applies nor says to be agreed,
//! what it cannot sync it answers to nobody, and what a power cut took from it gives its id to nothing else.
//! Shows R5 and D1.

#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use covault_model::{
    refusal::{NoAuthority, Refusal},
    registry::Outcome,
};
use covault_store::{Applied, LogEntry, Options, Store, WriterMode};
use openraft::{CommittedLeaderId, EntryPayload, Vote, raft::AppendEntriesRequest, storage::RaftLogStorage};
use tokio::{sync::OwnedRwLockWriteGuard, task::JoinHandle, time::timeout};

use super::{
    small_store,
    three::{Node, config, eventually, id, know_key, leader_of, three},
};
use crate::consensus::{
    Consensus,
    leader::within,
    log::LogStore,
    news::News,
    types::{Entry, LogId},
};

/// Questions that a follower waits for to see that one of them would have told it.
const ENOUGH: usize = 5;

/// Three nodes that have the same log, and which of them leads.
async fn level() -> (Vec<Node>, usize, u64) {
    let nodes = three().await;
    let leader = leader_of(&nodes).await;
    for node in &nodes {
        node.consensus().confirm().await.unwrap();
    }
    let last = nodes[leader].last_index();
    eventually("the same log", || nodes.iter().all(|node| node.last_index() == last)).await;
    (nodes, leader, last)
}

/// The files of a node's log.
fn disk(node: &Node) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = fs::read_dir(node.dir.path().join("raft")).unwrap();
    files.map(|file| file.unwrap().path()).map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

fn entries(node: &Node) -> Vec<LogEntry> {
    node.running().store.log().unwrap().read(0..=u64::MAX).unwrap()
}

/// How many of Raft's questions a node has heard.
fn heard(node: &Node) -> usize {
    node.running().agreed.lock().unwrap().len()
}

/// A proposal of which Raft on the leader, whose log ended with `last`, knows that all have it, and which the leader's
/// disk lacks until what is given is dropped.
async fn propose_withheld(
    consensus: &Consensus,
    last: u64,
) -> (OwnedRwLockWriteGuard<bool>, JoinHandle<Result<Applied, Refusal>>) {
    let withheld = consensus.log.fails.clone().write_owned().await;
    let asker = consensus.clone();
    let proposed = tokio::spawn(async move { asker.propose(know_key(1, 1), 100).await });
    eventually("the followers have it and the leader knows", || {
        let matched = consensus.standing().matched;
        matched.values().filter(|index| **index == Some(last + 1)).count() == 3
    })
    .await;
    (withheld, proposed)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_leaders_disk_lacks_is_neither_answered_nor_said_to_be_agreed() {
    let (nodes, leader, last) = level().await;
    let followers: Vec<&Node> =
        nodes.iter().enumerate().filter(|(at, _)| *at != leader).map(|(_, node)| node).collect();
    let consensus = nodes[leader].consensus().clone();
    let (withheld, proposed) = propose_withheld(&consensus, last).await;
    let before: Vec<usize> = followers.iter().map(|node| heard(node)).collect();
    eventually("more questions", || {
        followers.iter().zip(&before).all(|(node, before)| before + ENOUGH <= heard(node))
    })
    .await;
    for node in &nodes {
        assert_eq!(node.known(1), None, "node {} has applied it", node.number);
        let agreed = node.running().agreed.lock().unwrap();
        assert!(agreed.iter().flatten().all(|index| *index <= last), "node {} was told", node.number);
    }
    assert!(!proposed.is_finished());
    drop(withheld);
    assert_eq!(proposed.await.unwrap().unwrap().outcome, Ok(Outcome::Done));
    eventually("all have it", || nodes.iter().all(|node| node.known(1).is_some())).await;
    assert_eq!(leader_of(&nodes).await, leader, "it led all the time");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_held_back_is_told_as_soon_as_the_disk_has_it() {
    let (nodes, leader, last) = level().await;
    for node in &nodes {
        // Without heartbeats nothing but the sync brings it about.
        node.consensus().raft.runtime_config().heartbeat(false);
        node.consensus().raft.runtime_config().elect(false);
    }
    let consensus = nodes[leader].consensus().clone();
    let (withheld, proposed) = propose_withheld(&consensus, last).await;
    drop(withheld);
    assert_eq!(proposed.await.unwrap().unwrap().outcome, Ok(Outcome::Done));
    eventually("all have it", || nodes.iter().all(|node| node.known(1).is_some())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_leader_cannot_sync_it_answers_to_nobody_and_leads_no_more() {
    let (nodes, leader, last) = level().await;
    let consensus = nodes[leader].consensus().clone();
    *consensus.log.fails.write().await = true;
    let outcome = consensus.propose(know_key(1, 1), 100).await;
    assert_eq!(outcome, Err(NoAuthority::OutcomeUnknown(None).into()), "the others may agree on it");
    assert!(!consensus.failed().await.is_empty());
    let other = nodes[(leader + 1) % 3].consensus();
    other.propose(know_key(2, 1), 100).await.unwrap();
    assert!(last + 1 < nodes[(leader + 1) % 3].last_index());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_leader_had_cut_off_may_still_be_agreed() {
    let (mut nodes, leader, last) = level().await;
    for at in [(leader + 1) % 3, (leader + 2) % 3] {
        nodes[at].stop().await;
    }
    let consensus = nodes[leader].consensus().clone();
    let sent = AtomicBool::new(false);
    let proposed = consensus.leader.order(Arc::new(vec![know_key(1, 1)]), &sent);
    let elected = async {
        eventually("it is in the log", || nodes[leader].last_index() == last + 1).await;
        let before = consensus.raft.metrics().borrow().last_applied.unwrap();
        let other = CommittedLeaderId::new(before.leader_id.term + 1, id(nodes[(leader + 1) % 3].number));
        let entry = Entry { log_id: LogId::new(other, last + 1), payload: EntryPayload::Blank };
        let vote = Vote::new_committed(other.term, other.node_id);
        let told = AppendEntriesRequest {
            vote,
            prev_log_id: Some(before),
            entries: vec![entry],
            leader_commit: Some(before),
        };
        consensus.raft.append_entries(told).await.unwrap();
        consensus.raft.wait(None).metrics(|now| now.current_leader == Some(other.node_id), "").await.unwrap();
    };
    let outcome = within(Duration::from_secs(3), &sent, async { tokio::join!(proposed, elected).0 }).await;
    assert_eq!(outcome, Err(NoAuthority::OutcomeUnknown(None).into()), "it may be on another node");
}

#[tokio::test(flavor = "multi_thread")]
async fn confirmations_that_are_asked_for_together_are_one_question() {
    const TOGETHER: usize = 300;
    let (nodes, leader, _) = level().await;
    let follower = &nodes[(leader + 1) % 3];
    for asker in [nodes[leader].consensus(), follower.consensus()] {
        let before = heard(follower);
        let asking = (0..TOGETHER).map(|_| {
            let asker = asker.clone();
            tokio::spawn(async move { asker.confirm().await })
        });
        for confirmed in asking.collect::<Vec<_>>() {
            confirmed.await.unwrap().unwrap();
        }
        let asked = heard(follower) - before;
        assert!(asked < TOGETHER / 3, "{asked} questions, heartbeats among them");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_whose_raft_has_ended_confirms_nothing() {
    let (nodes, leader, _) = level().await;
    let follower = nodes[(leader + 1) % 3].consensus();
    follower.raft.shutdown().await.unwrap();
    nodes[leader].consensus().propose(know_key(1, 1), 100).await.unwrap();
    let confirmed = timeout(Duration::from_secs(2), follower.confirm()).await;
    assert!(confirmed.is_err(), "it does not have what was agreed: {confirmed:?}");
}

#[tokio::test]
async fn a_vote_is_saved_only_once_the_disk_has_all_that_was_appended() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { writer: WriterMode::Inline, ..small_store() };
    let store = Arc::new(Store::open(dir.path(), options).unwrap());
    let mut log = LogStore::new(store.clone(), id(1), true, News::default()).unwrap();
    let ahead = LogEntry { index: 1, bytes: b"of the leader".to_vec() };
    store.log().unwrap().append_ahead(&[ahead]).unwrap();
    let vote = Vote::new(2, id(2));
    *log.fails.write().await = true;
    assert!(log.save_vote(&vote).await.is_err());
    assert_eq!((log.read_vote().await.unwrap(), log.has_synced(1)), (None, false));
    *log.fails.write().await = false;
    log.save_vote(&vote).await.unwrap();
    assert_eq!((log.read_vote().await.unwrap(), log.has_synced(1)), (Some(vote), true));
}

#[tokio::test]
async fn a_node_that_led_when_it_went_down_leads_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { writer: WriterMode::Inline, ..small_store() };
    let store = Arc::new(Store::open(dir.path(), options).unwrap());
    let mut log = LogStore::new(store, id(1), true, News::default()).unwrap();
    log.save_vote(&Vote::new_committed(2, id(1))).await.unwrap();
    assert_eq!(log.read_vote().await.unwrap(), Some(Vote::new(2, id(1))));
    log.save_vote(&Vote::new_committed(3, id(2))).await.unwrap();
    assert_eq!(log.read_vote().await.unwrap(), Some(Vote::new_committed(3, id(2))), "another leads on");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_other_entry_takes_the_id_of_one_that_a_power_cut_took_from_the_leader() {
    let (mut nodes, leader, last) = level().await;
    let (one, other) = ((leader + 1) % 3, (leader + 2) % 3);
    nodes[other].stop().await;
    // The one that stays waits for its leader however long that is away.
    nodes[one].consensus().raft.runtime_config().elect(false);
    let on_disk = disk(&nodes[leader]);
    let consensus = nodes[leader].consensus().clone();
    let withheld = consensus.log.fails.clone().write_owned().await;
    let proposed = tokio::spawn(async move { consensus.propose(know_key(1, 1), 100).await });
    eventually("the follower has it", || nodes[one].last_index() == last + 1).await;
    proposed.abort();
    assert!(proposed.await.is_err());
    nodes[leader].stop().await;
    drop(withheld);
    for (path, bytes) in &on_disk {
        fs::write(path, bytes).unwrap();
    }
    let before = heard(&nodes[one]);
    nodes[leader].start(false, &[], config()).await;
    assert_eq!(nodes[leader].last_index(), last, "its own log lost it");
    eventually("a word of the one that is back", || before < heard(&nodes[one])).await;
    nodes[one].consensus().raft.runtime_config().elect(true);
    nodes[leader].consensus().propose(know_key(2, 1), 100).await.unwrap();
    nodes[other].start(false, &[], config()).await;
    for node in &nodes {
        node.consensus().confirm().await.unwrap();
    }
    let end = nodes[one].last_index();
    eventually("the same log", || nodes.iter().all(|node| node.last_index() == end)).await;
    for node in &nodes {
        assert!(entries(node) == entries(&nodes[one]), "node {} has another log", node.number);
        assert!(node.known(1).is_some() && node.known(2).is_some(), "node {}", node.number);
    }
}
