//! Looks again and again whether a secret has another version. Asks for metadata alone; the value is fetched when it has
//! changed, past the cache, which then has it before anybody asks.

use std::time::Duration;

use tokio::{task::JoinHandle, time::sleep};

use crate::{
    client::{Client, SecretsClient},
    types::{GetSecretOptions, SecretsError},
};

/// The shortest and the longest interval between two looks.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(365 * 86_400);

/// How often is looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WatchConfig {
    /// How long between two looks, up to a tenth more or less, so that many who watch do not come at once;
    /// a second at least and a year at most.
    pub interval: Duration,
}

impl Default for WatchConfig {
    fn default() -> Self {
        Self { interval: Duration::from_secs(60) }
    }
}

/// A secret that is watched, until this is dropped.
#[must_use]
#[derive(Debug)]
pub struct Watch(JoinHandle<()>);

impl Watch {
    pub(crate) fn start(client: Client, path: String, config: WatchConfig) -> Self {
        Self(tokio::spawn(async move { watch(&client, &path, config).await }))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn watch(client: &Client, path: &str, config: WatchConfig) {
    let mut known = None;
    loop {
        if let Err(error) = look(client, path, &mut known).await {
            tracing::warn!(secret_path = path, %error, "a watched secret could not be looked at");
        }
        sleep(client.shared.jitter.around(config.interval.clamp(SHORTEST, LONGEST))).await;
    }
}

/// Fetches the secret if its version is not `known`, or if its store does not tell it without the value.
async fn look(client: &Client, path: &str, known: &mut Option<String>) -> Result<(), SecretsError> {
    let Some(before) = known else {
        let value = client.get_secret(path, GetSecretOptions::default()).await?;
        *known = Some(value.version.to_string());
        return Ok(());
    };
    let metadata = client.describe_secret(path).await?;
    if metadata.current_version == *before {
        return Ok(());
    }
    let options = GetSecretOptions { skip_cache: true, ..GetSecretOptions::default() };
    let value = client.get_secret(path, options).await?;
    *known = Some(value.version.to_string());
    Ok(())
}
