//! openraft's parameters, fixed once. Knows nothing of how they are stored or sent.

use std::{fmt, sync::Arc};

use covault_model::{
    command::{BATCH_FORMAT, Command},
    id::NodeId,
};
use covault_store::Applied;
use openraft::BasicNode;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::snapshot::RegistrySnapshot;

openraft::declare_raft_types!(
    /// The types Raft runs on here.
    pub Types:
        D = Batch,
        R = Vec<Applied>,
        NodeId = NodeId,
        Node = BasicNode,
        Entry = openraft::Entry<Types>,
        SnapshotData = RegistrySnapshot,
);

pub type Raft = openraft::Raft<Types>;
pub type Entry = openraft::Entry<Types>;
pub type LogId = openraft::LogId<NodeId>;
pub type StorageError = openraft::StorageError<NodeId>;
pub type SnapshotMeta = openraft::SnapshotMeta<NodeId, BasicNode>;
pub type StoredMembership = openraft::StoredMembership<NodeId, BasicNode>;

/// Commands that share one log entry; each is decided by itself, in order.
#[derive(Clone)]
pub struct Batch(pub Arc<Vec<Command>>);

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Batch of {}", self.0.len())
    }
}

impl Serialize for Batch {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        (BATCH_FORMAT, self.0.as_slice()).serialize(to)
    }
}

impl<'de> Deserialize<'de> for Batch {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match <(u8, Vec<Command>)>::deserialize(from)? {
            (BATCH_FORMAT, commands) => Ok(Self(Arc::new(commands))),
            (format, _) => {
                Err(D::Error::custom(format_args!("batch format {format} is newer than this release")))
            }
        }
    }
}

/// A storage failure in openraft's words. It stops the engine for good: the process must end.
pub fn failed(error: impl std::error::Error + 'static) -> StorageError {
    StorageError::IO { source: openraft::StorageIOError::write(&error) }
}

/// CBOR, for openraft's own types.
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    covault_model::encode(value)
}

/// Reads what [`encode`] wrote.
pub fn decode<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, StorageError> {
    covault_model::decode(bytes).map_err(failed)
}
