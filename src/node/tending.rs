//! What a member does for its cluster by itself, once a second: says where it is reached, if the registry has
//! another address; and while it leads, makes voters of those that have caught up, and lets go of those that the
//! registry has taken away, or of the leadership when its disk is full. Keeps M2 and T7. Knows nothing of connections.

use std::{sync::Arc, time::Duration};

use covault_model::{
    command::{Action, Command},
    id::{CommandId, NodeId},
    name::CallerName,
    refusal::Refusal,
    registry::Registry,
    roster::{NodeAddress, Roster},
};
use covault_store::{Store, StoreError};
use tokio::{
    task::JoinHandle,
    time::{MissedTickBehavior, interval, timeout},
};

use crate::{consensus::Consensus, host::Host, merge::Records};

const EVERY: Duration = Duration::from_secs(1);
/// A change of the members that takes longer waits for a majority that is not there; it is tried again.
const CHANGE_WITHIN: Duration = Duration::from_secs(5);
/// Bytes that a command about members may take.
const COMMAND_BYTES: usize = 1024;

/// A member that tends its cluster.
pub(super) struct Tending {
    pub consensus: Consensus,
    pub records: Records,
    pub store: Arc<Store>,
    pub host: Arc<dyn Host>,
    pub node: NodeId,
    /// Where peers reach it.
    pub address: NodeAddress,
    /// In whose name it speaks for itself.
    pub by: CallerName,
}

impl Tending {
    /// Begins; ends when aborted, or when the cluster has taken this node away and let go of it. Until then this node may
    /// lead, or be elected, and nobody else than the leader can bring that about.
    pub fn start(self) -> JoinHandle<()> {
        tokio::spawn(async move {
            let mut ticks = interval(EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let (mut stood, mut told, mut removed) = (true, false, false);
            loop {
                ticks.tick().await;
                note_standing(&mut stood, self.consensus.has_majority());
                match self.roster() {
                    Ok(roster) => {
                        note_removed(&mut removed, roster.is_removed(&self.node));
                        if removed && !self.takes_part() {
                            return;
                        }
                        told = told
                            || (!stood && self.has_moved(&roster) && self.have_said_where(&roster).await);
                        self.tend(&roster).await;
                    }
                    Err(error) => tracing::error!(%error, "the roster cannot be read"),
                }
            }
        })
    }

    fn takes_part(&self) -> bool {
        self.consensus.standing().members.iter().any(|member| member.node == self.node)
    }

    fn roster(&self) -> Result<Roster, StoreError> {
        self.store.view()?.rows().roster()
    }

    async fn tend(&self, roster: &Roster) {
        let standing = self.consensus.standing();
        if !standing.majority {
            return;
        }
        if self.has_moved(roster)
            && let Err(refusal) = self.say_where().await
        {
            tracing::warn!(code = refusal.code(), "the cluster was not told yet where this node is reached");
        }
        if standing.leader != Some(self.node) {
            return;
        }
        if self.consensus.yield_without_room().await {
            return;
        }
        for gone in standing.members.iter().filter(|member| roster.is_removed(&member.node)) {
            if let Err(refusal) = self.consensus.expel(gone.node).await {
                tracing::info!(peer = %gone.node, code = refusal.code(), "a removed node is still a member");
            }
        }
        // One that was removed must not become a voter on its way out; the next look goes on.
        if standing.members.iter().all(|member| !roster.is_removed(&member.node)) {
            let _ = timeout(CHANGE_WITHIN, promote(&self.consensus, &self.records)).await;
        }
    }

    /// Whether the registry has another address of this node, or none.
    fn has_moved(&self, roster: &Roster) -> bool {
        !roster.is_removed(&self.node)
            && roster.nodes.get(&self.node).is_none_or(|entry| entry.address != self.address)
    }

    async fn say_where(&self) -> Result<(), Refusal> {
        self.consensus.propose(self.whereabouts(), COMMAND_BYTES).await?.outcome.map(drop)
    }

    /// Has another node say it, if one of them leads: the leader does not find this one where it is now, so this one
    /// does not know it for the leader. Whether it was said.
    async fn have_said_where(&self, roster: &Roster) -> bool {
        for node in roster.nodes.keys().filter(|node| **node != self.node && !roster.is_removed(node)) {
            if self.consensus.propose_through(*node, self.whereabouts()).await {
                return true;
            }
        }
        false
    }

    fn whereabouts(&self) -> Command {
        let mut id = CommandId::default();
        self.host.fill(&mut id.0);
        let action = Action::Reach(self.node, self.address);
        Command { id, by: self.by.clone(), at: self.host.now(), idempotency: None, action }
    }
}

/// Makes voters of the members that have caught up, one after the other, if this node leads.
pub(super) async fn promote(consensus: &Consensus, records: &Records) {
    let standing = consensus.standing();
    let mut voters = standing.voters();
    for node in standing.caught_up() {
        let mut next = voters.clone();
        next.insert(node);
        if records.may_vote_next(&voters, &next).await && consensus.promote(node, &voters).await {
            voters = next;
        }
    }
}

/// Says when a node has been taken away.
fn note_removed(removed: &mut bool, is_removed: bool) {
    if is_removed && !*removed {
        tracing::error!(code = "removed", "this node was taken away from its cluster");
    }
    *removed = is_removed;
}

/// Says when a node loses its majority, and when it is back.
fn note_standing(stood: &mut bool, stands: bool) {
    match (*stood, stands) {
        (true, false) => tracing::warn!(code = "quorum_unavailable", "no majority stands behind this node"),
        (false, true) => tracing::info!("a majority stands behind this node again"),
        _ => {}
    }
    *stood = stands;
}
