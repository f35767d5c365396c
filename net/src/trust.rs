//! Who may speak to this node: the enrolled peers, their addresses and their roles. A cheap-to-clone handle on
//! one shared set, which whoever knows the members replaces as a whole; links follow it at once.
//! Keeps A1: an API process has a role of its own. Knows nothing of how peers come to be enrolled.

use std::{collections::BTreeMap, fmt, net::SocketAddr, sync::Arc};

use covault_model::id::NodeId;
use tokio::sync::watch;

use crate::frame::Channel;

/// What a peer is enrolled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Holds secrets, votes and merges: may use every channel that is between nodes.
    Vault,
    /// Serves HTTP and asks the vaults, on the one channel for that: a stolen one can neither vote nor bring records.
    Api,
}

impl Role {
    /// Whether a peer of this role may send requests on `channel`. Joining is for strangers.
    pub fn may_use(self, channel: Channel) -> bool {
        match channel {
            Channel::Raft | Channel::Forward | Channel::Records | Channel::Control => self == Self::Vault,
            Channel::Serve => self == Self::Api,
            Channel::Join => false,
        }
    }
}

/// An enrolled peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Where it is dialled; absent for one that dials only. A change counts from the next dial on; a link that works
    /// is left alone.
    pub addr: Option<SocketAddr>,
    /// What it is enrolled for.
    pub role: Role,
}

/// The set of enrolled peers; clones share it.
#[derive(Clone)]
pub struct Trust(Arc<watch::Sender<BTreeMap<NodeId, Peer>>>);

impl Trust {
    /// A set that begins with `peers`.
    pub fn new(peers: BTreeMap<NodeId, Peer>) -> Self {
        Self(Arc::new(watch::Sender::new(peers)))
    }

    /// Puts `peers` in place of all that was there. From this moment no request of a node that is not among
    /// them is taken; its connections are closed as soon as the endpoint's task runs.
    pub fn replace(&self, peers: BTreeMap<NodeId, Peer>) {
        self.0.send_replace(peers);
    }

    /// The peer with this key, if it is enrolled.
    pub fn peer(&self, node: &NodeId) -> Option<Peer> {
        self.0.borrow().get(node).copied()
    }

    /// Whether this key is enrolled.
    pub fn contains(&self, node: &NodeId) -> bool {
        self.0.borrow().contains_key(node)
    }

    /// All enrolled peers.
    pub fn peers(&self) -> BTreeMap<NodeId, Peer> {
        self.0.borrow().clone()
    }

    pub(crate) fn watch(&self) -> watch::Receiver<BTreeMap<NodeId, Peer>> {
        self.0.subscribe()
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.borrow().iter()).finish()
    }
}
