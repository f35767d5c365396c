//! The stores, one module each: their wire, their logins, their errors. A provider asks once (and once more after it has
//! logged in again); it knows nothing of caching, retries and other providers.

pub mod aws;
pub mod azure;
mod config;
pub mod covault;
mod environment;
pub mod gcp;
#[cfg(test)]
mod heard;
mod lease;
mod local;
#[cfg(test)]
mod scripted;
pub mod vault;

use std::collections::HashSet;

use async_trait::async_trait;

pub use config::ProviderConfig;
pub use local::{LocalProvider, LocalProviderConfig};

use crate::types::{
    GetSecretOptions, ListOptions, ProviderError, ProviderType, RotationResult, SecretMetadata, SecretPage,
    SecretValue, SecretVersion, SecretsError,
};

/// A place where secrets live.
#[async_trait]
pub trait SecretProvider: Send + Sync {
    /// A version of a secret with its value.
    async fn get_secret(&self, path: &str, options: GetSecretOptions) -> Result<SecretValue, SecretsError>;

    /// One page of the secrets whose paths begin with `prefix`, as large as the store makes its pages.
    async fn list_page(&self, prefix: &str, options: ListOptions) -> Result<SecretPage, SecretsError>;

    /// What is known about a secret, without its value.
    async fn describe_secret(&self, path: &str) -> Result<SecretMetadata, SecretsError>;

    /// The versions of a secret that its store still knows, newest first, without their values: also those that may not
    /// be read. A store that does not tell of others has the current one.
    async fn list_versions(&self, path: &str) -> Result<Vec<SecretVersion>, SecretsError> {
        let current = self.describe_secret(path).await?;
        let version = SecretVersion::new(current.current_version, current.created_at);
        Ok(vec![SecretVersion { stages: current.stages, ..version }])
    }

    /// Has the store rotate a secret.
    async fn rotate_secret(&self, path: &str) -> Result<RotationResult, SecretsError>;

    /// Which kind of store it is.
    fn provider_type(&self) -> ProviderType;

    /// Whether the store can be reached and accepts who asks.
    async fn health_check(&self) -> Result<(), SecretsError>;

    /// All secrets whose paths begin with `prefix`, or as many as `options` wants, page by page. A list that leads back to
    /// a page that it gave before is an error.
    async fn list_secrets(
        &self,
        prefix: &str,
        mut options: ListOptions,
    ) -> Result<Vec<SecretMetadata>, SecretsError> {
        let most = options.max_results.map_or(usize::MAX, |most| most as usize);
        let (mut found, mut seen) = (Vec::new(), HashSet::new());
        loop {
            let page = self.list_page(prefix, options.clone()).await?;
            found.extend(page.secrets);
            if most <= found.len() {
                found.truncate(most);
                return Ok(found);
            }
            let Some(next) = page.next_token else { return Ok(found) };
            if !seen.insert(next.clone()) {
                return Err(circular(self.provider_type()));
            }
            options.next_token = Some(next);
        }
    }
}

/// The error for a store whose list leads back to a page that it gave before.
pub(crate) fn circular(provider: ProviderType) -> SecretsError {
    let detail = "its list leads back to a page that it gave before".into();
    ProviderError::InternalError { provider, detail }.into()
}
