//! The key a node signs with. The only file that knows Ed25519 (RFC 8032).
//! Knows nothing of where the seed is kept.

use core::fmt;

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};

use crate::id::NodeId;

/// Bytes in a signature.
pub const SIGNATURE_LEN: usize = 64;

/// A node's private key; wiped when dropped.
pub struct NodeKey(SigningKey);

impl NodeKey {
    /// The key with this seed (the 32 secret bytes of RFC 8032).
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// The node this key belongs to.
    pub fn node_id(&self) -> NodeId {
        NodeId(self.0.verifying_key().to_bytes())
    }

    /// Signs `message`.
    pub fn sign(&self, message: &[u8]) -> [u8; SIGNATURE_LEN] {
        self.0.sign(message).to_bytes()
    }
}

impl fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeKey({})", self.node_id())
    }
}

/// Whether `signature` over `message` was made by `node`. Strict: no malleable encodings, no weak keys.
#[must_use]
pub fn verifies(node: &NodeId, message: &[u8], signature: &[u8; SIGNATURE_LEN]) -> bool {
    VerifyingKey::from_bytes(node.as_bytes())
        .is_ok_and(|key| key.verify_strict(message, &Signature::from_bytes(signature)).is_ok())
}
