//! Secrets that somebody made up, with versions as AWS moves them along: pending, current, previous. Knows nothing of
//! who asks.

use std::{collections::BTreeMap, sync::Arc};

use chrono::{DateTime, Utc};

use crate::types::{
    GetSecretOptions, ListOptions, RotationError, RotationResult, RotationStatus, SecretMetadata,
    SecretNotFoundError, SecretPage, SecretString, SecretValue, SecretVersion, SecretsError,
};

/// How many secrets a page has.
const PAGE: usize = 100;

/// Made-up secrets by path.
#[derive(Debug, Default)]
pub struct Mocks(BTreeMap<String, Mock>);

#[derive(Debug, Default)]
struct Mock {
    versions: Vec<(SecretString, DateTime<Utc>)>,
    pending: Option<SecretString>,
}

impl Mocks {
    /// Gives a secret a new version, which becomes the current one.
    pub fn set(&mut self, path: String, value: SecretString, now: DateTime<Utc>) {
        self.0.entry(path).or_default().versions.push((value, now));
    }

    /// What the next rotation makes current.
    pub fn set_pending(&mut self, path: String, value: SecretString) {
        self.0.entry(path).or_default().pending = Some(value);
    }

    pub fn remove(&mut self, path: &str) {
        self.0.remove(path);
    }

    pub fn get(&self, path: &str, options: &GetSecretOptions) -> Result<SecretValue, SecretsError> {
        let mock = self.of(path)?;
        let number = mock.number(path, options)?;
        Ok(mock.secret(path, number))
    }

    pub fn describe(&self, path: &str) -> Result<SecretMetadata, SecretsError> {
        let mock = self.of(path)?;
        Ok(mock.metadata(path, mock.versions.len()))
    }

    /// Newest first; a pending one is none yet.
    pub fn versions(&self, path: &str) -> Result<Vec<SecretVersion>, SecretsError> {
        let mock = self.of(path)?;
        let version = |number: usize| SecretVersion {
            stages: mock.metadata(path, number).stages,
            ..SecretVersion::new(name(number), mock.versions[number - 1].1)
        };
        Ok((1..=mock.versions.len()).rev().map(version).collect())
    }

    pub fn list(&self, prefix: &str, options: &ListOptions) -> SecretPage {
        let after = options.next_token.as_deref().unwrap_or_default();
        let mut left = self.0.iter().filter(|(path, mock)| {
            path.starts_with(prefix) && path.as_str() > after && !mock.versions.is_empty()
        });
        let size = options.max_results.map_or(PAGE, |most| PAGE.min(most as usize));
        let no_tags = options.tags.as_ref().is_none_or(|tags| tags.is_empty());
        let page = left.by_ref().take(size).filter(|_| no_tags);
        let secrets: Vec<_> = page.map(|(path, mock)| mock.metadata(path, mock.versions.len())).collect();
        let last = secrets.last().map(|secret| secret.name.clone());
        SecretPage { secrets, next_token: left.next().and(last) }
    }

    pub fn rotate(&mut self, path: &str, now: DateTime<Utc>) -> Result<RotationResult, SecretsError> {
        self.of(path)?;
        let pending = self.0.get_mut(path).and_then(|mock| mock.pending.take()).ok_or_else(|| {
            let detail = "no pending secret was set".into();
            RotationError::RotationNotConfigured { path: path.to_owned(), detail }
        })?;
        self.set(path.to_owned(), pending, now);
        let version = self.of(path)?.versions.len();
        Ok(RotationResult {
            triggered: true,
            version_id: Some(name(version)),
            status: RotationStatus::Completed,
        })
    }

    fn of(&self, path: &str) -> Result<&Mock, SecretNotFoundError> {
        let found = self.0.get(path).filter(|mock| !mock.versions.is_empty());
        found.ok_or_else(|| SecretNotFoundError::SecretDoesNotExist { path: path.to_owned() })
    }
}

impl Mock {
    /// The number, from 1, of the version that is asked for.
    fn number(&self, path: &str, options: &GetSecretOptions) -> Result<usize, SecretNotFoundError> {
        let (path, newest) = (path.to_owned(), self.versions.len());
        let before = |at: DateTime<Utc>| {
            self.versions.iter().rposition(|(_, made)| *made <= at).map(|index| index + 1)
        };
        match (&options.version, options.stage.as_deref(), options.at) {
            (Some(version), ..) => {
                let found = (1..=newest).find(|number| name(*number) == *version);
                found.ok_or_else(|| SecretNotFoundError::VersionNotFound { path, version: version.clone() })
            }
            (None, Some("AWSCURRENT"), _) => Ok(newest),
            (None, Some("AWSPREVIOUS"), _) if newest > 1 => Ok(newest - 1),
            (None, Some("AWSPENDING"), _) if self.pending.is_some() => Ok(newest + 1),
            (None, Some(stage), _) => {
                Err(SecretNotFoundError::StageNotFound { path, stage: stage.to_owned() })
            }
            (None, None, Some(at)) => before(at)
                .ok_or_else(|| SecretNotFoundError::VersionNotFound { path, version: at.to_rfc3339() }),
            (None, None, None) => Ok(newest),
        }
    }

    fn secret(&self, path: &str, number: usize) -> SecretValue {
        let metadata = self.metadata(path, number);
        let (value, created_at) = match (self.versions.get(number - 1), &self.pending) {
            (Some((value, made)), _) => (value.clone(), *made),
            (None, pending) => (pending.clone().unwrap_or_else(|| "".into()), metadata.created_at),
        };
        SecretValue {
            value,
            binary: false,
            version: name(number).into(),
            created_at,
            updated_at: None,
            valid_until: None,
            metadata: Arc::new(metadata),
        }
    }

    fn metadata(&self, path: &str, number: usize) -> SecretMetadata {
        let newest = self.versions.len();
        let stage = match number {
            _ if number == newest => Some("AWSCURRENT"),
            _ if number > newest => Some("AWSPENDING"),
            _ if number + 1 == newest => Some("AWSPREVIOUS"),
            _ => None,
        };
        let created_at = self.versions.first().map_or(DateTime::UNIX_EPOCH, |(_, made)| *made);
        SecretMetadata {
            stages: stage.into_iter().map(str::to_owned).collect(),
            rotation_enabled: self.pending.is_some(),
            ..SecretMetadata::new(path, name(newest), created_at)
        }
    }
}

/// A version's identifier.
fn name(number: usize) -> String {
    format!("mock-v{number}")
}
