//! What can be asked, whatever the store.

use async_trait::async_trait;

use crate::types::{
    GetSecretOptions, ListOptions, RotationResult, SecretMetadata, SecretPage, SecretString, SecretValue,
    SecretVersion, SecretsError,
};

/// Reads secrets.
#[async_trait]
pub trait SecretsClient: Send + Sync {
    /// A version of a secret with its value, from the cache where it has one.
    async fn get_secret(&self, path: &str, options: GetSecretOptions) -> Result<SecretValue, SecretsError>;

    /// One key of a secret that is a JSON object, as [`SecretValue::key`] finds it.
    async fn get_secret_key(&self, path: &str, key: &str) -> Result<SecretString, SecretsError>;

    /// All secrets whose paths begin with `prefix`, or as many as `options` wants.
    async fn list_secrets(
        &self,
        prefix: &str,
        options: ListOptions,
    ) -> Result<Vec<SecretMetadata>, SecretsError>;

    /// One page of them, as large as the store makes its pages.
    async fn list_secrets_page(&self, prefix: &str, options: ListOptions)
    -> Result<SecretPage, SecretsError>;

    /// What is known about a secret, without its value; always from its store. That it is denied leaves what is cached of
    /// the value: many policies allow for reading alone.
    async fn describe_secret(&self, path: &str) -> Result<SecretMetadata, SecretsError>;

    /// The versions of a secret that its store still knows, newest first, without their values: also those that may not
    /// be read. Always from its store.
    async fn list_versions(&self, path: &str) -> Result<Vec<SecretVersion>, SecretsError>;

    /// Has the store rotate a secret, and forgets what is cached of it, also if it is being rotated already. A store that
    /// did not answer may rotate it: AWS takes another call within ten minutes for the same rotation.
    async fn rotate_secret(&self, path: &str) -> Result<RotationResult, SecretsError>;

    /// `text` with the secrets' values in place of its references, `{{secret:path#key@version}}`, as
    /// [`crate::resolver`] has them.
    async fn resolve_references(&self, text: &str) -> Result<SecretString, SecretsError>;

    /// Forgets all versions of a secret. An answer that is on its way at this moment is not kept either.
    fn invalidate_cache(&self, path: &str);

    /// Forgets all versions of all secrets whose paths begin with `prefix`.
    fn invalidate_cache_prefix(&self, prefix: &str);
}
