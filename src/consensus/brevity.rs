//! Keeps the log short in bytes, and free of what was destroyed. Raft counts entries, and one may hold a value of a kilobyte
//! or hundreds of a megabyte; at the next start all of them are read. Keeps E7 for the files of the log. Knows nothing of
//! what else entries hold.

use std::time::Duration;

use covault_model::refusal::{NoAuthority, NodeFault, Refusal};
use covault_store::{Meta, StoreError, Txn};
use tokio::time::{MissedTickBehavior, interval};

use super::{
    log::LogStore,
    types::{LogId, Raft},
};

const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long it may take to have nothing left in the log; it is tried again.
const COMPACTED_WITHIN: Duration = Duration::from_secs(5);

/// Once a second: has nothing left in the log that came before something was destroyed; and while it takes more than
/// `bytes_max`, lets go of what the last snapshot covers, whoever may still lack it, and has the next one taken. Ends when
/// Raft does.
pub async fn keep_short(raft: Raft, log: LogStore, bytes_max: u64) {
    let mut metrics = raft.server_metrics();
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            changed = metrics.changed() => match changed {
                Ok(()) => continue,
                Err(_) => return,
            },
            _ = ticks.tick() => {}
        }
        if holds_destroyed(&log).unwrap_or(false) {
            if let Err(refusal) = compact(&raft, &log, COMPACTED_WITHIN).await {
                tracing::debug!(code = refusal.code(), "what was destroyed is in the log still");
            }
            continue;
        }
        if log.store().log().is_ok_and(|log| log.bytes() <= bytes_max) {
            continue;
        }
        let covered = raft.metrics().borrow().snapshot;
        if let Some(covered) = covered
            && raft.trigger().purge_log(covered.index).await.is_err()
        {
            return;
        }
        if raft.trigger().snapshot().await.is_err() {
            return;
        }
    }
}

/// Takes a snapshot and lets go of every log entry before it, so that what was erased is not still in the log.
pub async fn compact(raft: &Raft, log: &LogStore, deadline: Duration) -> Result<(), Refusal> {
    let late = || Refusal::from(NoAuthority::OutcomeUnknown(None));
    let turned = log.store().log().and_then(|mut log| log.turn_over());
    let Some(last) = turned.map_err(|_| NodeFault::StorageFailed)? else { return Ok(()) };
    let wait = raft.wait(Some(deadline));
    let applied = wait.applied_index_at_least(Some(last), "the log is applied");
    applied.await.map_err(|_| late())?;
    raft.trigger().snapshot().await.map_err(|_| late())?;
    let covers = |id: Option<LogId>| id.is_some_and(|id| last <= id.index);
    let taken = wait.metrics(|metrics| covers(metrics.snapshot), "a snapshot is taken");
    taken.await.map_err(|_| late())?;
    raft.trigger().purge_log(last).await.map_err(|_| late())?;
    let purged = wait.metrics(|metrics| covers(metrics.purged), "the log is purged");
    purged.await.map_err(|_| late())?;
    let forgotten = log.write(move |txn| forget_destroyed(txn, last)).await;
    forgotten.map_err(|_| NodeFault::StorageFailed.into())
}

/// Notes that the entry at `index` destroyed something, of which entries before it may hold the value.
pub fn note_destroyed(txn: &mut Txn<'_>, index: u64) -> Result<(), StoreError> {
    txn.put_meta(Meta::Destroyed, &index.to_be_bytes())
}

fn holds_destroyed(log: &LogStore) -> Result<bool, StoreError> {
    Ok(log.store().view()?.rows().meta(Meta::Destroyed)?.is_some())
}

fn forget_destroyed(txn: &mut Txn<'_>, up_to: u64) -> Result<(), StoreError> {
    let noted = txn.rows().meta(Meta::Destroyed)?.is_some_and(|index| index <= &up_to.to_be_bytes()[..]);
    if noted { txn.remove_meta(Meta::Destroyed) } else { Ok(()) }
}
