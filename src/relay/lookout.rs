//! The task that looks after the nodes, twice a second: which answer, which have a majority behind them, and which
//! there are, as one that has a majority says. What changes is kept in the process's directory, so that it finds them
//! after its next start though all it knew were replaced.
//! Knows nothing of what clients ask.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use covault_model::{id::NodeId, roster::NodeAddress};
use covault_net::{CallError, Channel, Peer, Reason, Role};
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

use super::{Ask, Known, Seen, Standing, Told, VAULTS_FILE, vaults::Shared};

const EVERY: Duration = Duration::from_millis(500);
/// A node that takes longer to say how it stands is silent.
const SILENT_AFTER: Duration = Duration::from_millis(1500);

/// Looks until it is aborted.
pub(super) async fn run(shared: Arc<Shared>) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut known = shared.members();
    loop {
        ticks.tick().await;
        let mut looking = JoinSet::new();
        for node in known.keys() {
            let (shared, node) = (shared.clone(), *node);
            looking.spawn(async move { shared.look_at(node).await });
        }
        while let Some(told) = looking.join_next().await {
            let Ok(Some(Standing { majority: true, members })) = told else { continue };
            let members: BTreeMap<_, _> = members.into_iter().collect();
            if !members.is_empty() && members != known {
                tracing::info!(nodes = members.len(), "the nodes of the cluster are others now");
                shared.follow(&members);
                keep(&shared, &members).await;
                known = members;
                break;
            }
        }
    }
}

impl Shared {
    /// Asks one node how it stands, and notes it.
    async fn look_at(&self, node: NodeId) -> Option<Standing> {
        let asked = self.standing(node, &Ask::Standing, SILENT_AFTER).await;
        let (seen, standing) = match asked {
            Ok(standing) if standing.majority => (Seen::Majority, Some(standing)),
            Ok(standing) => (Seen::Minority, Some(standing)),
            Err(error) => {
                if self.board.note(node, Seen::Silent) {
                    tracing::warn!(peer = %node, %error, "a vault node does not answer");
                }
                return None;
            }
        };
        if self.board.note(node, seen) {
            tracing::info!(peer = %node, majority = seen == Seen::Majority, "a vault node answers");
        }
        standing
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
