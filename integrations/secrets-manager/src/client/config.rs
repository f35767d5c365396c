//! The settings of a client, as they are written in TOML. An error names the line and column, and the setting, never
//! what stands there: it may be a credential.

use std::time::Duration;

use serde::Deserialize;

use super::{PathPattern, ScopeConfig};
use crate::{
    cache::CacheConfig,
    providers::ProviderConfig,
    resilience::{CircuitBreakerConfig, RetryConfig},
    rotation::RotationConfig,
    types::{ConfigurationError, ProviderType},
};

/// The settings of a client.
///
/// ```
/// # fn main() -> Result<(), secrets_manager::ConfigurationError> {
/// let config = secrets_manager::client::SecretsConfig::from_toml(
///     r#"
///     default_provider = "local"
///     cache = { ttl = "2m", refresh_ahead = "30s" }
///     scope = { prefixes = ["app/*"] }
///
///     [[providers]]
///     type = "local"
///     path = "secrets"
///
///     [[path_mappings]]
///     pattern = "app/*"
///     provider = "local"
///     "#,
/// )?;
/// assert_eq!(config.cache.max_entries, 1000);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SecretsConfig {
    /// The stores, one of each kind at most.
    pub providers: Vec<ProviderConfig>,
    /// Which is asked for paths that are mapped to none. With one provider, it is that one.
    pub default_provider: Option<ProviderType>,
    /// What is kept, and for how long.
    pub cache: CacheConfig,
    /// When stores are asked again.
    pub retry: RetryConfig,
    /// When a store that fails is left alone.
    pub circuit_breaker: CircuitBreakerConfig,
    /// How long versions overlap.
    pub rotation: RotationConfig,
    /// What the client may ask for.
    pub scope: ScopeConfig,
    /// Whether events of access are made.
    pub audit_enabled: bool,
    /// Which paths belong to which provider. Of several that mean a path, the one that fixes more of it counts.
    pub path_mappings: Vec<PathMapping>,
}

/// Paths, and the provider that has them. The provider is asked for the whole path.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PathMapping {
    /// Which paths.
    pub pattern: PathPattern,
    /// Whose.
    pub provider: ProviderType,
}

impl Default for SecretsConfig {
    fn default() -> Self {
        Self {
            providers: Vec::new(),
            default_provider: None,
            cache: CacheConfig::default(),
            retry: RetryConfig::default(),
            circuit_breaker: CircuitBreakerConfig::default(),
            rotation: RotationConfig::default(),
            scope: ScopeConfig::default(),
            audit_enabled: true,
            path_mappings: Vec::new(),
        }
    }
}

impl SecretsConfig {
    /// The settings that a TOML document has; what it does not have is as by default.
    ///
    /// # Errors
    /// [`ConfigurationError::InvalidSetting`] with line and column of what is wrong.
    pub fn from_toml(text: &str) -> Result<Self, ConfigurationError> {
        // Syntax first: what is wrong with it can be said in full, as no value is part of it.
        text.parse::<toml::Table>().map_err(|error| wrong(text, &error, error.message().to_owned()))?;
        toml::from_str(text).map_err(|error| wrong(text, &error, without_values(error.message())))
    }
}

/// The longest time that a setting may be, so that no clock runs over.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 86_400);

impl SecretsConfig {
    /// Whether the settings can be, each by itself and together.
    pub(super) fn validate(&self) -> Result<(), ConfigurationError> {
        let times = [
            ("cache.ttl", self.cache.ttl),
            ("cache.negative_ttl", self.cache.negative_ttl),
            ("cache.max_stale", self.cache.max_stale),
            ("retry.deadline", self.retry.deadline),
            ("retry.max_delay", self.retry.max_delay),
            ("circuit_breaker.reset_timeout", self.circuit_breaker.reset_timeout),
            ("rotation.grace", self.rotation.grace),
        ];
        if let Some((name, _)) = times.into_iter().find(|(_, time)| LONGEST < *time) {
            let detail = "it is longer than ten years".into();
            return Err(ConfigurationError::InvalidSetting { place: name.into(), detail });
        }
        self.cache.validate()?;
        self.scope.validate()
    }
}

fn wrong(text: &str, error: &toml::de::Error, detail: String) -> ConfigurationError {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    ConfigurationError::InvalidSetting { place: format!("line {line}, column {column}"), detail }
}

/// What a message says of settings and what they should be, without what they are.
fn without_values(message: &str) -> String {
    if ["missing field", "unknown field", "duplicate field"].iter().any(|kind| message.starts_with(kind)) {
        return message.to_owned();
    }
    match message.rsplit_once(", expected ") {
        Some((_, expected)) => format!("the value is not what it should be: expected {expected}"),
        None => "the value is not what it should be".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> String {
        SecretsConfig::from_toml(text).unwrap_err().to_string()
    }

    #[test]
    fn what_is_not_written_is_as_by_default() {
        let config = SecretsConfig::from_toml("[cache]\nttl = \"10m\"").unwrap();
        assert_eq!(config.cache, CacheConfig { ttl: Duration::from_secs(600), ..CacheConfig::default() });
        assert!(config.audit_enabled);
    }

    #[test]
    fn errors_name_the_line_and_column_and_the_setting() {
        assert!(said("[cache]\nttll = \"10m\"").starts_with("line 2, column 1: unknown field `ttll`"));
        assert!(said("audit_enabled = true\ncache = {").starts_with("line 2, column 10"));
        let wrong = said("[[path_mappings]]\npattern = \"a*b\"\nprovider = \"aws\"");
        assert!(wrong.starts_with("line 2, column 11: "), "{wrong}");
    }

    #[test]
    fn errors_say_what_is_expected_and_not_what_stands_there() {
        let texts = [
            "default_provider = \"hunter2\"",
            "audit_enabled = \"hunter2\"",
            "[cache]\nttl = \"hunter2\"",
            "[cache]\nmax_entries = \"hunter2\"",
            "[[providers]]\ntype = \"hunter2\"",
            "[[providers]]\ntype = \"local\"\npath = { hunter2 = 1 }",
            "cache = \"hunter2, expected a lot\"",
        ];
        for text in texts {
            let said = said(text);
            assert!(said.starts_with("line ") && !said.contains("hunter2"), "{said}");
        }
        assert!(said("audit_enabled = 5").ends_with("expected a boolean"));
    }
}
