//! Covault's answers as they stand in its JSON, and as this crate has them. Knows nothing of how they are had. Members
//! that are not known are left alone: answers may gain some.

use std::{collections::HashMap, sync::Arc};

use chrono::{DateTime, Utc};
use serde::Deserialize;

use crate::types::{SecretMetadata, SecretString, SecretValue, SecretVersion, VersionStatus};

/// A version of a secret as history tells it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct CovaultVersion {
    /// Its number, from 1 without gaps; none while it is provisional, or if it was superseded.
    pub number: Option<u64>,
    /// Its identifier: 64 hexadecimal digits, never given to another version.
    pub id: String,
    /// Since when it was in force.
    pub valid_from: DateTime<Utc>,
    /// Until when; none if it still is.
    pub valid_to: Option<DateTime<Utc>>,
    /// When it was written.
    pub created_at: DateTime<Utc>,
    /// The node that wrote it.
    pub author: String,
    /// The caller who had it written.
    pub caller: String,
    /// What it is now.
    pub state: VersionState,
    /// When it stops being given out, if ever.
    pub expires_at: Option<DateTime<Utc>>,
}

/// What a version is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VersionState {
    /// In force.
    Current,
    /// It was.
    Past,
    /// Not agreed by a majority yet.
    Provisional,
    /// Not agreed, and never to be.
    Superseded,
    /// Deleted; it can be brought back.
    Deleted,
    /// Erased.
    Destroyed,
    /// One that this crate does not know.
    #[serde(other)]
    Unknown,
}

impl From<CovaultVersion> for SecretVersion {
    fn from(version: CovaultVersion) -> Self {
        Self {
            valid_until: version.expires_at,
            status: match version.state {
                VersionState::Deleted => VersionStatus::Deleted,
                VersionState::Destroyed => VersionStatus::Destroyed,
                _ => VersionStatus::Readable,
            },
            ..Self::new(version.id, version.created_at)
        }
    }
}

/// A secret with a value. Its fields stand here once more, for serde would keep a copy of the value to flatten them.
#[derive(Deserialize)]
pub struct Secret {
    name: String,
    version: CovaultVersion,
    #[serde(default)]
    labels: HashMap<String, String>,
    description: Option<String>,
    value: Option<SecretString>,
    value_base64: Option<SecretString>,
}

/// A secret as lists have it.
#[derive(Deserialize)]
pub struct Listed {
    pub name: String,
    pub version: CovaultVersion,
    #[serde(default)]
    labels: HashMap<String, String>,
    description: Option<String>,
}

/// A page of a list.
#[derive(Deserialize)]
pub struct Page {
    pub secrets: Vec<Listed>,
    pub next: Option<String>,
}

/// A page of a history.
#[derive(Deserialize)]
pub struct History {
    pub versions: Vec<CovaultVersion>,
    pub next: Option<String>,
}

impl Secret {
    /// What it means, as an answer for the newest version or for another one; none if it has no value, against the
    /// contract.
    pub fn into_value(self, newest: bool) -> Option<SecretValue> {
        let Self { name, version, labels, description, value, value_base64 } = self;
        let (value, binary) = match (value, value_base64) {
            (Some(text), None) => (text, false),
            (None, Some(base64)) => (base64, true),
            _ => return None,
        };
        let is_current = newest || version.state == VersionState::Current;
        let current = if is_current { version.id.as_str() } else { "" };
        let metadata = SecretMetadata {
            description,
            tags: labels,
            ..SecretMetadata::new(name, current, version.created_at)
        };
        Some(SecretValue {
            value,
            binary,
            version: version.id.into(),
            created_at: version.created_at,
            updated_at: None,
            valid_until: version.expires_at,
            metadata: Arc::new(metadata),
        })
    }
}

impl Listed {
    pub fn into_metadata(self) -> SecretMetadata {
        SecretMetadata {
            description: self.description,
            tags: self.labels,
            ..SecretMetadata::new(self.name, self.version.id, self.version.created_at)
        }
    }
}
