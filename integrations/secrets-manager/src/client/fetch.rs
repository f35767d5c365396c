//! The way of a question that the cache cannot answer: to its store, once for all who ask it meanwhile, and what the
//! answer means for what is cached.

use std::{borrow::Cow, pin::pin, sync::PoisonError};

use tokio::select;
use tracing::Instrument;

use super::{
    reader::get_span,
    shared::{Shared, Wanted},
    store::{Attempts, Store},
};
use crate::{
    cache::{CacheKey, Flight, SecretCache},
    observe::SecretOperation,
    rotation::RotationEvent,
    types::{AccessError, SecretNotFoundError, SecretValue, SecretsError},
};

/// What came of a question.
#[derive(Clone)]
pub(crate) struct Answer {
    pub result: Result<SecretValue, SecretsError>,
    /// Whether it is from a cache.
    pub cached: bool,
}

impl Answer {
    fn cached(value: SecretValue) -> Self {
        Self { result: Ok(value), cached: true }
    }

    fn fetched(result: Result<SecretValue, SecretsError>) -> Self {
        Self { result, cached: false }
    }
}

/// A question to a store.
struct Question<'q> {
    store: &'q Store,
    /// As the caller has it, and the cache in memory.
    key: &'q CacheKey<'q>,
    /// As the store has it, and a cache behind, which other clients may share: what they mean by the same path may be of
    /// another environment, or another store.
    outside: CacheKey<'q>,
}

impl Shared {
    /// The answer to `key`, from whoever asks already or from the store.
    pub(crate) async fn fetch(&self, store: &Store, key: &CacheKey<'_>, wanted: Wanted) -> Answer {
        let path = match self.scope.enter(&key.path) {
            Ok(path) => path,
            Err(error) => return Answer::fetched(Err(error)),
        };
        let outside = CacheKey { place: Cow::Borrowed(&store.place), path, ..key.clone() };
        let question = Question { store, key, outside };
        let flight = match wanted {
            Wanted::Any | Wanted::Renewed | Wanted::Underway => self.flights.join(key),
            Wanted::New => self.flights.begin(key),
        };
        let answer = flight.answer(self.ask(&question, &flight, wanted));
        if wanted.may_be_old() && flight.is_anew() {
            return self.answer_or_old(&question, &flight, wanted, answer).await;
        }
        answer.await
    }

    /// The answer to the question of another who may not have an old one, and for whom the store is asked again and again;
    /// as soon as it fails, the old one.
    async fn answer_or_old(
        &self,
        question: &Question<'_>,
        flight: &Flight<'_, Answer>,
        wanted: Wanted,
        answer: impl Future<Output = Answer>,
    ) -> Answer {
        let mut answer = pin!(answer);
        let come = select! {
            biased;
            answer = &mut answer => Some(answer),
            () = flight.troubled() => None,
        };
        if let Some(answer) = &come
            && !answer.result.as_ref().is_err_and(SecretsError::is_transient)
        {
            return answer.clone();
        }
        let mut old = None;
        // Nothing is to land meanwhile that it would be put in place of; the question itself is not at its end.
        self.flights.cancel(|_| false, || old = self.old(question, wanted));
        match (old, come) {
            (Some(value), _) => {
                let path = &question.key.path;
                tracing::warn!(secret_path = %path, version = %value.version, "giving out an old value");
                Answer::cached(value)
            }
            (None, Some(answer)) => answer,
            (None, None) => answer.await,
        }
    }

    /// Fetches anew what is about to be over, while its readers have the old value.
    pub(crate) async fn renew(&self, key: CacheKey<'static>) {
        let Some(store) = self.stores[key.provider as usize].as_ref() else { return };
        let span = get_span(&key.path);
        let answer = self.fetch(store, &key, Wanted::Renewed).instrument(span.clone()).await;
        if let Err(error) = &answer.result {
            let _within = span.enter();
            tracing::warn!(secret_path = %key.path, %error, "a cached secret was not renewed");
        }
        self.note_read(&span, &key, &answer.result, answer.cached);
    }

    async fn ask(&self, question: &Question<'_>, flight: &Flight<'_, Answer>, wanted: Wanted) -> Answer {
        let key = question.key;
        if wanted == Wanted::Any
            && let Some(result) = self.cache.answer(key)
        {
            // Another's answer came between the look into the cache and this question.
            flight.land(|| {});
            return Answer { result, cached: true };
        }
        if let Some(value) = self.behind(wanted, |behind| behind.get(&question.outside)) {
            flight.land(|| self.cache.put_due(key, value.clone()));
            return Answer::cached(value);
        }
        let attempts = if self.has_stale(question, wanted) { Attempts::Once } else { Attempts::ByPolicy };
        match self.value(question, flight, attempts).await {
            Ok(value) => Answer::fetched(Ok(self.keep(question, flight, value))),
            Err(error) if error.is_transient() => self.bridge(question, flight, wanted, error),
            Err(error) => {
                self.forget(key, flight, &error);
                Answer::fetched(Err(error))
            }
        }
    }

    /// The value from its store, as the store has it, if it is within the scope and valid.
    async fn value(
        &self,
        question: &Question<'_>,
        flight: &Flight<'_, Answer>,
        attempts: Attempts,
    ) -> Result<SecretValue, SecretsError> {
        let Question { store, key, outside } = question;
        if !self.scope.tags.is_empty() {
            let ask = || store.provider.describe_secret(&outside.path);
            let metadata = store.ask(SecretOperation::Describe, attempts, &self.jitter, ask).await?;
            self.scope.check_tags(&key.path, &metadata)?;
        }
        let ask = || async {
            let answer = store.provider.get_secret(&outside.path, key.options()).await;
            if answer.as_ref().is_err_and(SecretsError::is_transient) {
                flight.trouble();
            }
            answer
        };
        let value = store.ask(SecretOperation::Get, attempts, &self.jitter, ask).await?;
        match value.valid_until {
            Some(until) if until <= self.wall.now() => {
                Err(AccessError::Expired { path: key.path.to_string(), until }.into())
            }
            _ => Ok(value),
        }
    }

    /// Lets the caches have a new value, and tells of it if it is another version than before. Gives it as the caller has
    /// it.
    fn keep(
        &self,
        question: &Question<'_>,
        flight: &Flight<'_, Answer>,
        of_store: SecretValue,
    ) -> SecretValue {
        let key = question.key;
        let value = self.scope.outward_value(of_store.clone());
        let mut rotated = None;
        flight.land(|| {
            rotated = self.rotation(key, &value);
            if rotated.is_some() {
                self.cache.invalidate_moving(key.provider, &key.path);
            }
            self.cache.put(key, value.clone(), self.ttl);
            if let Some(behind) = &self.behind {
                behind.put(&question.outside, of_store, self.ttl);
            }
        });
        if let Some(event) = rotated {
            question.store.metrics.rotations_detected.increment(1);
            tracing::info!(
                secret_path = event.path,
                version = event.version,
                "the secret has another version"
            );
            self.listeners.tell(&event);
        }
        value
    }

    /// Whether the current version is another one than was known; the one before is then kept for its time of grace.
    fn rotation(&self, key: &CacheKey<'_>, value: &SecretValue) -> Option<RotationEvent> {
        if !key.is_current() {
            return None;
        }
        let before = self.versions.exchange(key, &value.version)?;
        if let Some(old) = self.cache.get_stale(key).filter(|old| old.version == before) {
            self.previous.put(key, old, self.grace);
        }
        Some(RotationEvent {
            provider: key.provider,
            path: key.path.to_string(),
            previous_version: before.to_string(),
            version: value.version.to_string(),
        })
    }

    /// Gives out an old value while the store does not answer, if there is one and it may be.
    fn bridge(
        &self,
        question: &Question<'_>,
        flight: &Flight<'_, Answer>,
        wanted: Wanted,
        error: SecretsError,
    ) -> Answer {
        let mut old = None;
        flight.land(|| old = self.old(question, wanted));
        match old {
            Some(value) => {
                let path = &question.key.path;
                tracing::warn!(secret_path = %path, version = %value.version, %error, "giving out an old value");
                Answer::cached(value)
            }
            None => Answer::fetched(Err(error)),
        }
    }

    /// An old value that may be given out while the store does not answer; it is kept for longer.
    fn old(&self, question: &Question<'_>, wanted: Wanted) -> Option<SecretValue> {
        if !self.stale_fallback || !wanted.may_be_old() {
            return None;
        }
        let of_behind = || self.behind(wanted, |behind| behind.get_stale(&question.outside));
        self.cache.extend(question.key).or_else(of_behind)
    }

    fn has_stale(&self, question: &Question<'_>, wanted: Wanted) -> bool {
        let of_behind = || self.behind(wanted, |behind| behind.get_stale(&question.outside));
        let stale = || self.cache.get_stale(question.key).or_else(of_behind);
        self.stale_fallback && wanted == Wanted::Any && stale().is_some()
    }

    /// What the cache behind has, as the caller has it.
    fn behind(
        &self,
        wanted: Wanted,
        look: impl FnOnce(&dyn SecretCache) -> Option<SecretValue>,
    ) -> Option<SecretValue> {
        let behind = self.behind.as_deref().filter(|_| wanted == Wanted::Any)?;
        look(behind).map(|value| self.scope.outward_value(value))
    }

    /// Takes the store's verdict: what it gave before is not given out any more, neither by those whose questions are on
    /// their way. An error that is no verdict changes nothing.
    fn forget(&self, key: &CacheKey<'_>, flight: &Flight<'_, Answer>, error: &SecretsError) {
        if !error.is_definitive() {
            return flight.land(|| {});
        }
        let whole = !is_of_one_version(error);
        flight.land_and_cancel(
            |other| whole && other.provider == key.provider && other.path == key.path,
            |still_good| {
                self.drop_values(key, whole);
                if still_good && error.is_not_found() {
                    self.cache.put_missing(key, error.clone());
                }
            },
        );
    }

    fn drop_values(&self, key: &CacheKey<'_>, whole: bool) {
        tracing::debug!(secret_path = %key.path, whole, "forgetting what the store gave before");
        if whole {
            self.cache.invalidate(&key.path);
            self.previous.invalidate(&key.path);
            self.versions.remove(key);
        } else {
            self.cache.remove(key);
        }
        if let Some(behind) = &self.behind {
            behind.invalidate(&self.scope.inward(&key.path));
        }
    }

    /// Takes a verdict on a secret that came with another question than for its value.
    pub(crate) fn forget_path(&self, store: &Store, path: &str, error: &SecretsError) {
        if error.is_definitive() {
            let key = CacheKey::current(store.kind, path);
            self.flights.cancel(
                |other| other.provider == store.kind && other.path == path,
                || self.drop_values(&key, true),
            );
        }
    }

    /// Fetches the current version anew, unless that was done within the interval already: then whatever there is,
    /// or is on its way.
    pub(crate) async fn refresh_once(&self, store: &Store, path: &str) -> Answer {
        let key = CacheKey::current(store.kind, path);
        let due = self.refreshes.lock().unwrap_or_else(PoisonError::into_inner).is_due(&key);
        if due {
            return self.fetch(store, &key, Wanted::New).await;
        }
        match self.cache.get(&key) {
            Some(value) if !self.flights.is_running(&key) => Answer::cached(value),
            _ => self.fetch(store, &key, Wanted::Underway).await,
        }
    }
}

/// Whether a verdict is on the version that was asked for alone, and not on the secret.
fn is_of_one_version(error: &SecretsError) -> bool {
    matches!(
        error,
        SecretsError::NotFound(
            SecretNotFoundError::VersionNotFound { .. } | SecretNotFoundError::StageNotFound { .. }
        )
    )
}
