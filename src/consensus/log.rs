//! Raft's log and vote on the store, with a tail of the newest entries in memory.
//!
//! In a cluster of one voter the appended entries wait in the tail and are written by the same
//! transaction that applies them: one sync for both. Nothing that Raft does with an entry in between can
//! be seen from outside, since every answer follows the application. With more voters an entry is synced
//! before it counts. (`docs/decisions/0003-one-commit-per-write.md`.)
//! Keeps D1. Knows nothing of what entries do.

use std::{
    collections::{BTreeSet, VecDeque},
    fmt::Debug,
    ops::{Bound, RangeBounds},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use covault_model::id::NodeId;
use covault_store::{LogEntry, Meta, Store, StoreError, Txn};
use openraft::{
    EntryPayload, LogState, OptionalSend, RaftLogReader, Vote,
    storage::{LogFlushed, RaftLogStorage},
};
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;

use super::types::{Entry, LogId, StorageError, Types, decode, encode, failed};

/// Of so many entries, the application of one takes purged entries away.
const PURGE_EVERY: u64 = 16;
/// Rows that it takes away: more than so many entries add.
const ROWS_PURGED_MAX: usize = 512;

/// The log of one node.
#[derive(Clone)]
pub struct LogStore {
    store: Arc<Store>,
    tail: Arc<Mutex<Tail>>,
    me: NodeId,
    own_thread: bool,
}

/// The newest entries, and from where on they are not written yet.
struct Tail {
    entries: VecDeque<Entry>,
    unwritten: VecDeque<LogEntry>,
    sole_voter: bool,
    /// Entries below this one may be taken away.
    kept_from: u64,
}

impl LogStore {
    /// The log in `store`; `sole_voter` as the stored membership says, `own_thread` where a write may hold
    /// the thread until it is synced.
    pub fn new(
        store: Arc<Store>,
        me: NodeId,
        sole_voter: bool,
        own_thread: bool,
    ) -> Result<Self, StorageError> {
        let kept_from = read_meta::<LogId>(&store, Meta::Purged)?.map_or(0, |purged| purged.index + 1);
        let tail = Tail { entries: VecDeque::new(), unwritten: VecDeque::new(), sole_voter, kept_from };
        Ok(Self { store, tail: Arc::new(Mutex::new(tail)), me, own_thread })
    }

    /// Runs `work` on the store and waits until it is synced.
    pub async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Txn<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        if self.own_thread {
            return self.store.write_now(work);
        }
        let (sender, receiver) = oneshot::channel();
        self.store.write(work, move |result| drop(sender.send(result)));
        receiver.await.unwrap_or(Err(StoreError::Closed))
    }

    /// The entries up to `index` that the applying transaction has to write itself.
    pub fn unwritten_to(&self, index: u64) -> Vec<LogEntry> {
        self.tail().unwritten.iter().take_while(|entry| entry.index <= index).cloned().collect()
    }

    /// Takes away some of what was purged, if it is the turn of `index`.
    pub fn purge_some(&self, txn: &mut Txn<'_>, index: u64) -> Result<(), StoreError> {
        if index.is_multiple_of(PURGE_EVERY) {
            txn.purge_log(self.tail().kept_from, ROWS_PURGED_MAX)?;
        }
        Ok(())
    }

    /// Takes away all that was purged, now.
    pub async fn finish_purge(&self) -> Result<(), StoreError> {
        let kept_from = self.tail().kept_from;
        while self.write(move |txn| txn.purge_log(kept_from, ROWS_PURGED_MAX)).await? {}
        Ok(())
    }

    /// Everything up to `index` is written and applied: memory may let go of it.
    pub fn applied_to(&self, index: u64) {
        let mut tail = self.tail();
        while tail.unwritten.front().is_some_and(|entry| entry.index <= index) {
            tail.unwritten.pop_front();
        }
        while tail.entries.front().is_some_and(|entry| entry.log_id.index <= index) {
            tail.entries.pop_front();
        }
    }

    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    fn tail(&self) -> MutexGuard<'_, Tail> {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes entries into the tail; gives those that must be written before they count.
    fn take_in(&self, entries: Vec<Entry>) -> Vec<LogEntry> {
        let mut tail = self.tail();
        let mut must_sync = !tail.sole_voter;
        for entry in entries {
            if let EntryPayload::Membership(membership) = &entry.payload {
                tail.sole_voter =
                    membership.voter_ids().collect::<BTreeSet<_>>() == BTreeSet::from([self.me]);
                must_sync = true;
            }
            tail.unwritten.push_back(LogEntry { index: entry.log_id.index, bytes: encode(&entry) });
            tail.entries.push_back(entry);
        }
        if must_sync { tail.unwritten.iter().cloned().collect() } else { Vec::new() }
    }
}

/// One of the single values that Raft keeps.
pub fn read_meta<T: DeserializeOwned>(store: &Store, key: Meta) -> Result<Option<T>, StorageError> {
    let view = store.view().map_err(failed)?;
    view.rows().meta(key).map_err(failed)?.map(decode).transpose()
}

impl RaftLogReader<Types> for LogStore {
    async fn try_get_log_entries<R: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: R,
    ) -> Result<Vec<Entry>, StorageError> {
        let start = match range.start_bound() {
            Bound::Included(index) => *index,
            Bound::Excluded(index) => index.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(index) => index.saturating_add(1),
            Bound::Excluded(index) => *index,
            Bound::Unbounded => u64::MAX,
        };
        let (first_in_memory, in_memory) = {
            let tail = self.tail();
            let wanted = |entry: &&Entry| (start..end).contains(&entry.log_id.index);
            let found: Vec<Entry> = tail.entries.iter().filter(wanted).cloned().collect();
            (tail.entries.front().map_or(end, |entry| entry.log_id.index), found)
        };
        if first_in_memory <= start || end <= start {
            return Ok(in_memory);
        }
        let stored_end = end.min(first_in_memory);
        let view = self.store.view().map_err(failed)?;
        let stored = view.rows().log(start..=stored_end.saturating_sub(1)).map_err(failed)?;
        let mut entries: Vec<Entry> =
            stored.iter().map(|entry| decode(&entry.bytes)).collect::<Result<_, _>>()?;
        entries.extend(in_memory);
        Ok(entries)
    }
}

impl RaftLogStorage<Types> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, StorageError> {
        let newest = self.tail().entries.back().map(|entry| entry.log_id);
        let view = self.store.view().map_err(failed)?;
        let rows = view.rows();
        let purged = rows.meta(Meta::Purged).map_err(failed)?.map(decode::<LogId>).transpose()?;
        let stored = match rows.last_log().map_err(failed)? {
            Some(entry) => Some(decode::<Entry>(&entry.bytes)?.log_id),
            None => None,
        };
        Ok(LogState { last_purged_log_id: purged, last_log_id: newest.or(stored).or(purged) })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote<NodeId>) -> Result<(), StorageError> {
        let bytes = encode(vote);
        self.write(move |txn| txn.put_meta(Meta::Vote, &bytes)).await.map_err(failed)
    }

    async fn read_vote(&mut self) -> Result<Option<Vote<NodeId>>, StorageError> {
        read_meta(&self.store, Meta::Vote)
    }

    async fn append<I>(&mut self, entries: I, flushed: LogFlushed<Types>) -> Result<(), StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let to_write = self.take_in(entries.into_iter().collect());
        if let Some(last) = to_write.last().map(|entry| entry.index) {
            let write = move |txn: &mut Txn<'_>| to_write.iter().try_for_each(|entry| txn.put_log(entry));
            self.write(write).await.map_err(failed)?;
            self.tail().unwritten.retain(|entry| last < entry.index);
        }
        flushed.log_io_completed(Ok(()));
        Ok(())
    }

    async fn truncate(&mut self, from: LogId) -> Result<(), StorageError> {
        {
            let mut tail = self.tail();
            tail.entries.retain(|entry| entry.log_id.index < from.index);
            tail.unwritten.retain(|entry| entry.index < from.index);
        }
        self.write(move |txn| txn.delete_log(from.index..=u64::MAX)).await.map_err(failed)
    }

    /// Says what may go. It goes with the commits that follow, a little at a time: one that frees many
    /// pages at once leaves a long free list, which LMDB writes back with every commit until it is used up.
    async fn purge(&mut self, to: LogId) -> Result<(), StorageError> {
        let bytes = encode(&to);
        self.write(move |txn| txn.put_meta(Meta::Purged, &bytes)).await.map_err(failed)?;
        self.tail().kept_from = to.index + 1;
        Ok(())
    }
}
