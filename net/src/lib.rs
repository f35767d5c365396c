//! What a node is to other nodes: an identity, which is a key pair and a file.
//! Knows nothing of tables, secrets and requests.

mod identity;

pub use identity::{IdentityError, NODE_KEY_FILE, NodeIdentity};
