//! The settings of a client, from variables of the environment.
//!
//! | variable | setting |
//! | --- | --- |
//! | `SECRETS_CONFIG_FILE` | a TOML file, which the others override |
//! | `SECRETS_DEFAULT_PROVIDER` | `default_provider` |
//! | `SECRETS_LOCAL_PATH` | adds a provider of files |
//! | `SECRETS_CACHE_TTL`, `SECRETS_CACHE_REFRESH_AHEAD`, `SECRETS_CACHE_NEGATIVE_TTL`, `SECRETS_CACHE_MAX_STALE` | durations of `cache`, as in `5m` |
//! | `SECRETS_CACHE_MAX_ENTRIES`, `SECRETS_CACHE_MAX_BYTES`, `SECRETS_CACHE_STALE_FALLBACK` | `cache` |
//! | `SECRETS_RETRY_DEADLINE`, `SECRETS_RETRY_MAX_DELAY` | durations of `retry` |
//! | `SECRETS_CIRCUIT_FAILURE_THRESHOLD`, `SECRETS_CIRCUIT_SUCCESS_THRESHOLD`, `SECRETS_CIRCUIT_RESET_TIMEOUT` | `circuit_breaker` |
//! | `SECRETS_ROTATION_GRACE`, `SECRETS_ROTATION_REFRESH_INTERVAL` | durations of `rotation` |
//! | `SECRETS_SCOPE_PREFIXES` | patterns of `scope`, with commas between them |
//! | `SECRETS_ENVIRONMENT` | `scope.environment` |
//! | `SECRETS_AUDIT_ENABLED` | `audit_enabled` |
//!
//! A variable that is empty is as one that is not set.

use std::{str::FromStr, time::Duration};

use serde::{
    Deserialize,
    de::{IntoDeserializer, value::StrDeserializer},
};

use super::{PathPattern, SecretsConfig};
use crate::{
    providers::{LocalProviderConfig, ProviderConfig},
    secret_file,
    types::ConfigurationError,
};

impl SecretsConfig {
    /// The settings that the process's environment has; what it does not have is as by default.
    ///
    /// # Errors
    /// [`ConfigurationError::InvalidSetting`] with the name of the variable that is wrong.
    pub fn from_env() -> Result<Self, ConfigurationError> {
        Self::from_variables(|name| std::env::var(name).ok())
    }

    /// The settings that `variable` has, by the names above.
    ///
    /// # Errors
    /// As [`SecretsConfig::from_env`].
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigurationError> {
        let variables = Variables(&|name: &str| variable(name).filter(|text| !text.is_empty()));
        let mut config = variables.file()?;
        variables.set_optional("SECRETS_DEFAULT_PROVIDER", &mut config.default_provider)?;
        variables.set_optional("SECRETS_ENVIRONMENT", &mut config.scope.environment)?;
        variables.set("SECRETS_AUDIT_ENABLED", &mut config.audit_enabled)?;
        variables.cache(&mut config)?;
        variables.resilience(&mut config)?;
        variables.set_duration("SECRETS_ROTATION_GRACE", &mut config.rotation.grace)?;
        variables.set_duration("SECRETS_ROTATION_REFRESH_INTERVAL", &mut config.rotation.refresh_interval)?;
        variables.scope(&mut config)?;
        if let Some(path) = variables.get("SECRETS_LOCAL_PATH") {
            config.providers.push(ProviderConfig::Local(LocalProviderConfig { path: path.into() }));
        }
        Ok(config)
    }
}

struct Variables<'a>(&'a dyn Fn(&str) -> Option<String>);

impl Variables<'_> {
    fn get(&self, name: &str) -> Option<String> {
        (self.0)(name)
    }

    fn file(&self) -> Result<SecretsConfig, ConfigurationError> {
        const NAME: &str = "SECRETS_CONFIG_FILE";
        let Some(path) = self.get(NAME) else { return Ok(SecretsConfig::default()) };
        let text = secret_file::text(path.as_ref()).map_err(|why| wrong(NAME, why))?;
        SecretsConfig::from_toml(&text).map_err(|error| wrong(NAME, format!("{path}: {error}")))
    }

    fn cache(&self, config: &mut SecretsConfig) -> Result<(), ConfigurationError> {
        let cache = &mut config.cache;
        self.set_duration("SECRETS_CACHE_TTL", &mut cache.ttl)?;
        self.set_duration("SECRETS_CACHE_REFRESH_AHEAD", &mut cache.refresh_ahead)?;
        self.set_duration("SECRETS_CACHE_NEGATIVE_TTL", &mut cache.negative_ttl)?;
        self.set_duration("SECRETS_CACHE_MAX_STALE", &mut cache.max_stale)?;
        self.set("SECRETS_CACHE_MAX_ENTRIES", &mut cache.max_entries)?;
        self.set("SECRETS_CACHE_MAX_BYTES", &mut cache.max_bytes)?;
        self.set("SECRETS_CACHE_STALE_FALLBACK", &mut cache.stale_fallback)
    }

    fn resilience(&self, config: &mut SecretsConfig) -> Result<(), ConfigurationError> {
        self.set_duration("SECRETS_RETRY_DEADLINE", &mut config.retry.deadline)?;
        self.set_duration("SECRETS_RETRY_MAX_DELAY", &mut config.retry.max_delay)?;
        let breaker = &mut config.circuit_breaker;
        self.set("SECRETS_CIRCUIT_FAILURE_THRESHOLD", &mut breaker.failure_threshold)?;
        self.set("SECRETS_CIRCUIT_SUCCESS_THRESHOLD", &mut breaker.success_threshold)?;
        self.set_duration("SECRETS_CIRCUIT_RESET_TIMEOUT", &mut breaker.reset_timeout)
    }

    fn scope(&self, config: &mut SecretsConfig) -> Result<(), ConfigurationError> {
        const NAME: &str = "SECRETS_SCOPE_PREFIXES";
        if let Some(text) = self.get(NAME) {
            let patterns = text.split(',').map(|pattern| PathPattern::new(pattern.trim()));
            let patterns: Result<_, _> = patterns.collect();
            config.scope.prefixes = patterns.map_err(|error| wrong(NAME, error.to_string()))?;
        }
        Ok(())
    }

    fn set<T: FromStr>(&self, name: &str, setting: &mut T) -> Result<(), ConfigurationError> {
        if let Some(text) = self.get(name) {
            *setting =
                text.trim().parse().map_err(|_| wrong(name, "it has not the form that it should".into()))?;
        }
        Ok(())
    }

    fn set_optional<T: FromStr>(
        &self,
        name: &str,
        setting: &mut Option<T>,
    ) -> Result<(), ConfigurationError> {
        if let Some(text) = self.get(name) {
            *setting =
                Some(text.trim().parse().map_err(|_| wrong(name, "there is none of this name".into()))?);
        }
        Ok(())
    }

    fn set_duration(&self, name: &str, setting: &mut Duration) -> Result<(), ConfigurationError> {
        if let Some(text) = self.get(name) {
            let text: StrDeserializer<'_, serde::de::value::Error> = text.trim().into_deserializer();
            let duration = humantime_serde::Serde::<Duration>::deserialize(text);
            *setting = *duration.map_err(|_| wrong(name, "it is no duration, as in `5m` or `30s`".into()))?;
        }
        Ok(())
    }
}

fn wrong(name: &str, detail: String) -> ConfigurationError {
    ConfigurationError::InvalidSetting { place: name.to_owned(), detail }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::ProviderType;

    fn config(variables: &[(&str, &str)]) -> Result<SecretsConfig, ConfigurationError> {
        let find = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, text)| (*text).to_owned())
        };
        SecretsConfig::from_variables(find)
    }

    #[test]
    fn each_variable_sets_its_setting() {
        let config = config(&[
            ("SECRETS_DEFAULT_PROVIDER", "vault"),
            ("SECRETS_LOCAL_PATH", "secrets"),
            ("SECRETS_CACHE_TTL", "2m"),
            ("SECRETS_CACHE_MAX_BYTES", "4096"),
            ("SECRETS_CACHE_STALE_FALLBACK", "false"),
            ("SECRETS_RETRY_DEADLINE", "5s"),
            ("SECRETS_CIRCUIT_RESET_TIMEOUT", "1m"),
            ("SECRETS_ROTATION_GRACE", "1h"),
            ("SECRETS_SCOPE_PREFIXES", "app/*, shared"),
            ("SECRETS_ENVIRONMENT", "prod"),
            ("SECRETS_AUDIT_ENABLED", "false"),
        ])
        .unwrap();
        assert_eq!(config.default_provider, Some(ProviderType::Vault));
        assert_eq!(config.providers.len(), 1);
        assert_eq!(config.cache.ttl, Duration::from_secs(120));
        assert_eq!(config.cache.max_bytes, 4096);
        assert!(!config.cache.stale_fallback);
        assert_eq!(config.retry.deadline, Duration::from_secs(5));
        assert_eq!(config.circuit_breaker.reset_timeout, Duration::from_secs(60));
        assert_eq!(config.rotation.grace, Duration::from_secs(3600));
        assert_eq!(config.scope.prefixes.len(), 2);
        assert_eq!(config.scope.environment.as_deref(), Some("prod"));
        assert!(!config.audit_enabled);
    }

    #[test]
    fn an_error_names_the_variable_and_not_what_it_holds() {
        let wrong = [
            "SECRETS_DEFAULT_PROVIDER",
            "SECRETS_CACHE_TTL",
            "SECRETS_CACHE_MAX_ENTRIES",
            "SECRETS_AUDIT_ENABLED",
            "SECRETS_CIRCUIT_RESET_TIMEOUT",
        ];
        for name in wrong {
            let said = config(&[(name, "hunter2")]).unwrap_err().to_string();
            assert!(said.starts_with(name) && !said.contains("hunter2"), "{said}");
        }
    }

    #[test]
    fn an_empty_variable_is_as_one_that_is_not_set() {
        assert_eq!(config(&[("SECRETS_CACHE_TTL", "")]).unwrap().cache.ttl, Duration::from_secs(300));
    }

    #[test]
    fn variables_override_the_file_that_one_of_them_names() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secrets.toml");
        std::fs::write(&path, "[cache]\nttl = \"10m\"\nmax_entries = 7").unwrap();
        let path = path.to_str().unwrap();
        let config = config(&[("SECRETS_CONFIG_FILE", path), ("SECRETS_CACHE_TTL", "3m")]).unwrap();
        assert_eq!((config.cache.ttl, config.cache.max_entries), (Duration::from_secs(180), 7));
    }
}
