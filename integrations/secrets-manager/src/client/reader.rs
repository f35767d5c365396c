//! The client: answers from the cache what it can, asks stores for the rest, and says what it did.

use std::{collections::HashSet, fmt, sync::Arc};

use async_trait::async_trait;
use tokio::runtime::Handle;
use tracing::{Instrument, Span, field::Empty, info_span};

use super::{
    ClientBuilder, SecretsClient,
    shared::{Shared, Wanted},
    store::Store,
};
use crate::{
    cache::{CacheKey, CacheStats, Entry, Found, SecretCache},
    observe::SecretOperation,
    providers::onward,
    rotation::{Watch, WatchConfig},
    types::{
        GetSecretOptions, ListOptions, ProviderType, RotationResult, SecretMetadata, SecretPage,
        SecretString, SecretValue, SecretVersion, SecretsError,
    },
};

/// Reads secrets from all stores that it was built with. A clone is another handle to the same client.
///
/// ```
/// use std::sync::Arc;
///
/// use secrets_manager::{
///     Client, GetSecretOptions, SecretsClient, WallClock,
///     providers::{LocalProvider, LocalProviderConfig},
/// };
/// # async fn paved() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # std::fs::write(folder.path().join("db"), r#"{"user":"ada","password":"pass"}"#)?;
/// # let path = folder.path().to_owned();
/// let files = LocalProvider::new(LocalProviderConfig { path }, WallClock::default())?;
/// let client = Client::builder().provider(Arc::new(files)).caller_identity("billing").build()?;
///
/// let secret = client.get_secret("db", GetSecretOptions::default()).await?;
/// println!("version {}", secret.version);
/// let password = client.get_secret_key("db", "password").await?;
/// assert_eq!(password.len(), 4);
/// # Ok(())
/// # }
/// # tokio::runtime::Runtime::new().unwrap().block_on(paved()).unwrap();
/// ```
#[derive(Clone)]
pub struct Client {
    pub(crate) shared: Arc<Shared>,
}

impl Client {
    /// Begins with a client that has no store yet.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    /// As [`SecretsClient::get_secret`], without the box that a trait's future comes in: a read that the cache answers
    /// allocates nothing.
    ///
    /// # Errors
    /// The store's, and this client's own: [`SecretsError`].
    pub async fn get_secret(
        &self,
        path: &str,
        options: GetSecretOptions,
    ) -> Result<SecretValue, SecretsError> {
        let span = get_span(path);
        let store = match self.shared.store(path, options.provider) {
            Ok(store) => store,
            Err(error) => return span.in_scope(|| self.shared.no_store(SecretOperation::Get, path, error)),
        };
        let key = CacheKey::new(store.kind, path, &options);
        if !options.skip_cache
            && let Some(entry) = self.cached(store, &key)
        {
            self.shared.note_read(&span, &key, &entry.answer, true);
            return entry.answer.clone();
        }
        let wanted = if options.skip_cache { Wanted::New } else { Wanted::Any };
        let answer = Box::pin(self.shared.fetch(store, &key, wanted)).instrument(span.clone()).await;
        self.shared.note_read(&span, &key, &answer.result, answer.cached);
        answer.result
    }

    /// The version that was current before the present one, for a time of grace after the change: some of those who
    /// check a credential may still know only this one. None if there was no change, or not a recent one, or if it was
    /// not cached when it came. Invalidating the cache leaves it; a store's verdict on the secret takes it.
    pub fn previous(&self, path: &str) -> Option<SecretValue> {
        let store = self.shared.store(path, None).ok()?;
        let key = CacheKey::current(store.kind, path);
        let previous = self.shared.previous.get(&key)?;
        (!self.shared.versions.is(&key, &previous.version)).then_some(previous)
    }

    /// To be called when whatever a secret opens does not accept it: asks the store anew, past the cache, in case the
    /// secret was rotated. At most once in an interval for each path; within it, gives out what the last time brought.
    ///
    /// # Errors
    /// As [`SecretsClient::get_secret`]; no old value is given out instead.
    pub async fn refresh_after_auth_failure(&self, path: &str) -> Result<SecretValue, SecretsError> {
        let span = get_span(path);
        let store = match self.shared.store(path, None) {
            Ok(store) => store,
            Err(error) => return span.in_scope(|| self.shared.no_store(SecretOperation::Get, path, error)),
        };
        let answer = Box::pin(self.shared.refresh_once(store, path)).instrument(span.clone()).await;
        self.shared.note_read(&span, &CacheKey::current(store.kind, path), &answer.result, answer.cached);
        answer.result
    }

    /// Looks at an interval whether a secret has another version, until the watch is dropped. A change is told to all
    /// who asked for it by [`ClientBuilder::on_rotation`]. Where the store's policies let this client read the value and
    /// not see what is known of it, each look fetches the value. It must be called within a Tokio runtime.
    pub fn watch(&self, path: impl Into<String>, config: WatchConfig) -> Watch {
        Watch::start(self.clone(), path.into(), config)
    }

    /// What the cache in memory holds.
    pub fn cache_stats(&self) -> CacheStats {
        self.shared.cache.stats()
    }

    /// The answer to `key` if it is cached; begins its renewal if that is due.
    fn cached(&self, store: &Store, key: &CacheKey<'_>) -> Option<Arc<Entry>> {
        let entry = match self.shared.cache.find(key) {
            Found::Fresh(entry) => entry,
            Found::Due(entry) => {
                self.begin_renewal(key);
                entry
            }
            Found::Nothing => {
                store.metrics.cache_misses.increment(1);
                return None;
            }
        };
        store.metrics.cache_hits.increment(1);
        Some(entry)
    }

    #[cold]
    fn begin_renewal(&self, key: &CacheKey<'_>) {
        let (shared, key) = (self.shared.clone(), key.clone().into_owned());
        if let Ok(runtime) = Handle::try_current() {
            // In a span of its own: the read that noticed is over long before.
            runtime.spawn(async move { shared.renew(key).await });
        }
    }
}

/// A read of a secret, in traces.
pub(crate) fn get_span(path: &str) -> Span {
    info_span!("secrets.get", provider = Empty, secret_path = path, version = Empty, cached = Empty)
}

#[async_trait]
impl SecretsClient for Client {
    async fn get_secret(&self, path: &str, options: GetSecretOptions) -> Result<SecretValue, SecretsError> {
        // The client's own method of this name, in a box.
        self.get_secret(path, options).await
    }

    async fn get_secret_key(&self, path: &str, key: &str) -> Result<SecretString, SecretsError> {
        let value = self.get_secret(path, GetSecretOptions::default()).await?;
        Ok(value.key(key)?)
    }

    async fn list_secrets(
        &self,
        prefix: &str,
        mut options: ListOptions,
    ) -> Result<Vec<SecretMetadata>, SecretsError> {
        let span = list_span(prefix);
        let most = options.max_results.map_or(usize::MAX, |most| most as usize);
        let (mut found, mut seen) = (Vec::new(), HashSet::new());
        while found.len() < most {
            options.max_results = options.max_results.map(|_| (most - found.len()) as u32);
            let page = self.page(&span, prefix, &options).await?;
            found.extend(page.secrets);
            let kind = self.shared.store(prefix, options.provider)?.kind;
            options.next_token = onward(kind, &mut seen, page.next_token)?;
            if options.next_token.is_none() {
                break;
            }
        }
        found.truncate(most);
        span.record("count", found.len());
        Ok(found)
    }

    async fn list_secrets_page(
        &self,
        prefix: &str,
        options: ListOptions,
    ) -> Result<SecretPage, SecretsError> {
        let span = list_span(prefix);
        let page = self.page(&span, prefix, &options).await?;
        span.record("count", page.secrets.len());
        Ok(page)
    }

    async fn describe_secret(&self, path: &str) -> Result<SecretMetadata, SecretsError> {
        let span = info_span!("secrets.describe", provider = Empty, secret_path = path);
        let store = self.store(&span, SecretOperation::Describe, path, None)?;
        let answer = self.shared.describe(store, path).instrument(span.clone()).await;
        let version = answer.as_ref().ok().map(|metadata| metadata.current_version.as_str());
        let error = answer.as_ref().err();
        span.in_scope(|| self.shared.note(SecretOperation::Describe, store, path, version, error));
        answer
    }

    async fn list_versions(&self, path: &str) -> Result<Vec<SecretVersion>, SecretsError> {
        let span = info_span!("secrets.versions", provider = Empty, secret_path = path, count = Empty);
        let store = self.store(&span, SecretOperation::Versions, path, None)?;
        let answer = self.shared.versions_of(store, path).instrument(span.clone()).await;
        span.record("count", answer.as_ref().ok().map(Vec::len));
        span.in_scope(|| {
            self.shared.note(SecretOperation::Versions, store, path, None, answer.as_ref().err())
        });
        answer
    }

    async fn rotate_secret(&self, path: &str) -> Result<RotationResult, SecretsError> {
        let span = info_span!("secrets.rotate", provider = Empty, secret_path = path);
        let store = self.store(&span, SecretOperation::Rotate, path, None)?;
        let answer = self.shared.rotate(store, path).instrument(span.clone()).await;
        let version = answer.as_ref().ok().and_then(|rotation| rotation.version_id.as_deref());
        let error = answer.as_ref().err();
        span.in_scope(|| self.shared.note(SecretOperation::Rotate, store, path, version, error));
        answer
    }

    async fn resolve_references(&self, text: &str) -> Result<SecretString, SecretsError> {
        self.resolver().resolve_secret(text).await
    }

    fn invalidate_cache(&self, path: &str) {
        tracing::debug!(secret_path = path, "invalidating what is cached");
        self.shared.invalidate(path);
    }

    fn invalidate_cache_prefix(&self, prefix: &str) {
        tracing::debug!(prefix, "invalidating what is cached");
        let shared = &self.shared;
        shared.flights.cancel(
            |key| key.path.starts_with(prefix),
            || {
                shared.cache.invalidate_prefix(prefix);
                if let Some(behind) = &shared.behind {
                    behind.invalidate_prefix(&shared.scope.inward(prefix));
                }
            },
        );
    }
}

fn list_span(prefix: &str) -> Span {
    info_span!("secrets.list", provider = Empty, prefix, count = Empty)
}

impl Client {
    /// The store of a question that no cache answers, told to its span; if there is none, that is said of the question.
    fn store(
        &self,
        span: &Span,
        operation: SecretOperation,
        path: &str,
        asked: Option<ProviderType>,
    ) -> Result<&Store, SecretsError> {
        match self.shared.store(path, asked) {
            Ok(store) => {
                span.record("provider", store.kind.name());
                Ok(store)
            }
            Err(error) => span.in_scope(|| self.shared.no_store(operation, path, error)),
        }
    }

    async fn page(
        &self,
        span: &Span,
        prefix: &str,
        options: &ListOptions,
    ) -> Result<SecretPage, SecretsError> {
        let store = self.store(span, SecretOperation::List, prefix, options.provider)?;
        let page = self.shared.list(store, prefix, options).instrument(span.clone()).await;
        let error = page.as_ref().err();
        span.in_scope(|| self.shared.note(SecretOperation::List, store, prefix, None, error));
        page
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stores: Vec<_> = self.shared.stores.iter().flatten().map(|store| store.kind).collect();
        f.debug_struct("Client").field("stores", &stores).finish_non_exhaustive()
    }
}
