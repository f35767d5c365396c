//! What all handles to a client share, and its questions but those for values: which store they go to, within which scope,
//! and what is said of them afterwards. Knows nothing of how an answer is fetched and kept.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tracing::Span;

use super::{
    PathPattern, ScopeConfig,
    fetch::Answer,
    store::{Attempts, Store},
};
use crate::{
    cache::{CacheKey, Flights, MemoryCache, SecretCache},
    observe::{Auditor, SecretOperation, Seen},
    resilience::Jitter,
    rotation::{Listeners, Refreshes, Versions},
    types::{
        ConfigurationError, ListOptions, ProviderType, RotationError, RotationResult, SecretMetadata,
        SecretPage, SecretValue, SecretVersion, SecretsError, WallClock,
    },
};

/// What all handles to a client share.
pub(crate) struct Shared {
    /// By the provider's place in [`ProviderType::ALL`].
    pub stores: [Option<Store>; ProviderType::ALL.len()],
    pub default_provider: ProviderType,
    /// The ones that fix more of the path first.
    pub mappings: Vec<(PathPattern, ProviderType)>,
    pub scope: ScopeConfig,
    pub cache: MemoryCache,
    /// A slower cache that outlives this one.
    pub behind: Option<Arc<dyn SecretCache>>,
    pub flights: Flights<Answer>,
    /// Versions that were current until a moment ago.
    pub previous: MemoryCache,
    pub versions: Versions,
    pub refreshes: Mutex<Refreshes>,
    pub listeners: Listeners,
    pub auditor: Auditor,
    pub jitter: Jitter,
    pub wall: WallClock,
    pub ttl: Duration,
    pub grace: Duration,
    pub stale_fallback: bool,
}

/// How new an answer is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Any that may be given out.
    Any,
    /// One from the store, for the cache; the old one is still good.
    Renewed,
    /// One from the store, which may have been asked before; the old one is not good enough.
    Underway,
    /// One from the store, asked for after now.
    New,
}

impl Wanted {
    /// Whether an old answer is good enough while the store does not give another.
    pub fn may_be_old(self) -> bool {
        matches!(self, Self::Any | Self::Renewed)
    }
}

impl Shared {
    /// The store that `path` belongs to, or the one that is asked for.
    pub fn store(&self, path: &str, asked: Option<ProviderType>) -> Result<&Store, ConfigurationError> {
        let mapped =
            || self.mappings.iter().find(|(pattern, _)| pattern.matches(path)).map(|(_, kind)| *kind);
        let kind = asked.or_else(mapped).unwrap_or(self.default_provider);
        self.stores[kind as usize].as_ref().ok_or_else(|| ConfigurationError::InvalidProvider {
            detail: format!("{path:?} belongs to {kind}, which is not configured"),
        })
    }

    pub async fn describe(&self, store: &Store, path: &str) -> Result<SecretMetadata, SecretsError> {
        let asked = self.scope.enter(path)?;
        let ask = || store.provider.describe_secret(&asked);
        let answer = store
            .ask(SecretOperation::Describe, Attempts::ByPolicy, &self.jitter, ask)
            .await
            .and_then(|metadata| {
                self.scope.check_tags(path, &metadata)?;
                Ok(self.scope.outward(metadata))
            });
        // Who may not see what is known of a secret may still read it.
        if let Err(error) = &answer
            && !error.is_denied()
        {
            self.forget_path(store, path, error);
        }
        answer
    }

    pub(super) async fn list(
        &self,
        store: &Store,
        prefix: &str,
        options: &ListOptions,
    ) -> Result<SecretPage, SecretsError> {
        let asked = self.scope.enter_prefix(prefix)?;
        let mut options = options.clone();
        if !self.scope.tags.is_empty() {
            let tags = options.tags.get_or_insert_default();
            if self
                .scope
                .tags
                .iter()
                .any(|(name, value)| tags.get(name).is_some_and(|wanted| wanted != value))
            {
                return Ok(SecretPage::default());
            }
            tags.extend(self.scope.tags.clone());
        }
        let ask = || store.provider.list_page(&asked, options.clone());
        let mut page = store.ask(SecretOperation::List, Attempts::ByPolicy, &self.jitter, ask).await?;
        page.secrets.retain(|secret| secret.has_tags(&self.scope.tags));
        page.secrets = page.secrets.into_iter().map(|secret| self.scope.outward(secret)).collect();
        Ok(page)
    }

    pub(super) async fn versions_of(
        &self,
        store: &Store,
        path: &str,
    ) -> Result<Vec<SecretVersion>, SecretsError> {
        if !self.scope.tags.is_empty() {
            self.describe(store, path).await?;
        }
        let asked = self.scope.enter(path)?;
        let ask = || store.provider.list_versions(&asked);
        let answer = store.ask(SecretOperation::Versions, Attempts::ByPolicy, &self.jitter, ask).await;
        // Who may not see versions may still read the current one.
        if let Err(error) = &answer
            && error.is_not_found()
        {
            self.forget_path(store, path, error);
        }
        answer
    }

    pub(super) async fn rotate(&self, store: &Store, path: &str) -> Result<RotationResult, SecretsError> {
        if !self.scope.tags.is_empty() {
            self.describe(store, path).await?;
        }
        let asked = self.scope.enter(path)?;
        let ask = || store.provider.rotate_secret(&asked);
        let answer = store.ask(SecretOperation::Rotate, Attempts::ByPolicy, &self.jitter, ask).await;
        match &answer {
            Ok(_) => store.metrics.rotations_triggered.increment(1),
            Err(_) => store.metrics.rotations_failed.increment(1),
        }
        // One that runs already changes the secret too. Where the store does not answer, what is cached is needed.
        if let Ok(_) | Err(SecretsError::Rotation(RotationError::RotationInProgress { .. })) = &answer {
            let key = CacheKey::current(store.kind, path);
            if let Some(old) = self.cache.get(&key) {
                self.previous.put(&key, old, self.grace);
            }
            self.invalidate(path);
        }
        answer
    }

    pub(super) fn invalidate(&self, path: &str) {
        self.flights.cancel(
            |key| key.path == path,
            || {
                self.cache.invalidate(path);
                if let Some(behind) = &self.behind {
                    behind.invalidate(&self.scope.inward(path));
                }
            },
        );
    }

    /// Says what came of a read. The version is the one given out, or the one that was asked for.
    pub(crate) fn note_read(
        &self,
        span: &Span,
        key: &CacheKey<'_>,
        result: &Result<SecretValue, SecretsError>,
        cached: bool,
    ) {
        let _within = span.enter();
        let (operation, provider, path) = (SecretOperation::Get, Some(key.provider), &*key.path);
        let version = result.as_ref().ok().map(|value| &*value.version).or(key.version.as_deref());
        if !span.is_disabled() {
            span.record("provider", key.provider.name());
            span.record("version", version);
            span.record("cached", cached);
        }
        let error = result.as_ref().err();
        log(operation, path, version, cached, error);
        self.auditor.record(Seen { operation, provider, path, version, cached, error });
    }

    pub(super) fn note(
        &self,
        operation: SecretOperation,
        store: &Store,
        path: &str,
        version: Option<&str>,
        error: Option<&SecretsError>,
    ) {
        log(operation, path, version, false, error);
        self.auditor.record(Seen {
            operation,
            provider: Some(store.kind),
            path,
            version,
            cached: false,
            error,
        });
    }

    pub(super) fn no_store<T>(
        &self,
        operation: SecretOperation,
        path: &str,
        error: ConfigurationError,
    ) -> Result<T, SecretsError> {
        let error = SecretsError::from(error);
        log(operation, path, None, false, Some(&error));
        let seen =
            Seen { operation, provider: None, path, version: None, cached: false, error: Some(&error) };
        self.auditor.record(seen);
        Err(error)
    }
}

/// Says in the log what was done: an error where somebody must act, an access otherwise.
fn log(
    operation: SecretOperation,
    path: &str,
    version: Option<&str>,
    cached: bool,
    error: Option<&SecretsError>,
) {
    let operation = operation.name();
    match error {
        None => tracing::info!(operation, secret_path = path, version, cached, "secret access"),
        Some(error) if matters(error) => {
            let error_type = error.error_type();
            tracing::error!(operation, secret_path = path, error_type, %error, "no secret access");
        }
        Some(error) => {
            let error_type = error.error_type();
            tracing::info!(operation, secret_path = path, cached, error_type, %error, "no secret access");
        }
    }
}

/// Whether an error is one of logins, rights, or the store.
fn matters(error: &SecretsError) -> bool {
    use SecretsError::{Access, Authentication, Network, Provider};

    matches!(error, Access(_) | Authentication(_) | Network(_) | Provider(_))
}
