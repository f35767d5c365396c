//! The registry as a snapshot: this node's own is its tables, read when it is wanted; another's is bytes.
//! Knows nothing of how it travels.

use std::sync::Arc;

use covault_store::{Store, StoreError};

/// A snapshot of the registry.
pub enum RegistrySnapshot {
    /// The tables of this node.
    Ours(Arc<Store>),
    /// Rows as another node exported them.
    Received(Vec<u8>),
}

impl RegistrySnapshot {
    /// The rows, exported.
    pub fn into_bytes(self) -> Result<Vec<u8>, StoreError> {
        match self {
            Self::Ours(store) => store.export_registry(),
            Self::Received(bytes) => Ok(bytes),
        }
    }
}
