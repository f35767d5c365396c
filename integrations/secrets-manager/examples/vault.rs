//! Reads a secret from the KV v2 mount `secret` of a Vault:
//!
//! ```sh
//! VAULT_ADDR=http://127.0.0.1:8200 VAULT_TOKEN=… cargo run -p secrets-manager --example vault -- app/db password
//! ```

use std::{env, error::Error, sync::Arc};

use secrets_manager::{
    Client, SecretsClient, WallClock,
    providers::vault::{VaultAuth, VaultConfig, VaultProvider},
    transport::TransportConfig,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let (Some(path), Some(key)) = (arguments.next(), arguments.next()) else {
        return Err("usage: vault PATH KEY".into());
    };
    let config = VaultConfig {
        address: env::var("VAULT_ADDR")?.parse()?,
        auth: VaultAuth::Token(env::var("VAULT_TOKEN")?.into()),
        mount_path: "secret".into(),
        namespace: env::var("VAULT_NAMESPACE").ok(),
        transport: TransportConfig::default(),
    };
    let provider = VaultProvider::new(config, WallClock::default())?;
    let client = Client::builder().provider(Arc::new(provider)).build()?;

    let about = client.describe_secret(&path).await?;
    let value = client.get_secret_key(&path, &key).await?;
    println!("{path}: version {}, {key} has {} bytes", about.current_version, value.len());
    Ok(())
}
