//! Reads a secret from the Azure Key Vault that a file of settings names:
//!
//! ```toml
//! [[providers]]
//! type = "azure"
//! vault_url = "https://myvault.vault.azure.net"
//! credentials = { managed_identity = {} }
//! separator = "--" # For `/`, which its names cannot have.
//! ```
//!
//! ```sh
//! cargo run -p secrets-manager --example azure -- settings.toml app/db
//! ```

use std::{env, error::Error, fs};

use secrets_manager::{AccessError, Client, GetSecretOptions, SecretsConfig, SecretsError};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let (Some(settings), Some(path)) = (arguments.next(), arguments.next()) else {
        return Err("usage: azure SETTINGS PATH".into());
    };
    let config = SecretsConfig::from_toml(&fs::read_to_string(settings)?)?;
    let client = Client::builder().config(config).build()?;

    match client.get_secret(&path, GetSecretOptions::default()).await {
        Ok(secret) => println!("{path}: version {}, {} bytes", secret.version, secret.bytes()?.len()),
        Err(SecretsError::Access(AccessError::Expired { until, .. })) => {
            println!("{path}: was valid until {until}")
        }
        Err(error) => return Err(error.into()),
    }
    Ok(())
}
