//! The task that looks after the nodes, twice a second: which answer, which have a majority behind them, and which
//! there are, as one that has a majority says. What changes is kept in the process's directory, so that it finds them
//! after its next start though all it knew were replaced.
//! Knows nothing of what clients ask.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use covault_model::{id::NodeId, roster::NodeAddress};
use covault_net::{CallError, Channel, Peer, Reason, Role, Unreachable};
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

use super::{Ask, Known, Seen, Standing, Told, VAULTS_FILE, vaults::Shared};

/// Rounds after which a process that no node knows has been taken away: one that has just been let in is not known to all
/// of them at once.
const PUT_OUT_AFTER: u32 = 10;
const EVERY: Duration = Duration::from_millis(500);
/// A node that takes longer to say how it stands is silent.
const SILENT_AFTER: Duration = Duration::from_millis(1500);

/// Looks until it is aborted.
pub(super) async fn run(shared: Arc<Shared>) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut known = shared.members();
    let mut rounds_put_out = 0;
    loop {
        ticks.tick().await;
        let mut looking = JoinSet::new();
        for node in known.keys() {
            let (shared, node) = (shared.clone(), *node);
            looking.spawn(async move { shared.look_at(node).await });
        }
        let mut let_in = false;
        while let Some(told) = looking.join_next().await {
            let Ok(told) = told else { continue };
            let_in |= !told.as_ref().is_err_and(is_rejection);
            let Ok(Standing { majority: true, members }) = told else { continue };
            let members: BTreeMap<_, _> = members.into_iter().collect();
            if !members.is_empty() && members != known {
                tracing::info!(nodes = members.len(), "the nodes of the cluster are others now");
                shared.follow(&members);
                keep(&shared, &members).await;
                known = members;
                let_in = true;
                break;
            }
        }
        rounds_put_out = if let_in { 0 } else { rounds_put_out + 1 };
        if rounds_put_out == PUT_OUT_AFTER {
            tracing::error!("no vault node knows this API process any more: `covault remove` took it away");
        }
        shared.put_out.store(PUT_OUT_AFTER <= rounds_put_out, Relaxed);
    }
}

/// Whether the node says that it does not know this process, or no more.
fn is_rejection(error: &CallError) -> bool {
    let whys = [Reason::UnknownKey, Reason::Removed].map(Unreachable::Rejected);
    matches!(error, CallError::Unreachable(why) if whys.contains(why))
}

impl Shared {
    /// Asks one node how it stands, and notes it.
    async fn look_at(&self, node: NodeId) -> Result<Standing, CallError> {
        let asked = self.standing(node, &Ask::Standing, SILENT_AFTER).await;
        match &asked {
            Ok(Standing { majority, .. }) => {
                let seen = if *majority { Seen::Majority } else { Seen::Minority };
                if self.board.note(node, seen) {
                    tracing::info!(peer = %node, majority, "a vault node answers");
                }
            }
            Err(error) => {
                if self.board.note(node, Seen::Silent) {
                    tracing::warn!(peer = %node, %error, "a vault node does not answer");
                }
            }
        }
        asked
    }

    /// Asks one node how it stands.
    pub async fn standing(&self, node: NodeId, ask: &Ask, within: Duration) -> Result<Standing, CallError> {
        let told = self.endpoint.call(node, Channel::Serve, ask.to_bytes().into(), within).await?;
        match Told::from_bytes(&told) {
            Ok(Told::Standing(standing)) => Ok(standing),
            _ => Err(CallError::Misbehaved(Reason::MalformedFrame)),
        }
    }

    /// From now on these are the nodes.
    fn follow(&self, members: &BTreeMap<NodeId, NodeAddress>) {
        self.trust.replace(peers(members));
        self.board.follow(members.keys().copied());
    }
}

/// The nodes as those that are dialled.
pub(super) fn peers(members: &BTreeMap<NodeId, NodeAddress>) -> BTreeMap<NodeId, Peer> {
    let peer = |address: &NodeAddress| Peer { addr: Some(address.0), role: Role::Vault };
    members.iter().map(|(node, address)| (*node, peer(address))).collect()
}

async fn keep(shared: &Shared, members: &BTreeMap<NodeId, NodeAddress>) {
    let (known, data) = (Known { cluster: shared.cluster, members: members.clone() }, shared.data.clone());
    let kept = tokio::task::spawn_blocking(move || known.write(&data, VAULTS_FILE)).await;
    if let Ok(Err(error)) = kept {
        tracing::error!(%error, "which nodes there are cannot be kept in {VAULTS_FILE}");
    }
}
