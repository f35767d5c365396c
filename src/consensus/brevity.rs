//! Keeps the log short in bytes. Raft counts entries, and one may hold a value of a kilobyte or hundreds of a
//! megabyte; at the next start all of them are read. Knows nothing of what entries hold.

use std::{sync::Arc, time::Duration};

use covault_store::Store;
use tokio::time::{MissedTickBehavior, interval};

use super::types::Raft;

const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Once a second, while the log takes more than `bytes_max`: lets go of what the last snapshot covers, whoever
/// may still lack it, and has the next one taken. Ends when Raft does.
pub async fn keep_short(raft: Raft, store: Arc<Store>, bytes_max: u64) {
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
        if store.log().is_ok_and(|log| log.bytes() <= bytes_max) {
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
