//! A store that keeps failing is left alone for a while, then tried by one question at a time. Being asked too often, not
//! available, not reached and not answering in time count as failures: a store that says no is well, and an error of its own
//! in one answer, or an answer that nobody understands, says nothing of the next.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::Deserialize;
use tokio::time::Instant;

use crate::types::{AuthenticationError, NetworkError, ProviderError, ProviderType, SecretsError};

/// How long those wait who come while another one tries the store.
const WHILE_TRYING: Duration = Duration::from_secs(1);

/// When a store is left alone, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CircuitBreakerConfig {
    /// Failures, one after the other, that open the breaker.
    pub failure_threshold: u32,
    /// Successes, one after the other, that close it again.
    pub success_threshold: u32,
    /// How long it stays open before the store is tried.
    #[serde(with = "humantime_serde")]
    pub reset_timeout: Duration,
}

impl Default for CircuitBreakerConfig {
    fn default() -> Self {
        Self { failure_threshold: 5, success_threshold: 2, reset_timeout: Duration::from_secs(30) }
    }
}

/// Watches one store.
#[derive(Debug)]
pub struct CircuitBreaker {
    provider: ProviderType,
    config: CircuitBreakerConfig,
    state: Mutex<State>,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Closed { failures: u32 },
    Open { until: Instant },
    Trying { successes: u32, busy: bool },
}

impl CircuitBreaker {
    /// A closed one.
    pub fn new(provider: ProviderType, config: CircuitBreakerConfig) -> Self {
        Self { provider, config, state: Mutex::new(State::Closed { failures: 0 }) }
    }

    /// Lets one question through.
    ///
    /// # Errors
    /// [`ProviderError::CircuitOpen`] while the store is left alone, or tried by another.
    pub fn enter(&self) -> Result<Permit<'_>, ProviderError> {
        let mut state = self.state();
        let retry_after = match *state {
            State::Closed { .. } => return Ok(Permit { breaker: self, trial: false }),
            State::Open { until } if Instant::now() < until => until - Instant::now(),
            State::Trying { busy: true, .. } => WHILE_TRYING,
            State::Open { .. } => {
                *state = State::Trying { successes: 0, busy: true };
                return Ok(Permit { breaker: self, trial: true });
            }
            State::Trying { successes, busy: false } => {
                *state = State::Trying { successes, busy: true };
                return Ok(Permit { breaker: self, trial: true });
            }
        };
        Err(ProviderError::CircuitOpen { provider: self.provider, retry_after })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn succeeded(&self, trial: bool) {
        let mut state = self.state();
        match *state {
            State::Closed { .. } => *state = State::Closed { failures: 0 },
            State::Trying { successes, .. } if trial => {
                let successes = successes.saturating_add(1);
                *state = if self.config.success_threshold <= successes {
                    tracing::info!(provider = %self.provider, "the store answers again");
                    State::Closed { failures: 0 }
                } else {
                    State::Trying { successes, busy: false }
                };
            }
            State::Open { .. } | State::Trying { .. } => {}
        }
    }

    fn failed(&self, trial: bool) {
        let mut state = self.state();
        let failures = match *state {
            State::Closed { failures } => failures.saturating_add(1),
            State::Trying { .. } if trial => self.config.failure_threshold,
            State::Open { .. } | State::Trying { .. } => return,
        };
        *state = if self.config.failure_threshold <= failures {
            let pause = self.config.reset_timeout;
            tracing::warn!(provider = %self.provider, ?pause, "the store failed too often and is left alone");
            State::Open { until: Instant::now() + pause }
        } else {
            State::Closed { failures }
        };
    }

    fn abandoned(&self, trial: bool) {
        if let State::Trying { busy, .. } = &mut *self.state()
            && trial
        {
            *busy = false;
        }
    }
}

/// The right to ask once. Dropped without a word, as when the caller goes away, it says nothing of the store.
#[must_use]
#[derive(Debug)]
pub struct Permit<'a> {
    breaker: &'a CircuitBreaker,
    trial: bool,
}

impl Permit<'_> {
    /// Says what came of it.
    pub fn done<T>(mut self, answer: &Result<T, SecretsError>) {
        let Some(is_well) = is_well(answer.as_ref().err()) else { return };
        // Spent, so that the drop that follows does not end the trial of another.
        let trial = std::mem::take(&mut self.trial);
        if is_well { self.breaker.succeeded(trial) } else { self.breaker.failed(trial) }
    }
}

/// Whether a store is well that answers so; none if that says nothing of it.
fn is_well(error: Option<&SecretsError>) -> Option<bool> {
    match error {
        // It may not have got as far as the store.
        Some(
            SecretsError::Configuration(_)
            | SecretsError::Authentication(AuthenticationError::NoCredentials { .. }),
        ) => None,
        Some(
            SecretsError::Provider(
                ProviderError::RateLimited { .. } | ProviderError::ProviderUnavailable { .. },
            )
            | SecretsError::Network(NetworkError::ConnectionFailed { .. } | NetworkError::Timeout { .. }),
        ) => Some(false),
        // An answer that nobody understands may be that of one secret, and no trust is no trouble of the store.
        Some(error) if error.is_transient() => None,
        _ => Some(true),
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.breaker.abandoned(self.trial);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;
    use crate::types::{AccessError, ConfigurationError, SecretNotFoundError};

    fn breaker() -> CircuitBreaker {
        CircuitBreaker::new(ProviderType::Vault, CircuitBreakerConfig::default())
    }

    fn fail(breaker: &CircuitBreaker) {
        let error = NetworkError::Timeout { detail: String::new() };
        breaker.enter().unwrap().done(&Err::<(), SecretsError>(error.into()));
    }

    fn succeed(breaker: &CircuitBreaker) {
        breaker.enter().unwrap().done(&Ok(()));
    }

    fn open() -> CircuitBreaker {
        let breaker = breaker();
        for _ in 0..5 {
            fail(&breaker);
        }
        breaker
    }

    #[tokio::test(start_paused = true)]
    async fn five_failures_in_a_row_leave_the_store_alone_for_thirty_seconds() {
        let breaker = open();
        advance(Duration::from_secs(10)).await;
        let left = Duration::from_secs(20);
        let expected = ProviderError::CircuitOpen { provider: ProviderType::Vault, retry_after: left };
        assert_eq!(breaker.enter().unwrap_err(), expected);
        advance(left).await;
        assert!(breaker.enter().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_nobody_understands_says_nothing_of_the_store() {
        let detail = String::new;
        let of_one: [SecretsError; 3] = [
            ProviderError::InternalError { provider: ProviderType::Vault, detail: detail() }.into(),
            NetworkError::TlsError { detail: detail() }.into(),
            AuthenticationError::NoCredentials { provider: ProviderType::Vault, detail: detail() }.into(),
        ];
        for error in of_one {
            let breaker = breaker();
            for _ in 0..10 {
                breaker.enter().unwrap().done(&Err::<(), _>(error.clone()));
            }
            for _ in 0..4 {
                fail(&breaker);
            }
            breaker.enter().unwrap().done(&Err::<(), _>(error.clone()));
            fail(&breaker);
            assert!(breaker.enter().is_err(), "{error}: nor does it start the count again");
            advance(Duration::from_secs(30)).await;
            breaker.enter().unwrap().done(&Err::<(), _>(error.clone()));
            assert!(breaker.enter().is_ok(), "{error}: the next one tries the store");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_success_between_failures_starts_the_count_again() {
        let breaker = breaker();
        for _ in 0..4 {
            fail(&breaker);
        }
        succeed(&breaker);
        for _ in 0..4 {
            fail(&breaker);
        }
        assert!(breaker.enter().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_says_no_is_well_and_a_wrong_question_says_nothing_of_it() {
        let breaker = breaker();
        for _ in 0..4 {
            fail(&breaker);
        }
        let wrong = ConfigurationError::InvalidPathPattern { detail: String::new() };
        breaker.enter().unwrap().done(&Err::<(), SecretsError>(wrong.into()));
        fail(&breaker);
        assert!(breaker.enter().is_err());

        let breaker = self::breaker();
        let path = String::new;
        let answers: [SecretsError; 2] = [
            SecretNotFoundError::SecretDoesNotExist { path: path() }.into(),
            AccessError::AccessDenied { path: path(), detail: path() }.into(),
        ];
        for answer in answers.iter().cycle().take(20) {
            breaker.enter().unwrap().done(&Err::<(), _>(answer.clone()));
        }
        assert!(breaker.enter().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn after_the_pause_one_at_a_time_may_try_and_two_successes_close_it() {
        let breaker = open();
        advance(Duration::from_secs(30)).await;
        let trial = breaker.enter().unwrap();
        assert!(breaker.enter().is_err());
        trial.done(&Ok(()));
        let trial = breaker.enter().unwrap();
        assert!(breaker.enter().is_err());
        trial.done(&Ok(()));
        let both = (breaker.enter().unwrap(), breaker.enter());
        assert!(both.1.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_trial_opens_it_again_for_the_whole_time() {
        let breaker = open();
        advance(Duration::from_secs(30)).await;
        succeed(&breaker);
        fail(&breaker);
        advance(Duration::from_secs(29)).await;
        assert!(breaker.enter().is_err());
        advance(Duration::from_secs(1)).await;
        assert!(breaker.enter().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_trial_that_goes_away_lets_the_next_one_try() {
        let breaker = open();
        advance(Duration::from_secs(30)).await;
        drop(breaker.enter().unwrap());
        assert!(breaker.enter().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_from_before_it_opened_neither_closes_nor_opens_it() {
        let breaker = breaker();
        let early = [breaker.enter().unwrap(), breaker.enter().unwrap()];
        for _ in 0..5 {
            fail(&breaker);
        }
        let [first, second] = early;
        first.done(&Ok(()));
        assert!(breaker.enter().is_err());
        advance(Duration::from_secs(30)).await;
        let trial = breaker.enter().unwrap();
        second.done(&Ok(()));
        assert!(breaker.enter().is_err());
        drop(trial);
    }
}
