//! Reads a secret from AWS Secrets Manager, with whatever credentials the environment has:
//!
//! ```sh
//! AWS_REGION=eu-central-1 cargo run -p secrets-manager --example aws -- app/db
//! ```
//!
//! `AWS_ENDPOINT_URL_SECRETS_MANAGER` asks another address, such as an emulator.

use std::{env, error::Error, sync::Arc};

use secrets_manager::{
    Client, GetSecretOptions, WallClock,
    providers::aws::{AwsSecretsManagerConfig, AwsSecretsManagerProvider},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let path = env::args().nth(1).ok_or("usage: aws PATH")?;
    let mut config = AwsSecretsManagerConfig::new("");
    if let Ok(endpoint) = env::var("AWS_ENDPOINT_URL_SECRETS_MANAGER") {
        config.endpoint = Some(endpoint.parse()?);
    }
    let provider = AwsSecretsManagerProvider::new(config, WallClock::default())?;
    let client = Client::builder().provider(Arc::new(provider)).build()?;

    let secret = client.get_secret(&path, GetSecretOptions::default()).await?;
    println!("{path}: version {}, {} bytes", secret.version, secret.bytes()?.len());
    let previous = GetSecretOptions { stage: Some("AWSPREVIOUS".into()), ..GetSecretOptions::default() };
    match client.get_secret(&path, previous).await {
        Ok(secret) => println!("before it: version {}", secret.version),
        Err(error) => println!("before it: {error}"),
    }
    Ok(())
}
