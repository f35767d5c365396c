//! What a store has of a secret: its value, what is known about it, what became of a rotation.

use std::{collections::HashMap, sync::Arc};

use base64::Engine;
use chrono::{DateTime, Utc};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{ParseError, SecretString};

/// A version of a secret with its value. A clone shares value and metadata with the first.
#[derive(Debug, Clone)]
pub struct SecretValue {
    /// Text, a JSON object, or the base64 of a binary secret if `binary` says so.
    pub value: SecretString,
    /// Whether the value is binary; `value` is then standard base64 with padding.
    pub binary: bool,
    /// The version's identifier, as its store gives it.
    pub version: Arc<str>,
    /// When this version was made.
    pub created_at: DateTime<Utc>,
    /// When something about it changed last, where the store tells.
    pub updated_at: Option<DateTime<Utc>>,
    /// Until when it may be used, where the store tells. Nothing gives it out afterwards.
    pub valid_until: Option<DateTime<Utc>>,
    /// What else is known.
    pub metadata: Arc<SecretMetadata>,
}

impl SecretValue {
    /// The value's own bytes: decoded if it is binary, those of the text otherwise.
    ///
    /// # Errors
    /// [`ParseError::InvalidSecretFormat`] if it is said to be binary and is not base64.
    pub fn bytes(&self) -> Result<Zeroizing<Vec<u8>>, ParseError> {
        let text = self.value.expose_secret();
        if !self.binary {
            return Ok(Zeroizing::new(text.as_bytes().to_vec()));
        }
        let decoded = base64::engine::general_purpose::STANDARD.decode(text);
        decoded.map(Zeroizing::new).map_err(|_| ParseError::InvalidSecretFormat {
            path: self.metadata.name.clone(),
            detail: "it is said to be binary and is not base64".into(),
        })
    }
}

/// What is known about a secret; never its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretMetadata {
    /// The path that it is asked for by.
    pub name: String,
    /// The store's own identifier: an ARN, a URL, a resource name.
    pub arn: Option<String>,
    /// What somebody wrote about it.
    pub description: Option<String>,
    /// The version that is current; empty where that was not told, as with a version that is not.
    pub current_version: String,
    /// Labels of the version: stages in AWS, aliases in GCP.
    pub stages: Vec<String>,
    /// Tags or labels of the secret.
    pub tags: HashMap<String, String>,
    /// Whether the store rotates it by itself.
    pub rotation_enabled: bool,
    /// When it does so next.
    pub next_rotation: Option<DateTime<Utc>>,
    /// When the secret, or the version where the store tells only this, was made.
    pub created_at: DateTime<Utc>,
    /// When somebody read it last, where the store tells.
    pub last_accessed: Option<DateTime<Utc>>,
}

impl SecretMetadata {
    /// What is known at least: its name, current version and when it was made.
    pub fn new(
        name: impl Into<String>,
        current_version: impl Into<String>,
        created_at: DateTime<Utc>,
    ) -> Self {
        Self {
            name: name.into(),
            arn: None,
            description: None,
            current_version: current_version.into(),
            stages: Vec::new(),
            tags: HashMap::new(),
            rotation_enabled: false,
            next_rotation: None,
            created_at,
            last_accessed: None,
        }
    }

    /// Whether it has all of these tags with these values.
    pub fn has_tags(&self, wanted: &HashMap<String, String>) -> bool {
        wanted.iter().all(|(name, value)| self.tags.get(name) == Some(value))
    }
}

/// Some secrets of a list, and where to go on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretPage {
    /// In the store's order.
    pub secrets: Vec<SecretMetadata>,
    /// What [`super::ListOptions::next_token`] is to be for the next page; none after the last.
    pub next_token: Option<String>,
}

/// What became of a rotation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RotationResult {
    /// Whether it was begun.
    pub triggered: bool,
    /// The new version, where the store tells at once.
    pub version_id: Option<String>,
    /// How far it is.
    pub status: RotationStatus,
}

/// How far a rotation is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RotationStatus {
    /// It was asked for.
    Pending,
    /// It runs.
    InProgress,
    /// The new version is current.
    Completed,
    /// It failed; the store's reason.
    Failed(String),
    /// Nothing is set up that could rotate this secret.
    NotConfigured,
}
