//! What a store holds, as the vendor's own client told it (`tests/vendor/holdings.py`), and the provider that is asked
//! for it.

use std::collections::HashMap;

use secrets_manager::{
    ProviderType, SecretProvider, WallClock,
    providers::{
        LocalProvider, aws::AwsSecretsManagerProvider, azure::AzureKeyVaultProvider,
        gcp::GcpSecretManagerProvider, vault::VaultProvider,
    },
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use tempfile::TempDir;

use crate::files;

/// One store.
#[derive(Deserialize)]
pub struct Holdings {
    provider: ProviderType,
    config: Value,
    /// All of `secrets` begin with it, and nothing else that may be read does.
    pub prefix: String,
    pub secrets: Vec<Held>,
    pub refused: Vec<Refused>,
    pub friends: Vec<Friend>,
    pub strangers: Vec<Stranger>,
    /// What a store without a server is in, as long as it is asked.
    #[serde(skip)]
    _folder: Option<TempDir>,
}

/// A secret that is there.
#[derive(Deserialize)]
pub struct Held {
    pub path: String,
    /// The oldest first.
    pub versions: Vec<Version>,
    pub tags: HashMap<String, String>,
    pub binary: bool,
}

#[derive(Deserialize)]
pub struct Version {
    pub id: String,
    /// As the vendor's client reads it.
    pub value: String,
}

/// A secret or version that is not given out.
#[derive(Deserialize)]
pub struct Refused {
    pub what: String,
    pub path: String,
    pub version: Option<String>,
    pub error: String,
}

/// Somebody else who may read all of it.
#[derive(Deserialize)]
pub struct Friend {
    pub what: String,
    pub config: Value,
}

/// Somebody who is not given anything.
#[derive(Deserialize)]
pub struct Stranger {
    pub what: String,
    pub config: Value,
    pub path: String,
    pub error: String,
}

impl Holdings {
    /// Those of the store of this name.
    pub fn of(store: &str) -> Self {
        if store == "local" {
            return files::holdings();
        }
        let folder =
            std::env::var("SECRETS_MANAGER_HOLDINGS").expect("tests/emulators.sh says where they are");
        let file = format!("{folder}/{store}.json");
        serde_json::from_slice(&std::fs::read(&file).expect(&file)).expect(&file)
    }

    /// Those that are told, of a store that is in this folder.
    pub fn within(folder: TempDir, told: Value) -> Self {
        Self { _folder: Some(folder), ..serde_json::from_value(told).unwrap() }
    }

    /// A provider that may read them.
    pub fn provider(&self) -> Box<dyn SecretProvider> {
        provider(self.provider, &self.config)
    }

    /// A provider as somebody else configures it.
    pub fn provider_of(&self, config: &Value) -> Box<dyn SecretProvider> {
        provider(self.provider, config)
    }
}

impl Held {
    pub fn current(&self) -> &Version {
        self.versions.last().unwrap()
    }
}

fn provider(kind: ProviderType, config: &Value) -> Box<dyn SecretProvider> {
    let clock = WallClock::default();
    match kind {
        ProviderType::Aws => Box::new(AwsSecretsManagerProvider::new(parsed(config), clock).unwrap()),
        ProviderType::Azure => Box::new(AzureKeyVaultProvider::new(parsed(config), clock).unwrap()),
        ProviderType::Gcp => Box::new(GcpSecretManagerProvider::new(parsed(config), clock).unwrap()),
        ProviderType::Local => Box::new(LocalProvider::new(parsed(config), clock).unwrap()),
        ProviderType::Vault => Box::new(VaultProvider::new(parsed(config), clock).unwrap()),
        other => panic!("no store of {other} is filled by anybody"),
    }
}

fn parsed<T: DeserializeOwned>(config: &Value) -> T {
    serde_json::from_value(config.clone()).unwrap()
}
