//! What an endpoint counts, for metrics and the status. Knows nothing of how it is shown.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use covault_model::id::NodeId;
use tokio::time::Instant;

use crate::reason::Reason;

/// A moment of an endpoint's counters.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stats {
    /// Connections and requests that this node refused or gave up since it started; only what happened is here.
    pub refused: BTreeMap<Reason, u64>,
    /// The enrolled peers that there has been something with.
    pub peers: BTreeMap<NodeId, PeerStats>,
}

/// A moment of one peer's counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerStats {
    /// When the last whole hello, request or answer came from it; none if none did.
    pub last_contact: Option<Instant>,
    /// Bytes of requests and answers that came from it, heads included.
    pub bytes_in: u64,
    /// Bytes of requests and answers that were sent to it, heads included.
    pub bytes_out: u64,
    /// Whether there is a link to it.
    pub linked: bool,
    /// Whether it holds a connection to this node.
    pub connected: bool,
    /// How often it has connected to this node since this one started.
    pub connections: u64,
}

/// How often this node refused something, by reason.
#[derive(Debug, Default)]
pub(crate) struct Refusals([AtomicU64; Reason::ALL.len()]);

impl Refusals {
    pub(crate) fn count(&self, reason: Reason) {
        self.0[reason.code() as usize].fetch_add(1, Relaxed);
    }

    pub(crate) fn read(&self) -> BTreeMap<Reason, u64> {
        let counted =
            Reason::ALL.iter().map(|reason| (*reason, self.0[reason.code() as usize].load(Relaxed)));
        counted.filter(|(_, count)| 0 < *count).collect()
    }
}

/// What went between this node and a peer.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    last: Mutex<Option<Instant>>,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    connections: AtomicU64,
}

impl Traffic {
    /// It has connected to this node.
    pub(crate) fn connected(&self) {
        self.connections.fetch_add(1, Relaxed);
    }

    /// Something whole, of so many bytes, came in.
    pub(crate) fn came(&self, bytes: usize) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        self.bytes_in.fetch_add(bytes as u64, Relaxed);
    }

    /// So many bytes were sent.
    pub(crate) fn went(&self, bytes: usize) {
        self.bytes_out.fetch_add(bytes as u64, Relaxed);
    }

    pub(crate) fn read(&self, linked: bool, connected: bool) -> PeerStats {
        PeerStats {
            last_contact: *self.last.lock().unwrap_or_else(PoisonError::into_inner),
            bytes_in: self.bytes_in.load(Relaxed),
            bytes_out: self.bytes_out.load(Relaxed),
            linked,
            connected,
            connections: self.connections.load(Relaxed),
        }
    }
}
