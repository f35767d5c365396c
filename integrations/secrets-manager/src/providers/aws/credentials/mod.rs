//! Who asks AWS. One file for each place where credentials may be found, and the chain of them all. Knows nothing of
//! secrets; what it finds is kept and renewed by who uses it.

mod chain;
mod container;
mod environment;
mod given;
mod instance;
mod profile;
mod profile_file;
mod sts;

use std::{fmt, path::PathBuf, sync::Arc};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use secrecy::ExposeSecret;
use serde::Deserialize;

use self::{
    chain::Chain, container::Container, environment::FromEnvironment, instance::Instance, profile::Profile,
    sts::FromWebIdentity,
};
use super::config::AwsCredentialSource;
use crate::{
    providers::environment::Environment,
    transport::{Http, TransportConfig},
    types::{AuthenticationError, ConfigurationError, ProviderType, SecretString, SecretsError, WallClock},
};

/// Gives the credentials that requests are signed with.
#[async_trait]
pub trait CredentialProvider: Send + Sync + fmt::Debug {
    /// Credentials as they are now; none if nothing is set up here. They are kept until shortly before they expire,
    /// so that this is asked seldom, and not by two at once.
    ///
    /// # Errors
    /// An [`crate::AuthenticationError`] if something is set up and gives none, a [`crate::NetworkError`] or a
    /// [`crate::ProviderError`] if who gives them out does not answer.
    async fn credentials(&self) -> Result<Option<AwsCredentials>, SecretsError>;
}

/// What requests are signed with. `Debug` shows only until when it may be used.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AwsCredentials {
    /// The public part of the key.
    pub access_key_id: String,
    /// The secret part of the key.
    pub secret_access_key: SecretString,
    /// What belongs to a key that was given for a while.
    #[serde(default)]
    pub session_token: Option<SecretString>,
    /// Until when they may be used; none if nobody knows of an end.
    #[serde(default)]
    pub expires_at: Option<DateTime<Utc>>,
}

impl AwsCredentials {
    /// Whether they are the same ones, had twice.
    pub(super) fn are(&self, others: &Self) -> bool {
        let tokens = [&self.session_token, &others.session_token];
        let [one, other] = tokens.map(|token| token.as_ref().map(ExposeSecret::expose_secret));
        self.access_key_id == others.access_key_id && one == other
    }
}

impl fmt::Debug for AwsCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsCredentials").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

/// A token of another identity provider that stands for a role.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebIdentity {
    /// The role's ARN.
    pub role_arn: String,
    /// The file that the token is in. It is read each time, since others renew it.
    pub token_file: PathBuf,
    /// How the session is named in AWS's logs; `secrets-manager` unless given.
    #[serde(default)]
    pub session_name: Option<String>,
}

#[async_trait]
impl CredentialProvider for AwsCredentials {
    async fn credentials(&self) -> Result<Option<AwsCredentials>, SecretsError> {
        Ok(Some(self.clone()))
    }
}

/// What credentials are looked for with.
#[derive(Debug, Clone)]
pub(super) struct Surroundings {
    pub(super) environment: Environment,
    /// To AWS's token service.
    pub(super) http: Http,
    /// To what gives out credentials on this machine.
    pub(super) metadata: Http,
    pub(super) clock: WallClock,
    /// Where the token service is asked, in this order while one is away.
    pub(super) regions: Vec<String>,
}

impl Surroundings {
    pub(super) fn new(
        environment: Environment,
        transport: &TransportConfig,
        clock: WallClock,
        regions: Vec<String>,
    ) -> Result<Self, ConfigurationError> {
        Ok(Self { environment, http: Http::new(transport)?, metadata: Http::metadata()?, clock, regions })
    }
}

/// Who gives the credentials that `source` names.
pub(super) fn provider(source: &AwsCredentialSource, around: &Surroundings) -> Arc<dyn CredentialProvider> {
    match source {
        AwsCredentialSource::Chain => Arc::new(Chain::new(around)),
        AwsCredentialSource::Environment => Arc::new(FromEnvironment(around.environment.clone())),
        AwsCredentialSource::Profile(name) => Arc::new(Profile::named(name, around)),
        AwsCredentialSource::Static(credentials) => Arc::new(credentials.clone()),
        AwsCredentialSource::WebIdentity(identity) => {
            Arc::new(FromWebIdentity::new(identity.clone(), around))
        }
        AwsCredentialSource::Container => Arc::new(Container::new(around)),
        AwsCredentialSource::Instance => Arc::new(Instance::new(around)),
        AwsCredentialSource::Custom(provider) => Arc::clone(provider),
    }
}

/// There are none, or they cannot be: says where was looked, and what was wrong there.
fn none(detail: impl Into<String>) -> SecretsError {
    AuthenticationError::NoCredentials { provider: ProviderType::Aws, detail: detail.into() }.into()
}

/// Who gives out credentials gave none: says who, and its words.
fn not_given(detail: impl Into<String>) -> SecretsError {
    AuthenticationError::TokenRefreshFailed { provider: ProviderType::Aws, detail: detail.into() }.into()
}
