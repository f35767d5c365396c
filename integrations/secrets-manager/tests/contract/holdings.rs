//! What a store holds, as the vendor's own client told it (`tests/vendor/holdings.py`) or as it was put there, and the
//! provider that is asked for it.

use std::{any::Any, collections::HashMap};

use secrets_manager::{
    ProviderType, SecretProvider, WallClock,
    providers::{
        LocalProvider, aws::AwsSecretsManagerProvider, azure::AzureKeyVaultProvider,
        covault::CovaultProvider, gcp::GcpSecretManagerProvider, vault::VaultProvider,
    },
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{dev_vault, files, mocks};

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
    pub lacks: Vec<Lack>,
    /// What a store is in that this process has made, as long as it is asked.
    #[serde(skip)]
    _place: Option<Box<dyn Any>>,
}

/// A secret that is there.
#[derive(Serialize, Deserialize)]
pub struct Held {
    pub path: String,
    /// The oldest first.
    pub versions: Vec<Version>,
    pub tags: HashMap<String, String>,
    pub binary: bool,
}

#[derive(Serialize, Deserialize)]
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

/// What a store has no word for.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lack {
    Stage,
    At,
    Rotation,
}

impl Holdings {
    /// Those of the store of this name; none where it cannot be had.
    pub async fn of(store: &str) -> Option<Self> {
        match store {
            "local" => Some(files::holdings()),
            "simulation" => Some(mocks::holdings()),
            "covault" => dev_vault::holdings().await,
            _ => Some(Self::told_of(store)),
        }
    }

    /// Those that the vendor's client told of.
    fn told_of(store: &str) -> Self {
        let folder =
            std::env::var("SECRETS_MANAGER_HOLDINGS").expect("tests/emulators.sh says where they are");
        let file = format!("{folder}/{store}.json");
        serde_json::from_slice(&std::fs::read(&file).expect(&file)).expect(&file)
    }

    /// Those that are told, of a store that is there as long as `place` is.
    pub fn within(place: impl Any, told: Value) -> Self {
        Self { _place: Some(Box::new(place)), ..serde_json::from_value(told).unwrap() }
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
        ProviderType::Covault => Box::new(CovaultProvider::new(parsed(config), clock).unwrap()),
        ProviderType::Gcp => Box::new(GcpSecretManagerProvider::new(parsed(config), clock).unwrap()),
        ProviderType::Local => Box::new(LocalProvider::new(parsed(config), clock).unwrap()),
        ProviderType::Simulation => Box::new(mocks::provider(parsed(config))),
        ProviderType::Vault => Box::new(VaultProvider::new(parsed(config), clock).unwrap()),
    }
}

fn parsed<T: DeserializeOwned>(config: &Value) -> T {
    serde_json::from_value(config.clone()).unwrap()
}
