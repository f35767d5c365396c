//! What the vault answers, as values. Knows nothing of HTTP or JSON.

use std::{collections::BTreeMap, time::Duration};

use covault_model::{
    epoch::Epoch,
    hlc::Millis,
    id::{GrantId, InvitationId, NodeId, TokenId, VersionId},
    isolation::Role,
    line::{Place, State},
    name::{CallerName, ContentType, Description, LabelKey, LabelValue, MasterKeyName, SecretName},
    roster::NodeAddress,
    skew::Skew,
};
use covault_seal::Plaintext;

/// One version of a secret, without its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Its number; absent while it is provisional, or superseded.
    pub number: Option<u64>,
    /// Its id.
    pub id: VersionId,
    /// From when it is in force.
    pub valid_from: Millis,
    /// Until when; absent for the last of the line.
    pub valid_to: Option<Millis>,
    /// When it was made.
    pub created_at: Millis,
    /// The node that made it.
    pub author: NodeId,
    /// The caller on whose behalf.
    pub caller: CallerName,
    /// What it is now.
    pub state: State,
    /// The media type given with it.
    pub content_type: Option<ContentType>,
    /// When its value stops being served.
    pub expires_at: Option<Millis>,
    /// The version it brought back, if it is a rollback.
    pub restores: Option<VersionId>,
}

/// How widely a write is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replication {
    /// Voters known to have it.
    pub acknowledged: u32,
    /// Voters there are.
    pub members: u32,
    /// Voters that make a majority.
    pub quorum: u32,
}

/// A write that was agreed or kept.
#[derive(Debug, Clone)]
pub struct Written {
    /// The secret's name.
    pub name: SecretName,
    /// The version written.
    pub version: Version,
    /// How widely it is kept.
    pub replication: Replication,
    /// Whether this is the remembered answer of an earlier request with the same idempotency key.
    pub replayed: bool,
}

/// What a secret is, without its value.
#[derive(Debug, Clone)]
pub struct Summary {
    /// Its name.
    pub name: SecretName,
    /// Its current version.
    pub version: Version,
    /// Its labels.
    pub labels: BTreeMap<LabelKey, LabelValue>,
    /// Its description.
    pub description: Option<Description>,
}

/// A secret with the value of one of its versions.
pub struct Opened {
    /// The secret; `version` is the one whose value this is.
    pub summary: Summary,
    /// The value.
    pub value: Plaintext,
}

/// A change of marks that was kept.
#[derive(Debug, Clone)]
pub struct Marked {
    /// The secret as it now is.
    pub summary: Summary,
    /// How widely the change is kept.
    pub replication: Replication,
    /// Whether this is the remembered answer of an earlier request with the same idempotency key.
    pub replayed: bool,
}

/// What is so once a change of it was agreed; nothing of what was taken away.
#[derive(Debug, Clone)]
pub struct Changed<T> {
    /// It, as it now is.
    pub now: T,
    /// Whether this is the remembered answer of an earlier request with the same idempotency key.
    pub replayed: bool,
}

/// One page of something, and where the next one begins.
#[derive(Debug, Clone)]
pub struct Page<T, C> {
    /// The rows.
    pub items: Vec<T>,
    /// Where to go on; absent on the last page.
    pub next: Option<C>,
}

/// A page of secrets; the next page begins after a name.
pub type SecretPage = Page<Summary, SecretName>;
/// A page of versions, newest first; the next page begins before a place.
pub type VersionPage = Page<Version, Place>;

/// How a node stands with its majority.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// In touch with it.
    Majority,
    /// Cut off from it, and this long since it was last heard of; absent when that was before the node started.
    Minority(Option<Duration>),
}

impl Standing {
    /// The word the contract uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Majority => "majority",
            Self::Minority(_) => "minority",
        }
    }
}

/// Tokens that were given, and what came of their mappings.
#[derive(Debug, Clone, Copy)]
pub struct Issued {
    /// The epoch they are of.
    pub epoch: Epoch,
    /// Whether all of their mappings are known to be on the disks of a majority.
    pub is_kept: bool,
    /// How many mappings did not exist before.
    pub new: usize,
    /// How widely the new ones are kept, and those of which it was not known; absent when there are none of both.
    pub replication: Option<Replication>,
    /// How the answering node stands with its majority.
    pub standing: Standing,
    /// Whether the same request with the same idempotency key was answered before.
    pub replayed: bool,
}

/// A caller, for admins.
#[derive(Debug, Clone)]
pub struct CallerInfo {
    /// Its name.
    pub name: CallerName,
    /// Its role.
    pub role: Role,
    /// When it was made.
    pub created_at: Millis,
    /// Its tokens, without their secret halves.
    pub tokens: Vec<TokenInfo>,
}

/// A token, without its secret half.
#[derive(Debug, Clone)]
pub struct TokenInfo {
    /// Its public half.
    pub id: TokenId,
    /// When it was made.
    pub created_at: Millis,
    /// When it stops being accepted; absent for never.
    pub expires_at: Option<Millis>,
}

/// A token just made: the only time its text is seen.
pub struct NewToken {
    /// Whose it is.
    pub caller: CallerName,
    /// The caller's role.
    pub role: Role,
    /// Its public half.
    pub id: TokenId,
    /// When it stops being accepted; absent for never.
    pub expires_at: Option<Millis>,
    /// Its text; absent when this is the answer to a retry, since it is shown once.
    pub text: Option<Plaintext>,
    /// Whether this is the remembered answer of an earlier request with the same idempotency key.
    pub replayed: bool,
}

/// A grant that was given.
#[derive(Debug, Clone)]
pub struct GrantInfo {
    /// Its id.
    pub id: GrantId,
    /// What it says.
    pub grant: covault_model::registry::Grant,
}

/// What a node says of itself.
#[derive(Debug, Clone)]
pub struct Status {
    /// This node.
    pub node: NodeId,
    /// The release it runs.
    pub release: &'static str,
    /// Its cluster.
    pub cluster: covault_model::id::ClusterId,
    /// The members.
    pub members: Vec<MemberStatus>,
    /// The leader it knows of.
    pub leader: Option<NodeId>,
    /// The Raft term.
    pub term: u64,
    /// The last log index it holds.
    pub last_log: u64,
    /// The last log index it applied.
    pub applied: u64,
    /// How it stands with its majority.
    pub standing: Standing,
    /// Its master keyring.
    pub keys: KeyStatus,
    /// Secrets that exist.
    pub secrets: u64,
    /// Versions in all histories.
    pub versions: u64,
    /// Mappings of tokens to values, in all epochs.
    pub mappings: u64,
    /// Versions without a number: not agreed yet, or superseded, which stays so.
    pub provisional: u64,
    /// Records of other nodes that lie too far ahead of this node's clock, and wait for their time.
    pub held_back: u64,
    /// How often records of other nodes were refused, by the code of every reason there is.
    pub refused_records: Vec<(&'static str, u64)>,
    /// How often connections and requests between nodes were refused or given up, by reason; only what happened is
    /// here.
    pub refused_peers: Vec<(&'static str, u64)>,
    /// Bytes of disk the store uses.
    pub disk_used: u64,
    /// Bytes the file system has left for it.
    pub disk_free: u64,
    /// Whether the node takes writes now; otherwise the code of the reason.
    pub refuses_writes: Option<covault_model::refusal::Refusal>,
    /// How far its wall clock is ahead of what most members' clocks say.
    pub clock_skew: Skew,
    /// The node's wall clock.
    pub now: Millis,
    /// Since when the process serves.
    pub started_at: Millis,
}

/// One member of the cluster.
#[derive(Debug, Clone)]
pub struct MemberStatus {
    /// The node.
    pub node: NodeId,
    /// What it is to agreement.
    pub role: MemberRole,
    /// Where its peers reach it; absent when they cannot.
    pub address: Option<NodeAddress>,
    /// Log entries that it lacks; absent unless the answering node leads.
    pub lag: Option<u64>,
    /// How long ago the answering node heard of it; absent when it did not.
    pub heard: Option<Duration>,
    /// How far its clock is ahead of the answering node's; absent when it did not say a moment ago.
    pub clock_ahead: Option<Skew>,
}

/// What a member is to agreement; or that it is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberRole {
    /// It votes, and orders what is agreed.
    Leader,
    /// It votes.
    Follower,
    /// It catches up, and will vote then.
    Learner,
    /// It was taken in by the registry and is not among the others yet.
    Enrolled,
    /// It is no member: it serves HTTP and asks the nodes.
    Api,
}

impl MemberRole {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Leader, Self::Follower, Self::Learner, Self::Enrolled, Self::Api];

    /// The word the contract uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Leader => "leader",
            Self::Follower => "follower",
            Self::Learner => "learner",
            Self::Enrolled => "enrolled",
            Self::Api => "api",
        }
    }
}

/// An invitation just made: the only time its text is seen.
pub struct NewInvitation {
    /// Its public half.
    pub id: InvitationId,
    /// The join token; absent when this is the answer to a retry, since it is shown once.
    pub text: Option<Plaintext>,
    /// When it stops being accepted.
    pub expires_at: Millis,
    /// Whether this is the remembered answer of an earlier request with the same idempotency key.
    pub replayed: bool,
}

/// What a node can open and seal.
#[derive(Debug, Clone)]
pub struct KeyStatus {
    /// The key new values are sealed with; absent without a keyring.
    pub active: Option<MasterKeyName>,
    /// Every key of the ring that is the cluster's.
    pub usable: Vec<MasterKeyName>,
    /// Keys that the cluster knows and this node lacks or has wrong.
    pub unavailable: Vec<MasterKeyName>,
}
