//! Where a Vault is and how to log in to it. Knows nothing of HTTP.

use std::path::PathBuf;

use serde::Deserialize;
use url::Url;

use crate::{providers::aws::AwsCredentialSource, transport::TransportConfig, types::SecretString};

/// A KV v2 mount of a Vault, or of what speaks its API (OpenBao).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VaultConfig {
    /// Of a node or of what balances between them, without `/v1`: `https://vault.example:8200`.
    pub address: Url,
    /// How to log in.
    pub auth: VaultAuth,
    /// The mount of the secrets engine; it may have several segments, as in `team/kv`. `secret` unless given.
    #[serde(default = "default_mount")]
    pub mount_path: String,
    /// The namespace that mount and login are in.
    #[serde(default)]
    pub namespace: Option<String>,
    /// How it is reached.
    #[serde(default)]
    pub transport: TransportConfig,
}

/// How to log in to a Vault. In TOML: `auth.token = "…"`, or a table as in `[auth.app_role]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum VaultAuth {
    /// A token that somebody made. It is renewed where Vault says that it can be.
    Token(SecretString),
    /// A file with a token that something else keeps fresh, as Vault's agent does. It is read again when its token is
    /// about to expire or is refused, and the token is never renewed from here.
    TokenFile(PathBuf),
    /// A role and its secret.
    AppRole {
        /// The role's identifier.
        role_id: String,
        /// The role's secret.
        secret_id: SecretString,
        /// Where the method is mounted; `approle` unless given.
        #[serde(default = "default_app_role")]
        mount: String,
    },
    /// The service account of a pod.
    Kubernetes {
        /// The role to take on.
        role: String,
        /// The service account's token, read again for each login. Where Kubernetes puts it unless given.
        #[serde(default = "default_jwt_path")]
        jwt_path: PathBuf,
        /// Where the method is mounted; `kubernetes` unless given.
        #[serde(default = "default_kubernetes")]
        mount: String,
    },
    /// Who AWS says that one is. Vault is shown a signed request to AWS's token service, which it sends on.
    AwsIam {
        /// The role to take on.
        role: String,
        /// Where the credentials to sign with come from.
        #[serde(default)]
        credentials: AwsCredentialSource,
        /// The region whose token service Vault is configured to ask; the global one unless given.
        #[serde(default)]
        region: Option<String>,
        /// What Vault is configured to want in `X-Vault-AWS-IAM-Server-ID`, if it is.
        #[serde(default)]
        server_id: Option<String>,
        /// Where the method is mounted; `aws` unless given.
        #[serde(default = "default_aws")]
        mount: String,
    },
}

fn default_mount() -> String {
    "secret".into()
}

fn default_app_role() -> String {
    "approle".into()
}

fn default_kubernetes() -> String {
    "kubernetes".into()
}

fn default_aws() -> String {
    "aws".into()
}

fn default_jwt_path() -> PathBuf {
    "/var/run/secrets/kubernetes.io/serviceaccount/token".into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(auth: serde_json::Value) -> Result<VaultConfig, serde_json::Error> {
        serde_json::from_value(serde_json::json!({"address": "https://vault.example:8200", "auth": auth}))
    }

    #[test]
    fn only_address_and_login_must_be_given() {
        let config = parse(serde_json::json!({"kubernetes": {"role": "app"}})).unwrap();
        assert_eq!(config.mount_path, "secret");
        let VaultAuth::Kubernetes { jwt_path, mount, .. } = config.auth else { panic!("another login") };
        assert_eq!(
            (jwt_path.to_str().unwrap(), &*mount),
            ("/var/run/secrets/kubernetes.io/serviceaccount/token", "kubernetes")
        );
    }

    #[test]
    fn a_field_that_is_not_known_is_refused() {
        assert!(
            parse(serde_json::json!({"app_role": {"role_id": "r", "secret_id": "s", "id": "x"}})).is_err()
        );
        assert!(parse(serde_json::json!({"password": "x"})).is_err());
    }

    #[test]
    fn debug_shows_no_credential() {
        for auth in [
            serde_json::json!({"token": "canary"}),
            serde_json::json!({"app_role": {"role_id": "r", "secret_id": "canary"}}),
        ] {
            let shown = format!("{:?}", parse(auth).unwrap());
            assert!(!shown.contains("canary"), "{shown}");
        }
    }
}
