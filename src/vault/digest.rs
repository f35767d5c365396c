//! What lets a retry be recognised: a digest of the idempotency key and one of the request. The second is
//! under a secret key, since it covers the value and lies on disk: without the key it is no oracle for
//! guessing. That of a removal, which has no value, is under none. Keeps I1 with `covault_model::plan`, also when
//! the active master key changed in between.

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
const REMOVAL_CONTEXT: &str = "covault 2026-11 idempotent removal";

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
        let key = digest_of_key(caller, key);

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

/// The digests for `key`, which came with a removal of what is no secret. They take no master key: who is not to be
/// let in any more can be taken away where none is usable, too.
pub(super) fn idempotency_of_removal(
    caller: &CallerName,
    key: Option<&IdempotencyKey>,
    request: &impl Serialize,
) -> Option<Idempotency> {
    let request = Digest(derive(REMOVAL_CONTEXT, &[caller.as_bytes(), &covault_model::encode(request)]));
    key.map(|key| Idempotency(digest_of_key(caller, key), request))
}

fn digest_of_key(caller: &CallerName, key: &IdempotencyKey) -> Digest {
    Digest(derive(KEY_CONTEXT, &[caller.as_bytes(), key.as_str().as_bytes()]))
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
