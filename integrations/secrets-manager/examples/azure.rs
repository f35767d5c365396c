//! Reads a secret from an Azure Key Vault as the machine's managed identity. With `--` for `/`, for its names have no `/`:
//!
//! ```sh
//! VAULT_URL=https://myvault.vault.azure.net cargo run -p secrets-manager --example azure -- app/db
//! ```

use std::{env, error::Error, sync::Arc};

use secrets_manager::{
    AccessError, Client, GetSecretOptions, SecretsClient, SecretsError, WallClock,
    providers::azure::{AzureKeyVaultConfig, AzureKeyVaultProvider},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let path = env::args().nth(1).ok_or("usage: azure PATH")?;
    let config: AzureKeyVaultConfig = serde_json::from_value(serde_json::json!({
        "vault_url": env::var("VAULT_URL")?,
        "credentials": { "managed_identity": {} },
        "separator": "--",
    }))?;
    let provider = AzureKeyVaultProvider::new(config, WallClock::default())?;
    let client = Client::builder().provider(Arc::new(provider)).build()?;

    match client.get_secret(&path, GetSecretOptions::default()).await {
        Ok(secret) => println!("{path}: version {}, {} bytes", secret.version, secret.bytes()?.len()),
        Err(SecretsError::Access(AccessError::Expired { until, .. })) => {
            println!("{path}: was valid until {until}")
        }
        Err(error) => return Err(error.into()),
    }
    Ok(())
}
