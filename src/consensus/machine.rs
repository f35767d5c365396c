//! Raft's state machine on the store: every agreed command is planned and written in one transaction with
//! the log id it came under. What writes secrets only is gathered: the log has it, so that it is answered before
//! it is committed. Keeps D2, E5 and R5. Knows nothing of how commands were proposed.

use std::sync::Arc;

use covault_model::{command::Action, id::SecretId};
use covault_store::{Applied, Meta, Rows, StoreError, Txn};
use openraft::{EntryPayload, OptionalSend, RaftSnapshotBuilder, Snapshot, storage::RaftStateMachine};
use serde::de::DeserializeOwned;

use super::{
    brevity::note_destroyed,
    log::{LogStore, read_meta},
    snapshot::RegistrySnapshot,
    types::{Entry, LogId, SnapshotMeta, StorageError, StoredMembership, Types, encode, failed},
};

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

    fn ours(&self) -> Box<RegistrySnapshot> {
        Box::new(RegistrySnapshot::Ours(self.log.store().clone()))
    }
}

impl RaftStateMachine<Types> for Machine {
    type SnapshotBuilder = Self;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), StorageError> {
        let view = self.log.store().view().map_err(failed)?;
        applied_as_of(&view.rows()).map_err(failed)
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<Vec<Applied>>, StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Arc<Vec<Entry>> = Arc::new(entries.into_iter().collect());
        let Some(last) = entries.last().map(|entry| entry.log_id) else { return Ok(Vec::new()) };
        self.log.synced(last.index).await.map_err(failed)?;
        let applying = entries.clone();
        let work = move |txn: &mut Txn<'_>| apply(txn, &applying);
        let applied = match written(&entries) {
            Some(written) => self.log.gather(written, work).await,
            None => self.log.write(work).await,
        };
        let applied = applied.map_err(failed)?;
        self.log.applied_to(last.index);
        Ok(applied)
    }

    async fn get_snapshot_builder(&mut self) -> Self {
        self.clone()
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<RegistrySnapshot>, StorageError> {
        Ok(Box::new(RegistrySnapshot::Received(Vec::new())))
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: Box<RegistrySnapshot>,
    ) -> Result<(), StorageError> {
        let (meta, rows) = snapshot.export(meta.clone()).map_err(failed)?;
        let rows = Arc::new(rows);
        let last = meta.last_log_id;
        let install = move |txn: &mut Txn<'_>| {
            txn.install_registry(&rows)?;
            if let Some(last) = last {
                txn.put_meta(Meta::Applied, &encode(&last))?;
            }
            txn.put_meta(Meta::Membership, &encode(&meta.last_membership))?;
            txn.put_meta(Meta::Installed, &encode(&meta.last_log_id))?;
            txn.put_meta(Meta::Snapshot, &encode(&meta))
        };
        self.log.install(last, install).await
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot<Types>>, StorageError> {
        let meta: Option<SnapshotMeta> = read_meta(self.log.store(), Meta::Snapshot)?;
        Ok(meta.map(|meta| Snapshot { meta, snapshot: self.ours() }))
    }
}

impl RaftSnapshotBuilder<Types> for Machine {
    /// The registry tables are the snapshot; what is built is the row that says up to where they go.
    async fn build_snapshot(&mut self) -> Result<Snapshot<Types>, StorageError> {
        let describe = |txn: &mut Txn<'_>| {
            let meta = meta_of(&txn.rows())?;
            txn.put_meta(Meta::Snapshot, &encode(&meta))?;
            Ok(meta)
        };
        let meta = self.log.write(describe).await.map_err(failed)?;
        Ok(Snapshot { meta, snapshot: self.ours() })
    }
}

/// What a snapshot of these rows is of.
pub(super) fn meta_of(rows: &Rows<'_>) -> Result<SnapshotMeta, StoreError> {
    let (last_log_id, last_membership) = applied_as_of(rows)?;
    let index = last_log_id.map_or(0, |id| id.index);
    Ok(SnapshotMeta { last_log_id, last_membership, snapshot_id: format!("to-{index}") })
}

/// The last entry that was applied, and the membership as of it.
pub fn applied_as_of(rows: &Rows<'_>) -> Result<(Option<LogId>, StoredMembership), StoreError> {
    let applied = rows.meta(Meta::Applied)?.map(decode_row).transpose()?;
    let membership = rows.meta(Meta::Membership)?.map(decode_row).transpose()?;
    Ok((applied, membership.unwrap_or_default()))
}

fn decode_row<T: DeserializeOwned>(row: &[u8]) -> Result<T, StoreError> {
    covault_model::decode(row).map_err(|why| StoreError::Corrupt { table: "meta", why })
}

/// The secrets that `entries` write, and how many bytes; `None` when they write anything else, which is
/// committed before it is answered.
fn written(entries: &[Entry]) -> Option<(Vec<SecretId>, u64)> {
    let (mut secrets, mut bytes) = (Vec::new(), 0);
    for entry in entries {
        let EntryPayload::Normal(batch) = &entry.payload else { return None };
        for command in batch.commands.iter() {
            secrets.extend(command.secrets()?);
            bytes += command.payload_len();
        }
    }
    Some((secrets, bytes))
}

/// Carries out these entries, and notes the last of them as applied.
pub fn apply(txn: &mut Txn<'_>, entries: &[Entry]) -> Result<Vec<Vec<Applied>>, StoreError> {
    let mut answers = Vec::with_capacity(entries.len());
    for entry in entries {
        answers.push(match &entry.payload {
            EntryPayload::Blank => Vec::new(),
            EntryPayload::Normal(batch) => {
                if batch.commands.iter().any(|command| matches!(command.action, Action::Destroy(..))) {
                    note_destroyed(txn, entry.log_id.index)?;
                }
                batch.commands.iter().map(|command| txn.apply(command)).collect::<Result<_, _>>()?
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
