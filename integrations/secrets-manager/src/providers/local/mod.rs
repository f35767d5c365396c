//! Secrets in files of this machine, for development: a directory with a file for each secret, or one `.env`, JSON or
//! TOML file with many. Every read is of what is on disk then.
//!
//! The version of a secret is when its file was changed last, in seconds and nanoseconds: it says nothing of the value,
//! and is another one whenever the file is written. In a directory, `password@1`, `password@2` and so on are versions
//! `1`, `2` of the secret `password`; if there is no file `password` itself, the greatest of them is current.
//!
//! Values are wiped like those of other stores; what the parser of a document holds while it reads is not.

mod directory;
mod document;
mod file;

use std::{path::PathBuf, sync::Arc};

use async_trait::async_trait;
use serde::Deserialize;

use self::{directory::Directory, document::Document};
use super::SecretProvider;
use crate::types::{
    ConfigurationError, GetSecretOptions, ListOptions, ParseError, ProviderError, ProviderType,
    RotationError, RotationResult, SecretMetadata, SecretNotFoundError, SecretPage, SecretValue,
    SecretVersion, SecretsError, WallClock,
};

/// How many secrets a page of a list has at most.
const PAGE: usize = 100;

/// Where the files are.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LocalProviderConfig {
    /// A directory, or a file whose name ends in `.env`, `.json` or `.toml`.
    pub path: PathBuf,
}

/// Reads secrets from files.
#[derive(Debug, Clone)]
pub struct LocalProvider(Arc<Place>);

#[derive(Debug)]
enum Place {
    Directory(Directory),
    Document(Document),
}

impl LocalProvider {
    /// Reads what is at the configured path. The clock is not needed: dates are those of the files.
    ///
    /// # Errors
    /// [`ConfigurationError::MissingEndpoint`] if there is nothing there, [`ConfigurationError::InvalidProvider`] if it
    /// is a file of another kind.
    pub fn new(config: LocalProviderConfig, _clock: WallClock) -> Result<Self, ConfigurationError> {
        let shown = config.path.display();
        let path = config.path.canonicalize().map_err(|error| ConfigurationError::MissingEndpoint {
            detail: format!("files of the local provider: {shown}: {error}"),
        })?;
        let place = if path.is_dir() {
            Place::Directory(Directory::new(path))
        } else {
            Place::Document(Document::new(path).ok_or_else(|| ConfigurationError::InvalidProvider {
                detail: format!("local: {shown} ends neither in .env nor in .json nor in .toml"),
            })?)
        };
        Ok(Self(Arc::new(place)))
    }

    /// Does `work`, which reads files, where it keeps no other task waiting.
    async fn off<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Place) -> Result<T, SecretsError> + Send + 'static,
    ) -> Result<T, SecretsError> {
        let place = self.0.clone();
        let done = tokio::task::spawn_blocking(move || work(&place)).await;
        done.unwrap_or_else(|_| Err(broken("reading files was broken off".into())))
    }
}

#[async_trait]
impl SecretProvider for LocalProvider {
    async fn get_secret(&self, path: &str, options: GetSecretOptions) -> Result<SecretValue, SecretsError> {
        if options.stage.is_some() || options.at.is_some() {
            let detail =
                "files have versions by number or time of change, and none by a stage or a past time".into();
            return Err(ConfigurationError::InvalidRequest { provider: ProviderType::Local, detail }.into());
        }
        let path = path.to_owned();
        self.off(move |place| match place {
            Place::Directory(directory) => directory.get(&path, options.version.as_deref()),
            Place::Document(document) => document.get(&path, options.version.as_deref()),
        })
        .await
    }

    async fn list_page(&self, prefix: &str, options: ListOptions) -> Result<SecretPage, SecretsError> {
        let prefix = prefix.to_owned();
        self.off(move |place| {
            let mut secrets = match place {
                Place::Directory(directory) => directory.list(&prefix)?,
                Place::Document(document) => document.list()?,
            };
            secrets.retain(|secret| secret.name.starts_with(&prefix));
            secrets.sort_by(|one, other| one.name.cmp(&other.name));
            Ok(page(secrets, &options))
        })
        .await
    }

    async fn describe_secret(&self, path: &str) -> Result<SecretMetadata, SecretsError> {
        let value = self.get_secret(path, GetSecretOptions::default()).await?;
        Ok(Arc::unwrap_or_clone(value.metadata))
    }

    async fn list_versions(&self, path: &str) -> Result<Vec<SecretVersion>, SecretsError> {
        let path = path.to_owned();
        self.off(move |place| match place {
            Place::Directory(directory) => directory.versions(&path),
            Place::Document(document) => document
                .get(&path, None)
                .map(|secret| vec![SecretVersion::new(&*secret.version, secret.created_at)]),
        })
        .await
    }

    async fn rotate_secret(&self, path: &str) -> Result<RotationResult, SecretsError> {
        let detail = "files are written by whoever keeps them".into();
        Err(RotationError::RotationNotConfigured { path: path.to_owned(), detail }.into())
    }

    fn provider_type(&self) -> ProviderType {
        ProviderType::Local
    }

    fn place(&self) -> String {
        match &*self.0 {
            Place::Directory(directory) => directory.root().display().to_string(),
            Place::Document(document) => document.file().display().to_string(),
        }
    }

    async fn health_check(&self) -> Result<(), SecretsError> {
        self.off(|place| match place {
            Place::Directory(directory) => directory.check(),
            Place::Document(document) => document.list().map(drop),
        })
        .await
    }
}

/// The page after the one that ended with the name that the token is. Files have no tags.
fn page(secrets: Vec<SecretMetadata>, options: &ListOptions) -> SecretPage {
    let most = options.max_results.map_or(PAGE, |most| (most as usize).min(PAGE));
    let after = |secret: &SecretMetadata| options.next_token.as_ref().is_none_or(|last| *last < secret.name);
    let tagged = |secret: &SecretMetadata| options.tags.as_ref().is_none_or(|tags| secret.has_tags(tags));
    let mut rest = secrets.into_iter().filter(|secret| after(secret) && tagged(secret));
    let secrets: Vec<_> = rest.by_ref().take(most).collect();
    let next_token = rest.next().and_then(|_| secrets.last().map(|last| last.name.clone()));
    SecretPage { secrets, next_token }
}

fn broken(detail: String) -> SecretsError {
    ProviderError::InternalError { provider: ProviderType::Local, detail }.into()
}

fn damaged(path: &str, detail: String) -> SecretsError {
    ParseError::InvalidSecretFormat { path: path.to_owned(), detail }.into()
}

fn missing(path: &str, version: Option<&str>) -> SecretsError {
    let path = path.to_owned();
    SecretsError::NotFound(match version {
        None => SecretNotFoundError::SecretDoesNotExist { path },
        Some(version) => SecretNotFoundError::VersionNotFound { path, version: version.to_owned() },
    })
}
