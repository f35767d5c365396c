//! Lists secrets of a Google Cloud project and reads one, with the application's default credentials:
//!
//! ```sh
//! GOOGLE_CLOUD_PROJECT=my-project cargo run -p secrets-manager --example gcp -- app-db
//! ```
//!
//! `CLOUDSDK_API_ENDPOINT_OVERRIDES_SECRETMANAGER` asks another address, such as an emulator, as it does with gcloud.

use std::{env, error::Error, sync::Arc};

use secrets_manager::{
    Client, GetSecretOptions, ListOptions, SecretsClient, WallClock,
    providers::gcp::{GcpSecretManagerConfig, GcpSecretManagerProvider},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let path = env::args().nth(1).ok_or("usage: gcp NAME")?;
    let mut config = GcpSecretManagerConfig::new("");
    if let Ok(endpoint) = env::var("CLOUDSDK_API_ENDPOINT_OVERRIDES_SECRETMANAGER") {
        config.endpoint = Some(endpoint.parse()?);
    }
    let provider = GcpSecretManagerProvider::new(config, WallClock::default())?;
    let client = Client::builder().provider(Arc::new(provider)).build()?;

    let ten = ListOptions { max_results: Some(10), ..ListOptions::default() };
    for secret in client.list_secrets("", ten).await? {
        println!("{}", secret.name);
    }
    let secret = client.get_secret(&path, GetSecretOptions::default()).await?;
    println!("{path}: version {}, {} bytes", secret.version, secret.bytes()?.len());
    Ok(())
}
