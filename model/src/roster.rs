//! Who may become a member, and who ever was one; and beside them the API processes, which are none. Keeps M1 (an
//! invitation lets one in, once, until it expires), M2 (who was taken away never comes back: ids are not reused), M3
//! (one node always remains), M4 (a restored cluster goes on without its old nodes) and A1 (an API process is no node).
//! Few enough to be one row, read and replaced as a whole.
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
    limits::{API_PROCESSES_MAX, INVITATIONS_MAX, MEMBERS_MAX},
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

/// A way in for one node or one API process. Present until it is used, or until the next one is made after it has expired.
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

/// An API process that is or was let in: it asks the nodes for its callers, and is itself no node. Inserted once;
/// `removed` only ever becomes true.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiEntry {
    /// Since when it is known, by the proposing node's clock.
    pub since: Millis,
    /// The invitation that it came with.
    pub invitation: InvitationId,
    /// Whether it was taken away, for good.
    pub removed: bool,
}

/// All invitations that wait, all nodes there ever were, and the same of API processes. Those have maps of their
/// own, so that no look-up of a node ever finds one, in this release or in an older one.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Roster {
    /// The invitations of nodes.
    pub invitations: BTreeMap<InvitationId, Invitation>,
    /// The nodes.
    pub nodes: BTreeMap<NodeId, NodeEntry>,
    /// The invitations of API processes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub api_invitations: BTreeMap<InvitationId, Invitation>,
    /// The API processes, by their keys.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub apis: BTreeMap<NodeId, ApiEntry>,
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

/// An API process that shows an invitation. Nobody dials it, so it has no address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiEnrolment {
    /// The invitation.
    pub invitation: InvitationId,
    /// The hash of the secret that was shown with it.
    pub hash: InvitationHash,
    /// The process, whose key was proved to the node that proposes this.
    pub api: NodeId,
}

type Invitations = BTreeMap<InvitationId, Invitation>;

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
    /// were `members` to agreement, are taken away for good, with the API processes and all invitations. One that
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
        let mut apis = self.apis.clone();
        apis.values_mut().for_each(|entry| entry.removed = true);
        Self { nodes, apis, ..Self::default() }
    }

    /// Whether this is an API process that was let in and not taken away.
    #[must_use]
    pub fn is_api(&self, id: &NodeId) -> bool {
        self.apis.get(id).is_some_and(|entry| !entry.removed)
    }

    /// With one more invitation of a node; those that have expired by its making are let go of. One that was made
    /// before is not made again, and above all not when it has been used.
    pub(crate) fn invite(&self, id: InvitationId, invitation: &Invitation) -> Changed {
        self.invite_among(|roster| &mut roster.invitations, id, invitation)
    }

    /// As [`Roster::invite`], of an API process.
    pub(crate) fn invite_api(&self, id: InvitationId, invitation: &Invitation) -> Changed {
        self.invite_among(|roster| &mut roster.api_invitations, id, invitation)
    }

    fn invite_among(
        &self,
        among: fn(&mut Self) -> &mut Invitations,
        id: InvitationId,
        invitation: &Invitation,
    ) -> Changed {
        if self.knows_invitation(&id) {
            return Ok(None);
        }
        let mut changed = self.clone();
        let waiting = among(&mut changed);
        waiting.retain(|_, held| invitation.created_at < held.expires_at);
        if waiting.len() >= INVITATIONS_MAX {
            return Err(CallerMistake::TooMany(Limit::Invitations).into());
        }
        waiting.insert(id, invitation.clone());
        Ok(Some(changed))
    }

    fn knows_invitation(&self, id: &InvitationId) -> bool {
        self.invitations.contains_key(id)
            || self.api_invitations.contains_key(id)
            || self.nodes.values().any(|entry| entry.invitation.as_ref() == Some(id))
            || self.apis.values().any(|entry| entry.invitation == *id)
    }

    /// With a node that shows an invitation at `now`, which is used up by it. A node that asks again with the
    /// invitation that let it in is told the same.
    pub(crate) fn enrol(&self, shown: &Enrolment, now: Millis) -> Changed {
        if let Some(entry) = self.nodes.get(&shown.node) {
            let again = !entry.removed && entry.invitation == Some(shown.invitation);
            return if again { self.reach(shown.node, shown.address, now) } else { Err(known()) };
        }
        if self.apis.contains_key(&shown.node) {
            return Err(known());
        }
        check_shown(self.invitations.get(&shown.invitation), &shown.hash, now)?;
        if self.members() >= MEMBERS_MAX {
            return Err(CallerMistake::TooMany(Limit::Members).into());
        }
        let mut changed = self.clone();
        changed.invitations.remove(&shown.invitation);
        let (address, invitation) = (shown.address, Some(shown.invitation));
        changed.nodes.insert(shown.node, NodeEntry { address, since: now, invitation, removed: false });
        Ok(Some(changed))
    }

    /// As [`Roster::enrol`], of an API process.
    pub(crate) fn enrol_api(&self, shown: &ApiEnrolment, now: Millis) -> Changed {
        if let Some(entry) = self.apis.get(&shown.api) {
            let again = !entry.removed && entry.invitation == shown.invitation;
            return if again { Ok(None) } else { Err(known()) };
        }
        if self.nodes.contains_key(&shown.api) {
            return Err(known());
        }
        check_shown(self.api_invitations.get(&shown.invitation), &shown.hash, now)?;
        if self.apis.values().filter(|entry| !entry.removed).count() >= API_PROCESSES_MAX {
            return Err(CallerMistake::TooMany(Limit::ApiProcesses).into());
        }
        let mut changed = self.clone();
        changed.api_invitations.remove(&shown.invitation);
        let entry = ApiEntry { since: now, invitation: shown.invitation, removed: false };
        changed.apis.insert(shown.api, entry);
        Ok(Some(changed))
    }

    /// With a member that says where its peers reach it.
    pub(crate) fn reach(&self, node: NodeId, address: NodeAddress, now: Millis) -> Changed {
        let entry = match self.nodes.get(&node) {
            _ if self.apis.contains_key(&node) => return Err(known()),
            Some(entry) if entry.removed => return Err(known()),
            Some(entry) if entry.address == address => return Ok(None),
            Some(entry) => NodeEntry { address, ..entry.clone() },
            None => NodeEntry { address, since: now, invitation: None, removed: false },
        };
        let mut changed = self.clone();
        changed.nodes.insert(node, entry);
        Ok(Some(changed))
    }

    /// With a node, or an API process, taken away for good. Taking it away again changes nothing.
    pub(crate) fn remove(&self, node: &NodeId) -> Changed {
        if let Some(entry) = self.apis.get(node) {
            let mut changed = self.clone();
            changed.apis.insert(*node, ApiEntry { removed: true, ..entry.clone() });
            return Ok((!entry.removed).then_some(changed));
        }
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

/// Refuses what does not open an invitation that is still good at `now`.
fn check_shown(held: Option<&Invitation>, shown: &InvitationHash, now: Millis) -> Result<(), Refusal> {
    match held {
        Some(held) if held.hash.is(shown) && now < held.expires_at => Ok(()),
        _ => Err(CallerMistake::InvitationInvalid.into()),
    }
}

fn known() -> Refusal {
    CallerMistake::NodeKnown.into()
}
