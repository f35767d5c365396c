//! HashiCorp Vault and what speaks its API (OpenBao): secrets of a KV v2 mount, whose value is a JSON object.
//!
//! A refusal (403) says the same of a token that is over and of a policy that is missing. The token's `lookup-self` tells
//! them apart: after the first, the provider logs in again and asks once more. A token that may not look itself up, as one
//! without the policy `default`, lacks a policy if it has read something else before. Vault does not rotate a KV secret; its
//! `sys/rotate` rotates the key that the whole vault is encrypted with and is nothing that a reader should trigger.

mod aws_iam;
mod config;
mod door;
mod list;
mod session;
mod wire;

use std::{cmp::Reverse, sync::Arc};

use async_trait::async_trait;
use chrono::{DateTime, Utc};

pub use config::{VaultAuth, VaultConfig};
use door::{Door, Request};
use session::Session;
use wire::{Described, Envelope, Keys, Read, ReadMetadata};

use super::{SecretProvider, address};
use crate::{
    transport::Answer,
    types::{
        AccessError, AuthenticationError, ConfigurationError, GetSecretOptions, ListOptions, ParseError,
        ProviderType, RotationError, RotationResult, SecretMetadata, SecretNotFoundError, SecretPage,
        SecretString, SecretValue, SecretVersion, SecretsError, VersionStatus, WallClock,
    },
};

/// Reads secrets of one KV v2 mount. `Debug` shows where, and nothing of the login.
pub struct VaultProvider {
    door: Door,
    session: Session,
    mount: Vec<String>,
    /// In front of a secret's path in its identifier.
    place: String,
    clock: WallClock,
}

impl std::fmt::Debug for VaultProvider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VaultProvider").field("place", &self.place).finish_non_exhaustive()
    }
}

impl VaultProvider {
    /// Asks no one yet: the login is made for the first request.
    ///
    /// # Errors
    /// [`ConfigurationError`] if the address or the mount cannot be, or the transport cannot be set up.
    pub fn new(config: VaultConfig, clock: WallClock) -> Result<Self, ConfigurationError> {
        let door = Door::new(&config)?;
        let mount = config.mount_path.trim_matches('/');
        let segments = segments(mount).map_err(|_| ConfigurationError::InvalidProvider {
            detail: format!("vault has the mount {mount:?}, which cannot be"),
        })?;
        let namespace =
            config.namespace.as_deref().map_or(String::new(), |name| format!("{}/", name.trim_matches('/')));
        Ok(Self {
            mount: segments.into_iter().map(str::to_owned).collect(),
            place: format!("{namespace}{mount}/data/"),
            session: Session::new(config.auth, &config.transport, clock.clone())?,
            door,
            clock,
        })
    }

    /// Asks for a part of the mount, and once more with another token if the first is over. Its answer is 200, or a 404
    /// that says that nothing is there.
    async fn ask(
        &self,
        part: &str,
        path: &[&str],
        query: Option<(&str, &str)>,
    ) -> Result<Answer, SecretsError> {
        let mut token = self.session.token(&self.door).await?;
        let mut answer = self.ask_with(&token, part, path, query).await?;
        if answer.status == 403 && !self.session.is_known(&self.door, &token).await? {
            match self.session.replace(&self.door, &token).await {
                Ok(another) => {
                    token = another;
                    answer = self.ask_with(&token, part, path, query).await?;
                }
                Err(SecretsError::Authentication(_)) if self.session.lacks_a_policy(&token) => {}
                Err(error) => return Err(error),
            }
        }
        match answer.status {
            200 => {
                self.session.has_served(&token);
                Ok(answer)
            }
            404 if wire::says_nothing_there(&answer) || wire::read(&answer).is_some() => Ok(answer),
            403 => {
                Err(AccessError::AccessDenied { path: path.join("/"), detail: wire::words(&answer) }.into())
            }
            _ => Err(wire::refusal(&answer)),
        }
    }

    async fn ask_with(
        &self,
        token: &SecretString,
        part: &str,
        path: &[&str],
        query: Option<(&str, &str)>,
    ) -> Result<Answer, SecretsError> {
        let path = self.mount.iter().map(String::as_str).chain([part]).chain(path.iter().copied()).collect();
        self.door.ask(Request { query, ..Request::get(path, token) }).await
    }

    /// What is in a folder; nothing if there is no such folder.
    async fn keys(&self, path: Vec<&str>) -> Result<Vec<String>, SecretsError> {
        let answer = self.ask("metadata", &path, Some(("list", "true"))).await?;
        if answer.status == 404 {
            return Ok(Vec::new());
        }
        let found: Envelope<Keys> = answer.json().ok_or_else(|| wire::not_understood(&answer))?;
        Ok(found.data.keys)
    }

    async fn described(&self, path: &str) -> Result<Described, SecretsError> {
        let answer = self.ask("metadata", &segments(path)?, None).await?;
        if answer.status == 404 {
            return Err(SecretNotFoundError::SecretDoesNotExist { path: path.into() }.into());
        }
        let found: Envelope<Described> = answer.json().ok_or_else(|| wire::not_understood(&answer))?;
        Ok(found.data)
    }

    fn metadata(&self, path: &str, found: Described) -> SecretMetadata {
        let current =
            if found.current_version == 0 { String::new() } else { found.current_version.to_string() };
        SecretMetadata {
            arn: Some(format!("{}{path}", self.place)),
            tags: found.custom_metadata.unwrap_or_default(),
            ..SecretMetadata::new(path, current, found.created_time)
        }
    }

    /// What Vault answers 404 to: a secret or version that is not there, or one that is gone.
    async fn missing(&self, path: &str, version: Option<&str>, answer: &Answer) -> SecretsError {
        let path = path.to_owned();
        if let Some(Read { metadata, .. }) = wire::read(answer) {
            let version = metadata.version.to_string();
            return match metadata.state.destroyed {
                true => SecretNotFoundError::Destroyed { path, version }.into(),
                false => SecretNotFoundError::Deleted { path }.into(),
            };
        }
        match version {
            // Who may not see what versions there are is told what was asked.
            Some(version) => match self.described(&path).await {
                Err(SecretsError::NotFound(error)) => error.into(),
                Err(error) if error.is_retryable() => error,
                _ => SecretNotFoundError::VersionNotFound { path, version: version.into() }.into(),
            },
            None => SecretNotFoundError::SecretDoesNotExist { path }.into(),
        }
    }

    fn value(&self, path: &str, pinned: bool, answer: &Answer) -> Result<SecretValue, SecretsError> {
        let Some(Read { data: Some(data), metadata }) = wire::read(answer) else {
            return Err(wire::not_understood(answer));
        };
        if !data.get().starts_with('{') {
            let detail = "it is no JSON object: the mount may not be of KV's version 2".into();
            return Err(ParseError::InvalidSecretFormat { path: path.into(), detail }.into());
        }
        let ReadMetadata { created_time, custom_metadata, state, version } = metadata;
        let current = if pinned { String::new() } else { version.to_string() };
        let metadata = SecretMetadata {
            arn: Some(format!("{}{path}", self.place)),
            tags: custom_metadata.unwrap_or_default(),
            ..SecretMetadata::new(path, current, created_time)
        };
        Ok(SecretValue {
            value: data.get().into(),
            binary: false,
            version: version.to_string().into(),
            created_at: created_time,
            updated_at: None,
            valid_until: state.deleted_at(),
            metadata: Arc::new(metadata),
        })
    }
}

#[async_trait]
impl SecretProvider for VaultProvider {
    async fn get_secret(&self, path: &str, options: GetSecretOptions) -> Result<SecretValue, SecretsError> {
        if options.stage.is_some() || options.at.is_some() {
            let detail = "vault has versions by their numbers, and none by a stage or a time".into();
            return Err(ConfigurationError::InvalidRequest { provider: ProviderType::Vault, detail }.into());
        }
        let segments = segments(path)?;
        let version = options.version.as_deref();
        // Vault takes 0 for the current version, which a pinned one never is.
        if let Some(version) = version
            && !version.parse().is_ok_and(|number: u64| number != 0)
        {
            let (path, version) = (path.into(), version.into());
            return Err(SecretNotFoundError::VersionNotFound { path, version }.into());
        }
        let answer = self.ask("data", &segments, version.map(|version| ("version", version))).await?;
        match answer.status {
            404 => Err(self.missing(path, version, &answer).await),
            _ => self.value(path, version.is_some(), &answer),
        }
    }

    async fn list_page(&self, prefix: &str, options: ListOptions) -> Result<SecretPage, SecretsError> {
        self.page(prefix, &options).await
    }

    async fn describe_secret(&self, path: &str) -> Result<SecretMetadata, SecretsError> {
        self.described(path).await.map(|found| self.metadata(path, found))
    }

    async fn list_versions(&self, path: &str) -> Result<Vec<SecretVersion>, SecretsError> {
        let (found, now) = (self.described(path).await?, self.clock.now());
        let numbered = found.versions.into_iter().filter_map(|(number, version)| {
            let number: u64 = number.parse().ok()?;
            let status = version.state.status(now);
            let valid_until = version.state.deleted_at().filter(|_| status == VersionStatus::Readable);
            let named = SecretVersion::new(number.to_string(), version.created_time.unwrap_or_default());
            Some((number, SecretVersion { status, valid_until, ..named }))
        });
        let mut versions: Vec<_> = numbered.collect();
        versions.sort_by_key(|(number, _)| Reverse(*number));
        Ok(versions.into_iter().map(|(_, version)| version).collect())
    }

    async fn rotate_secret(&self, path: &str) -> Result<RotationResult, SecretsError> {
        let detail = "vault does not rotate secrets of a KV mount".into();
        Err(RotationError::RotationNotConfigured { path: path.into(), detail }.into())
    }

    fn provider_type(&self) -> ProviderType {
        ProviderType::Vault
    }

    fn place(&self) -> String {
        format!("{} {}", address(self.door.base()), self.place)
    }

    async fn health_check(&self) -> Result<(), SecretsError> {
        let node = self.door.health().await?;
        // A standby (429, 473) answers too, or sends on to who does.
        if !matches!(node.status, 200 | 429 | 473) {
            return Err(wire::unwell(&node));
        }
        let token = self.session.token(&self.door).await?;
        if self.session.is_known(&self.door, &token).await? {
            return Ok(());
        }
        let token = match self.session.replace(&self.door, &token).await {
            Err(SecretsError::Authentication(_)) if self.session.lacks_a_policy(&token) => return Ok(()),
            another => another?,
        };
        if self.session.is_known(&self.door, &token).await? {
            return Ok(());
        }
        let detail = "it does not know the token that it gave".into();
        Err(AuthenticationError::InvalidCredentials { provider: ProviderType::Vault, detail }.into())
    }
}

impl Described {
    /// Whether there is a current version that can be read.
    fn is_current(&self, now: DateTime<Utc>) -> bool {
        let current = self.versions.get(&self.current_version.to_string());
        current.is_some_and(|version| version.state.status(now) == VersionStatus::Readable)
    }
}

/// A path's segments, each of which Vault can have.
fn segments(path: &str) -> Result<Vec<&str>, ConfigurationError> {
    let segments: Vec<&str> = path.split('/').collect();
    let cannot_be =
        |segment: &&str| matches!(*segment, "" | "." | "..") || segment.contains(char::is_control);
    if segments.iter().any(cannot_be) {
        let detail =
            format!("{path:?}: vault has paths of segments between slashes, none of them empty, . or ..");
        return Err(ConfigurationError::InvalidPathPattern { detail });
    }
    Ok(segments)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_cannot_leave_its_mount() {
        for path in ["", "/a", "a/", "a//b", "a/../b", ".", "a\n"] {
            assert!(segments(path).is_err(), "{path:?}");
        }
        assert_eq!(segments("app/db.prod").unwrap(), ["app", "db.prod"]);
    }
}
