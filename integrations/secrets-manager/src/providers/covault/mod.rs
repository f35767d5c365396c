//! Covault, over its HTTP API, as any other client of it. Knows nothing of how a vault works inside.
//!
//! A version's identifier is Covault's own, 64 hexadecimal digits; a version may be asked for by its number too. What
//! Covault calls labels are tags of the secret here. It has no labels of versions, and rotates nothing by itself.

mod config;
mod nodes;
mod problem;
mod wire;

use std::collections::HashSet;

use async_trait::async_trait;
use chrono::{DateTime, SecondsFormat, Utc};
use serde::de::DeserializeOwned;

pub use self::{
    config::{Consistency, CovaultConfig},
    wire::{CovaultVersion, VersionState},
};
use self::{
    nodes::{Nodes, Question},
    problem::Refusal,
    wire::{History, Listed, Page, Secret},
};
use crate::{
    SecretProvider,
    providers::{environment::Environment, onward, too_many},
    types::{
        AccessError, ConfigurationError, GetSecretOptions, ListOptions, ProviderType, RotationError,
        RotationResult, SecretMetadata, SecretNotFoundError, SecretPage, SecretValue, SecretVersion,
        SecretsError, WallClock,
    },
};

/// The longest page of a list or history that Covault gives.
const LONGEST_PAGE: u32 = 1000;
/// The most versions of a history that are read.
const MOST_VERSIONS: usize = 100_000;

/// Reads secrets from Covault.
#[derive(Debug)]
pub struct CovaultProvider {
    nodes: Nodes,
    owner: Option<String>,
    consistency: Consistency,
    clock: WallClock,
}

impl CovaultProvider {
    /// A provider for the vault and the caller that `config` and the environment name. Nothing is asked yet.
    ///
    /// # Errors
    /// [`ConfigurationError`] if there is no address or token, or what there is cannot be used.
    pub fn new(config: CovaultConfig, clock: WallClock) -> Result<Self, ConfigurationError> {
        let nodes = Nodes::new(&config, &Environment::of_this_process())?;
        Ok(Self { nodes, owner: config.owner, consistency: config.consistency, clock })
    }

    /// All versions of a secret, newest first: also those that are deleted, destroyed or expired.
    ///
    /// # Errors
    /// As [`SecretProvider::describe_secret`], and [`ConfigurationError::InvalidRequest`] if there are more than 100,000.
    pub async fn history(&self, path: &str) -> Result<Vec<CovaultVersion>, SecretsError> {
        match self.newest(path).await? {
            (versions, false) => Ok(versions),
            (_, true) => Err(too_many(ProviderType::Covault, "versions", MOST_VERSIONS)),
        }
    }

    /// The newest versions of a secret, as many as are read, and whether there are more.
    async fn newest(&self, path: &str) -> Result<(Vec<CovaultVersion>, bool), SecretsError> {
        let (mut versions, mut seen, mut cursor) = (Vec::new(), HashSet::new(), None);
        loop {
            let mut query = vec![("limit", LONGEST_PAGE.to_string())];
            query.extend(cursor.map(|cursor| ("cursor", cursor)));
            let page: History =
                self.ask("history", path, query, None).await.map_err(|refusal| refusal.into_error(path))?;
            versions.extend(page.versions);
            cursor = onward(ProviderType::Covault, &mut seen, page.next)?;
            if cursor.is_none() || MOST_VERSIONS <= versions.len() {
                return Ok((versions, cursor.is_some()));
            }
        }
    }

    /// What a node says about the secret at `path`.
    async fn ask<T: DeserializeOwned>(
        &self,
        resource: &'static str,
        path: &str,
        mut query: Vec<(&'static str, String)>,
        version: Option<&str>,
    ) -> Result<T, Refusal> {
        query.extend(self.owner.clone().map(|owner| ("owner", owner)));
        let segments = ["v1", resource].into_iter().chain(path.split('/').filter(|_| !path.is_empty()));
        let question = Question { path: segments.collect(), query };
        let answer = self.nodes.ask(&question).await.map_err(Refusal::Other)?;
        if answer.status != 200 {
            return Err(Refusal::of(&answer, path, version));
        }
        answer.json().ok_or_else(|| Refusal::Other(problem::foreign(&answer).into()))
    }

    /// What there is not, the secret or this version of it: its history tells.
    async fn not_found(&self, path: &str, version: Option<String>) -> SecretsError {
        match (version, self.newest(path).await) {
            (_, Err(error)) => error,
            (Some(version), Ok(_)) => {
                SecretNotFoundError::VersionNotFound { path: path.to_owned(), version }.into()
            }
            (None, Ok(_)) => SecretNotFoundError::SecretDoesNotExist { path: path.to_owned() }.into(),
        }
    }

    /// When a version that has expired did so: its history tells.
    async fn expired(&self, path: &str, options: &GetSecretOptions) -> SecretsError {
        let versions = match self.newest(path).await {
            Ok((versions, _)) => versions,
            Err(error) => return error,
        };
        let at = options.at.unwrap_or_else(|| self.clock.now());
        let asked = versions.iter().find(|version| match &options.version {
            Some(asked) => {
                *asked == version.id || version.number.is_some_and(|number| *asked == number.to_string())
            }
            None => version.valid_from <= at && version.valid_to.is_none_or(|until| at < until),
        });
        let until = asked.and_then(|version| version.expires_at).unwrap_or(at);
        AccessError::Expired { path: path.to_owned(), until }.into()
    }
}

#[async_trait]
impl SecretProvider for CovaultProvider {
    async fn get_secret(&self, path: &str, options: GetSecretOptions) -> Result<SecretValue, SecretsError> {
        check(path)?;
        if let Some(stage) = options.stage {
            return Err(refused(format!("its versions have no stages, so none is {stage:?}")));
        }
        let mut query = vec![("consistency", self.consistency.name().to_owned())];
        query.extend(options.version.clone().map(|version| ("version", version)));
        query.extend(options.at.map(|at| ("at", rfc3339(at))));
        let secret: Secret = match self.ask("secrets", path, query, options.version.as_deref()).await {
            Ok(secret) => secret,
            Err(Refusal::Other(error)) => return Err(error),
            Err(Refusal::NotFound) => {
                return Err(self.not_found(path, options.version.or(options.at.map(rfc3339))).await);
            }
            Err(Refusal::Expired) => return Err(self.expired(path, &options).await),
        };
        let newest = options.version.is_none() && options.at.is_none();
        secret.into_value(newest).ok_or_else(|| internal("an answer without a value"))
    }

    async fn list_page(&self, prefix: &str, options: ListOptions) -> Result<SecretPage, SecretsError> {
        let tags = options.tags.unwrap_or_default();
        let limit = options.max_results.map_or(LONGEST_PAGE, |most| most.clamp(1, LONGEST_PAGE));
        let mut query = vec![("prefix", prefix.to_owned()), ("limit", limit.to_string())];
        query.extend(options.next_token.map(|cursor| ("cursor", cursor)));
        // One label is all that a question may have; the others are looked at here.
        query.extend(tags.iter().next().map(|(name, value)| ("label", format!("{name}:{value}"))));
        let page: Page =
            self.ask("secrets", "", query, None).await.map_err(|refusal| refusal.into_error(prefix))?;
        let readable = page.secrets.into_iter().filter(|secret| gone(secret).is_none());
        let wanted = readable.map(Listed::into_metadata).filter(|secret| secret.has_tags(&tags));
        Ok(SecretPage { secrets: wanted.collect(), next_token: page.next })
    }

    async fn describe_secret(&self, path: &str) -> Result<SecretMetadata, SecretsError> {
        check(path)?;
        // A name is the first of those that begin with it.
        let query = vec![("prefix", path.to_owned()), ("limit", "1".to_owned())];
        let page: Page =
            self.ask("secrets", "", query, None).await.map_err(|refusal| refusal.into_error(path))?;
        match page.secrets.into_iter().find(|secret| secret.name == path) {
            None => Err(self.not_found(path, None).await),
            Some(secret) => {
                gone(&secret).map_or_else(|| Ok(secret.into_metadata()), |error| Err(error.into()))
            }
        }
    }

    async fn list_versions(&self, path: &str) -> Result<Vec<SecretVersion>, SecretsError> {
        check(path)?;
        Ok(self.history(path).await?.into_iter().map(SecretVersion::from).collect())
    }

    async fn rotate_secret(&self, path: &str) -> Result<RotationResult, SecretsError> {
        let detail = "Covault changes no value by itself; whoever writes the secret rotates it".into();
        Err(RotationError::RotationNotConfigured { path: path.to_owned(), detail }.into())
    }

    fn provider_type(&self) -> ProviderType {
        ProviderType::Covault
    }

    /// The nodes, and whose secrets are read: with no owner named, those of the token's caller.
    fn place(&self) -> String {
        let whose = self.owner.as_ref().map_or_else(|| self.nodes.caller(), |owner| format!("of {owner}"));
        format!("{} {whose}", self.nodes.place())
    }

    async fn health_check(&self) -> Result<(), SecretsError> {
        for path in [vec!["ready"], vec!["v1", "self"]] {
            let answer = self.nodes.ask(&Question { path, query: Vec::new() }).await?;
            if answer.status != 200 {
                return Err(Refusal::of(&answer, "", None).into_error(""));
            }
        }
        Ok(())
    }
}

/// Why a secret that a list has cannot be read, if so.
fn gone(secret: &Listed) -> Option<SecretNotFoundError> {
    let path = secret.name.clone();
    match secret.version.state {
        VersionState::Deleted => Some(SecretNotFoundError::Deleted { path }),
        VersionState::Destroyed => {
            Some(SecretNotFoundError::Destroyed { path, version: secret.version.id.clone() })
        }
        _ => None,
    }
}

/// Covault's names: segments of letters, digits, `.`, `_` and `-`, joined by `/`, 256 bytes at most.
fn check(path: &str) -> Result<(), ConfigurationError> {
    let is_segment = |segment: &str| {
        !matches!(segment, "" | "." | "..")
            && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    };
    if path.len() <= 256 && path.split('/').all(is_segment) {
        return Ok(());
    }
    let detail = format!(
        "{path:?} is no name of Covault's: segments of letters, digits, '.', '_' and '-', joined by '/', 256 bytes at most"
    );
    Err(ConfigurationError::InvalidPathPattern { detail })
}

fn rfc3339(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn refused(detail: String) -> SecretsError {
    ConfigurationError::InvalidRequest { provider: ProviderType::Covault, detail }.into()
}

fn internal(detail: &str) -> SecretsError {
    crate::types::ProviderError::InternalError { provider: ProviderType::Covault, detail: detail.into() }
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_is_no_name_is_refused_before_anything_is_asked() {
        for path in ["", "/", "a//b", "a/", "../b", "a/./b", "a b", "a?b", "é", &"a".repeat(257)] {
            assert!(matches!(check(path), Err(ConfigurationError::InvalidPathPattern { .. })), "{path}");
        }
        for path in ["a", "app/db.main_1-x", "...", &"a".repeat(256)] {
            assert_eq!(check(path), Ok(()), "{path}");
        }
    }
}
