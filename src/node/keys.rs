//! The master keyring of a node at start: loaded or made, and compared with what the cluster knows.
//! Keeps S3: what is missing, wrong, unreadable or open to others is refused by name, unless the operator
//! asked to start without. Knows nothing of values.

use covault_model::{name::MasterKeyName, registry::KeyCheck};
use covault_seal::{Keyring, KeyringError, KeyringSource};

use super::{config::NodeConfig, error::StartError};
use crate::{
    host::Host,
    vault::{KeyVerdict, Keys},
};

/// The keyring in the data directory, unless another source is configured.
pub const DEFAULT_KEYRING_FILE: &str = "master.keys";

/// Loads the keyring; a new vault gets a new one where its file is to be.
pub(super) fn load(config: &NodeConfig, new: bool, host: &dyn Host) -> Result<Option<Keyring>, StartError> {
    if let (true, KeyringSource::File(path)) = (new, &config.keyring)
        && !path.exists()
    {
        let ring = Keyring::generate(&mut |bytes| host.fill(bytes));
        ring.write_new(path)?;
        return Ok(Some(ring));
    }
    match Keyring::load(&config.keyring) {
        Ok(ring) => Ok(Some(ring)),
        Err(error) if config.without_key => {
            tracing::error!(code = "master_key_unavailable", "{error}");
            Ok(None)
        }
        Err(error) => Err(KeyringError::into(error)),
    }
}

/// Compares the ring with what the cluster knows.
pub(super) fn judge(
    config: &NodeConfig,
    ring: Option<Keyring>,
    known: &[(MasterKeyName, KeyCheck)],
) -> Result<Keys, StartError> {
    let (keys, verdict) = Keys::judge(ring, known);
    let refusal = match verdict {
        KeyVerdict::Complete => return Ok(keys),
        KeyVerdict::Missing(names) => StartError::MissingKeys(names),
        KeyVerdict::Wrong(names) => StartError::WrongKeys(names),
    };
    if config.without_key {
        tracing::error!(code = "master_key_unavailable", "{refusal}");
        Ok(keys)
    } else {
        Err(refusal)
    }
}
