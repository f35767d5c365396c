//! One master key. Keeps S3's part of secrecy: no `Debug`, no `Clone`, wiped on drop, kept in one place on
//! the heap so that moving its owner leaves no copy. Each purpose has a key of its own, derived from it, so
//! that what is learnt through one use says nothing about another. Knows nothing of names and rings.

use covault_model::registry::KeyCheck;
use zeroize::Zeroizing;

/// Bytes in a master key.
pub const MASTER_KEY_LEN: usize = 32;

const WRAPPING: &str = "covault 2026-11 master key: wrapping of data keys";
const DIGESTING: &str = "covault 2026-11 master key: digests of requests";
const TOKENS: &str = "covault 2026-11 master key: tokens";
const CHECKING: &str = "covault 2026-11 master key: check value";

type Secret = Zeroizing<[u8; MASTER_KEY_LEN]>;

/// A master key and the keys derived from it.
pub struct MasterKey(Box<Keys>);

struct Keys {
    master: Secret,
    wrapping: Secret,
    digesting: Secret,
    tokens: Secret,
}

impl MasterKey {
    /// The key with these bytes.
    pub fn new(bytes: &[u8; MASTER_KEY_LEN]) -> Self {
        let empty = || Zeroizing::new([0; MASTER_KEY_LEN]);
        let mut keys =
            Box::new(Keys { master: empty(), wrapping: empty(), digesting: empty(), tokens: empty() });
        keys.master.copy_from_slice(bytes);
        keys.wrapping.copy_from_slice(derived(WRAPPING, bytes).as_slice());
        keys.digesting.copy_from_slice(derived(DIGESTING, bytes).as_slice());
        keys.tokens.copy_from_slice(derived(TOKENS, bytes).as_slice());
        Self(keys)
    }

    /// The key itself, for writing a keyring file.
    pub fn bytes(&self) -> &[u8; MASTER_KEY_LEN] {
        &self.0.master
    }

    /// The key that wraps data keys.
    pub fn wrapping(&self) -> &[u8; MASTER_KEY_LEN] {
        &self.0.wrapping
    }

    /// The key that the keys of epochs come of.
    pub fn tokens(&self) -> &[u8; MASTER_KEY_LEN] {
        &self.0.tokens
    }

    /// A constant that only this key gives. It says nothing else about the key, so every node may hold it.
    pub fn check(&self) -> KeyCheck {
        KeyCheck(derived(CHECKING, &self.0.master).to_vec())
    }

    /// A hash that only a holder of this key can compute, over `context` and `parts`, each preceded by its
    /// length as eight bytes, little end first.
    pub fn digest(&self, context: &str, parts: &[&[u8]]) -> [u8; 32] {
        *keyed(&self.0.digesting, context, parts).finalize().as_bytes()
    }
}

/// Keyed BLAKE3 over `context` and `parts`, each preceded by its length as eight bytes, little end first.
pub fn keyed(key: &[u8; 32], context: &str, parts: &[&[u8]]) -> blake3::Hasher {
    let mut hasher = blake3::Hasher::new_keyed(key);
    for part in core::iter::once(&context.as_bytes()).chain(parts) {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher
}

fn derived(context: &str, bytes: &[u8; MASTER_KEY_LEN]) -> Secret {
    Zeroizing::new(blake3::derive_key(context, bytes))
}
