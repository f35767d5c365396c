//! When a node looks for what it lacks: at its start, when a peer is there again, when another registry than the
//! one before came as a snapshot, and now and then. What waits here is looked at again in between.
//! Knows nothing of how it looks.

use std::{collections::BTreeMap, time::Duration};

use covault_model::id::NodeId;
use covault_store::{Meta, StoreError};
use tokio::{
    sync::oneshot,
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval},
};

use super::records::Records;

/// How often a node looks.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// For what waits, and for peers that are there again.
    pub look: Duration,
    /// For what it lacks of a peer that was there all along; a quarter more or less, so that nodes that began
    /// together do not go on together.
    pub search: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { look: Duration::from_secs(1), search: Duration::from_secs(60) }
    }
}

/// The running task.
pub struct Rounds {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// What is known of a peer from the last look.
struct Seen {
    there: bool,
    due: Instant,
    searching: Option<JoinHandle<()>>,
}

impl Rounds {
    /// Begins.
    pub fn start(records: Records, pace: Pace) -> Self {
        let (stop, stopped) = oneshot::channel();
        Self { stop, task: tokio::spawn(run(records, pace, stopped)) }
    }

    /// Stops, and waits until nothing runs any more.
    pub async fn stop(self) {
        drop(self.stop);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the exchange of records did not stop cleanly");
        }
    }
}

async fn run(records: Records, pace: Pace, mut stopped: oneshot::Receiver<()>) {
    let mut ticks = interval(pace.look);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut peers = BTreeMap::new();
    let mut installed = None;
    loop {
        tokio::select! {
            biased;
            _ = &mut stopped => break,
            _ = ticks.tick() => {}
        }
        if let Err(error) = look(&records, pace, &mut peers, &mut installed).await {
            tracing::error!(%error, "records that wait cannot be looked at");
        }
    }
    let searching: Vec<JoinHandle<()>> = peers.into_values().filter_map(|seen| seen.searching).collect();
    searching.iter().for_each(JoinHandle::abort);
    for search in searching {
        // It was let go of; there is nothing to say about it.
        let _ = search.await;
    }
}

async fn look(
    records: &Records,
    pace: Pace,
    peers: &mut BTreeMap<NodeId, Seen>,
    installed: &mut Option<Vec<u8>>,
) -> Result<(), StoreError> {
    let now = Instant::now();
    let newest = records.store().view()?.rows().meta(Meta::Installed)?.map(<[u8]>::to_vec);
    let is_new = *installed != newest;
    *installed = newest;
    let enrolled = records.peers();
    peers.retain(|peer, _| enrolled.contains(peer));
    let stats = records.endpoint().map(|endpoint| endpoint.stats().peers).unwrap_or_default();
    for peer in enrolled {
        let there = stats.get(&peer).is_some_and(|peer| peer.linked || peer.connected);
        let seen = peers.entry(peer).or_insert(Seen { there, due: now, searching: None });
        let came = there && !seen.there;
        seen.there = there;
        let busy = seen.searching.as_ref().is_some_and(|search| !search.is_finished());
        if busy || !(came || is_new || seen.due <= now) {
            continue;
        }
        seen.due = now + jittered(pace.search, records);
        seen.searching = Some(tokio::spawn(search(records.clone(), peer)));
    }
    records.look_again().await
}

async fn search(records: Records, peer: NodeId) {
    match records.reconcile(peer).await {
        Ok(0) => {}
        Ok(gained) => tracing::info!(%peer, gained, "records that this node lacked came from a peer"),
        Err(error) => tracing::debug!(%peer, %error, "a peer could not be searched"),
    }
}

/// Between three and five quarters of `whole`.
fn jittered(whole: Duration, records: &Records) -> Duration {
    let mut chance = [0; 2];
    records.host().fill(&mut chance);
    whole.mul_f64(0.75 + 0.5 * f64::from(u16::from_be_bytes(chance)) / f64::from(u16::MAX))
}
