//! What lets a retry be recognised: a digest of the idempotency key and one of the request. The second is
//! under a secret key, since it covers the value and lies on disk: without the key it is no oracle for
//! guessing. Keeps I1 with `covault_model::plan`, also when the active master key changed in between.

use covault_model::{
    id::{Digest, derive},
    name::CallerName,
    record::{Idempotency, key_apart},
    refusal::{NodeFault, Refusal},
    registry::{Registry, Remembered},
};
use covault_seal::Plaintext;
use covault_store::{Rows, StoreError};
use serde::Serialize;

use super::{IdempotencyKey, Vault, storage_refusal};

const KEY_CONTEXT: &str = "covault 2026-11 idempotency key";
const REQUEST_CONTEXT: &str = "covault 2026-11 idempotent request";

impl Vault {
    /// The digests for `key`, which came with `request` and perhaps a value; nothing without a key.
    pub(super) fn idempotency(
        &self,
        caller: &CallerName,
        key: Option<&IdempotencyKey>,
        request: &impl Serialize,
        value: Option<&Plaintext>,
    ) -> Result<Option<Idempotency>, Refusal> {
        let Some(key) = key else { return Ok(None) };
        let ring = self.parts.keys.ring()?;
        let fields = covault_model::encode(request);
        let value = value.map_or(&[][..], Plaintext::expose_plaintext);
        let parts = [caller.as_bytes(), &fields, value];
        let under = |name| ring.digest(name, REQUEST_CONTEXT, &parts).map(Digest);
        let key = Digest(derive(KEY_CONTEXT, &[caller.as_bytes(), key.as_str().as_bytes()]));

        let remembered = self.recall(caller, &key)?;
        let same =
            remembered.and_then(|it| ring.names().filter_map(under).find(|digest| *digest == it.request));
        let request = same.or_else(|| under(ring.active()));
        match request {
            Some(request) => Ok(Some(Idempotency(key, request))),
            None => Err(NodeFault::MasterKeyUnavailable(Some(ring.active().clone())).into()),
        }
    }

    /// What an earlier request with this key came to: one that was agreed, or one that needed no agreement.
    pub(super) fn recall(&self, caller: &CallerName, key: &Digest) -> Result<Option<Remembered>, Refusal> {
        recall_in(self.look()?.rows(), caller, key).map_err(storage_refusal)
    }

    /// Whether a request with this key was agreed, as far as this node knows.
    pub(super) fn is_agreed(&self, caller: &CallerName, key: &Digest) -> Result<bool, Refusal> {
        let agreed = self.look()?.rows().remembered(caller, key).map_err(storage_refusal)?;
        Ok(agreed.is_some())
    }

    /// What an earlier request with this key came to, if it needed no agreement.
    pub(super) fn recall_apart(
        &self,
        caller: &CallerName,
        key: &Digest,
    ) -> Result<Option<Remembered>, Refusal> {
        self.look()?.rows().remembered(caller, &key_apart(key)).map_err(storage_refusal)
    }
}

/// What an earlier request with this key came to, as far as these rows know.
pub(super) fn recall_in(
    rows: Rows<'_>,
    caller: &CallerName,
    key: &Digest,
) -> Result<Option<Remembered>, StoreError> {
    let agreed = rows.remembered(caller, key)?;
    if agreed.is_some() { Ok(agreed) } else { rows.remembered(caller, &key_apart(key)) }
}
