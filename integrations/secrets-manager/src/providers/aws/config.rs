//! What AWS Secrets Manager is asked with: regions, credentials, connections. Knows nothing of how they are used.

use std::sync::Arc;

use serde::Deserialize;
use url::Url;

use super::credentials::{AwsCredentials, CredentialProvider, WebIdentity};
use crate::transport::TransportConfig;

/// AWS Secrets Manager in one region, or in several that hold replicas of the same secrets.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AwsSecretsManagerConfig {
    /// The region that is asked first, such as `eu-central-1`. Empty: what `AWS_REGION` or `AWS_DEFAULT_REGION` says;
    /// a profile's own region is not looked for.
    #[serde(default)]
    pub region: String,
    /// Regions that are asked, in this order, while those before them cannot be reached or are not available. A secret
    /// has to be replicated to them under its own name.
    #[serde(default)]
    pub failover: Vec<AwsRegion>,
    /// Where the credentials come from.
    #[serde(default)]
    pub credentials: AwsCredentialSource,
    /// Asks this address instead of the region's own: a VPC endpoint, an emulator.
    #[serde(default)]
    pub endpoint: Option<Url>,
    /// Asks the regions' FIPS 140 endpoints.
    #[serde(default)]
    pub fips: bool,
    /// Asks the regions' endpoints that answer over IPv4 and IPv6.
    #[serde(default)]
    pub dual_stack: bool,
    /// How the store is reached.
    #[serde(default)]
    pub transport: TransportConfig,
}

impl AwsSecretsManagerConfig {
    /// One region, with credentials from the chain.
    pub fn new(region: impl Into<String>) -> Self {
        Self {
            region: region.into(),
            failover: Vec::new(),
            credentials: AwsCredentialSource::default(),
            endpoint: None,
            fips: false,
            dual_stack: false,
            transport: TransportConfig::default(),
        }
    }
}

/// A region that may answer in another's stead.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AwsRegion {
    /// Its name, such as `eu-west-1`.
    pub region: String,
    /// Asks this address instead of the region's own.
    #[serde(default)]
    pub endpoint: Option<Url>,
}

/// Where credentials come from: in a file `"chain"`, `"environment"`, `{ profile = "prod" }`,
/// `{ static = { access_key_id = "…", secret_access_key = "…" } }`, `{ web_identity = { … } }`, `"container"` or
/// `"instance"`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AwsCredentialSource {
    /// The first that is set up of environment, profile, web identity, container and instance, in this order. One that
    /// is set up and fails is an error: nobody is asked as somebody else.
    #[default]
    Chain,
    /// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`.
    Environment,
    /// A profile of the shared files, `~/.aws/credentials` and `~/.aws/config`: its keys, or its role (`role_arn` with
    /// `source_profile`, `credential_source` or `web_identity_token_file`). `credential_process` and IAM Identity Center
    /// (`sso_…`) are refused.
    Profile(String),
    /// These.
    Static(AwsCredentials),
    /// A token of another identity provider, as in a pod of EKS, for those of a role.
    WebIdentity(WebIdentity),
    /// The endpoint that ECS or EKS gives to a container.
    Container,
    /// The instance metadata of EC2, version 2.
    Instance,
    /// Whoever calls brings their own.
    #[serde(skip)]
    Custom(Arc<dyn CredentialProvider>),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<AwsSecretsManagerConfig, serde_json::Error> {
        serde_json::from_str(json)
    }

    #[test]
    fn a_region_is_enough() {
        let config = read(r#"{"region": "eu-central-1"}"#).unwrap();
        assert_eq!(config.region, "eu-central-1");
        assert!(matches!(config.credentials, AwsCredentialSource::Chain));
        assert_eq!(config.transport, TransportConfig::default());
    }

    #[test]
    fn every_source_of_credentials_can_be_written_down() {
        let source = |json: &str| serde_json::from_str::<AwsCredentialSource>(json).unwrap();
        assert!(matches!(source(r#""chain""#), AwsCredentialSource::Chain));
        assert!(matches!(source(r#""environment""#), AwsCredentialSource::Environment));
        assert!(
            matches!(source(r#"{"profile": "prod"}"#), AwsCredentialSource::Profile(name) if name == "prod")
        );
        let given = r#"{"static": {"access_key_id": "AKIDEXAMPLE", "secret_access_key": "hunter2"}}"#;
        assert!(matches!(source(given), AwsCredentialSource::Static(_)));
        let pod = r#"{"web_identity": {"role_arn": "arn:aws:iam::1:role/r", "token_file": "/token"}}"#;
        assert!(matches!(source(pod), AwsCredentialSource::WebIdentity(_)));
        assert!(matches!(source(r#""container""#), AwsCredentialSource::Container));
        assert!(matches!(source(r#""instance""#), AwsCredentialSource::Instance));
    }

    #[test]
    fn a_field_that_is_not_known_is_refused() {
        assert!(read(r#"{"region": "eu-central-1", "regoin": "us-east-1"}"#).is_err());
    }

    #[test]
    fn debug_shows_no_credentials() {
        let json = r#"{"region": "eu-central-1", "credentials": {"static":
            {"access_key_id": "AKIDEXAMPLE", "secret_access_key": "hunter2", "session_token": "swordfish"}}}"#;
        let shown = format!("{:?}", read(json).unwrap());
        for secret in ["AKIDEXAMPLE", "hunter2", "swordfish"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}
