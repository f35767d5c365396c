//! A value as it is written to a file, encrypted or by somebody's wish: the one form of it that serde serializes. Knows
//! nothing of files.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize, Serializer};

use super::{SecretMetadata, SecretString, SecretValue};

/// A [`SecretValue`] that can be serialized, value included.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExposedValue {
    #[serde(serialize_with = "expose")]
    pub value: SecretString,
    pub binary: bool,
    pub version: String,
    pub created_at: DateTime<Utc>,
    pub updated_at: Option<DateTime<Utc>>,
    pub valid_until: Option<DateTime<Utc>>,
    pub metadata: SecretMetadata,
}

impl From<&SecretValue> for ExposedValue {
    fn from(secret: &SecretValue) -> Self {
        Self {
            value: secret.value.clone(),
            binary: secret.binary,
            version: secret.version.to_string(),
            created_at: secret.created_at,
            updated_at: secret.updated_at,
            valid_until: secret.valid_until,
            metadata: (*secret.metadata).clone(),
        }
    }
}

impl From<ExposedValue> for SecretValue {
    fn from(exposed: ExposedValue) -> Self {
        Self {
            value: exposed.value,
            binary: exposed.binary,
            version: exposed.version.into(),
            created_at: exposed.created_at,
            updated_at: exposed.updated_at,
            valid_until: exposed.valid_until,
            metadata: Arc::new(exposed.metadata),
        }
    }
}

fn expose<S: Serializer>(secret: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose_secret())
}
