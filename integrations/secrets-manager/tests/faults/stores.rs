//! The stores that are asked over HTTP, each at an address on this machine. Knows nothing of what they are asked.

use secrets_manager::{
    SecretProvider, WallClock,
    providers::{
        aws::{AwsCredentialSource, AwsCredentials, AwsSecretsManagerConfig, AwsSecretsManagerProvider},
        covault::{CovaultConfig, CovaultProvider},
        gcp::{GcpCredentialSource, GcpSecretManagerConfig, GcpSecretManagerProvider},
    },
    transport::TransportConfig,
};

use crate::{
    azure,
    server::{Asked, Reply},
    vault,
};

/// A store that is asked over HTTP.
pub struct Store {
    pub name: &'static str,
    /// A provider of the store at an address. Its credentials have the word `canary` in them.
    pub provider: fn(&str, TransportConfig) -> Box<dyn SecretProvider>,
    /// What the store answers while it is logged in to; none to what is asked for a secret.
    pub login: fn(&Asked) -> Option<Reply>,
}

pub const STORES: [Store; 5] = [
    Store { name: "aws", provider: aws, login: |_| None },
    Store { name: "gcp", provider: gcp, login: |_| None },
    Store { name: "vault", provider: vault::provider, login: vault::login },
    Store { name: "azure", provider: azure::provider, login: azure::login },
    Store { name: "covault", provider: covault, login: |_| None },
];

fn aws(url: &str, transport: TransportConfig) -> Box<dyn SecretProvider> {
    let credentials = AwsCredentialSource::Static(AwsCredentials {
        access_key_id: "AKIDEXAMPLE".into(),
        secret_access_key: "canary-key".into(),
        session_token: Some("canary-token".into()),
        expires_at: None,
    });
    let endpoint = url.parse().ok();
    let config = AwsSecretsManagerConfig {
        endpoint,
        transport,
        credentials,
        ..AwsSecretsManagerConfig::new("eu-central-1")
    };
    Box::new(AwsSecretsManagerProvider::new(config, WallClock::default()).unwrap())
}

fn gcp(url: &str, transport: TransportConfig) -> Box<dyn SecretProvider> {
    let credentials = GcpCredentialSource::AccessToken("canary-token".into());
    let endpoint = url.parse().ok();
    let config =
        GcpSecretManagerConfig { endpoint, transport, credentials, ..GcpSecretManagerConfig::new("project") };
    Box::new(GcpSecretManagerProvider::new(config, WallClock::default()).unwrap())
}

fn covault(url: &str, transport: TransportConfig) -> Box<dyn SecretProvider> {
    let config = CovaultConfig {
        addresses: vec![url.parse().unwrap()],
        token: Some("canary-token".into()),
        transport,
        ..CovaultConfig::default()
    };
    Box::new(CovaultProvider::new(config, WallClock::default()).unwrap())
}
