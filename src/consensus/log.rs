//! Raft's log and vote on the store, with the entries that are not applied yet in memory too. An entry is on the
//! disk before it counts: before this node says that it has it, or, of the leader's own, which are sent to the
//! others while they are being synced, before they are applied here and before anybody is told that they are
//! agreed (`docs/decisions/0018-leader-syncs-beside-its-followers.md`). Keeps D1, D3 and R5. Knows nothing of what
//! entries do.

use std::{
    collections::VecDeque,
    fmt::Debug,
    future::ready,
    ops::{Bound, RangeBounds},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use covault_model::{
    command::Command,
    id::{NodeId, SecretId},
    mutant::Mutant,
};
use covault_store::{LogEntry, Meta, RaftLog, Store, StoreError, Txn};
use openraft::{
    EntryPayload, LogState, OptionalSend, RaftLogReader, Vote,
    storage::{LogFlushed, RaftLogStorage},
};
use serde::de::DeserializeOwned;
use tokio::sync::{oneshot, watch};

use super::{
    machine::applied_as_of,
    news::News,
    types::{Entry, LogId, StorageError, Types, decode, encode, failed},
};

/// How long to wait before trying again to keep what is agreed when there was no room for it.
const RETRY_WHEN_FULL: Duration = Duration::from_millis(250);

/// The log of one node.
#[derive(Clone)]
pub struct LogStore {
    store: Arc<Store>,
    me: NodeId,
    /// The newest entries, back to the first that is not applied.
    newest: Arc<Mutex<VecDeque<Entry>>>,
    /// The last vote that was saved since the start.
    vote: Arc<Mutex<Option<Vote<NodeId>>>>,
    own_thread: bool,
    /// Up to where the log is to be purged once the snapshot is there that Raft has it purged for.
    to_purge: Option<LogId>,
    /// Whether a snapshot could not be installed; sent whenever one was, too.
    installed: Arc<watch::Sender<bool>>,
    /// How often a snapshot was installed since the start.
    installs: Arc<AtomicU64>,
    /// How often entries were cut off since the start.
    cuts: Arc<AtomicU64>,
    /// What the others are told once the disk has it, among what else they are not told yet.
    news: News,
    /// Lets a test withhold the syncs of what runs ahead of the disk, and have them fail.
    #[cfg(test)]
    pub fails: Arc<tokio::sync::RwLock<bool>>,
}

impl LogStore {
    /// The log of `me` in `store`; `own_thread` where a write may hold the thread until it is synced.
    pub fn new(store: Arc<Store>, me: NodeId, own_thread: bool, news: News) -> Result<Self, StorageError> {
        if let Some(purged) = read_meta::<LogId>(&store, Meta::Purged)? {
            store.log().and_then(|mut log| log.purge_below(purged.index + 1)).map_err(failed)?;
        }
        Ok(Self {
            store,
            me,
            newest: Arc::default(),
            vote: Arc::default(),
            own_thread,
            to_purge: None,
            installed: Arc::default(),
            installs: Arc::default(),
            cuts: Arc::default(),
            news,
            #[cfg(test)]
            fails: Arc::default(),
        })
    }

    /// Runs `work` on the store, once there is room for it, and waits until it is synced.
    pub async fn write<T: Send + 'static>(
        &self,
        work: impl Fn(&mut Txn<'_>) -> Result<T, StoreError> + Clone + Send + 'static,
    ) -> Result<T, StoreError> {
        let attempt = || async {
            if self.own_thread {
                return self.store.write_now(work.clone());
            }
            let (sender, receiver) = oneshot::channel();
            self.store.write(work.clone(), move |result| drop(sender.send(result)));
            receiver.await.unwrap_or(Err(StoreError::Closed))
        };
        once_there_is_room(attempt).await
    }

    /// Installs a snapshot of what was agreed up to `last` with `work`, as [`Self::write`] does. It has no records: what
    /// the log has of them is here too afterwards, since this node may have answered it before it was killed.
    pub async fn install(
        &self,
        last: Option<LogId>,
        work: impl Fn(&mut Txn<'_>) -> Result<(), StoreError> + Clone + Send + 'static,
    ) -> Result<(), StorageError> {
        let install = async {
            // Read before, since it may be purged once the store covers it.
            let unapplied = self.between(read_meta(&self.store, Meta::Applied)?, last).await?;
            self.write(work).await.map_err(failed)?;
            for entry in unapplied {
                if let EntryPayload::Normal(batch) = entry.payload {
                    self.insert_named(batch.commands).await.map_err(failed)?;
                }
            }
            Ok(())
        };
        let installed = install.await;
        self.installs.fetch_add(1, Ordering::AcqRel);
        self.installed.send_replace(installed.is_err());
        installed
    }

    /// The entries after `applied` up to `last`, as far as they are here.
    async fn between(&self, applied: Option<LogId>, last: Option<LogId>) -> Result<Vec<Entry>, StorageError> {
        let after = |id: Option<LogId>| id.map_or(0, |id| id.index + 1);
        let (first, end) = self.store.log().map_err(failed)?.bounds();
        self.clone().try_get_log_entries(after(applied).max(first)..after(last).min(end)).await
    }

    /// Inserts what `commands` bring of what the registry names.
    pub async fn insert_named(&self, commands: Arc<Vec<Command>>) -> Result<(), StoreError> {
        self.write(move |txn| commands.iter().try_for_each(|command| txn.insert_named(command))).await
    }

    /// Whether the store holds what entries up to `index` did.
    fn covers(&self, index: u64) -> Result<bool, StorageError> {
        let applied: Option<LogId> = read_meta(&self.store, Meta::Applied)?;
        Ok(applied.is_some_and(|applied| index <= applied.index))
    }

    /// Purges what was to be purged, once the snapshot is there.
    async fn purge_for_snapshot(&mut self) -> Result<(), StorageError> {
        let Some(to) = self.to_purge else { return Ok(()) };
        let mut installed = self.installed.subscribe();
        while !self.covers(to.index)? {
            let failing = *installed.borrow_and_update();
            if failing || installed.changed().await.is_err() {
                return Err(failed(StoreError::Closed));
            }
        }
        self.purge_covered(to).await
    }

    /// Notes that the log begins after `to`, and then takes away what is before.
    async fn purge_covered(&mut self, to: LogId) -> Result<(), StorageError> {
        self.to_purge = None;
        let bytes = encode(&to);
        self.write(move |txn| txn.put_meta(Meta::Purged, &bytes)).await.map_err(failed)?;
        self.store.log().and_then(|mut log| log.purge_below(to.index + 1)).map_err(failed)
    }

    /// Runs `work`, which does what entries of the log say about these secrets, once there is room for it, and waits
    /// until it has run.
    pub async fn gather<T: Send + 'static>(
        &self,
        (secrets, bytes): (Vec<SecretId>, u64),
        work: impl Fn(&mut Txn<'_>) -> Result<T, StoreError> + Clone + Send + 'static,
    ) -> Result<T, StoreError> {
        let attempt = || async {
            let (sender, receiver) = oneshot::channel();
            let done = move |result| drop(sender.send(result));
            self.store.gather(secrets.clone(), bytes, work.clone(), done);
            receiver.await.unwrap_or(Err(StoreError::Closed))
        };
        once_there_is_room(attempt).await
    }

    /// Everything up to `index` is applied: memory may let go of it.
    pub fn applied_to(&self, index: u64) {
        let mut newest = self.newest();
        while newest.front().is_some_and(|entry| entry.log_id.index <= index) {
            newest.pop_front();
        }
    }

    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// How often a snapshot was installed since the start, in place of entries that were not applied here.
    pub fn installs(&self) -> u64 {
        self.installs.load(Ordering::Acquire)
    }

    /// How often entries were cut off since the start, since another leader had others in their places.
    pub fn cuts(&self) -> u64 {
        self.cuts.load(Ordering::Acquire)
    }

    fn newest(&self) -> MutexGuard<'_, VecDeque<Entry>> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the disk has the log up to `index`, as far as it goes.
    pub fn has_synced(&self, index: u64) -> bool {
        self.store.log().is_ok_and(|log| log.is_synced(index))
    }

    /// Whether others may be told that this is agreed. If not, they are asked again once they may.
    pub fn may_be_told(&self, agreed: &LogId) -> bool {
        if self.has_synced(agreed.index) {
            return true;
        }
        self.news.hold_back();
        // It may have been synced in between, and then nobody sees what was noted.
        self.has_synced(agreed.index)
    }

    /// Returns once the disk has the log up to `index`, as far as it goes.
    pub async fn synced(&self, index: u64) -> Result<(), StoreError> {
        if !self.has_synced(index) {
            #[cfg(test)]
            if *self.fails.read().await {
                return Err(StoreError::Closed);
            }
            self.store.log()?.sync()?;
        }
        self.news.release();
        Ok(())
    }

    /// Syncs what runs ahead of the disk once everything else that is ready to run has had its turn: by then it is
    /// on its way to the others. Whoever needs it sooner has it synced.
    fn sync_soon(&self) {
        let log = self.clone();
        tokio::spawn(async move {
            tokio::task::yield_now().await;
            if let Err(error) = log.synced(u64::MAX).await {
                tracing::error!(%error, code = "storage_failed", "the raft log could not be synced");
            }
        });
    }

    /// Whether these are entries that this node makes as the leader that the last vote it saved says it is. One that
    /// follows gets entries of its own too, of an earlier term or from before it was started again.
    fn makes(&self, entries: &[Entry]) -> bool {
        let vote = *self.vote.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(vote) = vote.filter(|vote| vote.is_committed() && vote.leader_id.node_id == self.me) else {
            return false;
        };
        entries.iter().all(|entry| entry.log_id.leader_id == vote.leader_id)
    }

    /// Does `append` to the log, once there is room for it.
    async fn keep(&self, append: impl Fn(&mut RaftLog) -> Result<(), StoreError>) -> Result<(), StoreError> {
        once_there_is_room(|| ready(self.store.log().and_then(|mut log| append(&mut log)))).await
    }
}

/// Tries again until there is room. To fail would end agreement on this node, and the node with it, where a full disk is
/// to refuse writes and nothing else (D3).
async fn once_there_is_room<T, F>(attempt: impl Fn() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    loop {
        match attempt().await {
            Err(StoreError::Full) => {
                tracing::error!(code = "storage_full", "no room to keep what is agreed; waiting for room");
                tokio::time::sleep(RETRY_WHEN_FULL).await;
            }
            done => return done,
        }
    }
}

/// One of the single values that Raft keeps.
pub fn read_meta<T: DeserializeOwned>(store: &Store, key: Meta) -> Result<Option<T>, StorageError> {
    let view = store.view().map_err(failed)?;
    view.rows().meta(key).map_err(failed)?.map(decode).transpose()
}

/// Entries of the log that the store does not hold yet; absent while another process has both.
pub fn unapplied(store: &Store) -> Result<Option<u64>, StoreError> {
    let Ok(log) = store.log() else { return Ok(None) };
    let (_, end) = log.bounds();
    let (applied, _) = applied_as_of(&store.view()?.rows())?;
    Ok(Some(end.saturating_sub(applied.map_or(0, |applied| applied.index + 1))))
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
            let newest = self.newest();
            let wanted = |entry: &&Entry| (start..end).contains(&entry.log_id.index);
            let found: Vec<Entry> = newest.iter().filter(wanted).cloned().collect();
            (newest.front().map_or(end, |entry| entry.log_id.index), found)
        };
        if first_in_memory <= start || end <= start {
            return Ok(in_memory);
        }
        let stored_end = end.min(first_in_memory);
        let stored = self.store.log().and_then(|log| log.read(start..=stored_end - 1)).map_err(failed)?;
        let mut entries: Vec<Entry> =
            stored.iter().map(|entry| decode(&entry.bytes)).collect::<Result<_, _>>()?;
        entries.extend(in_memory);
        Ok(entries)
    }
}

impl RaftLogStorage<Types> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, StorageError> {
        let last = self.store.log().and_then(|log| log.last()).map_err(failed)?;
        let last = last.map(|entry| decode::<Entry>(&entry.bytes)).transpose()?.map(|entry| entry.log_id);
        let purged = read_meta::<LogId>(&self.store, Meta::Purged)?;
        Ok(LogState { last_purged_log_id: purged, last_log_id: last.or(purged) })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    /// Whoever votes says what its log holds, so the disk has that first.
    async fn save_vote(&mut self, vote: &Vote<NodeId>) -> Result<(), StorageError> {
        self.synced(u64::MAX).await.map_err(failed)?;
        if !Mutant::ForgottenVote.is_on() {
            let bytes = encode(vote);
            self.write(move |txn| txn.put_meta(Meta::Vote, &bytes)).await.map_err(failed)?;
        }
        *self.vote.lock().unwrap_or_else(PoisonError::into_inner) = Some(*vote);
        Ok(())
    }

    /// A node that led when it went down leads no more. A power cut may have taken the end of its log, which others
    /// have: in the same term another entry would get the id of one of those.
    async fn read_vote(&mut self) -> Result<Option<Vote<NodeId>>, StorageError> {
        let vote: Option<Vote<NodeId>> = read_meta(&self.store, Meta::Vote)?;
        Ok(vote.map(|vote| Vote { committed: vote.committed && vote.leader_id.node_id != self.me, ..vote }))
    }

    /// Entries after a snapshot wait for it: the disk must not say that the log goes on where what came before is
    /// neither in the log nor in the store.
    async fn append<I>(&mut self, entries: I, flushed: LogFlushed<Types>) -> Result<(), StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        self.purge_for_snapshot().await?;
        let entries: Vec<Entry> = entries.into_iter().collect();
        let row = |entry: &Entry| LogEntry { index: entry.log_id.index, bytes: encode(entry) };
        let rows: Vec<LogEntry> = entries.iter().map(row).collect();
        if self.makes(&entries) {
            self.keep(|log| log.append_ahead(&rows)).await.map_err(failed)?;
            self.sync_soon();
        } else {
            self.keep(|log| log.append(&rows)).await.map_err(failed)?;
        }
        self.newest().extend(entries);
        flushed.log_io_completed(Ok(()));
        Ok(())
    }

    async fn truncate(&mut self, from: LogId) -> Result<(), StorageError> {
        self.cuts.fetch_add(1, Ordering::AcqRel);
        self.newest().retain(|entry| entry.log_id.index < from.index);
        self.store.log().map_err(failed)?.cut_from(from.index);
        Ok(())
    }

    /// What is purged is covered by what the store holds. Raft has the log purged while it still installs the snapshot
    /// that does; a node that goes down then begins again with its log as it was.
    async fn purge(&mut self, to: LogId) -> Result<(), StorageError> {
        if self.covers(to.index)? {
            return self.purge_covered(to).await;
        }
        self.to_purge = Some(to);
        Ok(())
    }
}
