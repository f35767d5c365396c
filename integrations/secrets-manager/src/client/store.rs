//! A store behind its breaker, asked by its rules for asking again, and counted.

use std::sync::Arc;

use tokio::time::{Instant, timeout_at};

use crate::{
    observe::{SecretOperation, StoreMetrics},
    providers::SecretProvider,
    resilience::{CircuitBreaker, Jitter, RetryPolicy},
    types::{NetworkError, ProviderError, ProviderType, SecretsError},
};

/// One store.
pub(crate) struct Store {
    pub kind: ProviderType,
    /// What a cache that may be shared with other clients keeps its values by.
    pub place: String,
    pub provider: Arc<dyn SecretProvider>,
    pub breaker: CircuitBreaker,
    pub policy: RetryPolicy,
    pub metrics: StoreMetrics,
}

/// How often a store is asked if it does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attempts {
    /// As its rules say.
    ByPolicy,
    /// Once: there is an old value to give out.
    Once,
}

impl Store {
    /// Asks the store by `ask`.
    pub async fn ask<T, F: Future<Output = Result<T, SecretsError>>>(
        &self,
        operation: SecretOperation,
        attempts: Attempts,
        jitter: &Jitter,
        ask: impl Fn() -> F,
    ) -> Result<T, SecretsError> {
        match attempts {
            Attempts::Once => self.attempt(operation, self.policy.deadline(), ask()).await,
            Attempts::ByPolicy => {
                self.policy.run(jitter, |deadline| self.attempt(operation, deadline, ask())).await
            }
        }
    }

    async fn attempt<T>(
        &self,
        operation: SecretOperation,
        deadline: Instant,
        asked: impl Future<Output = Result<T, SecretsError>>,
    ) -> Result<T, SecretsError> {
        let permit = self.breaker.enter()?;
        let began = Instant::now();
        let answer = timeout_at(deadline, asked).await.unwrap_or_else(|_| Err(self.too_late(began)));
        permit.done(&answer);
        self.note(operation, began, answer.as_ref().err());
        answer
    }

    fn too_late(&self, began: Instant) -> SecretsError {
        let detail = format!("{} was given up on after {:?}", self.kind, began.elapsed());
        NetworkError::Timeout { detail }.into()
    }

    fn note(&self, operation: SecretOperation, began: Instant, error: Option<&SecretsError>) {
        let took = began.elapsed();
        self.metrics.asked(operation, took, error);
        let (provider, operation) = (self.kind.name(), operation.name());
        match error {
            Some(error @ SecretsError::Provider(ProviderError::RateLimited { .. })) => {
                tracing::warn!(provider, operation, %error, "the store is asked too often");
            }
            error => {
                let error_type = error.map(SecretsError::error_type);
                tracing::trace!(provider, operation, ?took, error_type, "the store answered");
            }
        }
    }
}
