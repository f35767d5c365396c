//! What Secrets Manager writes, and what it means. Knows nothing of how it is asked.

use std::{collections::HashMap, sync::Arc};

use chrono::{DateTime, Utc};
use serde::Deserialize;

use crate::types::{SecretMetadata, SecretString, SecretValue, SecretVersion};

/// The label of the version that is current.
pub(super) const CURRENT: &str = "AWSCURRENT";

/// The answer to `GetSecretValue`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Value {
    #[serde(rename = "ARN")]
    arn: String,
    version_id: String,
    secret_string: Option<SecretString>,
    /// Base64, as it is given on.
    secret_binary: Option<SecretString>,
    #[serde(default)]
    version_stages: Vec<String>,
    created_date: f64,
}

impl Value {
    /// What it means; none if it has no value.
    pub(super) fn read(self, path: &str) -> Option<SecretValue> {
        let (value, binary) = match (self.secret_string, self.secret_binary) {
            (Some(text), _) => (text, false),
            (None, Some(base64)) => (base64, true),
            (None, None) => return None,
        };
        let created_at = date(self.created_date)?;
        let is_current = self.version_stages.iter().any(|stage| stage == CURRENT);
        let current = if is_current { self.version_id.as_str() } else { "" };
        let mut metadata = SecretMetadata::new(path, current, created_at);
        metadata.arn = Some(self.arn);
        metadata.stages = self.version_stages;
        Some(SecretValue {
            value,
            binary,
            version: self.version_id.into(),
            created_at,
            updated_at: None,
            valid_until: None,
            metadata: Arc::new(metadata),
        })
    }
}

/// The answer to `DescribeSecret`, and an entry of that to `ListSecrets`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Described {
    #[serde(rename = "ARN")]
    arn: Option<String>,
    pub(super) name: String,
    description: Option<String>,
    #[serde(default)]
    rotation_enabled: Option<bool>,
    next_rotation_date: Option<f64>,
    last_accessed_date: Option<f64>,
    created_date: Option<f64>,
    last_changed_date: Option<f64>,
    deleted_date: Option<f64>,
    #[serde(default)]
    tags: Option<Vec<Tag>>,
    version_ids_to_stages: Option<HashMap<String, Vec<String>>>,
    /// The same, as a list calls it.
    secret_versions_to_stages: Option<HashMap<String, Vec<String>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Tag {
    key: String,
    #[serde(default)]
    value: String,
}

impl Described {
    /// Whether somebody has it deleted, at once or in some days.
    pub(super) fn is_deleted(&self) -> bool {
        self.deleted_date.is_some()
    }

    /// What it means, under the name that it was asked by.
    pub(super) fn read(self, path: &str) -> SecretMetadata {
        let of = |seconds: Option<f64>| seconds.and_then(date);
        let versions = self.version_ids_to_stages.or(self.secret_versions_to_stages).unwrap_or_default();
        let current = versions.into_iter().find(|(_, stages)| stages.iter().any(|stage| stage == CURRENT));
        let (version, stages) = current.unwrap_or_default();
        let created_at = of(self.created_date).or(of(self.last_changed_date)).unwrap_or_default();
        SecretMetadata {
            arn: self.arn,
            description: self.description.filter(|words| !words.is_empty()),
            stages,
            tags: self.tags.unwrap_or_default().into_iter().map(|tag| (tag.key, tag.value)).collect(),
            rotation_enabled: self.rotation_enabled.unwrap_or_default(),
            next_rotation: of(self.next_rotation_date),
            last_accessed: of(self.last_accessed_date),
            ..SecretMetadata::new(path, version, created_at)
        }
    }
}

/// The answer to `ListSecrets`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Listed {
    #[serde(default)]
    pub(super) secret_list: Vec<Described>,
    pub(super) next_token: Option<String>,
}

/// The answer to `ListSecretVersionIds`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Versions {
    #[serde(default)]
    pub(super) versions: Vec<Listing>,
    pub(super) next_token: Option<String>,
}

/// One of them.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Listing {
    version_id: String,
    #[serde(default)]
    version_stages: Vec<String>,
    created_date: Option<f64>,
}

impl Listing {
    /// What it means.
    pub(super) fn read(self) -> SecretVersion {
        let created_at = self.created_date.and_then(date).unwrap_or_default();
        SecretVersion { stages: self.version_stages, ..SecretVersion::new(self.version_id, created_at) }
    }
}

/// The answer to `RotateSecret`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Rotated {
    pub(super) version_id: Option<String>,
}

/// Dates are seconds since 1970, with a fraction.
fn date(seconds: f64) -> Option<DateTime<Utc>> {
    let micros = seconds * 1e6;
    (micros.abs() < 9e18).then(|| DateTime::from_timestamp_micros(micros as i64)).flatten()
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn value(json: &str) -> Option<SecretValue> {
        serde_json::from_str::<Value>(json).unwrap().read("db/password")
    }

    #[test]
    fn a_text_is_read_with_its_version_and_date() {
        let json = r#"{"ARN": "arn:x", "Name": "db/password", "VersionId": "v1", "SecretString": "hunter2",
            "VersionStages": ["AWSCURRENT"], "CreatedDate": 1735689600.25}"#;
        let value = value(json).unwrap();
        assert_eq!((value.value.expose_secret(), value.binary), ("hunter2", false));
        assert_eq!((&*value.version, value.metadata.current_version.as_str()), ("v1", "v1"));
        assert_eq!(value.created_at, "2025-01-01T00:00:00.25Z".parse::<DateTime<Utc>>().unwrap());
    }

    #[test]
    fn a_binary_value_is_its_base64_and_says_so() {
        let json = r#"{"ARN": "arn:x", "VersionId": "v1", "SecretBinary": "/wA=", "VersionStages": [],
            "CreatedDate": 1}"#;
        let value = value(json).unwrap();
        assert!(value.binary);
        assert_eq!(*value.bytes().unwrap(), [0xff, 0x00]);
        assert_eq!(value.metadata.current_version, "", "it is not the current one");
    }

    #[test]
    fn an_answer_without_a_value_or_with_an_impossible_date_is_none() {
        assert!(value(r#"{"ARN": "a", "VersionId": "v", "CreatedDate": 1}"#).is_none());
        let far = r#"{"ARN": "a", "VersionId": "v", "SecretString": "s", "CreatedDate": 1e300}"#;
        assert!(value(far).is_none());
    }

    #[test]
    fn a_description_has_tags_and_the_current_version() {
        let json = r#"{"ARN": "arn:x", "Name": "n", "Description": "words", "RotationEnabled": true,
            "NextRotationDate": 1735689600, "LastAccessedDate": 0, "CreatedDate": 1,
            "Tags": [{"Key": "env", "Value": "prod"}],
            "VersionIdsToStages": {"old": ["AWSPREVIOUS"], "new": ["AWSCURRENT", "blue"]}}"#;
        let metadata = serde_json::from_str::<Described>(json).unwrap().read("n");
        assert_eq!(metadata.current_version, "new");
        assert_eq!(metadata.stages, ["AWSCURRENT", "blue"]);
        assert_eq!(metadata.tags["env"], "prod");
        assert!(metadata.rotation_enabled && metadata.next_rotation.is_some());
    }
}
