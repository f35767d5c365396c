//! Which store, with its own settings: what a configuration has in its list of providers, told apart by `type`.

use std::sync::Arc;

use serde::Deserialize;

use super::{LocalProvider, LocalProviderConfig, SecretProvider};
use crate::types::{ConfigurationError, WallClock};

/// The settings of one store.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum ProviderConfig {
    /// Files of this machine.
    Local(LocalProviderConfig),
}

impl ProviderConfig {
    /// The provider with these settings.
    ///
    /// # Errors
    /// [`ConfigurationError`] if they cannot be.
    pub fn provider(&self, clock: WallClock) -> Result<Arc<dyn SecretProvider>, ConfigurationError> {
        Ok(match self.clone() {
            Self::Local(config) => Arc::new(LocalProvider::new(config, clock)?),
        })
    }
}
