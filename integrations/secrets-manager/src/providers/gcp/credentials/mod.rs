//! Who asks Google: a token, kept until shortly before its end, of one of the places where credentials may be. Knows
//! nothing of secrets.

mod external;
mod key_file;
mod metadata;
mod oauth;
mod service_account;
mod user;

use std::{
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use chrono::{DateTime, Utc};
use secrecy::ExposeSecret;

use super::config::GcpCredentialSource;
use crate::{
    providers::{environment::Environment, lease::Lease},
    transport::{Http, TransportConfig},
    types::{AuthenticationError, ConfigurationError, ProviderType, SecretString, SecretsError, WallClock},
};

/// What tokens are asked for: all that the account may do in the cloud, which its roles narrow.
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";

/// A token, and who pays for what is asked with it if that is not the project asked for.
#[derive(Debug, Clone)]
pub(super) struct Token {
    pub(super) value: SecretString,
    pub(super) quota_project: Option<String>,
}

impl Token {
    fn new(value: SecretString) -> Self {
        Self { value, quota_project: None }
    }
}

/// A token and its end; none if nobody knows of an end.
type Login = Result<(Token, Option<DateTime<Utc>>), SecretsError>;

/// What tokens are had with.
#[derive(Debug, Clone)]
struct Surroundings {
    environment: Environment,
    /// To Google's token services.
    http: Http,
    /// To what gives out tokens on this machine.
    metadata: Http,
    clock: WallClock,
}

/// The tokens of one caller.
#[derive(Debug)]
pub(super) struct Tokens {
    source: GcpCredentialSource,
    around: Surroundings,
    lease: Lease<Token>,
    /// Whether the metadata server has ever answered.
    is_on_google: AtomicBool,
}

impl Tokens {
    pub(super) fn new(
        source: GcpCredentialSource,
        environment: Environment,
        transport: &TransportConfig,
        clock: WallClock,
    ) -> Result<Self, ConfigurationError> {
        let lease = Lease::new(clock.clone());
        let (http, metadata) = (Http::new(transport)?, Http::metadata()?);
        let around = Surroundings { environment, http, metadata, clock };
        Ok(Self { source, around, lease, is_on_google: AtomicBool::new(false) })
    }

    /// A token that is good.
    pub(super) async fn token(&self) -> Result<Token, SecretsError> {
        self.lease.get(self.login()).await
    }

    /// A token in place of one that the store did not accept, if there can be one.
    pub(super) async fn another(&self, refused: &Token) -> Result<Option<Token>, SecretsError> {
        let is_it = |held: &Token| held.value.expose_secret() == refused.value.expose_secret();
        self.lease.refuse(is_it).await;
        Ok(Some(self.token().await?).filter(|token| !is_it(token)))
    }

    async fn login(&self) -> Login {
        match &self.source {
            GcpCredentialSource::Default => match self.default_file().await {
                Some(file) => key_file::login(&file, &self.around).await,
                None => self.of_this_machine().await,
            },
            GcpCredentialSource::File(file) => key_file::login(file, &self.around).await,
            GcpCredentialSource::Metadata => metadata::login(&self.around).await,
            GcpCredentialSource::AccessToken(token) => Ok((Token::new(token.clone()), None)),
        }
    }

    /// Whoever is no machine of Google's has no credentials; on one of them no answer is a failure that passes.
    async fn of_this_machine(&self) -> Login {
        match metadata::login(&self.around).await {
            Err(SecretsError::Network(error)) if !self.is_on_google.load(Relaxed) => {
                Err(none(format!("none in files, and no metadata server: {error}")))
            }
            login => {
                self.is_on_google.fetch_or(login.is_ok(), Relaxed);
                login
            }
        }
    }

    /// The file that the environment names, or gcloud's own if there is one.
    async fn default_file(&self) -> Option<PathBuf> {
        let environment = &self.around.environment;
        if let Some(file) = environment.get("GOOGLE_APPLICATION_CREDENTIALS") {
            return Some(file.into());
        }
        let folder =
            match (environment.get("CLOUDSDK_CONFIG"), environment.get("HOME"), environment.get("APPDATA")) {
                (Some(folder), ..) => PathBuf::from(folder),
                (None, Some(home), _) => PathBuf::from(home).join(".config/gcloud"),
                (None, None, Some(data)) => PathBuf::from(data).join("gcloud"),
                (None, None, None) => return None,
            };
        let file = folder.join("application_default_credentials.json");
        tokio::fs::try_exists(&file).await.unwrap_or(false).then_some(file)
    }
}

/// There are none, or they cannot be: says where was looked, and what was wrong there.
fn none(detail: impl Into<String>) -> SecretsError {
    AuthenticationError::NoCredentials { provider: ProviderType::Gcp, detail: detail.into() }.into()
}
