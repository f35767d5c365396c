//! The envelope around a value. Keeps S2: every version has a data key of its own, wrapped by a master key,
//! and both layers are bound to cluster, secret, time and author, so that no ciphertext can be moved.
//!
//! ```text
//! value    ──XChaCha20-Poly1305(data key,   value nonce, "value"    + context + key name)──► ciphertext
//! data key ──XChaCha20-Poly1305(master key, wrap nonce,  "data key" + context + key name)──► wrapped key
//! ```
//!
//! "Master key" above is the wrapping key derived from it. Knows nothing of where payloads are kept.

use std::mem;

use covault_model::{
    DecodeError,
    hlc::Hlc,
    id::{ClusterId, NodeId, SecretId},
    limits::{MASTER_KEY_NAME_BYTES_MAX, VALUE_BYTES_MAX},
    name::MasterKeyName,
};
use zeroize::Zeroizing;

use crate::{
    cipher::XChaCha20Poly1305,
    keyring::Keyring,
    master_key::MasterKey,
    payload::{self, DATA_KEY_LEN, NONCE_LEN, Payload, TAG_LEN, WRAPPED_LEN},
    plaintext::Plaintext,
};

/// What a sealed value belongs to. It opens only under the same context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context {
    /// The cluster.
    pub cluster: ClusterId,
    /// The secret.
    pub secret: SecretId,
    /// The version's time.
    pub time: Hlc,
    /// The node that made the version.
    pub author: NodeId,
}

/// Why a value was not sealed or opened. Carries no content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The keyring has no key of this name, or it was found to be a wrong one.
    #[error("the master key {0} is not in the keyring")]
    MasterKeyUnavailable(MasterKeyName),
    /// The payload is not what [`seal`] writes.
    #[error("the sealed payload cannot be read: {0}")]
    Payload(#[from] DecodeError),
    /// Altered, moved from another place, or sealed under another key of this name.
    #[error("the sealed payload is not authentic here")]
    NotAuthentic,
    /// A value may have at most [`VALUE_BYTES_MAX`] bytes.
    #[error("the value is larger than {VALUE_BYTES_MAX} bytes")]
    TooLarge,
}

/// Seals `value` under the active master key. `chance` must fill what it is given with unpredictable bytes;
/// it is asked once, for the data key, the nonce of the wrapping and the nonce of the value, in this order.
pub fn seal(
    keyring: &Keyring,
    context: &Context,
    value: &Plaintext,
    chance: &mut dyn FnMut(&mut [u8]),
) -> Result<Vec<u8>, SealError> {
    if value.len() > VALUE_BYTES_MAX {
        return Err(SealError::TooLarge);
    }
    let name = keyring.active();
    let master = keyring.key(name).ok_or_else(|| SealError::MasterKeyUnavailable(name.clone()))?;
    let mut drawn = Zeroizing::new([0; DATA_KEY_LEN + NONCE_LEN + NONCE_LEN]);
    chance(drawn.as_mut_slice());
    let (data_key, nonces) = drawn.split_first_chunk().expect("a data key was drawn");
    let (wrap_nonce, rest) = nonces.split_first_chunk().expect("a nonce was drawn");
    let value_nonce = rest.first_chunk().expect("another was drawn");

    let wrapped = wrap(master, wrap_nonce, &Binding::of(WRAPPING, context, name), data_key)?;
    let mut sealed = payload::begin(name, &wrapped, wrap_nonce, value_nonce, value.len() + TAG_LEN);
    let start = sealed.len();
    sealed.extend_from_slice(value.expose_plaintext());
    let binding = Binding::of(VALUE, context, name);
    let tag = XChaCha20Poly1305::of(data_key, value_nonce).seal(binding.as_bytes(), &mut sealed[start..])?;
    sealed.extend_from_slice(&tag);
    Ok(sealed)
}

/// Opens what [`seal`] made under the same context, with whichever master key of the ring it needs.
pub fn open(keyring: &Keyring, context: &Context, sealed: &[u8]) -> Result<Plaintext, SealError> {
    let payload = Payload::read(sealed)?;
    let Some(master) = keyring.key(payload.key_name) else {
        return Err(SealError::MasterKeyUnavailable(payload.master_key_name()?));
    };
    let data_key = unwrap(master, &payload, &Binding::of(WRAPPING, context, payload.key_name))?;
    let binding = Binding::of(VALUE, context, payload.key_name);
    let (body, tag) = split_tag(payload.ciphertext)?;
    let mut value = Zeroizing::new(vec![0; body.len()]);
    XChaCha20Poly1305::of(&data_key, payload.value_nonce).open(binding.as_bytes(), body, tag, &mut value)?;
    Ok(Plaintext::new(mem::take(&mut *value)))
}

fn wrap(
    master: &MasterKey,
    nonce: &[u8; NONCE_LEN],
    binding: &Binding,
    data_key: &[u8; DATA_KEY_LEN],
) -> Result<[u8; WRAPPED_LEN], SealError> {
    let mut wrapped = [0; WRAPPED_LEN];
    wrapped[..DATA_KEY_LEN].copy_from_slice(data_key);
    let (body, place) = wrapped.split_at_mut(DATA_KEY_LEN);
    place.copy_from_slice(&XChaCha20Poly1305::of(master.wrapping(), nonce).seal(binding.as_bytes(), body)?);
    Ok(wrapped)
}

fn unwrap(
    master: &MasterKey,
    payload: &Payload<'_>,
    binding: &Binding,
) -> Result<Zeroizing<[u8; DATA_KEY_LEN]>, SealError> {
    let (body, tag) = split_tag(payload.wrapped_key)?;
    let mut data_key = Zeroizing::new([0; DATA_KEY_LEN]);
    let cipher = XChaCha20Poly1305::of(master.wrapping(), payload.wrap_nonce);
    cipher.open(binding.as_bytes(), body, tag, data_key.as_mut_slice())?;
    Ok(data_key)
}

fn split_tag(bytes: &[u8]) -> Result<(&[u8], &[u8; TAG_LEN]), SealError> {
    bytes.split_last_chunk().ok_or(SealError::Payload(DecodeError::Malformed))
}

/// Says what a ciphertext is, so that one layer's never passes for the other's.
type Domain = [u8; DOMAIN_LEN];

const DOMAIN_LEN: usize = 24;
const VALUE: &Domain = b"covault 2026-11 value   ";
const WRAPPING: &Domain = b"covault 2026-11 data key";

const CONTEXT_LEN: usize = DOMAIN_LEN + ClusterId::LEN + SecretId::LEN + 8 + NodeId::LEN;

/// Associated data: the domain, cluster, secret, time (eight bytes, big end first) and author, each of fixed
/// width, then the master key's name, which being last needs no length.
struct Binding {
    bytes: [u8; CONTEXT_LEN + MASTER_KEY_NAME_BYTES_MAX],
    len: usize,
}

impl Binding {
    /// `key_name` must be a name in a keyring, and is therefore short enough.
    fn of(domain: &Domain, context: &Context, key_name: &str) -> Self {
        let mut binding = Self { bytes: [0; CONTEXT_LEN + MASTER_KEY_NAME_BYTES_MAX], len: 0 };
        binding.append(domain);
        binding.append(context.cluster.as_bytes());
        binding.append(context.secret.as_bytes());
        binding.append(&context.time.0.to_be_bytes());
        binding.append(context.author.as_bytes());
        binding.append(key_name.as_bytes());
        binding
    }

    fn append(&mut self, part: &[u8]) {
        self.bytes[self.len..][..part.len()].copy_from_slice(part);
        self.len += part.len();
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}
