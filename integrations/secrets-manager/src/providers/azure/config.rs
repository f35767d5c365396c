//! Which Key Vault and as whom. Knows nothing of HTTP.

use std::path::PathBuf;

use serde::Deserialize;
use url::Url;

use crate::{transport::TransportConfig, types::SecretString};

/// An Azure Key Vault.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AzureKeyVaultConfig {
    /// The vault's own address: `https://myvault.vault.azure.net`.
    pub vault_url: Url,
    /// As whom it is asked.
    pub credentials: AzureCredentials,
    /// Where tokens are had: `https://login.microsoftonline.com` unless given here or in `AZURE_AUTHORITY_HOST`.
    #[serde(default)]
    pub authority_host: Option<Url>,
    /// The version of the vault's API; `7.4` unless given.
    #[serde(default = "default_api_version")]
    pub api_version: String,
    /// What stands for `/` in the vault's names, `--` for example: they have only letters, digits and `-`. Without it a
    /// path with a `/` is refused.
    #[serde(default)]
    pub separator: Option<String>,
    /// Refuses secrets before their `nbf` and after their `exp`, which Key Vault itself does not. On unless turned off.
    #[serde(default = "on")]
    pub enforce_validity: bool,
    /// Refuses to log in for a service that the vault's host is no part of. On unless turned off, which only an
    /// emulator needs.
    #[serde(default = "on")]
    pub verify_challenge: bool,
    /// How vault and login are reached.
    #[serde(default)]
    pub transport: TransportConfig,
}

/// As whom a Key Vault is asked. In TOML a table: `[credentials.client_secret]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum AzureCredentials {
    /// An application and its secret.
    ClientSecret {
        /// The directory; the vault's own unless given.
        #[serde(default)]
        tenant_id: Option<String>,
        /// The application.
        client_id: String,
        /// Its secret.
        client_secret: SecretString,
    },
    /// An application that trusts the token of a pod's service account.
    WorkloadIdentity {
        /// The directory; `AZURE_TENANT_ID` unless given, or the vault's own.
        #[serde(default)]
        tenant_id: Option<String>,
        /// The application; `AZURE_CLIENT_ID` unless given.
        #[serde(default)]
        client_id: Option<String>,
        /// The service account's token, read again for each login; `AZURE_FEDERATED_TOKEN_FILE` unless given.
        #[serde(default)]
        token_file: Option<PathBuf>,
    },
    /// The identity of the machine: of an App Service where `IDENTITY_ENDPOINT` and `IDENTITY_HEADER` are set, of the
    /// virtual machine otherwise.
    ManagedIdentity {
        /// Which, where there are several.
        #[serde(default)]
        client_id: Option<String>,
        /// The instance's metadata service, where it is not at its usual address.
        #[serde(default)]
        endpoint: Option<Url>,
    },
}

fn default_api_version() -> String {
    "7.4".into()
}

fn on() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(credentials: serde_json::Value) -> Result<AzureKeyVaultConfig, serde_json::Error> {
        serde_json::from_value(serde_json::json!({
            "vault_url": "https://myvault.vault.azure.net", "credentials": credentials
        }))
    }

    #[test]
    fn what_protects_is_on_unless_turned_off() {
        let config = parse(serde_json::json!({"managed_identity": {}})).unwrap();
        assert!(config.enforce_validity && config.verify_challenge);
        assert_eq!(config.api_version, "7.4");
    }

    #[test]
    fn a_field_that_is_not_known_is_refused() {
        assert!(parse(serde_json::json!({"managed_identity": {"tenant": "x"}})).is_err());
        assert!(parse(serde_json::json!({"password": "x"})).is_err());
    }

    #[test]
    fn debug_shows_no_credential() {
        let secret = serde_json::json!({"client_secret": {"client_id": "app", "client_secret": "canary"}});
        let shown = format!("{:?}", parse(secret).unwrap());
        assert!(!shown.contains("canary"), "{shown}");
    }
}
