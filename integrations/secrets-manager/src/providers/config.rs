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

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn place(settings: &str) -> String {
        let config: ProviderConfig = toml::from_str(settings).unwrap();
        config.provider(WallClock::default()).unwrap().place()
    }

    #[test]
    fn settings_that_lead_to_other_secrets_are_another_place() {
        let kinds: [&[&str]; 5] = [
            &[
                "type = 'aws'\nregion = 'eu-central-1'",
                "type = 'aws'\nregion = 'us-east-1'",
                "type = 'aws'\nregion = 'us-east-1'\nendpoint = 'https://vpc.example'",
                "type = 'aws'\nregion = 'us-east-1'\ncredentials = { profile = 'prod' }",
                "type = 'aws'\nregion = 'us-east-1'\ncredentials = { profile = 'staging' }",
            ],
            &[
                "type = 'vault'\naddress = 'https://a.example'\nauth = { token = 'canary' }",
                "type = 'vault'\naddress = 'https://a.example/b'\nauth = { token = 'canary' }",
                "type = 'vault'\naddress = 'https://b.example'\nauth = { token = 'canary' }",
                "type = 'vault'\naddress = 'https://me:canary@c.example'\nauth = { token = 'canary' }",
                "type = 'vault'\naddress = 'https://a.example'\nauth = { token = 'canary' }\nnamespace = 'n'",
                "type = 'vault'\naddress = 'https://a.example'\nauth = { token = 'canary' }\nmount_path = 'm'",
            ],
            &[
                "type = 'azure'\nvault_url = 'https://a.example'\ncredentials = { managed_identity = {} }",
                "type = 'azure'\nvault_url = 'https://b.example'\ncredentials = { managed_identity = {} }",
                "type = 'azure'\nvault_url = 'https://a.example'\ncredentials = { managed_identity = {} }\nseparator = '--'",
            ],
            &[
                "type = 'gcp'\nproject = 'p'",
                "type = 'gcp'\nproject = 'q'",
                "type = 'gcp'\nproject = 'p'\nlocation = 'europe-west3'",
                "type = 'gcp'\nproject = 'p'\nendpoint = 'https://private.example'",
            ],
            &[
                "type = 'covault'\naddresses = ['https://a.example']\ntoken = 'canary'",
                "type = 'covault'\naddresses = ['https://b.example']\ntoken = 'canary'",
                "type = 'covault'\naddresses = ['https://a.example']\ntoken = 'other'",
                "type = 'covault'\naddresses = ['https://a.example']\ntoken_file = '/token'",
                "type = 'covault'\naddresses = ['https://a.example']\ntoken = 'canary'\nowner = 'billing'",
            ],
        ];
        for settings in kinds {
            let places: HashSet<_> = settings.iter().map(|settings| place(settings)).collect();
            assert_eq!(places.len(), settings.len(), "{places:?}");
            assert!(places.iter().all(|place| !place.contains("canary")), "{places:?}");
            assert_eq!(place(settings[0]), place(settings[0]));
        }
    }

    #[test]
    fn whose_secrets_are_read_decides_where_an_owner_is_named() {
        let by = |token| {
            place(&format!(
                "type = 'covault'\naddresses = ['https://a.example']\ntoken = '{token}'\nowner = 'o'"
            ))
        };
        assert_eq!(by("one"), by("another"));
    }

    #[test]
    fn files_of_other_folders_are_another_place() {
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let [one, other] = folders
            .each_ref()
            .map(|folder| place(&format!("type = 'local'\npath = '{}'", folder.path().display())));
        assert_ne!(one, other);
    }
}
