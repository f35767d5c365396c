//! Builds a client from its settings and from what cannot be written down: providers made elsewhere, sinks, listeners,
//! clocks.

use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use super::{Client, PathMapping, PathPattern, ScopeConfig, SecretsConfig, Shared, store::Store};
use crate::{
    cache::{CacheConfig, Flights, MemoryCache, SecretCache},
    observe::{AuditSink, Auditor, StoreMetrics, TracingSink, cache_sizes},
    providers::SecretProvider,
    resilience::{CircuitBreaker, CircuitBreakerConfig, Jitter, RetryConfig, RetryPolicy},
    rotation::{Listeners, Refreshes, RotationConfig, RotationEvent, Versions},
    types::{ConfigurationError, ProviderType, WallClock},
};

/// A client to be.
#[derive(Default)]
pub struct ClientBuilder {
    config: SecretsConfig,
    providers: Vec<Arc<dyn SecretProvider>>,
    sinks: Vec<Arc<dyn AuditSink>>,
    behind: Option<Arc<dyn SecretCache>>,
    listeners: Listeners,
    caller: Option<String>,
    source_ip: Option<String>,
    wall: WallClock,
    jitter: Jitter,
}

impl ClientBuilder {
    /// Takes all settings from `config`, in place of those given before.
    pub fn config(mut self, config: SecretsConfig) -> Self {
        self.config = config;
        self
    }

    /// Adds a provider; one of each kind at most.
    pub fn provider(mut self, provider: Arc<dyn SecretProvider>) -> Self {
        self.providers.push(provider);
        self
    }

    /// Which provider is asked for paths that are mapped to none. With one provider, it is that one.
    pub fn default_provider(mut self, provider: ProviderType) -> Self {
        self.config.default_provider = Some(provider);
        self
    }

    /// Asks `provider` for the paths that `pattern` means.
    pub fn map_path(mut self, pattern: PathPattern, provider: ProviderType) -> Self {
        self.config.path_mappings.push(PathMapping { pattern, provider });
        self
    }

    /// What the client may ask for.
    pub fn scope(mut self, scope: ScopeConfig) -> Self {
        self.config.scope = scope;
        self
    }

    /// What the cache keeps.
    pub fn cache(mut self, cache: CacheConfig) -> Self {
        self.config.cache = cache;
        self
    }

    /// A slower cache that outlives this client, asked when the one in memory has nothing.
    pub fn cache_behind(mut self, cache: Arc<dyn SecretCache>) -> Self {
        self.behind = Some(cache);
        self
    }

    /// When stores are asked again.
    pub fn retry(mut self, retry: RetryConfig) -> Self {
        self.config.retry = retry;
        self
    }

    /// When a store that fails is left alone.
    pub fn circuit_breaker(mut self, breaker: CircuitBreakerConfig) -> Self {
        self.config.circuit_breaker = breaker;
        self
    }

    /// How long versions overlap.
    pub fn rotation(mut self, rotation: RotationConfig) -> Self {
        self.config.rotation = rotation;
        self
    }

    /// Tells `listener` of each change of a secret's current version that this client notices: when it watches, renews,
    /// refreshes, or fetches what was no longer cached.
    pub fn on_rotation(mut self, listener: impl Fn(&RotationEvent) + Send + Sync + 'static) -> Self {
        self.listeners.0.push(Arc::new(listener));
        self
    }

    /// Hands all events of access to `sink` too. Without any, they go to the log, unless `audit_enabled` is off.
    pub fn audit_sink(mut self, sink: Arc<dyn AuditSink>) -> Self {
        self.sinks.push(sink);
        self
    }

    /// Who this client asks for, in events of access; `unknown` if not told.
    pub fn caller_identity(mut self, caller: impl Into<String>) -> Self {
        self.caller = Some(caller.into());
        self
    }

    /// Where this client asks from, in events of access.
    pub fn source_ip(mut self, address: impl Into<String>) -> Self {
        self.source_ip = Some(address.into());
        self
    }

    /// The clock that tells dates; the machine's unless given.
    pub fn clock(mut self, wall: WallClock) -> Self {
        self.wall = wall;
        self
    }

    /// Draws the waits between attempts from this seed, so that a test waits alike each time.
    pub fn jitter_seed(mut self, seed: u64) -> Self {
        self.jitter = Jitter::seeded(seed);
        self
    }

    /// The client. Metrics recorders are to be installed before.
    ///
    /// # Errors
    /// [`ConfigurationError`] if a setting cannot be, a provider is there twice or cannot be made, or none is there for
    /// what is mapped to it.
    pub fn build(mut self) -> Result<Client, ConfigurationError> {
        self.config.validate()?;
        for config in &self.config.providers {
            self.providers.push(config.provider(self.wall.clone())?);
        }
        let kinds: Vec<_> = self.providers.iter().map(|provider| provider.provider_type()).collect();
        let stores = self.stores()?;
        let default_provider = self.default_among(&kinds)?;
        let mappings = self.mappings(&kinds)?;
        let cache = MemoryCache::new(self.config.cache.clone(), self.wall.clone(), cache_sizes(&kinds))?;
        let previous = MemoryCache::new(self.previous_config(), self.wall.clone(), Vec::new())?;
        let auditor = self.auditor();
        let SecretsConfig { cache: settings, rotation, scope, .. } = self.config;
        Ok(Client {
            shared: Arc::new(Shared {
                stores,
                default_provider,
                mappings,
                scope,
                cache,
                behind: self.behind,
                flights: Flights::new(),
                previous,
                versions: Versions::new(settings.max_entries),
                refreshes: Mutex::new(Refreshes::new(rotation.refresh_interval)),
                listeners: self.listeners,
                auditor,
                jitter: self.jitter,
                wall: self.wall,
                ttl: settings.ttl,
                grace: rotation.grace,
                stale_fallback: settings.stale_fallback,
            }),
        })
    }

    fn default_among(&self, kinds: &[ProviderType]) -> Result<ProviderType, ConfigurationError> {
        let wrong = |detail: String| ConfigurationError::InvalidProvider { detail };
        match (self.config.default_provider, kinds) {
            (Some(kind), _) if kinds.contains(&kind) => Ok(kind),
            (Some(kind), _) => Err(wrong(format!("the default provider, {kind}, is not configured"))),
            (None, [only]) => Ok(*only),
            (None, []) => Err(wrong("none is configured".into())),
            (None, _) => Err(wrong("there are several, and default_provider is not set".into())),
        }
    }

    fn stores(&self) -> Result<[Option<Store>; ProviderType::ALL.len()], ConfigurationError> {
        let mut stores = ProviderType::ALL.map(|_| None);
        for provider in &self.providers {
            let kind = provider.provider_type();
            let store = Store {
                kind,
                place: self.config.scope.place(provider.place()),
                provider: provider.clone(),
                breaker: CircuitBreaker::new(kind, self.config.circuit_breaker),
                policy: RetryPolicy::new(&self.config.retry, kind),
                metrics: StoreMetrics::new(kind),
            };
            if stores[kind as usize].replace(store).is_some() {
                let detail = format!("{kind} is configured twice");
                return Err(ConfigurationError::InvalidProvider { detail });
            }
        }
        Ok(stores)
    }

    fn mappings(
        &mut self,
        kinds: &[ProviderType],
    ) -> Result<Vec<(PathPattern, ProviderType)>, ConfigurationError> {
        let mut mappings = Vec::new();
        for PathMapping { pattern, provider } in self.config.path_mappings.drain(..) {
            if !kinds.contains(&provider) {
                let detail = format!("{pattern} is mapped to {provider}, which is not configured");
                return Err(ConfigurationError::InvalidProvider { detail });
            }
            mappings.push((pattern, provider));
        }
        mappings.sort_by_key(|(pattern, _)| std::cmp::Reverse(pattern.len()));
        Ok(mappings)
    }

    fn previous_config(&self) -> CacheConfig {
        CacheConfig {
            ttl: self.config.rotation.grace,
            refresh_ahead: Duration::ZERO,
            negative_ttl: Duration::ZERO,
            max_stale: Duration::ZERO,
            stale_fallback: false,
            ..self.config.cache.clone()
        }
    }

    fn auditor(&mut self) -> Auditor {
        let mut sinks = std::mem::take(&mut self.sinks);
        if sinks.is_empty() {
            sinks.push(Arc::new(TracingSink));
        }
        if !self.config.audit_enabled {
            sinks.clear();
        }
        Auditor {
            sinks,
            caller: self.caller.take().unwrap_or_else(|| "unknown".into()),
            source_ip: self.source_ip.take(),
            wall: self.wall.clone(),
        }
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder").field("config", &self.config).finish_non_exhaustive()
    }
}
