//! The key a node signs with. The only file that knows Ed25519 (RFC 8032) and how its keys are written in
//! DER (RFC 8410). Signed by aws-lc, whose assembly takes half the time; verified by dalek, which tells the weak keys
//! that all nodes must refuse alike. Knows nothing of where the seed is kept.

use core::fmt;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use ed25519_dalek::{Signature, VerifyingKey};
use zeroize::Zeroizing;

use crate::id::NodeId;

/// Bytes in a signature.
pub const SIGNATURE_LEN: usize = 64;

/// What stands before the key in the `SubjectPublicKeyInfo` of an Ed25519 key.
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
/// What stands before the seed in an Ed25519 private key of PKCS#8, version 1.
const PKCS8_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
/// Bytes of a public key as [`spki_of`] writes it.
pub const SPKI_LEN: usize = SPKI_PREFIX.len() + NodeId::LEN;
/// Bytes of a private key as [`NodeKey::to_pkcs8`] writes it.
pub const PKCS8_LEN: usize = PKCS8_PREFIX.len() + 32;

/// A node's private key; wiped when dropped.
pub struct NodeKey {
    seed: Zeroizing<[u8; 32]>,
    pair: Ed25519KeyPair,
    id: NodeId,
}

impl NodeKey {
    /// The key with this seed (the 32 secret bytes of RFC 8032).
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).expect("every seed is a key's");
        let id = NodeId(pair.public_key().as_ref().try_into().expect("a public key has as many bytes"));
        Self { seed: Zeroizing::new(*seed), pair, id }
    }

    /// The node this key belongs to.
    pub fn node_id(&self) -> NodeId {
        self.id
    }

    /// Signs `message`.
    pub fn sign(&self, message: &[u8]) -> [u8; SIGNATURE_LEN] {
        self.pair.sign(message).as_ref().try_into().expect("a signature has as many bytes")
    }

    /// The private key as PKCS#8 in DER, which TLS takes. It is the seed: wipe every copy.
    pub fn to_pkcs8(&self) -> Zeroizing<[u8; PKCS8_LEN]> {
        let mut der = Zeroizing::new([0; PKCS8_LEN]);
        der[..PKCS8_PREFIX.len()].copy_from_slice(&PKCS8_PREFIX);
        der[PKCS8_PREFIX.len()..].copy_from_slice(self.seed.as_slice());
        der
    }

    /// A secret that only this key gives, for the purpose that `context` names: one hard-coded text per
    /// purpose, unlike every other.
    pub fn derive(&self, context: &'static str) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(blake3::derive_key(context, self.seed.as_slice()))
    }
}

/// The public key of `node` as `SubjectPublicKeyInfo` in DER, which TLS shows to the other side.
#[must_use]
pub fn spki_of(node: &NodeId) -> [u8; SPKI_LEN] {
    let mut der = [0; SPKI_LEN];
    der[..SPKI_PREFIX.len()].copy_from_slice(&SPKI_PREFIX);
    der[SPKI_PREFIX.len()..].copy_from_slice(node.as_bytes());
    der
}

/// The node whose public key this is; none for anything but what [`spki_of`] writes.
#[must_use]
pub fn node_of_spki(der: &[u8]) -> Option<NodeId> {
    der.strip_prefix(&SPKI_PREFIX)?.try_into().ok().map(NodeId)
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
