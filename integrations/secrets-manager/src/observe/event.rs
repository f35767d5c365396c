//! One access to a secret, as an auditor sees it.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::types::ProviderType;

/// Who did what to which secret, when, and whether it worked. Serializes as one JSON object, in the order of the fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SecretAccessEvent {
    /// When it was over.
    pub timestamp: DateTime<Utc>,
    /// The store that it went to, or would have.
    pub provider: Option<ProviderType>,
    /// The path, or for a list the prefix, as the caller gave it. Never the value.
    pub secret_path: String,
    /// The version that was given out, or the one that was asked for.
    pub version: Option<String>,
    /// What was done.
    pub operation: SecretOperation,
    /// Who did it, as the client was told.
    pub caller_identity: String,
    /// From where, as the client was told.
    pub source_ip: Option<String>,
    /// Whether it worked.
    pub success: bool,
    /// Whether the answer came from the cache.
    pub cached: bool,
    /// What went wrong, by the error's stable name.
    pub error_type: Option<&'static str>,
}

/// What is done to a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SecretOperation {
    /// Its value is read.
    Get,
    /// It is listed among others.
    List,
    /// What is known about it is read.
    Describe,
    /// Its versions are listed.
    Versions,
    /// Its rotation is begun.
    Rotate,
}

impl SecretOperation {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Get, Self::List, Self::Describe, Self::Versions, Self::Rotate];

    /// Its name, as metrics and events have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Describe => "describe",
            Self::Versions => "versions",
            Self::Rotate => "rotate",
        }
    }
}
