//! What Google Cloud Secret Manager is asked with: project, location, credentials, connections. Knows nothing of how they
//! are used.

use std::path::PathBuf;

use serde::Deserialize;
use url::Url;

use crate::{transport::TransportConfig, types::SecretString};

/// The secrets of one project.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GcpSecretManagerConfig {
    /// The project's id or number. Empty: what `GOOGLE_CLOUD_PROJECT` says.
    #[serde(default)]
    pub project: String,
    /// The location of regional secrets, such as `europe-west3`; the project's global secrets without.
    #[serde(default)]
    pub location: Option<String>,
    /// Where the credentials come from.
    #[serde(default)]
    pub credentials: GcpCredentialSource,
    /// Asks this address instead of Google's, without `/v1`: a private one, an emulator, a gateway and a path of it.
    #[serde(default)]
    pub endpoint: Option<Url>,
    /// How the store is reached.
    #[serde(default)]
    pub transport: TransportConfig,
}

impl GcpSecretManagerConfig {
    /// A project's global secrets, with the application's default credentials.
    pub fn new(project: impl Into<String>) -> Self {
        Self {
            project: project.into(),
            location: None,
            credentials: GcpCredentialSource::default(),
            endpoint: None,
            transport: TransportConfig::default(),
        }
    }
}

/// Where credentials come from: in a file `"default"`, `{ file = "key.json" }`, `"metadata"` or
/// `{ access_token = "…" }`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GcpCredentialSource {
    /// The application's default credentials: the file that `GOOGLE_APPLICATION_CREDENTIALS` names, else gcloud's own,
    /// else the metadata server.
    #[default]
    Default,
    /// A file of Google's: a service account's key, an external account (workload identity federation) or an authorized
    /// user.
    File(PathBuf),
    /// The metadata server of Compute Engine, GKE and Cloud Run.
    Metadata,
    /// This token, for as long as it is good.
    AccessToken(SecretString),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_is_enough() {
        let config: GcpSecretManagerConfig = serde_json::from_str(r#"{"project": "p"}"#).unwrap();
        assert_eq!((config.project.as_str(), config.location), ("p", None));
        assert!(matches!(config.credentials, GcpCredentialSource::Default));
    }

    #[test]
    fn every_source_of_credentials_can_be_written_down() {
        let source = |json: &str| serde_json::from_str::<GcpCredentialSource>(json).unwrap();
        assert!(matches!(source(r#""default""#), GcpCredentialSource::Default));
        assert!(matches!(source(r#"{"file": "/key.json"}"#), GcpCredentialSource::File(_)));
        assert!(matches!(source(r#""metadata""#), GcpCredentialSource::Metadata));
        assert!(matches!(source(r#"{"access_token": "t"}"#), GcpCredentialSource::AccessToken(_)));
    }

    #[test]
    fn a_field_that_is_not_known_is_refused() {
        assert!(serde_json::from_str::<GcpSecretManagerConfig>(r#"{"projekt": "p"}"#).is_err());
    }

    #[test]
    fn debug_shows_no_token() {
        let json = r#"{"project": "p", "credentials": {"access_token": "swordfish"}}"#;
        let config: GcpSecretManagerConfig = serde_json::from_str(json).unwrap();
        assert!(!format!("{config:?}").contains("swordfish"));
    }
}
