//! A store that has every secret and costs next to nothing, and clients of it.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use chrono::DateTime;
use secrets_manager::{
    Client, GetSecretOptions, ListOptions, ProviderType, RotationResult, SecretMetadata, SecretNotFoundError,
    SecretPage, SecretProvider, SecretValue, SecretsError, client::ClientBuilder,
};
use tokio::{
    runtime::{Builder, Runtime},
    sync::Semaphore,
};

/// As many secrets as a service may have.
pub const SECRETS: usize = 500;

/// Has every secret.
pub struct Everything {
    calls: AtomicUsize,
    /// So many have to have come before anything is answered.
    awaited: u32,
    come: Semaphore,
}

impl Everything {
    /// One that answers at once.
    pub fn new() -> Arc<Self> {
        Self::awaiting(0)
    }

    /// One that answers when `awaited` have called [`Everything::come`].
    pub fn awaiting(awaited: u32) -> Arc<Self> {
        Arc::new(Self { calls: AtomicUsize::new(0), awaited, come: Semaphore::new(0) })
    }

    /// Says that one more is about to ask.
    pub fn come(&self) {
        self.come.add_permits(1);
    }

    /// How often a value was asked for.
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl SecretProvider for Everything {
    async fn get_secret(&self, path: &str, _: GetSecretOptions) -> Result<SecretValue, SecretsError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        drop(self.come.acquire_many(self.awaited).await);
        Ok(value(path))
    }

    async fn list_page(&self, _: &str, _: ListOptions) -> Result<SecretPage, SecretsError> {
        Ok(SecretPage::default())
    }

    async fn describe_secret(&self, path: &str) -> Result<SecretMetadata, SecretsError> {
        Ok((*value(path).metadata).clone())
    }

    async fn rotate_secret(&self, path: &str) -> Result<RotationResult, SecretsError> {
        Err(SecretNotFoundError::SecretDoesNotExist { path: path.into() }.into())
    }

    fn provider_type(&self) -> ProviderType {
        ProviderType::Vault
    }

    async fn health_check(&self) -> Result<(), SecretsError> {
        Ok(())
    }
}

pub fn value(path: &str) -> SecretValue {
    SecretValue {
        value: r#"{"user":"app","password":"correct horse battery staple"}"#.into(),
        binary: false,
        version: "3".into(),
        created_at: DateTime::UNIX_EPOCH,
        updated_at: None,
        valid_until: None,
        metadata: Arc::new(SecretMetadata::new(path, "3", DateTime::UNIX_EPOCH)),
    }
}

pub fn paths() -> Vec<String> {
    (0..SECRETS).map(|number| format!("app/production/service-{number}/password")).collect()
}

pub fn one_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

pub fn many_threads() -> Runtime {
    Builder::new_multi_thread().enable_all().build().unwrap()
}

pub fn builder(store: &Arc<Everything>) -> ClientBuilder {
    Client::builder().provider(store.clone())
}

/// A client that has all secrets cached.
pub fn warm(runtime: &Runtime, builder: ClientBuilder) -> Client {
    let client = builder.build().unwrap();
    runtime.block_on(async {
        for path in paths() {
            client.get_secret(&path, GetSecretOptions::default()).await.unwrap();
        }
    });
    client
}
