//! What Secret Manager writes, and what it means. Knows nothing of how it is asked.

use std::{collections::HashMap, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use secrecy::ExposeSecret;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::resource::last_part;
use crate::types::{
    ParseError, ProviderError, ProviderType, SecretMetadata, SecretString, SecretValue, SecretVersion,
    SecretsError, VersionStatus,
};

/// The answer to an access: a version's value.
#[derive(Deserialize)]
pub(super) struct Accessed {
    name: String,
    payload: Payload,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload {
    /// Base64; nothing of an empty value.
    data: Option<SecretString>,
    /// A number of 64 bits, as text.
    data_crc32c: Option<String>,
}

impl Accessed {
    /// What it means. Google does not tell when the version was made, so that it is dated by when it was `read`, which
    /// is not before. Bytes that are no text are given out as base64.
    pub(super) fn read(
        self,
        path: &str,
        is_latest: bool,
        read: DateTime<Utc>,
    ) -> Result<SecretValue, SecretsError> {
        let data = self.payload.data.unwrap_or_else(|| SecretString::from(""));
        let bytes = STANDARD.decode(data.expose_secret()).map(Zeroizing::new);
        let bytes = bytes.map_err(|_| ParseError::InvalidSecretFormat {
            path: path.to_owned(),
            detail: "the store's answer is not base64".into(),
        })?;
        if let Some(checksum) = self.payload.data_crc32c
            && checksum.parse() != Ok(i64::from(crc32c::crc32c(&bytes)))
        {
            let detail = format!("what came of {path:?} is not what its checksum says");
            return Err(ProviderError::InternalError { provider: ProviderType::Gcp, detail }.into());
        }
        let (value, binary) = match std::str::from_utf8(&bytes) {
            Ok(text) => (SecretString::from(text), false),
            Err(_) => (data, true),
        };
        let version = last_part(&self.name);
        let current = if is_latest { version } else { "" };
        let metadata =
            SecretMetadata { arn: Some(self.name.clone()), ..SecretMetadata::new(path, current, read) };
        Ok(SecretValue {
            value,
            binary,
            version: version.into(),
            created_at: read,
            updated_at: None,
            valid_until: None,
            metadata: Arc::new(metadata),
        })
    }
}

/// A secret without its value: the answer to a get, and an entry of a list.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Described {
    name: String,
    create_time: Option<DateTime<Utc>>,
    #[serde(default)]
    labels: HashMap<String, String>,
    #[serde(default)]
    annotations: HashMap<String, String>,
    rotation: Option<Rotation>,
    /// Numbers of versions, as text, by their aliases.
    #[serde(default)]
    pub(super) version_aliases: HashMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rotation {
    next_rotation_time: Option<DateTime<Utc>>,
}

impl Described {
    /// The name within its project.
    pub(super) fn id(&self) -> &str {
        last_part(&self.name)
    }

    /// What it means, under the name that it was asked by; `current` is the version's number, empty if it is not known.
    pub(super) fn read(self, path: &str, current: &str) -> SecretMetadata {
        let aliases = self.version_aliases.into_iter().filter(|(_, number)| number == current);
        let mut stages: Vec<String> = aliases.map(|(alias, _)| alias).collect();
        stages.sort_unstable();
        SecretMetadata {
            arn: Some(self.name),
            description: self.annotations.get("description").cloned(),
            stages,
            tags: self.labels,
            rotation_enabled: self.rotation.is_some(),
            next_rotation: self.rotation.and_then(|rotation| rotation.next_rotation_time),
            ..SecretMetadata::new(path, current, self.create_time.unwrap_or_default())
        }
    }
}

/// A version without its value.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Version {
    name: String,
    create_time: Option<DateTime<Utc>>,
    #[serde(default)]
    state: State,
}

/// What became of a version.
#[derive(Default, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum State {
    #[default]
    Enabled,
    Disabled,
    Destroyed,
    /// One that this crate does not know, and that is therefore not told as readable.
    #[serde(other)]
    Unknown,
}

impl Version {
    /// Its number.
    pub(super) fn number(&self) -> &str {
        last_part(&self.name)
    }

    /// What it means, for a secret that has these `aliases`.
    pub(super) fn read(&self, aliases: &HashMap<String, String>) -> SecretVersion {
        let mut stages: Vec<_> = aliases
            .iter()
            .filter(|(_, number)| *number == self.number())
            .map(|(alias, _)| alias.clone())
            .collect();
        stages.sort_unstable();
        let status = match self.state {
            State::Enabled => VersionStatus::Readable,
            State::Disabled | State::Unknown => VersionStatus::Disabled,
            State::Destroyed => VersionStatus::Destroyed,
        };
        let created_at = self.create_time.unwrap_or_default();
        SecretVersion { stages, status, ..SecretVersion::new(self.number(), created_at) }
    }
}

/// A page of a secret's versions.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Versions {
    #[serde(default)]
    pub(super) versions: Vec<Version>,
    #[serde(default)]
    pub(super) next_page_token: String,
}

/// A page of a list.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Listed {
    #[serde(default)]
    pub(super) secrets: Vec<Described>,
    #[serde(default)]
    pub(super) next_page_token: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accessed(data: &str, checksum: Option<&str>) -> Result<SecretValue, SecretsError> {
        let name = "projects/1/secrets/db/versions/5";
        let json = serde_json::json!({ "name": name, "payload": { "data": data, "dataCrc32c": checksum } });
        serde_json::from_value::<Accessed>(json).unwrap().read("db", true, DateTime::UNIX_EPOCH)
    }

    #[test]
    fn a_text_is_read_with_its_number_and_checked() {
        // The check value of CRC-32C, of the nine digits.
        let value = accessed(&STANDARD.encode("123456789"), Some("3808858755")).unwrap();
        assert_eq!((value.value.expose_secret(), value.binary), ("123456789", false));
        assert_eq!((&*value.version, value.metadata.current_version.as_str()), ("5", "5"));
    }

    #[test]
    fn a_checksum_that_differs_is_the_stores_fault_and_may_be_tried_again() {
        for wrong in ["3808858756", "", "-1", "x"] {
            let error = accessed(&STANDARD.encode("123456789"), Some(wrong)).unwrap_err();
            assert!(matches!(error, SecretsError::Provider(ProviderError::InternalError { .. })), "{wrong}");
            assert!(error.is_retryable());
        }
    }

    #[test]
    fn an_answer_without_a_checksum_and_without_data_is_an_empty_text() {
        assert_eq!(accessed("", None).unwrap().value.expose_secret(), "");
    }

    #[test]
    fn bytes_that_are_no_text_are_given_as_base64_and_say_so() {
        let value = accessed("/wA=", None).unwrap();
        assert!(value.binary);
        assert_eq!(*value.bytes().unwrap(), [0xff, 0x00]);
    }

    #[test]
    fn what_is_no_base64_is_an_error_that_does_not_show_it() {
        let error = accessed("hunter2!", None).unwrap_err();
        assert!(!error.to_string().contains("hunter2"));
    }

    #[test]
    fn a_description_has_labels_and_the_aliases_of_the_current_version() {
        let json = r#"{"name": "projects/1/secrets/db", "createTime": "2025-01-01T00:00:00.123456Z",
            "labels": {"env": "prod"}, "versionAliases": {"blue": "5", "green": "4"},
            "rotation": {"nextRotationTime": "2025-02-01T00:00:00Z", "rotationPeriod": "2592000s"}}"#;
        let metadata = serde_json::from_str::<Described>(json).unwrap().read("db", "5");
        assert_eq!((metadata.stages, metadata.tags["env"].as_str()), (vec!["blue".to_owned()], "prod"));
        assert!(metadata.rotation_enabled && metadata.next_rotation.is_some());
    }
}
