//! Which store, with its own settings: what a configuration has in its list of providers, told apart by `type`.

use std::sync::Arc;

use serde::Deserialize;

use super::{
    LocalProvider, LocalProviderConfig, SecretProvider,
    aws::{AwsSecretsManagerConfig, AwsSecretsManagerProvider},
    azure::{AzureKeyVaultConfig, AzureKeyVaultProvider},
    covault::{CovaultConfig, CovaultProvider},
    gcp::{GcpSecretManagerConfig, GcpSecretManagerProvider},
    vault::{VaultConfig, VaultProvider},
};
use crate::{
    simulation::{SimulationConfig, SimulationProvider},
    types::{ConfigurationError, WallClock},
};

/// The settings of one store.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum ProviderConfig {
    /// AWS Secrets Manager.
    Aws(AwsSecretsManagerConfig),
    /// HashiCorp Vault.
    Vault(VaultConfig),
    /// Azure Key Vault.
    Azure(AzureKeyVaultConfig),
    /// Google Cloud Secret Manager.
    Gcp(GcpSecretManagerConfig),
    /// Files of this machine.
    Local(LocalProviderConfig),
    /// Covault.
    Covault(CovaultConfig),
    /// A simulation.
    Simulation(SimulationConfig),
}

impl ProviderConfig {
    /// The provider with these settings.
    ///
    /// # Errors
    /// [`ConfigurationError`] if they cannot be.
    pub fn provider(&self, clock: WallClock) -> Result<Arc<dyn SecretProvider>, ConfigurationError> {
        Ok(match self.clone() {
            Self::Aws(config) => Arc::new(AwsSecretsManagerProvider::new(config, clock)?),
            Self::Vault(config) => Arc::new(VaultProvider::new(config, clock)?),
            Self::Azure(config) => Arc::new(AzureKeyVaultProvider::new(config, clock)?),
            Self::Gcp(config) => Arc::new(GcpSecretManagerProvider::new(config, clock)?),
            Self::Local(config) => Arc::new(LocalProvider::new(config, clock)?),
            Self::Covault(config) => Arc::new(CovaultProvider::new(config, clock)?),
            Self::Simulation(config) => Arc::new(SimulationProvider::new(config, clock)?),
        })
    }
}
