//! Who may become a member, and who ever was one. Keeps M1 (an invitation lets one node in, once, until it
//! expires), M2 (a node that was taken away never comes back: ids are not reused), M3 (one node always
//! remains) and M4 (a restored cluster goes on without its old nodes). Few enough to be one row, read and
//! replaced as a whole.
//! Knows nothing of who votes: Raft's membership follows the roster.

use alloc::{collections::BTreeMap, string::String};
use core::{
    fmt,
    net::{Ipv4Addr, SocketAddr},
    str::FromStr,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::{
    hlc::Millis,
    id::{InvitationHash, InvitationId, NodeId},
    limits::{INVITATIONS_MAX, MEMBERS_MAX},
    name::CallerName,
    refusal::{CallerMistake, Limit, Refusal},
};

/// Where a node's peers reach it: an IP address and a port. Written as text, such as `10.0.0.1:8401`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeAddress(pub SocketAddr);

impl fmt::Display for NodeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for NodeAddress {
    type Err = core::net::AddrParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

impl Serialize for NodeAddress {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for NodeAddress {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(|_| D::Error::custom("is not an address and a port"))
    }
}

/// A way in for one node. Present until it is used, or until the next one is made after it has expired.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invitation {
    /// The hash of its secret.
    pub hash: InvitationHash,
    /// Who made it.
    pub by: CallerName,
    /// When it was made, by the proposing node's clock.
    pub created_at: Millis,
    /// When it stops being accepted.
    pub expires_at: Millis,
}

/// A node that is or was a member. Inserted once; `removed` only ever becomes true.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeEntry {
    /// Where its peers reach it.
    pub address: NodeAddress,
    /// Since when it is known, by the proposing node's clock.
    pub since: Millis,
    /// The invitation that it came with; absent for a node that founded or restored its cluster.
    pub invitation: Option<InvitationId>,
    /// Whether it was taken away, for good.
    pub removed: bool,
}

/// All invitations that wait, and all nodes there ever were.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Roster {
    /// The invitations.
    pub invitations: BTreeMap<InvitationId, Invitation>,
    /// The nodes.
    pub nodes: BTreeMap<NodeId, NodeEntry>,
}

/// A node that shows an invitation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolment {
    /// The invitation.
    pub invitation: InvitationId,
    /// The hash of the secret that was shown with it.
    pub hash: InvitationHash,
    /// The node, whose key was proved to the one that proposes this.
    pub node: NodeId,
    /// Where its peers reach it.
    pub address: NodeAddress,
}

/// What the roster becomes; none when it stays as it is.
type Changed = Result<Option<Roster>, Refusal>;

impl Roster {
    /// Whether this node was taken in and not taken away.
    #[must_use]
    pub fn is_member(&self, node: &NodeId) -> bool {
        self.nodes.get(node).is_some_and(|entry| !entry.removed)
    }

    /// Whether this node was taken away.
    #[must_use]
    pub fn is_removed(&self, node: &NodeId) -> bool {
        self.nodes.get(node).is_some_and(|entry| entry.removed)
    }

    /// As a cluster has it that was restored from a backup and goes on with nodes of its own: the old ones, which
    /// were `members` to agreement, are taken away for good, and what they invited is let in no more. One that
    /// nobody reached is kept too, since it made records; its address is the unspecified one.
    #[must_use]
    pub fn bequeathed(&self, members: impl IntoIterator<Item = (NodeId, Option<NodeAddress>)>) -> Self {
        let nowhere = NodeAddress((Ipv4Addr::UNSPECIFIED, 0).into());
        let mut nodes = self.nodes.clone();
        for (node, address) in members {
            let (address, since) = (address.unwrap_or(nowhere), Millis::default());
            nodes.entry(node).or_insert(NodeEntry { address, since, invitation: None, removed: true });
        }
        nodes.values_mut().for_each(|entry| entry.removed = true);
        Self { invitations: BTreeMap::new(), nodes }
    }

    /// With one more invitation; those that have expired by its making are let go of. One that was made before
    /// is not made again, and above all not when it has been used.
    pub(crate) fn invite(&self, id: InvitationId, invitation: &Invitation) -> Changed {
        let used = || self.nodes.values().any(|entry| entry.invitation == Some(id));
        if self.invitations.contains_key(&id) || used() {
            return Ok(None);
        }
        let mut changed = self.clone();
        changed.invitations.retain(|_, held| invitation.created_at < held.expires_at);
        if changed.invitations.len() >= INVITATIONS_MAX {
            return Err(CallerMistake::TooMany(Limit::Invitations).into());
        }
        changed.invitations.insert(id, invitation.clone());
        Ok(Some(changed))
    }

    /// With a node that shows an invitation at `now`, which is used up by it. A node that asks again with the
    /// invitation that let it in is told the same.
    pub(crate) fn enrol(&self, shown: &Enrolment, now: Millis) -> Changed {
        if let Some(entry) = self.nodes.get(&shown.node) {
            let again = !entry.removed && entry.invitation == Some(shown.invitation);
            return if again { self.reach(shown.node, shown.address, now) } else { Err(known()) };
        }
        let held = self.invitations.get(&shown.invitation);
        if !held.is_some_and(|held| held.hash.is(&shown.hash) && now < held.expires_at) {
            return Err(CallerMistake::InvitationInvalid.into());
        }
        if self.members() >= MEMBERS_MAX {
            return Err(CallerMistake::TooMany(Limit::Members).into());
        }
        let mut changed = self.clone();
        changed.invitations.remove(&shown.invitation);
        let (address, invitation) = (shown.address, Some(shown.invitation));
        changed.nodes.insert(shown.node, NodeEntry { address, since: now, invitation, removed: false });
        Ok(Some(changed))
    }

    /// With a member that says where its peers reach it.
    pub(crate) fn reach(&self, node: NodeId, address: NodeAddress, now: Millis) -> Changed {
        let entry = match self.nodes.get(&node) {
            Some(entry) if entry.removed => return Err(known()),
            Some(entry) if entry.address == address => return Ok(None),
            Some(entry) => NodeEntry { address, ..entry.clone() },
            None => NodeEntry { address, since: now, invitation: None, removed: false },
        };
        let mut changed = self.clone();
        changed.nodes.insert(node, entry);
        Ok(Some(changed))
    }

    /// With a node taken away for good. Taking it away again changes nothing.
    pub(crate) fn remove(&self, node: &NodeId) -> Changed {
        let Some(entry) = self.nodes.get(node) else { return Err(CallerMistake::NotFound.into()) };
        if entry.removed {
            return Ok(None);
        }
        if self.members() == 1 {
            return Err(CallerMistake::LastMember.into());
        }
        let mut changed = self.clone();
        changed.nodes.insert(*node, NodeEntry { removed: true, ..entry.clone() });
        Ok(Some(changed))
    }

    fn members(&self) -> usize {
        self.nodes.values().filter(|entry| !entry.removed).count()
    }
}

fn known() -> Refusal {
    CallerMistake::NodeKnown.into()
}
