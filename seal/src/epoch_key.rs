//! What tokens come of, and how the value behind one is sealed. Keeps T1: a token is a function of owner, epoch,
//! field type and canonical value under a key that only holders of the master key have, so that every node
//! computes the same one, and nobody else any.
//!
//! ```text
//! master key ─derive─► tokens ─keyed(cluster, owner, epoch)─► epoch key ─derive─► computing, sealing, forming
//! mapping id (opaque) = keyed(computing; owner, epoch, field type, canonical value), the first 16 bytes
//! sealed value        = XChaCha20-Poly1305(sealing, nonce = mapping id, "token value" + cluster + scope + id)
//! ```
//!
//! A mapping id is the nonce of its value as well: it is a function of the value, and two values never share
//! one, so that sealing needs no chance and gives the same bytes on every node. That equal values have equal
//! ciphertexts says no more than that they have equal tokens. Knows nothing of documents or of what exists.

use std::mem;

use covault_model::{
    canonical::Scalar,
    field::{FieldRule, Format, OpaqueToken},
    id::{ClusterId, MappingId},
    issue::{Mapping, Scope},
    mutant::Mutant,
};
use zeroize::Zeroizing;

use crate::{
    cipher::XChaCha20Poly1305,
    envelope::SealError,
    form,
    master_key::{MasterKey, keyed},
    payload::{NONCE_LEN, TAG_LEN},
    plaintext::Plaintext,
};

const EPOCH: &str = "covault 2026-11 epoch key";
const COMPUTING: &str = "covault 2026-11 epoch key: tokens";
const SEALING: &str = "covault 2026-11 epoch key: values behind tokens";
const FORMING: &str = "covault 2026-11 epoch key: tokens that keep a form";
const TOKEN: &str = "token";
const VALUE: &[u8; 24] = b"covault 2026-11 token   ";

type Secret = Zeroizing<[u8; 32]>;

/// The keys of one owner's epoch; wiped when dropped.
pub struct EpochKey {
    scope: Scope,
    cluster: ClusterId,
    computing: Secret,
    sealing: Secret,
    forming: Secret,
}

/// A token and the mapping that makes it exist once it is stored.
pub struct Token {
    /// What the client gets.
    pub text: String,
    /// Its mapping.
    pub mapping: Mapping,
}

/// The value has not the form that the field's tokens keep, or is one of too few.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Misfit;

impl EpochKey {
    /// The keys of `scope`, from its epoch's master key.
    pub(crate) fn new(master: &MasterKey, cluster: ClusterId, scope: &Scope) -> Self {
        let number = scope.epoch.0.to_be_bytes();
        let parts = [cluster.as_bytes().as_slice(), owner_of(scope), &number];
        let mut key = Zeroizing::new([0; 32]);
        keyed(master.tokens(), EPOCH, &parts).finalize_xof().fill(key.as_mut_slice());
        let purpose = |context: &str| Zeroizing::new(blake3::derive_key(context, key.as_slice()));
        Self {
            scope: scope.clone(),
            cluster,
            computing: purpose(COMPUTING),
            sealing: purpose(SEALING),
            forming: purpose(FORMING),
        }
    }

    /// Whose tokens these are, and of which epoch.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// The token that stands for `value`, a canonical form, in a field of this kind, with its mapping.
    pub fn token(&self, field: &FieldRule, value: &Plaintext) -> Result<Token, Misfit> {
        let form = value.expose_plaintext();
        let (text, id) = match field.format {
            Format::Opaque => {
                let mapping = self.opaque(field, form);
                (OpaqueToken { epoch: self.scope.epoch, mapping }.text(), mapping)
            }
            format => {
                let Some(Scalar::Text(text)) = Scalar::read(form) else { return Err(Misfit) };
                let key = self.form_key(field);
                let text = form::replace(&key, format, text).ok_or(Misfit)?;
                let id = MappingId::of_form(&field.kind, format.as_str(), &text);
                (text, id)
            }
        };
        Ok(Token { text, mapping: Mapping(id, self.seal(&id, form)) })
    }

    /// The canonical form of the value behind a mapping of this scope.
    pub fn open(&self, id: &MappingId, sealed: &[u8]) -> Result<Plaintext, SealError> {
        let (body, tag) = sealed.split_last_chunk::<TAG_LEN>().ok_or(SealError::NotAuthentic)?;
        let mut value = Zeroizing::new(vec![0; body.len()]);
        self.cipher(id).open(&self.binding(id), body, tag, &mut value)?;
        Ok(Plaintext::new(mem::take(&mut *value)))
    }

    fn opaque(&self, field: &FieldRule, form: &[u8]) -> MappingId {
        let number = self.scope.epoch.0.to_be_bytes();
        let parts = [owner_of(&self.scope), &number, field.kind.as_bytes(), form];
        let mut id = MappingId::default();
        keyed(&self.computing, TOKEN, &parts).finalize_xof().fill(&mut id.0);
        id
    }

    fn form_key(&self, field: &FieldRule) -> Secret {
        let mut key = Zeroizing::new([0; 32]);
        let parts = [field.kind.as_bytes(), field.format.as_str().as_bytes()];
        keyed(&self.forming, TOKEN, &parts).finalize_xof().fill(key.as_mut_slice());
        key
    }

    fn seal(&self, id: &MappingId, form: &[u8]) -> Vec<u8> {
        let mut sealed = Vec::with_capacity(form.len() + TAG_LEN);
        sealed.extend_from_slice(form);
        let tag = self.cipher(id).seal(&self.binding(id), &mut sealed);
        let tag = tag.expect("a value behind a token is far smaller than what the cipher takes");
        sealed.extend_from_slice(&tag);
        sealed
    }

    /// The cipher for the value behind a mapping, whose id is its nonce.
    fn cipher(&self, id: &MappingId) -> XChaCha20Poly1305 {
        let mut nonce = [0; NONCE_LEN];
        nonce[..MappingId::LEN].copy_from_slice(id.as_bytes());
        XChaCha20Poly1305::of(&self.sealing, &nonce)
    }

    /// Associated data: the domain, cluster, epoch and mapping, each of fixed width, then the owner, which being
    /// last needs no length.
    fn binding(&self, id: &MappingId) -> Vec<u8> {
        let number = self.scope.epoch.0.to_be_bytes();
        [VALUE, self.cluster.as_bytes().as_slice(), &number, id.as_bytes(), self.scope.owner.as_bytes()]
            .concat()
    }
}

/// Whose tokens they are, as it goes into what they are computed with.
fn owner_of(scope: &Scope) -> &[u8] {
    if Mutant::SharedTokens.is_on() { &[] } else { scope.owner.as_bytes() }
}
