//! Why the rules said no, sorted by who must act. Nothing here carries a value, a token or a key.
//! Keeps C1 with the API: the list is closed. Knows nothing of HTTP: `src/api/problem.rs` has the status codes.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::{
    id::VersionId,
    name::{MasterKeyName, SecretName},
};

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// Mend the request; repeating it cannot help.
    Caller(CallerMistake),
    /// Nobody may decide at present; repeat later.
    NotNow(NoAuthority),
    /// Somebody must mend this node.
    Operator(NodeFault),
}

/// What is wrong with the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum CallerMistake {
    /// These names exist already.
    SecretExists(Vec<SecretName>),
    /// No such thing, or none that this caller may see.
    NotFound,
    /// The last agreed version is another one.
    VersionMismatch,
    /// The version is marked deleted.
    VersionDeleted,
    /// The version's value is erased.
    VersionDestroyed,
    /// The version's expiry has passed.
    VersionExpired,
    /// The idempotency key came with another request before.
    IdempotencyConflict,
    /// A caller of this name exists, or existed.
    CallerExists,
    /// This caller has no right to do that, whatever exists.
    Forbidden,
    /// It would leave the cluster without an admin who has a token.
    LastAdmin,
    /// The invitation is unknown, used, expired or shown with another secret; which of them is not said.
    InvitationInvalid,
    /// The node's key is a member's, or was one's: ids of nodes are not reused.
    NodeKnown,
    /// It would leave the cluster without a node.
    LastMember,
    /// The epoch is not the one after the active one; or it is the active one, and cannot be let go of.
    EpochConflict,
    /// The token stands for different values in several epochs, and the request does not say which is meant.
    TokenAmbiguous,
    /// A limit on how many there may be: what of.
    TooMany(Limit),
}

/// What there may not be more of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Limit {
    /// Labels on one secret.
    Labels,
    /// Tokens of one caller.
    Tokens,
    /// Grants of one owner.
    Grants,
    /// Bytes of a value.
    ValueBytes,
    /// Nodes of the cluster.
    Members,
    /// Invitations that wait.
    Invitations,
    /// API processes of the cluster.
    ApiProcesses,
    /// Secrets that one request creates or reads.
    Secrets,
    /// Epochs of one owner.
    Epochs,
    /// Fields configured for tokenization.
    Fields,
    /// Bytes of all values behind tokens that one request asks for.
    OpenedBytes,
}

/// Why nobody may decide now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum NoAuthority {
    /// No leader is known; nothing was proposed or stored.
    QuorumUnavailable,
    /// Proposed, but no answer in time: it may still be agreed. With the version it would make.
    OutcomeUnknown(Option<VersionId>),
    /// A miss could not be confirmed by a majority.
    Unconfirmed,
    /// The version's time is not later than the last agreed one's; stamp it anew.
    StaleTime,
    /// The node is stopping.
    ShuttingDown,
    /// More is waiting than the node will hold.
    Overloaded,
    /// The caller asks for more than it may in a second.
    RateLimited,
}

/// What is wrong with the node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum NodeFault {
    /// The master key of this name is missing or wrong; `None` when there is no keyring at all.
    MasterKeyUnavailable(Option<MasterKeyName>),
    /// No room for another write.
    StorageFull,
    /// Reading or writing the store failed.
    StorageFailed,
    /// A stored value or record is not what was written.
    Corrupt,
    /// The audit log cannot take another line.
    AuditUnavailable,
    /// This node's clock is too far from its peers'.
    ClockSkew,
    /// The master key of this name has another check value in this cluster.
    WrongMasterKey(MasterKeyName),
    /// No address is configured at which peers would reach this node.
    PeersNotConfigured,
}

impl Refusal {
    /// The stable code that clients, logs and the audit know it by.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Caller(mistake) => mistake.code(),
            Self::NotNow(why) => why.code(),
            Self::Operator(fault) => fault.code(),
        }
    }

    /// Whether nothing that is agreed later lifts it, so that a node that has not caught up may say it too.
    pub fn is_for_good(&self) -> bool {
        use CallerMistake as Mistake;
        match self {
            Self::Caller(
                Mistake::SecretExists(_)
                | Mistake::CallerExists
                | Mistake::IdempotencyConflict
                | Mistake::NodeKnown,
            )
            | Self::NotNow(NoAuthority::StaleTime) => true,
            Self::Caller(_) | Self::NotNow(_) | Self::Operator(_) => false,
        }
    }
}

impl CallerMistake {
    fn code(&self) -> &'static str {
        match self {
            Self::SecretExists(_) => "secret_exists",
            Self::NotFound => "not_found",
            Self::VersionMismatch => "version_mismatch",
            Self::VersionDeleted => "version_deleted",
            Self::VersionDestroyed => "version_destroyed",
            Self::VersionExpired => "version_expired",
            Self::IdempotencyConflict => "idempotency_conflict",
            Self::CallerExists => "caller_exists",
            Self::Forbidden => "forbidden",
            Self::LastAdmin => "last_admin",
            Self::InvitationInvalid => "invitation_invalid",
            Self::NodeKnown => "node_known",
            Self::LastMember => "last_member",
            Self::EpochConflict => "epoch_conflict",
            Self::TokenAmbiguous => "token_ambiguous",
            Self::TooMany(Limit::ValueBytes) => "value_too_large",
            Self::TooMany(_) => "limit_reached",
        }
    }
}

impl NoAuthority {
    /// Whether no majority answered, so that nobody can say what it would have decided.
    pub fn is_silence(&self) -> bool {
        matches!(self, Self::QuorumUnavailable | Self::OutcomeUnknown(_))
    }

    fn code(&self) -> &'static str {
        match self {
            Self::QuorumUnavailable => "quorum_unavailable",
            Self::OutcomeUnknown(_) => "outcome_unknown",
            Self::Unconfirmed => "unconfirmed",
            Self::StaleTime => "stale_time",
            Self::ShuttingDown => "shutting_down",
            Self::Overloaded => "overloaded",
            Self::RateLimited => "rate_limited",
        }
    }
}

impl NodeFault {
    fn code(&self) -> &'static str {
        match self {
            Self::MasterKeyUnavailable(_) => "master_key_unavailable",
            Self::StorageFull => "storage_full",
            Self::StorageFailed => "storage_failed",
            Self::Corrupt => "corrupt",
            Self::AuditUnavailable => "audit_unavailable",
            Self::ClockSkew => "clock_skew",
            Self::WrongMasterKey(_) => "wrong_master_key",
            Self::PeersNotConfigured => "peers_not_configured",
        }
    }
}

impl From<CallerMistake> for Refusal {
    fn from(mistake: CallerMistake) -> Self {
        Self::Caller(mistake)
    }
}

impl From<NoAuthority> for Refusal {
    fn from(why: NoAuthority) -> Self {
        Self::NotNow(why)
    }
}

impl From<NodeFault> for Refusal {
    fn from(fault: NodeFault) -> Self {
        Self::Operator(fault)
    }
}
