//! A log that Raft has purged for a snapshot which is still being installed: it stays as it was until the snapshot is
//! there, and nothing is appended after it. What it had of what the snapshot carried out is here then. Shows D1, D4 and R5.

#![allow(clippy::unwrap_used)]

use std::{future::ready, pin::pin, sync::Arc};

use covault_model::{command::Action, registry::Registry};
use covault_store::{Options, Store, WriterMode};
use openraft::{
    CommittedLeaderId, EntryPayload,
    storage::{RaftLogStorage, RaftLogStorageExt, RaftStateMachine},
};
use tempfile::TempDir;

use super::{cluster::create, small_store, three::id};
use crate::consensus::{
    log::LogStore,
    machine::Machine,
    news::News,
    snapshot::RegistrySnapshot,
    types::{Batch, Entry, LogId, SnapshotMeta},
};

fn log_id(index: u64) -> LogId {
    LogId::new(CommittedLeaderId::new(1, id(2)), index)
}

fn entry(index: u64) -> Entry {
    Entry { log_id: log_id(index), payload: EntryPayload::Blank }
}

/// A store, and its log with entries 0 to 3, of which none is applied.
async fn with_entries() -> (TempDir, Arc<Store>, LogStore) {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { writer: WriterMode::Inline, ..small_store() };
    let store = Arc::new(Store::open(dir.path(), options).unwrap());
    let mut log = LogStore::new(store.clone(), id(1), true, News::default()).unwrap();
    log.blocking_append((0..=3).map(entry)).await.unwrap();
    (dir, store, log)
}

/// What a node that starts finds: up to where its log was purged, and the last entry.
async fn found_at_start(store: &Arc<Store>) -> (Option<u64>, Option<u64>) {
    let mut log = LogStore::new(store.clone(), id(1), true, News::default()).unwrap();
    let state = log.get_log_state().await.unwrap();
    (state.last_purged_log_id.map(|id| id.index), state.last_log_id.map(|id| id.index))
}

async fn install(log: &LogStore, store: &Store, last: u64) {
    let rows = store.export_registry().unwrap();
    let meta = SnapshotMeta { last_log_id: Some(log_id(last)), ..SnapshotMeta::default() };
    let snapshot = Box::new(RegistrySnapshot::Received(rows));
    Machine::new(log.clone()).install_snapshot(&meta, snapshot).await.unwrap();
}

#[tokio::test]
async fn a_log_stays_as_it_was_until_the_snapshot_is_there_that_it_is_purged_for() {
    let (_dir, store, mut log) = with_entries().await;
    log.purge(log_id(7)).await.unwrap();
    assert_eq!(found_at_start(&store).await, (None, Some(3)), "the snapshot is not there");
}

#[tokio::test]
async fn what_follows_a_snapshot_is_appended_once_it_is_there() {
    let (_dir, store, mut log) = with_entries().await;
    log.purge(log_id(7)).await.unwrap();
    let machine = log.clone();
    let mut append = pin!(log.blocking_append([entry(8)]));
    tokio::select! {
        biased;
        done = &mut append => panic!("there is a gap in the log: {done:?}"),
        () = ready(()) => {}
    }
    install(&machine, &store, 7).await;
    append.await.unwrap();
    assert_eq!(found_at_start(&store).await, (Some(7), Some(8)));
}

#[tokio::test]
async fn what_the_store_covers_is_purged_at_once() {
    let (_dir, store, mut log) = with_entries().await;
    install(&log, &store, 2).await;
    log.purge(log_id(2)).await.unwrap();
    assert_eq!(found_at_start(&store).await, (Some(2), Some(3)));
}

#[tokio::test]
async fn a_version_that_only_the_log_had_is_there_once_a_snapshot_has_named_it() {
    let command = create(1, b"sealed");
    let Action::Create(created) = &command.action else { unreachable!("a create") };
    let path = created[0].path.clone();
    let entry =
        Entry { log_id: log_id(4), payload: EntryPayload::Normal(Batch::of(Arc::new(vec![command]))) };
    let (_other_dir, other, mut log) = with_entries().await;
    log.blocking_append([entry.clone()]).await.unwrap();
    Machine::new(log).apply([entry.clone()]).await.unwrap();
    let (_dir, store, mut log) = with_entries().await;
    log.blocking_append([entry]).await.unwrap();

    install(&log, &other, 7).await;
    let view = store.view().unwrap();
    assert_eq!(
        view.rows().secret(&path).unwrap().map(|entry| entry.agreed),
        Some(1),
        "the snapshot names it"
    );
    assert_eq!(view.rows().records(&path).unwrap().len(), 1);
}
