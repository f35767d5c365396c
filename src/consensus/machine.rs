//! Raft's state machine on the store: every agreed command is planned and written in one transaction with
//! the log id it came under. Keeps D2 and E5. Knows nothing of how commands were proposed.

use std::{sync::Arc, time::Duration};

use covault_model::id::NodeId;
use covault_store::{Applied, LogEntry, Meta, StoreError, Txn};
use openraft::{
    BasicNode, EntryPayload, OptionalSend, RaftSnapshotBuilder, Snapshot, SnapshotMeta,
    storage::RaftStateMachine,
};
use serde::de::DeserializeOwned;

use super::{
    log::{LogStore, read_meta},
    snapshot::RegistrySnapshot,
    types::{Entry, LogId, StorageError, StoredMembership, Types, encode, failed},
};

/// How long to wait before trying again to write what is agreed when there was no room for it.
const RETRY_WHEN_FULL: Duration = Duration::from_millis(250);

/// The state machine of one node.
#[derive(Clone)]
pub struct Machine {
    log: LogStore,
}

impl Machine {
    /// The state machine beside `log`.
    pub fn new(log: LogStore) -> Self {
        Self { log }
    }

    fn meta<T: DeserializeOwned>(&self, key: Meta) -> Result<Option<T>, StorageError> {
        read_meta(self.log.store(), key)
    }
}

impl RaftStateMachine<Types> for Machine {
    type SnapshotBuilder = Self;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), StorageError> {
        Ok((self.meta(Meta::Applied)?, self.meta(Meta::Membership)?.unwrap_or_default()))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<Vec<Applied>>, StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Arc<Vec<Entry>> = Arc::new(entries.into_iter().collect());
        let Some(last) = entries.last().map(|entry| entry.log_id) else { return Ok(Vec::new()) };
        let unwritten = Arc::new(self.log.unwritten_to(last.index));
        loop {
            let (log, entries, unwritten) = (self.log.clone(), entries.clone(), unwritten.clone());
            let write = move |txn: &mut Txn<'_>| {
                log.purge_some(txn, last.index)?;
                apply(txn, &entries, &unwritten)
            };
            match self.log.write(write).await {
                Ok(applied) => {
                    self.log.applied_to(last.index);
                    return Ok(applied);
                }
                Err(StoreError::Full) => {
                    tracing::error!(
                        code = "storage_full",
                        "no room to write what is agreed; waiting for room"
                    );
                    tokio::time::sleep(RETRY_WHEN_FULL).await;
                }
                Err(error) => return Err(failed(error)),
            }
        }
    }

    async fn get_snapshot_builder(&mut self) -> Self {
        self.clone()
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<RegistrySnapshot>, StorageError> {
        Ok(Box::new(RegistrySnapshot::Received(Vec::new())))
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta<NodeId, BasicNode>,
        snapshot: Box<RegistrySnapshot>,
    ) -> Result<(), StorageError> {
        let rows = snapshot.into_bytes().map_err(failed)?;
        let meta = meta.clone();
        let install = move |txn: &mut Txn<'_>| {
            txn.install_registry(&rows)?;
            if let Some(last) = meta.last_log_id {
                txn.put_meta(Meta::Applied, &encode(&last))?;
            }
            txn.put_meta(Meta::Membership, &encode(&meta.last_membership))?;
            txn.put_meta(Meta::Snapshot, &encode(&meta))
        };
        self.log.write(install).await.map_err(failed)
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot<Types>>, StorageError> {
        let meta: Option<SnapshotMeta<NodeId, BasicNode>> = self.meta(Meta::Snapshot)?;
        let ours = || Box::new(RegistrySnapshot::Ours(self.log.store().clone()));
        Ok(meta.map(|meta| Snapshot { meta, snapshot: ours() }))
    }
}

impl RaftSnapshotBuilder<Types> for Machine {
    /// The registry tables are the snapshot; what is built is the row that says up to where they go.
    async fn build_snapshot(&mut self) -> Result<Snapshot<Types>, StorageError> {
        let (last_log_id, last_membership) = self.applied_state().await?;
        let index = last_log_id.map_or(0, |id| id.index);
        let meta = SnapshotMeta { last_log_id, last_membership, snapshot_id: format!("to-{index}") };
        let row = encode(&meta);
        self.log.write(move |txn| txn.put_meta(Meta::Snapshot, &row)).await.map_err(failed)?;
        let snapshot = Box::new(RegistrySnapshot::Ours(self.log.store().clone()));
        Ok(Snapshot { meta, snapshot })
    }
}

fn apply(
    txn: &mut Txn<'_>,
    entries: &[Entry],
    unwritten: &[LogEntry],
) -> Result<Vec<Vec<Applied>>, StoreError> {
    for entry in unwritten {
        txn.put_log(entry)?;
    }
    let mut answers = Vec::with_capacity(entries.len());
    for entry in entries {
        answers.push(match &entry.payload {
            EntryPayload::Blank => Vec::new(),
            EntryPayload::Normal(batch) => {
                batch.0.iter().map(|command| txn.apply(command)).collect::<Result<_, _>>()?
            }
            EntryPayload::Membership(membership) => {
                let stored = StoredMembership::new(Some(entry.log_id), membership.clone());
                txn.put_meta(Meta::Membership, &encode(&stored))?;
                Vec::new()
            }
        });
    }
    if let Some(last) = entries.last() {
        txn.put_meta(Meta::Applied, &encode(&last.log_id))?;
    }
    Ok(answers)
}
