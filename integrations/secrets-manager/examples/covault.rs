//! Reads a secret from Covault, as it is and as it was at each change. Copy the `export` line that `covault dev` prints:
//!
//! ```sh
//! export COVAULT_URL=… COVAULT_TOKEN=…
//! printf hunter2 | covault secret create app/db
//! cargo run -p secrets-manager --example covault -- app/db
//! ```

use std::{env, error::Error, sync::Arc};

use secrets_manager::{
    Client, GetSecretOptions, WallClock,
    providers::covault::{CovaultConfig, CovaultProvider},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let path = env::args().nth(1).ok_or("usage: covault PATH")?;
    let provider = Arc::new(CovaultProvider::new(CovaultConfig::default(), WallClock::default())?);
    let client = Client::builder().provider(provider.clone()).build()?;

    let secret = client.get_secret(&path, GetSecretOptions::default()).await?;
    println!("{path}: version {}, {} bytes", secret.version, secret.bytes()?.len());
    for version in provider.history(&path).await? {
        let then = GetSecretOptions { at: Some(version.valid_from), ..GetSecretOptions::default() };
        match client.get_secret(&path, then).await {
            Ok(secret) => println!("since {}: {} bytes", version.valid_from, secret.bytes()?.len()),
            Err(error) => println!("since {}: {error}", version.valid_from),
        }
    }
    Ok(())
}
