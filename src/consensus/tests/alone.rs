//! Agreement in a cluster of one voter, on a real store: nothing agreed is lost by a restart, commands
//! share entries, the log is cut behind snapshots, and a proposal is refused or unknown, never guessed.

#![allow(clippy::unwrap_used)]

use std::{
    path::Path,
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use covault_model::{
    command::{Action, Command},
    hlc::Millis,
    id::{CommandId, NodeId},
    key::NodeKey,
    name::{CallerName, MasterKeyName},
    refusal::{NoAuthority, NodeFault},
    registry::{KeyCheck, Outcome},
};
use covault_store::{Meta, Store, Txn};
use openraft::storage::RaftStateMachine;

use super::small_store;
use crate::consensus::{Consensus, ConsensusConfig, Me, Peers, machine::Machine};

fn me() -> NodeId {
    NodeKey::from_seed(&[1; 32]).node_id()
}

fn open(dir: &Path) -> Arc<Store> {
    Arc::new(Store::open(dir, small_store()).unwrap())
}

async fn start(store: &Arc<Store>, config: ConsensusConfig) -> Consensus {
    let me = Me { node: me(), address: String::new(), founds: true };
    Consensus::start(store.clone(), me, Peers::over(None), config).await.unwrap()
}

fn key_name(number: usize) -> MasterKeyName {
    MasterKeyName::parse(&format!("key-{number}")).unwrap()
}

fn know_key(number: usize) -> Command {
    Command {
        id: CommandId::default(),
        by: CallerName::parse("admin").unwrap(),
        at: Millis(1),
        idempotency: None,
        action: Action::KnowKey(key_name(number), KeyCheck(vec![1; 32])),
    }
}

fn known(store: &Store) -> usize {
    store.view().unwrap().rows().key_checks().unwrap().len()
}

fn log_len(store: &Store) -> usize {
    let (first, end) = store.log().unwrap().bounds();
    (end - first) as usize
}

async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(20), "{what} did not come about");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_was_agreed_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..3 {
        let store = open(dir.path());
        assert_eq!(known(&store), round);
        let consensus = start(&store, ConsensusConfig::default()).await;
        consensus.confirm().await.unwrap();
        let applied = consensus.propose(know_key(round), 100).await.unwrap();
        assert_eq!(applied.outcome, Ok(Outcome::Done));
        assert!(consensus.has_majority());
        consensus.stop().await;
        drop(consensus);
        eventually("the store is let go of", || Arc::strong_count(&store) == 1).await;
    }
}

#[tokio::test]
async fn a_snapshot_that_is_sent_is_of_the_entry_that_it_names() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let consensus = start(&store, ConsensusConfig::default()).await;
    consensus.propose(know_key(0), 100).await.unwrap();
    consensus.compact().await.unwrap();
    // What is agreed after one was built is in the tables, too.
    consensus.propose(know_key(1), 100).await.unwrap();
    consensus.settle().await.unwrap();
    let sent = Machine::new(consensus.log.clone()).get_current_snapshot().await.unwrap().unwrap();
    let (meta, rows) = sent.snapshot.export(sent.meta).unwrap();
    assert_eq!(meta.last_log_id.map(|id| id.index), Some(consensus.standing().applied));
    assert_eq!(rows, store.export_registry().unwrap());
    consensus.stop().await;
}

#[tokio::test]
async fn commands_that_wait_share_log_entries() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let consensus = start(&store, ConsensusConfig::default()).await;
    let before = consensus.standing().last_log;
    let proposals: Vec<_> = (0..200)
        .map(|number| {
            let consensus = consensus.clone();
            tokio::spawn(async move { consensus.propose(know_key(number), 100).await })
        })
        .collect();
    for proposal in proposals {
        assert_eq!(proposal.await.unwrap().unwrap().outcome, Ok(Outcome::Done));
    }
    assert_eq!(known(&store), 200);
    let entries = consensus.standing().last_log - before;
    assert!(entries < 20, "200 commands took {entries} entries");
    consensus.stop().await;
}

#[tokio::test]
async fn the_log_is_cut_behind_snapshots() {
    let dir = tempfile::tempdir().unwrap();
    let config = ConsensusConfig { entries_per_snapshot: 20, entries_kept: 5, ..ConsensusConfig::default() };
    {
        let store = open(dir.path());
        let consensus = start(&store, config).await;
        for number in 0..600 {
            consensus.propose(know_key(number), 100).await.unwrap();
        }
        eventually("a shorter log", || log_len(&store) < 400).await;
        let installed = store.view().unwrap().rows().meta(Meta::Installed).unwrap().is_some();
        assert!(!installed, "its own snapshots are none that brought anything");
        consensus.stop().await;
        drop(consensus);
        eventually("the store is let go of", || Arc::strong_count(&store) == 1).await;
    }
    let store = open(dir.path());
    let consensus = start(&store, config).await;
    consensus.propose(know_key(600), 100).await.unwrap();
    assert_eq!(known(&store), 601);
    consensus.stop().await;
}

#[tokio::test]
async fn a_log_of_large_entries_is_cut_before_there_are_many() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let config = ConsensusConfig { log_bytes_max: 12 << 20, ..ConsensusConfig::default() };
    let consensus = start(&store, config).await;
    for number in 0..40 {
        let action = Action::KnowKey(key_name(number), KeyCheck(vec![1; 500_000]));
        consensus.propose(Command { action, ..know_key(number) }, 500_000).await.unwrap();
    }
    eventually("a shorter log", || store.log().unwrap().bytes() < 12 << 20).await;
    consensus.propose(know_key(40), 100).await.unwrap();
    assert_eq!(known(&store), 41);
    consensus.stop().await;
    drop(consensus);
    eventually("the store is let go of", || Arc::strong_count(&store) == 1).await;
}

#[tokio::test]
async fn entries_that_no_snapshot_covers_are_kept_over_restarts() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..3 {
        let store = open(dir.path());
        let consensus = start(&store, ConsensusConfig::default()).await;
        for number in 0..40 {
            consensus.propose(know_key(round * 40 + number), 100).await.unwrap();
        }
        assert_eq!(store.log().unwrap().bounds().0, 0);
        consensus.stop().await;
        drop(consensus);
        eventually("the store is let go of", || Arc::strong_count(&store) == 1).await;
    }
}

#[tokio::test]
async fn compacting_leaves_no_entry_behind() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let consensus = start(&store, ConsensusConfig::default()).await;
    for number in 0..10 {
        consensus.propose(know_key(number), 100).await.unwrap();
    }
    assert!(0 < log_len(&store));
    consensus.compact().await.unwrap();
    assert_eq!(log_len(&store), 0);
    consensus.propose(know_key(10), 100).await.unwrap();
    consensus.compact().await.unwrap();
    assert_eq!((log_len(&store), known(&store)), (0, 11));
    consensus.stop().await;
}

#[tokio::test]
async fn what_does_not_fit_is_refused_before_it_is_proposed() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let consensus = start(&store, ConsensusConfig::default()).await;
    let before = consensus.standing().last_log;
    let refused = consensus.propose(know_key(0), 64 << 20).await;
    assert_eq!(refused, Err(NodeFault::StorageFull.into()));
    assert_eq!((consensus.standing().last_log, known(&store)), (before, 0));
    consensus.propose(know_key(0), 100).await.unwrap();
    consensus.stop().await;
}

#[tokio::test]
async fn a_proposal_without_an_answer_in_time_is_unknown_and_may_still_be_agreed() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let config = ConsensusConfig { deadline: Duration::from_secs(2), ..ConsensusConfig::default() };
    let consensus = start(&store, config).await;
    let (release, held) = mpsc::channel::<()>();
    let (begun, has_begun) = mpsc::channel();
    // Holds the writer until it is released.
    let hold = move |_: &mut Txn<'_>| {
        let _ = begun.send(());
        let _ = held.recv();
        Ok(())
    };
    store.write(hold, |_| ());
    has_begun.recv().unwrap();
    let outcome = consensus.propose(know_key(0), 100).await;
    assert_eq!(outcome, Err(NoAuthority::OutcomeUnknown(None).into()));
    assert_eq!(known(&store), 0);
    drop(release);
    eventually("the command", || known(&store) == 1).await;
    consensus.stop().await;
}
