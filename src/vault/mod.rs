//! The vault service: authoritative operations, for a caller who has been identified. Every operation is
//! checked against the caller's rights, carried out, and recorded in the audit log before it is answered.
//!
//! Knows nothing of HTTP or JSON: what is asked and answered are the values of `request.rs` and
//! `answer.rs`.

mod access;
mod answer;
mod audited;
mod author;
mod callers;
mod clocks;
mod destroy;
mod digest;
mod epochs;
mod grants;
mod keep;
mod keys;
mod list;
mod many;
mod marks;
mod members;
mod named;
mod pace;
mod read;
mod request;
mod session;
mod spread;
mod status;
mod tokens;
mod write;

use std::sync::Arc;

use covault_model::{
    hlc::Millis,
    id::{ClusterId, NodeId},
    name::CallerName,
    refusal::{NodeFault, Refusal},
    roster::NodeAddress,
};
use covault_store::{Store, StoreError};

use crate::{audit::AuditLog, consensus::Consensus, host::Host, merge::Records};

pub use crate::{
    audit::RequestId,
    tokens::{Placed, Proposal, Sought},
};
pub use answer::{
    CallerInfo, Changed, GrantInfo, Issued, KeyStatus, Marked, MemberRole, MemberStatus, NewInvitation,
    NewToken, Opened, Page, Replication, SecretPage, Standing, Status, Summary, TokenInfo, Version,
    VersionPage, Written,
};
pub use author::Author;
pub(crate) use callers::draw_token;
pub use clocks::Clocks;
pub use keys::{KeyVerdict, Keys};
pub use many::{CreatedMany, Each, NewSecrets, Wanted};
pub use request::{
    Asker, Consistency, HistoryQuery, IdempotencyKey, Invitee, ListQuery, NewValue, Patch, UpdateTerms, Which,
};
pub use session::AuthFailure;
pub use tokens::TokenRequest;

/// What a vault is made of.
pub struct VaultParts {
    /// The node's durable state.
    pub store: Arc<Store>,
    /// Agreement.
    pub consensus: Consensus,
    /// The way of records to other nodes, and from them.
    pub records: Records,
    /// Who stamps and signs.
    pub author: Author,
    /// What can be sealed and opened.
    pub keys: Keys,
    /// Where every operation is recorded.
    pub audit: Arc<AuditLog>,
    /// Time and chance.
    pub host: Arc<dyn Host>,
    /// What the clocks of other members say.
    pub clocks: Arc<Clocks>,
    /// The cluster.
    pub cluster: ClusterId,
    /// Where peers reach this node; absent when they cannot.
    pub address: Option<NodeAddress>,
    /// The caller in whose name the node has commands agreed that no caller asked for.
    pub own_name: CallerName,
    /// The largest value taken, in bytes.
    pub value_bytes_max: usize,
    /// How many values each caller may have tokenized and detokenized in a second; none for no bound.
    pub token_values_per_second: Option<u64>,
    /// Since when the process serves.
    pub started_at: Millis,
}

/// The handle that can ask. Cheap to clone.
#[derive(Clone)]
pub struct Vault {
    parts: Arc<VaultParts>,
    turns: Arc<write::Turns>,
    tokens: Arc<session::CheckedTokens>,
    kept: Arc<keep::Kept>,
    pace: Arc<pace::Pace>,
    spread: Arc<spread::Spread>,
}

impl Vault {
    /// A vault of these parts.
    pub fn new(parts: VaultParts) -> Self {
        Self {
            pace: Arc::new(pace::Pace::new(parts.token_values_per_second)),
            parts: Arc::new(parts),
            turns: Arc::new(write::Turns::new()),
            tokens: Arc::new(session::CheckedTokens::new()),
            kept: Arc::default(),
            spread: Arc::default(),
        }
    }

    /// The node that answers.
    pub fn node(&self) -> NodeId {
        self.parts.author.node()
    }

    fn now(&self) -> Millis {
        self.parts.host.now()
    }
}

/// What the caller is told when the disk fails, and what the log says.
pub(crate) fn storage_refusal(error: StoreError) -> Refusal {
    let fault = match &error {
        StoreError::Full => NodeFault::StorageFull,
        StoreError::Corrupt { .. } | StoreError::Inconsistent(_) => NodeFault::Corrupt,
        StoreError::Failed(_) | StoreError::Closed => NodeFault::StorageFailed,
    };
    tracing::error!(%error, "the store refused");
    fault.into()
}
