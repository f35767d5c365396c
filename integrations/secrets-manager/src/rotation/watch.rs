//! Looks again and again whether a secret has another version. Asks for metadata alone, where that is allowed; the value is
//! fetched when it has changed, past the cache, which then has it before anybody asks. Who may only read the value has it
//! fetched at each look.

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

/// What a watch knows of its secret.
#[derive(Default)]
struct Known {
    /// None before the first look.
    version: Option<String>,
    /// Whether the value may be read, and the metadata not.
    is_value_alone: bool,
}

async fn watch(client: &Client, path: &str, config: WatchConfig) {
    let mut known = Known::default();
    loop {
        if let Err(error) = look(client, path, &mut known).await {
            tracing::warn!(secret_path = path, %error, "a watched secret could not be looked at");
        }
        sleep(client.shared.jitter.around(config.interval.clamp(SHORTEST, LONGEST))).await;
    }
}

/// Fetches the secret if its version is not `known`, or if its store does not tell it without the value, or not to this
/// client.
async fn look(client: &Client, path: &str, known: &mut Known) -> Result<(), SecretsError> {
    let Some(before) = &known.version else {
        let value = client.get_secret(path, GetSecretOptions::default()).await?;
        known.version = Some(value.version.to_string());
        return Ok(());
    };
    let mut is_denied = known.is_value_alone;
    if !is_denied {
        match client.describe_secret(path).await {
            Ok(metadata) if metadata.current_version == *before => return Ok(()),
            Ok(_) => {}
            Err(error) if error.is_denied() => is_denied = true,
            Err(error) => return Err(error),
        }
    }
    let options = GetSecretOptions { skip_cache: true, ..GetSecretOptions::default() };
    let value = client.get_secret(path, options).await?;
    *known = Known { version: Some(value.version.to_string()), is_value_alone: is_denied };
    Ok(())
}
