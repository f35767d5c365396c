//! What a node does by itself: once a second it brings the audit log to the disk and keeps its newest line
//! in the store, so that a cut is found, and erases some of what destroyed epochs held; once a minute it lets go of
//! what dead readers of the store hold.
//! Keeps U2. Knows nothing of requests.

use std::{sync::Arc, time::Duration};

use covault_store::{Meta, Store, WriterMode};
use tokio::{
    sync::oneshot,
    task::JoinHandle,
    time::{MissedTickBehavior, interval},
};

use super::shredding::Shredding;
use crate::{
    audit::{Action, Anchor, AuditLog, Entry, Outcome, Subject},
    host::Host,
};

const EVERY: Duration = Duration::from_secs(1);
/// Ticks between two looks for readers that died, such as a killed backup: they hold pages.
const TICKS_PER_READER_LOOK: u64 = 60;

/// The running task.
pub(super) struct Upkeep {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Upkeep {
    /// Notes the start in the audit log and begins.
    pub fn start(store: Arc<Store>, audit: Arc<AuditLog>, host: Arc<dyn Host>, syncs: WriterMode) -> Self {
        let (stop, stopped) = oneshot::channel();
        note(&audit, &*host, Action::NodeStart);
        Self { stop, task: tokio::spawn(run(store, audit, host, syncs, stopped)) }
    }

    /// Notes the stop, syncs and anchors the log.
    pub async fn stop(self) {
        drop(self.stop);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "upkeep did not stop cleanly");
        }
    }
}

async fn run(
    store: Arc<Store>,
    audit: Arc<AuditLog>,
    host: Arc<dyn Host>,
    syncs: WriterMode,
    mut stopped: oneshot::Receiver<()>,
) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut anchored, mut shredding) = (None, Shredding::default());
    for tick in 0_u64.. {
        let stopping = tokio::select! {
            biased;
            _ = &mut stopped => true,
            _ = ticks.tick() => false,
        };
        if stopping {
            note(&audit, &*host, Action::NodeStop);
        }
        anchored = anchor(&store, &audit, syncs, anchored).await;
        if tick.is_multiple_of(TICKS_PER_READER_LOOK)
            && let Err(error) = store.forget_dead_readers()
        {
            tracing::warn!(%error, "the store's readers cannot be looked at");
        }
        if stopping {
            return;
        }
        shredding.step(&store).await;
    }
}

/// Syncs the log and keeps its newest line in the store, unless it is there already.
async fn anchor(
    store: &Arc<Store>,
    audit: &Arc<AuditLog>,
    syncs: WriterMode,
    anchored: Option<Anchor>,
) -> Option<Anchor> {
    let synced = match synced(audit, syncs).await {
        Ok(synced) => synced,
        Err(error) => {
            tracing::error!(code = "audit_unavailable", %error, "the audit log cannot be synced");
            return anchored;
        }
    };
    if anchored == Some(synced) {
        return anchored;
    }
    let (sender, kept) = oneshot::channel();
    store.write(
        move |txn| txn.put_meta(Meta::AuditAnchor, &synced.to_bytes()),
        move |result| drop(sender.send(result)),
    );
    match kept.await {
        Ok(Ok(())) => Some(synced),
        Ok(Err(error)) => {
            tracing::error!(%error, "the audit log's newest line cannot be kept in the store");
            anchored
        }
        Err(_) => anchored,
    }
}

/// Syncs the log where the store's writer works too: in a thread of its own, or in this one.
async fn synced(audit: &Arc<AuditLog>, syncs: WriterMode) -> Result<Anchor, String> {
    match syncs {
        WriterMode::Inline => audit.sync().map_err(|error| error.to_string()),
        WriterMode::Thread => {
            let audit = audit.clone();
            let synced = tokio::task::spawn_blocking(move || audit.sync()).await;
            synced.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
        }
    }
}

fn note(audit: &AuditLog, host: &dyn Host, action: Action) {
    let entry = Entry {
        at: host.now(),
        request: None,
        caller: None,
        action,
        owner: None,
        subject: Subject::Nothing,
        version: None,
        outcome: Outcome::Done,
    };
    let kept = audit.reserve().and_then(|ticket| ticket.record(&entry));
    if let Err(error) = kept {
        tracing::error!(code = "audit_unavailable", %error, "the audit log takes no line");
    }
}
