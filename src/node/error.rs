//! Why a node does not start. Every text is for the operator, names the place and says what to do.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use covault_model::name::MasterKeyName;
use covault_net::IdentityError;
use covault_seal::KeyringError;
use covault_store::{OpenError, StoreError};

use crate::{audit, consensus};

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// A row that must be there is not, or the disk failed.
    #[error("the store cannot be read: {0}")]
    Rows(#[from] StoreError),
    /// The node's own key.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The keyring cannot be loaded.
    #[error("{0}\n(to serve without values, answering 503 to whatever needs the key: --without-key)")]
    Keyring(#[from] KeyringError),
    /// The keyring is not this cluster's.
    #[error(
        "the keyring has another key under the name {} than this vault was made with; give the right \
         keyring\n(to serve without values, answering 503 to whatever needs the key: --without-key)",
        names(.0)
    )]
    WrongKeys(Vec<MasterKeyName>),
    /// The keyring lacks a key that values are sealed with.
    #[error(
        "the keyring lacks the key {}, which values of this vault are sealed with; add it to the \
         keyring\n(to serve without values, answering 503 to whatever needs the key: --without-key)",
        names(.0)
    )]
    MissingKeys(Vec<MasterKeyName>),
    /// The audit log.
    #[error("{0}\n(the log is in {1})")]
    Audit(audit::OpenError, PathBuf),
    /// Agreement.
    #[error(transparent)]
    Consensus(#[from] consensus::StartError),
    /// The vault refused its own first command.
    #[error("the vault cannot be founded: {0}")]
    Founding(&'static str),
    /// The door to the peers.
    #[error("cannot listen for peers on {0}: {1}")]
    Peers(SocketAddr, String),
    /// The node is a member of a cluster and is told nowhere to listen.
    #[error("this node has peers and is told nowhere to listen for them: add [quic] to its configuration")]
    NoPeers,
    /// The cluster did not reach this node.
    #[error("nothing of the cluster has reached this node within {0:?}: can its members reach this address?")]
    NotReached(Duration),
    /// What a join left behind is not that.
    #[error("{0} is not what covault wrote: join anew in an empty directory")]
    Joining(PathBuf),
    /// A task of the node cannot be started.
    #[error("cannot start: {0}")]
    Io(#[from] std::io::Error),
}

/// Why a configuration file is not one.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("cannot read {0}: {1}")]
    Unreadable(PathBuf, std::io::Error),
    /// It says something that is not understood.
    #[error("{path}{place}: {what}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// `:line` or nothing.
        place: String,
        /// What is wrong.
        what: String,
    },
}

fn names(names: &[MasterKeyName]) -> String {
    names.iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ")
}
