//! One entry as it lies in its file: when it was fetched and until when it is valid, in the clear, and the rest encrypted
//! and bound to both and to the question that it answers. Knows nothing of files.
//!
//! ```text
//! "SMDC2" | fetched at | valid until | nonce | XChaCha20-Poly1305(JSON of the entry)
//!    5          8            8          24        at least 16
//! ```
//!
//! Dates are milliseconds since 1970, little-endian, signed; the greatest number where there is no end. The name of the
//! file is part of what the encryption binds, and is made of the question with the key: an entry that is moved to another
//! name, or whose dates are changed, is not read.

use std::borrow::Cow;

use chacha20poly1305::{AeadInOut, KeyInit, XChaCha20Poly1305, XNonce, aead::Generate};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{
    cache::CacheKey,
    types::{ExposedValue, ProviderType, SecretValue},
};

const MAGIC: &[u8; 5] = b"SMDC2";
const NONCE: usize = 24;
/// Magic, dates.
const HEAD: usize = MAGIC.len() + 16;

/// A value, and what it was the answer to.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    pub provider: ProviderType,
    pub place: String,
    pub path: String,
    pub version: Option<String>,
    pub stage: Option<String>,
    pub at: Option<DateTime<Utc>>,
    pub fresh_until: DateTime<Utc>,
    pub secret: ExposedValue,
}

/// The dates of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dates {
    /// When its store gave it out.
    pub fetched_at: DateTime<Utc>,
    /// Until when it may be used, where the store told.
    pub valid_until: Option<DateTime<Utc>>,
}

/// What encrypts entries and names them.
pub struct Keys {
    cipher: XChaCha20Poly1305,
    names: Zeroizing<[u8; 32]>,
}

impl Keys {
    pub fn new(key: &[u8; 32]) -> Self {
        let entries = Zeroizing::new(blake3::derive_key("secrets-manager 2026 disk cache: entries", key));
        let names = Zeroizing::new(blake3::derive_key("secrets-manager 2026 disk cache: names", key));
        Self { cipher: XChaCha20Poly1305::new((&*entries).into()), names }
    }

    /// What the names of all files for `path` begin with.
    pub fn path_name(&self, path: &str) -> String {
        blake3::keyed_hash(&self.names, path.as_bytes()).to_hex()[..32].to_owned()
    }

    /// The name of the file for a question.
    pub fn name(&self, key: &CacheKey<'_>) -> String {
        let mut hasher = blake3::Hasher::new_keyed(&self.names);
        let at = key.at.map(|at| at.timestamp_nanos_opt().unwrap_or(i64::MIN).to_string());
        let (provider, place) = (Some(key.provider.name()), Some(&*key.place));
        for part in [provider, place, key.version.as_deref(), key.stage.as_deref(), at.as_deref()] {
            // Lengths keep the parts apart; what is missing has none that a text could have.
            hasher.update(&part.map_or(u64::MAX, |part| part.len() as u64).to_le_bytes());
            hasher.update(part.unwrap_or_default().as_bytes());
        }
        format!("{}-{}", self.path_name(&key.path), &hasher.finalize().to_hex()[..32])
    }

    /// The content of the file `name`; none where there is no chance to be had, or no JSON to be made.
    pub fn seal(&self, name: &str, entry: &Entry, dates: Dates) -> Option<Vec<u8>> {
        // With room to spare, so that no part of the value is left behind where the JSON outgrew its memory.
        let mut json = Zeroizing::new(Vec::with_capacity(6 * entry.secret.value.len() + (4 << 10)));
        serde_json::to_writer(&mut *json, entry).ok()?;
        let nonce = XNonce::try_generate().ok()?;
        let mut content = head(dates);
        let bound = bound(&content, name);
        self.cipher.encrypt_in_place(&nonce, &bound, &mut *json).ok()?;
        content.extend_from_slice(&nonce);
        content.extend_from_slice(&json);
        Some(content)
    }

    /// The entry of the file `name`; none if it is not what [`Keys::seal`] made for this name with this key.
    pub fn open(&self, name: &str, content: &[u8]) -> Option<Entry> {
        let (head, rest) = content.split_at_checked(HEAD)?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE>()?;
        let mut json = Zeroizing::new(sealed.to_vec());
        self.cipher.decrypt_in_place(&XNonce::from(*nonce), &bound(head, name), &mut *json).ok()?;
        serde_json::from_slice(&json).ok()
    }
}

impl Entry {
    pub fn new(key: &CacheKey<'_>, fresh_until: DateTime<Utc>, secret: &SecretValue) -> Self {
        let CacheKey { provider, place, path, version, stage, at } = key.clone().into_owned();
        Self {
            provider,
            place: place.into_owned(),
            path: path.into_owned(),
            version: version.map(Cow::into_owned),
            stage: stage.map(Cow::into_owned),
            at,
            fresh_until,
            secret: secret.into(),
        }
    }

    /// Whether it is the answer to this question.
    pub fn answers(&self, key: &CacheKey<'_>) -> bool {
        self.provider == key.provider
            && (self.place.as_str(), self.path.as_str()) == (&*key.place, &*key.path)
            && (self.version.as_deref(), self.stage.as_deref())
                == (key.version.as_deref(), key.stage.as_deref())
            && self.at == key.at
    }
}

/// The dates of a file's content; none if it is no entry.
pub fn dates(content: &[u8]) -> Option<Dates> {
    let dates = content.get(..HEAD)?.strip_prefix(MAGIC)?;
    let (fetched_at, valid_until) = dates.split_first_chunk::<8>()?;
    let valid_until = i64::from_le_bytes(valid_until.try_into().ok()?);
    Some(Dates {
        fetched_at: DateTime::from_timestamp_millis(i64::from_le_bytes(*fetched_at))?,
        valid_until: match valid_until {
            i64::MAX => None,
            millis => Some(DateTime::from_timestamp_millis(millis)?),
        },
    })
}

fn head(dates: Dates) -> Vec<u8> {
    let valid_until = dates.valid_until.map_or(i64::MAX, |until| until.timestamp_millis());
    let fetched_at = dates.fetched_at.timestamp_millis();
    [MAGIC.as_slice(), &fetched_at.to_le_bytes(), &valid_until.to_le_bytes()].concat()
}

fn bound(head: &[u8], name: &str) -> Vec<u8> {
    [head, name.as_bytes()].concat()
}
