//! What this client may ask for: paths, tags, and the environment that all its paths lie in. What is outside is refused
//! before any store is asked; a tag is asked of the store, before the value is.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use serde::Deserialize;

use super::PathPattern;
use crate::types::{AccessError, ConfigurationError, SecretMetadata, SecretValue, SecretsError};

/// What a client may ask for; everything by default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScopeConfig {
    /// Only paths that one of these means; all if there are none. They are the caller's paths, without the environment.
    pub prefixes: Vec<PathPattern>,
    /// Only secrets that have all of these tags with these values. Each is looked up before a value is fetched, which is
    /// one more question to the store. A list has only those whose tags the store tells with it.
    pub tags: HashMap<String, String>,
    /// The environment: `db/password` of the caller is `prod/db/password` of the store if it is `prod`.
    pub environment: Option<String>,
}

impl ScopeConfig {
    /// Whether the settings can be.
    ///
    /// # Errors
    /// [`ConfigurationError::InvalidPathPattern`] if the environment is no part of a path.
    pub fn validate(&self) -> Result<(), ConfigurationError> {
        match &self.environment {
            Some(name) if name.starts_with('/') || name.ends_with('/') => {
                let detail = format!("environment {name:?} begins or ends with `/`");
                Err(ConfigurationError::InvalidPathPattern { detail })
            }
            Some(name) => check(name),
            None => Ok(()),
        }
    }

    /// The store's path for the caller's.
    ///
    /// # Errors
    /// [`AccessError::OutOfScope`], or [`ConfigurationError::InvalidPathPattern`] if it is no path at all.
    pub(super) fn enter<'a>(&self, path: &'a str) -> Result<Cow<'a, str>, SecretsError> {
        check(path)?;
        self.within(path, |pattern| pattern.matches(path))?;
        Ok(self.inward(path))
    }

    /// The store's prefix for the caller's, which may be empty.
    ///
    /// # Errors
    /// As [`ScopeConfig::enter`]: also if only some of what begins so is within the scope.
    pub(super) fn enter_prefix<'a>(&self, prefix: &'a str) -> Result<Cow<'a, str>, SecretsError> {
        if !prefix.is_empty() {
            check(prefix)?;
        }
        self.within(prefix, |pattern| pattern.contains(prefix))?;
        Ok(self.inward(prefix))
    }

    fn within(&self, path: &str, meant: impl Fn(&PathPattern) -> bool) -> Result<(), SecretsError> {
        if self.prefixes.is_empty() || self.prefixes.iter().any(meant) {
            return Ok(());
        }
        let allowed: Vec<_> = self.prefixes.iter().map(PathPattern::to_string).collect();
        let detail = format!("it may ask for {}", allowed.join(", "));
        Err(AccessError::OutOfScope { path: path.to_owned(), detail }.into())
    }

    /// The store's path for what is a path or a prefix of the caller's, whether it may ask for it or not.
    pub(super) fn inward<'a>(&self, path: &'a str) -> Cow<'a, str> {
        match &self.environment {
            Some(environment) => Cow::Owned(format!("{environment}/{path}")),
            None => Cow::Borrowed(path),
        }
    }

    /// What tells values apart in a cache that other clients share: the store's place, and the tags that were looked at
    /// before they were fetched.
    pub(super) fn place(&self, of_store: String) -> String {
        if self.tags.is_empty() {
            return of_store;
        }
        let tags: BTreeMap<_, _> = self.tags.iter().collect();
        format!("{of_store} with {tags:?}")
    }

    /// What is known about a secret, by the name that the caller asks for it by.
    pub(super) fn outward(&self, mut metadata: SecretMetadata) -> SecretMetadata {
        if let Some(rest) = self.without_environment(&metadata.name) {
            metadata.name = rest.to_owned();
        }
        metadata
    }

    /// A value, by the name that the caller asks for it by.
    pub(super) fn outward_value(&self, mut value: SecretValue) -> SecretValue {
        if self.without_environment(&value.metadata.name).is_some() {
            value.metadata = Arc::new(self.outward((*value.metadata).clone()));
        }
        value
    }

    fn without_environment<'a>(&self, name: &'a str) -> Option<&'a str> {
        name.strip_prefix(self.environment.as_deref()?)?.strip_prefix('/')
    }

    /// Whether a secret has the tags that it must have.
    ///
    /// # Errors
    /// [`AccessError::OutOfScope`] if not; it names the tags, not what the secret has.
    pub(super) fn check_tags(&self, path: &str, metadata: &SecretMetadata) -> Result<(), SecretsError> {
        if metadata.has_tags(&self.tags) {
            return Ok(());
        }
        let mut names: Vec<_> = self.tags.iter().map(|(name, value)| format!("{name}={value}")).collect();
        names.sort_unstable();
        let detail = format!("it must have the tags {}", names.join(", "));
        Err(AccessError::OutOfScope { path: path.to_owned(), detail }.into())
    }
}

/// Refuses what is no path: nothing, or what a server could read as another path.
fn check(path: &str) -> Result<(), ConfigurationError> {
    let why = if path.is_empty() {
        "it is empty"
    } else if path.chars().any(char::is_control) {
        "it has a control character"
    } else if path.split(['/', '\\']).any(|part| part == "." || part == "..") {
        "it has a part that is `.` or `..`"
    } else {
        return Ok(());
    };
    Err(ConfigurationError::InvalidPathPattern { detail: format!("path {path:?}: {why}") })
}
