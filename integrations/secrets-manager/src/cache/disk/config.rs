//! Where the disk cache lies, with which key, and how large it may get.

use std::{path::PathBuf, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use secrecy::ExposeSecret;
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::{
    secret_file,
    types::{ConfigurationError, SecretString},
};

/// The largest file that a key is read from, in bytes.
const LARGEST_KEY_FILE: u64 = 4096;

/// A cache of encrypted files.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiskCacheConfig {
    /// The folder, of this cache alone. It is made if it is not there.
    pub directory: PathBuf,
    /// The key: 32 bytes in base64, as `openssl rand -base64 32` makes them.
    #[serde(default)]
    pub key: Option<SecretString>,
    /// The file that has the key, instead. It should lie elsewhere than the cache, and be its reader's alone.
    #[serde(default)]
    pub key_file: Option<PathBuf>,
    /// Entries at most; 1,000 unless given.
    #[serde(default = "most_entries")]
    pub max_entries: usize,
    /// Bytes at most, encrypted; 64 MiB unless given.
    #[serde(default = "most_bytes")]
    pub max_bytes: u64,
    /// How long after it was fetched a value may be given out at all, fresh or not; an hour unless given.
    #[serde(default = "max_age", with = "humantime_serde")]
    pub max_age: Duration,
}

impl DiskCacheConfig {
    /// A cache in `directory` with the key of `key_file`.
    pub fn new(directory: impl Into<PathBuf>, key_file: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            key: None,
            key_file: Some(key_file.into()),
            max_entries: most_entries(),
            max_bytes: most_bytes(),
            max_age: max_age(),
        }
    }

    /// The key's bytes.
    pub(super) fn key_bytes(&self) -> Result<Zeroizing<[u8; 32]>, ConfigurationError> {
        let text = match (&self.key, &self.key_file) {
            (Some(key), None) => Zeroizing::new(key.expose_secret().as_bytes().to_vec()),
            (None, Some(file)) => secret_file::read(file, LARGEST_KEY_FILE)
                .map_err(|error| invalid(&format!("key file {}: {error}", file.display())))?,
            _ => return Err(invalid("it needs a key or a key_file, and not both")),
        };
        let mut key = Zeroizing::new([0; 32]);
        // The decoder may ask for more room than it fills: 33 bytes' worth.
        let mut decoded = Zeroizing::new([0; 64]);
        match STANDARD.decode_slice(text.trim_ascii(), &mut *decoded) {
            Ok(32) => key.copy_from_slice(&decoded[..32]),
            _ => return Err(invalid("the key is not 32 bytes in base64")),
        }
        Ok(key)
    }
}

fn most_entries() -> usize {
    1000
}

fn most_bytes() -> u64 {
    64 << 20
}

fn max_age() -> Duration {
    Duration::from_secs(3600)
}

pub(super) fn invalid(why: &str) -> ConfigurationError {
    ConfigurationError::InvalidCacheConfig { detail: format!("disk cache: {why}") }
}
