//! A version of a secret as its store's history tells it. Knows nothing of its value.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// A version of a secret, without its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretVersion {
    /// Its identifier, as [`super::GetSecretOptions::version`] takes it.
    pub version: String,
    /// What leads to it beside its identifier: stages in AWS, aliases in GCP.
    pub stages: Vec<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Until when it may be used, where the store tells.
    pub valid_until: Option<DateTime<Utc>>,
    /// Whether it may be read at all.
    pub status: VersionStatus,
}

impl SecretVersion {
    /// A version that may be read, without stages and without an end.
    pub fn new(version: impl Into<String>, created_at: DateTime<Utc>) -> Self {
        Self {
            version: version.into(),
            stages: Vec::new(),
            created_at,
            valid_until: None,
            status: VersionStatus::Readable,
        }
    }
}

/// Whether a version may be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VersionStatus {
    /// It is given out, within its time.
    Readable,
    /// Somebody turned it off.
    Disabled,
    /// It is deleted, and can be brought back.
    Deleted,
    /// Its value is gone.
    Destroyed,
}
