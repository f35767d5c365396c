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
use url::Url;

pub use config::ProviderConfig;
pub use local::{LocalProvider, LocalProviderConfig};

use crate::types::{
    ConfigurationError, GetSecretOptions, ListOptions, ProviderError, ProviderType, RotationResult,
    SecretMetadata, SecretPage, SecretValue, SecretVersion, SecretsError,
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

    /// Which store of its kind it is, and what of it is seen: its address, and whatever else decides what a path means,
    /// as a region, a project, a mount or an owner. A cache that several clients share keeps by it what their stores gave.
    /// Nothing secret is in it. Empty if it is not told: all such stores of a kind are then taken for one.
    fn place(&self) -> String {
        String::new()
    }

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
            options.next_token = onward(self.provider_type(), &mut seen, page.next_token)?;
            if options.next_token.is_none() {
                return Ok(found);
            }
        }
    }
}

/// An address as part of a store's place: with no name, password or question that may stand in it.
pub(crate) fn address(url: &Url) -> String {
    format!("{}{}", url.origin().ascii_serialization(), url.path())
}

/// A list that has more than is read of one. Whoever asks would take a part of it for all.
pub(crate) fn too_many(provider: ProviderType, what: &str, most: usize) -> SecretsError {
    let detail = format!("there are more than {most} {what}, which is as many as are listed");
    ConfigurationError::InvalidRequest { provider, detail }.into()
}

/// Where a store's list goes on, if it does; `seen` are the places where it did before.
///
/// # Errors
/// [`ProviderError::InternalError`] if it leads back to one of them: it would have no end.
pub(crate) fn onward(
    provider: ProviderType,
    seen: &mut HashSet<String>,
    next: Option<String>,
) -> Result<Option<String>, SecretsError> {
    let next = next.filter(|next| !next.is_empty());
    if next.as_ref().is_some_and(|next| !seen.insert(next.clone())) {
        let detail = "its list leads back to a page that it gave before".into();
        return Err(ProviderError::InternalError { provider, detail }.into());
    }
    Ok(next)
}
