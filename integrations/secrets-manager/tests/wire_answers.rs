//! Each store's own answers to what may go wrong, as the simulation lists them, served on this machine and read by the
//! store's provider: what it makes of them is what the simulation says.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use secrets_manager::{
    GetSecretOptions, ProviderType, SecretProvider, SecretString, WallClock,
    providers::{
        aws::{AwsCredentialSource, AwsSecretsManagerConfig, AwsSecretsManagerProvider},
        covault::{CovaultConfig, CovaultProvider},
        gcp::{GcpCredentialSource, GcpSecretManagerConfig, GcpSecretManagerProvider},
        vault::{VaultConfig, VaultProvider},
    },
    simulation::{Fault, WireAnswer},
};
use serde_json::json;
use wiremock::{Mock, MockServer, ResponseTemplate, matchers};

/// Serves `fault` as `kind` has it, and what a provider makes of it.
async fn made_of(kind: ProviderType, fault: Fault, answer: &WireAnswer) -> secrets_manager::SecretsError {
    let server = MockServer::start().await;
    if fault != Fault::ExpiredCredentials {
        // Vault is asked about the token before it is used, and before a refusal is put down to a policy.
        let token =
            json!({"data": {"ttl": 3600, "renewable": false, "type": "service", "expire_time": null}});
        let lookup = Mock::given(matchers::path("/v1/auth/token/lookup-self"));
        lookup
            .respond_with(ResponseTemplate::new(200).set_body_json(token))
            .with_priority(1)
            .mount(&server)
            .await;
    }
    let mut response = ResponseTemplate::new(answer.status);
    for (name, value) in &answer.headers {
        response = response.insert_header(*name, value.as_str());
    }
    let content_type = answer.headers.iter().find(|(name, _)| *name == "content-type").unwrap().1.as_str();
    let response = response.set_body_raw(answer.body.clone(), content_type);
    Mock::given(matchers::any()).respond_with(response).mount(&server).await;
    let provider = provider(kind, &server.uri());
    provider.get_secret("a", GetSecretOptions::default()).await.unwrap_err()
}

fn provider(kind: ProviderType, address: &str) -> Arc<dyn SecretProvider> {
    let endpoint = Some(address.parse().unwrap());
    let clock = WallClock::default();
    match kind {
        ProviderType::Aws => {
            let keys = json!({"static": {"access_key_id": "AKIDEXAMPLE", "secret_access_key": "key"}});
            let credentials: AwsCredentialSource = serde_json::from_value(keys).unwrap();
            let config = AwsSecretsManagerConfig {
                endpoint,
                credentials,
                ..AwsSecretsManagerConfig::new("eu-west-1")
            };
            Arc::new(AwsSecretsManagerProvider::new(config, clock).unwrap())
        }
        ProviderType::Vault => {
            let config = json!({"address": address, "auth": {"token": "token"}});
            let config: VaultConfig = serde_json::from_value(config).unwrap();
            Arc::new(VaultProvider::new(config, clock).unwrap())
        }
        ProviderType::Gcp => {
            let credentials = GcpCredentialSource::AccessToken(SecretString::from("token"));
            let config = GcpSecretManagerConfig { endpoint, credentials, ..GcpSecretManagerConfig::new("p") };
            Arc::new(GcpSecretManagerProvider::new(config, clock).unwrap())
        }
        ProviderType::Covault => {
            let token = Some(SecretString::from("token"));
            let config = CovaultConfig {
                addresses: endpoint.into_iter().collect(),
                token,
                ..CovaultConfig::default()
            };
            Arc::new(CovaultProvider::new(config, clock).unwrap())
        }
        other => panic!("{other} is not served here"),
    }
}

/// Where a store does not tell apart what the simulation does.
fn expected(kind: ProviderType, fault: Fault) -> &'static str {
    match (kind, fault) {
        (ProviderType::Gcp, Fault::Deleted) => "not_found_destroyed",
        (ProviderType::Vault | ProviderType::Covault, Fault::ExpiredCredentials) => {
            "authentication_invalid_credentials"
        }
        _ => fault.error("a").unwrap().error_type(),
    }
}

async fn each_fault_is_told_as_the_simulation_tells_it(kind: ProviderType) {
    let mut served = 0;
    for fault in Fault::ALL {
        let Some(answer) = fault.wire_answer(kind) else { continue };
        let error = made_of(kind, fault, &answer).await;
        assert_eq!(error.error_type(), expected(kind, fault), "{fault:?}: {error}");
        if matches!(fault, Fault::Throttled { .. }) {
            assert_eq!(error.retry_after(), fault.error("a").unwrap().retry_after(), "{error}");
        }
        served += 1;
    }
    assert!(served >= 8, "{served}");
}

#[tokio::test]
async fn what_aws_answers_is_told_as_the_simulation_tells_it() {
    each_fault_is_told_as_the_simulation_tells_it(ProviderType::Aws).await;
}

#[tokio::test]
async fn what_vault_answers_is_told_as_the_simulation_tells_it() {
    each_fault_is_told_as_the_simulation_tells_it(ProviderType::Vault).await;
}

#[tokio::test]
async fn what_gcp_answers_is_told_as_the_simulation_tells_it() {
    each_fault_is_told_as_the_simulation_tells_it(ProviderType::Gcp).await;
}

#[tokio::test]
async fn what_covault_answers_is_told_as_the_simulation_tells_it() {
    each_fault_is_told_as_the_simulation_tells_it(ProviderType::Covault).await;
}
