//! How often and after what waits a store is asked again: one table for all, and the rules of Google's and AWS's own
//! clients where these differ.
//!
//! | error | attempts | first wait | Google Secret Manager | AWS |
//! | --- | --- | --- | --- | --- |
//! | rate limited | 5 | 1 s | 5 attempts from 2 s | 3 attempts from 1 s |
//! | internal error | 3 | 500 ms | not again | 3 attempts from 1 s |
//! | unavailable | 3 | 1 s | 5 attempts from 2 s | 3 attempts from 1 s |
//! | no connection | 3 | 500 ms | 5 attempts from 2 s, as unavailable | 3 attempts from 1 s |
//! | no answer in time | 3 | 500 ms | not again | 3 attempts from 1 s |
//! | no credentials | 3 | 500 ms | 3 attempts from 500 ms | 3 attempts from 500 ms |
//!
//! A wait is drawn between nothing and the first wait, doubled with each attempt, up to 60 s (20 s for AWS). A longer
//! `Retry-After` is kept to, up to that bound.
//!
//! Google's are those of its client's service configuration for `AccessSecretVersion`; a connection that does not come
//! about is `UNAVAILABLE` there. AWS's are the standard retry mode; of it, the quota of retries is not kept: the circuit
//! breaker is what spares a store that keeps failing.

use std::time::Duration;

use serde::Deserialize;
use tokio::time::{Instant, sleep};

use super::Jitter;
use crate::types::{AuthenticationError, NetworkError, ProviderError, ProviderType, SecretsError};

/// How often, and from what wait on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backoff {
    /// Attempts in all, the first included; 0 is as 1.
    pub attempts: u32,
    /// The longest first wait; it doubles with each attempt.
    #[serde(with = "humantime_serde")]
    pub base: Duration,
}

impl Backoff {
    const fn new(attempts: u32, base_millis: u64) -> Self {
        Self { attempts, base: Duration::from_millis(base_millis) }
    }

    const NEVER: Self = Self::new(1, 0);
}

/// When a store is asked again.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetryConfig {
    /// After [`ProviderError::RateLimited`].
    pub rate_limited: Backoff,
    /// After [`ProviderError::InternalError`].
    pub internal_error: Backoff,
    /// After [`ProviderError::ProviderUnavailable`].
    pub unavailable: Backoff,
    /// After a [`NetworkError`]; whatever the provider, after [`AuthenticationError::NoCredentials`] too.
    pub network: Backoff,
    /// The longest wait, that which a store asks for included.
    #[serde(with = "humantime_serde")]
    pub max_delay: Duration,
    /// How long all attempts and waits may take together.
    #[serde(with = "humantime_serde")]
    pub deadline: Duration,
    /// Whether Google and AWS are asked by the rules of their own clients instead of by this table.
    pub provider_rules: bool,
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self {
            rate_limited: Backoff::new(5, 1000),
            internal_error: Backoff::new(3, 500),
            unavailable: Backoff::new(3, 1000),
            network: Backoff::new(3, 500),
            max_delay: Duration::from_secs(60),
            deadline: Duration::from_secs(60),
            provider_rules: true,
        }
    }
}

/// When one store is asked again.
#[derive(Debug, Clone)]
pub struct RetryPolicy {
    rate_limited: Backoff,
    internal_error: Backoff,
    unavailable: Backoff,
    connection: Backoff,
    timeout: Backoff,
    credentials: Backoff,
    max_delay: Duration,
    deadline: Duration,
}

impl RetryPolicy {
    /// The rules for `provider`.
    pub fn new(config: &RetryConfig, provider: ProviderType) -> Self {
        let table = Self {
            rate_limited: config.rate_limited,
            internal_error: config.internal_error,
            unavailable: config.unavailable,
            connection: config.network,
            timeout: config.network,
            credentials: config.network,
            max_delay: config.max_delay,
            deadline: config.deadline,
        };
        match provider {
            ProviderType::Gcp if config.provider_rules => table.google(),
            ProviderType::Aws if config.provider_rules => table.aws(),
            _ => table,
        }
    }

    fn google(self) -> Self {
        let again = Backoff::new(5, 2000);
        Self {
            rate_limited: again,
            unavailable: again,
            connection: again,
            internal_error: Backoff::NEVER,
            timeout: Backoff::NEVER,
            ..self
        }
    }

    fn aws(self) -> Self {
        let again = Backoff::new(3, 1000);
        let max_delay = self.max_delay.min(Duration::from_secs(20));
        Self {
            rate_limited: again,
            internal_error: again,
            unavailable: again,
            connection: again,
            timeout: again,
            max_delay,
            ..self
        }
    }

    /// When all attempts that begin now are to be over.
    pub fn deadline(&self) -> Instant {
        Instant::now() + self.deadline
    }

    /// How long to wait after `attempt` (the first is 1) ended in `error`; none if that was the last.
    fn wait(&self, error: &SecretsError, attempt: u32, jitter: &Jitter) -> Option<Duration> {
        let backoff = self.backoff(error)?;
        if backoff.attempts <= attempt {
            return None;
        }
        let doubled = 1_u32.checked_shl(attempt - 1).unwrap_or(u32::MAX);
        let most = backoff.base.saturating_mul(doubled).min(self.max_delay);
        let asked = error.retry_after().unwrap_or_default().min(self.max_delay);
        Some(jitter.up_to(most).max(asked))
    }

    fn backoff(&self, error: &SecretsError) -> Option<Backoff> {
        match error {
            SecretsError::Provider(ProviderError::RateLimited { .. }) => Some(self.rate_limited),
            SecretsError::Provider(ProviderError::InternalError { .. }) => Some(self.internal_error),
            SecretsError::Provider(ProviderError::ProviderUnavailable { .. }) => Some(self.unavailable),
            SecretsError::Network(NetworkError::Timeout { .. }) => Some(self.timeout),
            SecretsError::Network(_) => Some(self.connection),
            SecretsError::Authentication(AuthenticationError::NoCredentials { .. }) => Some(self.credentials),
            _ => None,
        }
    }

    /// Asks by `attempt`, which is told when all is to be over, until there is an answer, an error that asking again
    /// does not help, or no time.
    ///
    /// # Errors
    /// The error of the last attempt that the store answered.
    pub async fn run<T, F: Future<Output = Result<T, SecretsError>>>(
        &self,
        jitter: &Jitter,
        mut attempt: impl FnMut(Instant) -> F,
    ) -> Result<T, SecretsError> {
        let deadline = self.deadline();
        let mut count = 1;
        let mut last = None;
        loop {
            let error = match (attempt(deadline).await, last) {
                (Ok(answer), _) => return Ok(answer),
                // The breaker opened on the way: what the store itself said last is worth more.
                (Err(SecretsError::Provider(ProviderError::CircuitOpen { .. })), Some(before)) => {
                    return Err(before);
                }
                (Err(error), _) => error,
            };
            let Some(wait) =
                self.wait(&error, count, jitter).filter(|wait| Instant::now() + *wait < deadline)
            else {
                return Err(error);
            };
            tracing::debug!(
                error_type = error.error_type(),
                attempt = count,
                ?wait,
                "asking the store again"
            );
            sleep(wait).await;
            (count, last) = (count + 1, Some(error));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::types::{AccessError, SecretNotFoundError};

    const VAULT: ProviderType = ProviderType::Vault;

    fn limited(retry_after: Option<Duration>) -> SecretsError {
        ProviderError::RateLimited { provider: VAULT, detail: "429".into(), retry_after }.into()
    }

    fn internal() -> SecretsError {
        ProviderError::InternalError { provider: VAULT, detail: "500".into() }.into()
    }

    fn unavailable() -> SecretsError {
        ProviderError::ProviderUnavailable { provider: VAULT, detail: "503".into(), retry_after: None }.into()
    }

    fn timeout() -> SecretsError {
        NetworkError::Timeout { detail: "30 s".into() }.into()
    }

    fn cut() -> SecretsError {
        NetworkError::ConnectionFailed { detail: "reset".into() }.into()
    }

    fn tls() -> SecretsError {
        NetworkError::TlsError { detail: "unknown issuer".into() }.into()
    }

    /// How often a store that always says `error` is asked, and for how long.
    async fn asked(policy: &RetryPolicy, error: SecretsError) -> (u32, Duration) {
        let (count, began) = (Cell::new(0), Instant::now());
        let answer = policy
            .run(&Jitter::seeded(7), |_| {
                count.set(count.get() + 1);
                std::future::ready(Err::<(), _>(error.clone()))
            })
            .await;
        assert_eq!(answer, Err(error));
        (count.get(), began.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn each_error_is_tried_as_often_as_the_table_says_and_waits_no_longer() {
        let policy = RetryPolicy::new(&RetryConfig::default(), VAULT);
        let table = [
            (limited(None), 5, 15_000),
            (internal(), 3, 1_500),
            (unavailable(), 3, 3_000),
            (timeout(), 3, 1_500),
            (cut(), 3, 1_500),
            (tls(), 3, 1_500),
        ];
        for (error, attempts, most) in table {
            let (count, took) = asked(&policy, error.clone()).await;
            assert_eq!(count, attempts, "{error}");
            assert!(Duration::ZERO < took && took <= Duration::from_millis(most + 5), "{error}: {took:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_an_answer_is_not_asked_again() {
        let policy = RetryPolicy::new(&RetryConfig::default(), VAULT);
        let detail = String::new;
        let answers: [SecretsError; 4] = [
            SecretNotFoundError::SecretDoesNotExist { path: "a".into() }.into(),
            AccessError::AccessDenied { path: "a".into(), detail: detail() }.into(),
            AuthenticationError::ExpiredCredentials { provider: VAULT, detail: detail() }.into(),
            ProviderError::QuotaExceeded { provider: VAULT, detail: detail() }.into(),
        ];
        for error in answers {
            assert_eq!(asked(&policy, error).await, (1, Duration::ZERO));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn google_is_asked_again_only_when_unavailable_or_exhausted() {
        let policy = RetryPolicy::new(&RetryConfig::default(), ProviderType::Gcp);
        for (error, attempts) in
            [(limited(None), 5), (unavailable(), 5), (cut(), 5), (internal(), 1), (timeout(), 1)]
        {
            assert_eq!(asked(&policy, error.clone()).await.0, attempts, "{error}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn aws_is_asked_three_times_whatever_passes() {
        let policy = RetryPolicy::new(&RetryConfig::default(), ProviderType::Aws);
        for error in [limited(None), unavailable(), cut(), internal(), timeout()] {
            assert_eq!(asked(&policy, error.clone()).await.0, 3, "{error}");
        }
        let own = RetryConfig { provider_rules: false, ..RetryConfig::default() };
        assert_eq!(asked(&RetryPolicy::new(&own, ProviderType::Aws), limited(None)).await.0, 5);
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_is_left_alone_as_long_as_it_asks_and_no_longer_than_the_bound() {
        let policy = RetryPolicy::new(&RetryConfig::default(), VAULT);
        let (count, took) = asked(&policy, limited(Some(Duration::from_secs(10)))).await;
        assert_eq!(count, 5);
        assert!(Duration::from_secs(40) <= took, "{took:?}");
        let bounded = RetryConfig { max_delay: Duration::from_secs(2), ..RetryConfig::default() };
        let (count, took) =
            asked(&RetryPolicy::new(&bounded, VAULT), limited(Some(Duration::from_secs(3600)))).await;
        assert_eq!(count, 5);
        assert!(took <= Duration::from_millis(8_010), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn no_wait_is_begun_that_would_end_after_the_deadline() {
        let policy = RetryPolicy::new(&RetryConfig::default(), VAULT);
        let (count, took) = asked(&policy, limited(Some(Duration::from_secs(59)))).await;
        assert_eq!(count, 2);
        assert!(took < Duration::from_secs(60), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn equal_seeds_wait_alike_and_others_do_not() {
        let policy = RetryPolicy::new(&RetryConfig::default(), VAULT);
        let waits =
            |seed| (1..5).map(|n| policy.wait(&limited(None), n, &Jitter::seeded(seed))).collect::<Vec<_>>();
        assert_eq!(waits(1), waits(1));
        assert_ne!(waits(1), waits(2));
    }
}
