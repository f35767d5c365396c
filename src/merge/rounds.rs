//! When a node looks for what it lacks: at its start, when a peer is there again, when another registry than the
//! one before came as a snapshot, and now and then; once more soon if the peer was there and did not answer. What
//! waits here is looked at again in between, and the index of what is here follows what was written.
//! Knows nothing of how it looks.

use std::{collections::BTreeMap, time::Duration};

use covault_model::id::NodeId;
use covault_net::PeerStats;
use covault_store::{Meta, StoreError};
use tokio::{
    sync::oneshot,
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval, sleep},
};

use super::{following::SECRETS_PER_TURN, records::Records};

/// How soon the index follows again what was written, while things are. Those of a busy second at one go took some thirty
/// milliseconds, in which requests waited.
const FOLLOWS_AGAIN: Duration = Duration::from_millis(2);

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
    /// How often it had connected: one that is back before it was missed has done so once more.
    connections: u64,
    due: Instant,
    /// The search that was begun last, which tells in the end whether the peer was searched.
    searching: Option<JoinHandle<bool>>,
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

impl Seen {
    /// A peer that is looked at for the first time, and is to be searched.
    fn new(now: Instant) -> Self {
        Self { there: false, connections: 0, due: now, searching: None }
    }

    /// Has the peer searched again if it was there, and the search that has ended came to nothing all the same: a
    /// peer that is back may be reached by its own connection before this node's reaches it.
    async fn end_search(&mut self, now: Instant) {
        if self.searching.as_ref().is_some_and(JoinHandle::is_finished)
            && let Some(search) = self.searching.take()
            && !search.await.unwrap_or(false)
            && self.there
        {
            self.due = now;
        }
    }

    /// Whether the peer is to be searched now.
    fn is_due(&mut self, now: Instant, peer: Option<&PeerStats>, installed: bool) -> bool {
        let there = peer.is_some_and(|peer| peer.linked || peer.connected);
        let connections = peer.map_or(0, |peer| peer.connections);
        let came = there && (!self.there || self.connections != connections);
        (self.there, self.connections) = (there, connections);
        if came || installed {
            self.due = now;
        }
        self.searching.is_none() && self.due <= now
    }
}

async fn run(records: Records, pace: Pace, mut stopped: oneshot::Receiver<()>) {
    let mut ticks = interval(pace.look);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut peers = BTreeMap::new();
    let (mut installed, mut followed) = (None, 0);
    loop {
        let looked = tokio::select! {
            biased;
            _ = &mut stopped => break,
            _ = ticks.tick() => look(&records, pace, &mut peers, &mut installed).await,
            () = sleep(pause_after(followed)), if followed != 0 => Ok(()),
        };
        let follow = async { looked.and(records.follow().await) };
        followed = follow.await.unwrap_or_else(|error| {
            tracing::error!(%error, "records that wait cannot be looked at");
            0
        });
    }
    let searching: Vec<JoinHandle<bool>> = peers.into_values().filter_map(|seen| seen.searching).collect();
    searching.iter().for_each(JoinHandle::abort);
    for search in searching {
        // It was let go of; there is nothing to say about it.
        let _ = search.await;
    }
}

/// How long to wait before following more than the last so many changes. After a whole turn more wait already: then no
/// longer than the timer takes to go off, in which others have their turn.
fn pause_after(followed: usize) -> Duration {
    if followed < SECRETS_PER_TURN { FOLLOWS_AGAIN } else { Duration::ZERO }
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
        let seen = peers.entry(peer).or_insert_with(|| Seen::new(now));
        seen.end_search(now).await;
        if !seen.is_due(now, stats.get(&peer), is_new) {
            continue;
        }
        seen.due = now + jittered(pace.search, records);
        seen.searching = Some(tokio::spawn(search(records.clone(), peer)));
    }
    records.look_again().await
}

/// Whether the peer was searched to the end.
async fn search(records: Records, peer: NodeId) -> bool {
    let searched = records.reconcile_all(peer).await;
    match &searched {
        Ok(0) => {}
        Ok(gained) => tracing::info!(%peer, gained, "records that this node lacked came from a peer"),
        Err(error) => tracing::debug!(%peer, %error, "a peer could not be searched"),
    }
    searched.is_ok()
}

/// Between three and five quarters of `whole`.
fn jittered(whole: Duration, records: &Records) -> Duration {
    let mut chance = [0; 2];
    records.host().fill(&mut chance);
    whole.mul_f64(0.75 + 0.5 * f64::from(u16::from_be_bytes(chance)) / f64::from(u16::MAX))
}

#[cfg(test)]
mod tests {
    use super::{Duration, Instant, PeerStats, Seen};

    const THERE: PeerStats = PeerStats {
        last_contact: None,
        bytes_in: 0,
        bytes_out: 0,
        linked: true,
        connected: true,
        connections: 1,
    };

    #[tokio::test]
    async fn a_search_that_came_to_nothing_is_made_again_while_the_peer_is_there() {
        let (begun, hour) = (Instant::now(), Duration::from_secs(3600));
        for (peer, searched, again) in
            [(Some(&THERE), false, true), (Some(&THERE), true, false), (None, false, false)]
        {
            let mut seen = Seen::new(begun);
            assert!(seen.is_due(begun, peer, false));
            seen.due = begun + hour;
            let search = tokio::spawn(async move { searched });
            while !search.is_finished() {
                tokio::task::yield_now().await;
            }
            seen.searching = Some(search);
            assert!(!seen.is_due(begun, peer, false), "it is under way, as far as is known");
            seen.end_search(begun).await;
            assert_eq!(seen.is_due(begun, peer, false), again, "{peer:?} {searched}");
        }
    }

    #[test]
    fn a_peer_is_searched_when_it_is_there_again_also_if_it_was_never_missed() {
        let (begun, hour) = (Instant::now(), Duration::from_secs(3600));
        let mut seen = Seen::new(begun);
        let mut is_due = |peer: Option<&PeerStats>, installed| {
            let due = seen.is_due(begun, peer, installed);
            if due {
                seen.due = begun + hour;
            }
            due
        };
        assert!(is_due(None, false), "at the start");
        assert!(is_due(Some(&THERE), false), "it has come");
        assert!(!is_due(Some(&THERE), false), "it has stayed");
        assert!(is_due(Some(&PeerStats { connections: 2, ..THERE }), false), "it was away and is back");
        assert!(!is_due(None, false), "it has gone");
        assert!(is_due(Some(&PeerStats { connections: 2, ..THERE }), false), "it is there again");
        assert!(is_due(Some(&PeerStats { connections: 2, ..THERE }), true), "the registry is another");
    }
}
