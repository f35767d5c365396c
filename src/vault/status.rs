//! What a node says of itself. Knows nothing of secrets but how many there are.

use covault_model::{
    arrival::Fault,
    refusal::{NoAuthority, NodeFault, Refusal},
};

use super::{Asker, Status, Vault, audited::About, storage_refusal};
use crate::audit::{Action, Subject};

/// What the least write takes, in bytes: with less room than that the node takes none.
const SMALL_WRITE: u64 = 4096;

impl Vault {
    /// How the node, its cluster and its disk are.
    pub async fn status(&self, asker: &Asker) -> Result<Status, Refusal> {
        let about = About::subject(Action::StatusRead, Subject::Nothing);
        self.audited(asker, about, |_| None, async { self.observe() }).await
    }

    /// Whether this node can serve reads and writes now; otherwise why not.
    pub fn ready(&self) -> Result<(), Refusal> {
        self.why_not_ready().map_or(Ok(()), Err)
    }

    /// The term in which this node leads, if it does, as far as it knows.
    pub fn reign(&self) -> Option<u64> {
        self.parts.consensus.reign()
    }

    /// How the node is, without a caller: for metrics.
    pub fn observe(&self) -> Result<Status, Refusal> {
        let (standing, now) = (self.parts.consensus.standing(), self.now());
        let view = self.look()?;
        let rows = view.rows();
        let counts = rows.counts().map_err(storage_refusal)?;
        let log_bytes = self.parts.store.log().map_err(storage_refusal)?.bytes();
        let room = self.parts.store.room().map_err(storage_refusal)?;
        let intake = self.parts.records.intake();
        let faults = intake.faults();
        Ok(Status {
            node: self.node(),
            release: env!("CARGO_PKG_VERSION"),
            cluster: self.parts.cluster,
            members: self.member_list(&standing)?,
            leader: standing.leader,
            term: standing.term,
            last_log: standing.last_log,
            applied: standing.applied,
            standing: self.standing(),
            keys: self.parts.keys.status(&rows.key_checks().map_err(storage_refusal)?),
            secrets: rows.secrets().map_err(storage_refusal)?,
            versions: counts.versions,
            provisional: counts.provisional,
            mappings: rows.tokens().map_err(storage_refusal)?.0,
            held_back: intake.held_back(),
            refused_records: Fault::ALL
                .iter()
                .map(|fault| (fault.code(), faults.get(fault).copied().unwrap_or(0)))
                .collect(),
            refused_peers: self.parts.records.refused_peers(),
            disk_used: room.map_used + log_bytes,
            disk_free: room.disk_free,
            refuses_writes: self.why_not_ready(),
            clock_skew: self.parts.clocks.skew(now),
            now,
            started_at: self.parts.started_at,
        })
    }

    fn why_not_ready(&self) -> Option<Refusal> {
        if !self.parts.consensus.has_majority() {
            return Some(NoAuthority::QuorumUnavailable.into());
        }
        if let Err(refusal) = self.parts.keys.require_active() {
            return Some(refusal);
        }
        if let Err(refusal) = self.time_to_stamp() {
            return Some(refusal);
        }
        match self.parts.store.room() {
            Ok(room) if room.fits(SMALL_WRITE) => None,
            Ok(_) => Some(NodeFault::StorageFull.into()),
            Err(error) => Some(storage_refusal(error)),
        }
    }
}
