//! The metrics, by the names that dashboards know. A handle is asked for once per provider, when the client is built, so
//! that a cached read counts with one addition: install the recorder before that.
//!
//! | metric | labels | counts |
//! | --- | --- | --- |
//! | `secrets_requests_total` | `provider`, `operation`, `status` | questions that went to a store, each attempt |
//! | `secrets_request_duration_seconds` | `provider`, `operation` | how long each took |
//! | `secrets_cache_hits_total` | `provider` | reads that the cache answered |
//! | `secrets_cache_misses_total` | `provider` | reads that it did not |
//! | `secrets_cache_size` | `provider` | entries |
//! | `secrets_rotation_total` | `provider`, `status` | rotations: `triggered`, `failed`, and `detected` by another version |
//! | `secrets_errors_total` | `provider`, `error_type` | errors of stores, each attempt |
//! | `secrets_audit_errors_total` | `sink` | events that a sink could not keep |

use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

use super::SecretOperation;
use crate::types::{ProviderType, SecretsError};

/// The handles of one provider.
pub(crate) struct StoreMetrics {
    provider: ProviderType,
    requests: [Requests; SecretOperation::ALL.len()],
    pub cache_hits: Counter,
    pub cache_misses: Counter,
    pub rotations_triggered: Counter,
    pub rotations_failed: Counter,
    pub rotations_detected: Counter,
}

struct Requests {
    succeeded: Counter,
    failed: Counter,
    duration: Histogram,
}

impl StoreMetrics {
    pub fn new(provider: ProviderType) -> Self {
        let name = provider.name();
        let rotations = |status| counter!("secrets_rotation_total", "provider" => name, "status" => status);
        Self {
            provider,
            requests: SecretOperation::ALL.map(|operation| Requests::new(name, operation)),
            cache_hits: counter!("secrets_cache_hits_total", "provider" => name),
            cache_misses: counter!("secrets_cache_misses_total", "provider" => name),
            rotations_triggered: rotations("triggered"),
            rotations_failed: rotations("failed"),
            rotations_detected: rotations("detected"),
        }
    }

    /// One question to the store is over.
    pub fn asked(&self, operation: SecretOperation, took: Duration, error: Option<&SecretsError>) {
        let requests = &self.requests[operation as usize];
        requests.duration.record(took);
        match error {
            None => requests.succeeded.increment(1),
            Some(error) => {
                requests.failed.increment(1);
                let (provider, kind) = (self.provider.name(), error.error_type());
                counter!("secrets_errors_total", "provider" => provider, "error_type" => kind).increment(1);
            }
        }
    }
}

impl Requests {
    fn new(provider: &'static str, operation: SecretOperation) -> Self {
        let name = operation.name();
        let total = |status| counter!("secrets_requests_total", "provider" => provider, "operation" => name, "status" => status);
        Self {
            succeeded: total("success"),
            failed: total("error"),
            duration: histogram!("secrets_request_duration_seconds", "provider" => provider, "operation" => name),
        }
    }
}

/// The gauges of the cache's size, of `providers` only, in the order of [`ProviderType::ALL`].
pub(crate) fn cache_sizes(providers: &[ProviderType]) -> Vec<Gauge> {
    let size = |provider: ProviderType| {
        if providers.contains(&provider) {
            gauge!("secrets_cache_size", "provider" => provider.name())
        } else {
            Gauge::noop()
        }
    };
    ProviderType::ALL.map(size).into()
}
