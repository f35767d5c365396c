//! What a login gives for a while, kept and renewed in time: by one caller at once, the others wait for it. Knows nothing
//! of what it is and how it is had.

use std::future::Future;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::Mutex;

use crate::types::{SecretsError, WallClock};

/// So long before its end something is renewed, or when half of its time is over if that is later.
const EARLY: TimeDelta = TimeDelta::minutes(5);
/// So long what is still good is used on after a renewal has failed.
const PATIENCE: TimeDelta = TimeDelta::minutes(1);

/// Something that is good for a while.
#[derive(Debug)]
pub(crate) struct Lease<T> {
    held: Mutex<Option<Held<T>>>,
    clock: WallClock,
}

#[derive(Debug)]
struct Held<T> {
    value: T,
    /// None if nobody knows of an end.
    times: Option<Times>,
}

#[derive(Debug, Clone, Copy)]
struct Times {
    renew_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
}

impl<T: Clone> Lease<T> {
    /// Nothing yet.
    pub(crate) fn new(clock: WallClock) -> Self {
        Self { held: Mutex::new(None), clock }
    }

    /// What is held, or what `login` gives with its end. A login that fails is no error while what is held is good.
    pub(crate) async fn get(
        &self,
        login: impl Future<Output = Result<(T, Option<DateTime<Utc>>), SecretsError>>,
    ) -> Result<T, SecretsError> {
        let mut held = self.held.lock().await;
        let now = self.clock.now();
        if let Some(held) = held.as_ref()
            && held.times.is_none_or(|times| now < times.renew_at)
        {
            return Ok(held.value.clone());
        }
        match login.await {
            Ok((value, expires_at)) => {
                let times = expires_at.map(|expires_at| Times::new(self.clock.now(), expires_at));
                *held = Some(Held { value: value.clone(), times });
                Ok(value)
            }
            Err(error) => match held.as_mut() {
                Some(Held { value, times: Some(times) }) if now < times.expires_at => {
                    tracing::warn!(%error, "credentials were not renewed; those that are still good are used on");
                    times.renew_at = times.expires_at.min(now + PATIENCE);
                    Ok(value.clone())
                }
                _ => Err(error),
            },
        }
    }

    /// Lets go of what is held if it `is` what a store did not accept; another caller may have a new one already.
    pub(crate) async fn refuse(&self, is: impl Fn(&T) -> bool) {
        let mut held = self.held.lock().await;
        if held.as_ref().is_some_and(|held| is(&held.value)) {
            *held = None;
        }
    }
}

impl Times {
    fn new(now: DateTime<Utc>, expires_at: DateTime<Utc>) -> Self {
        let half = (expires_at - now) / 2;
        Self { renew_at: expires_at - EARLY.min(half.max(TimeDelta::zero())), expires_at }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicI64, AtomicU32, Ordering::SeqCst},
    };

    use super::*;
    use crate::types::{AuthenticationError, ProviderType};

    struct Setting {
        lease: Lease<u32>,
        seconds: Arc<AtomicI64>,
        logins: AtomicU32,
    }

    impl Setting {
        fn new() -> Self {
            let seconds = Arc::new(AtomicI64::new(0));
            let told = Arc::clone(&seconds);
            let clock = WallClock::new(move || DateTime::UNIX_EPOCH + TimeDelta::seconds(told.load(SeqCst)));
            Self { lease: Lease::new(clock), seconds, logins: AtomicU32::new(0) }
        }

        /// Each login gives the next number, good until an hour after the beginning.
        async fn get(&self) -> Result<u32, SecretsError> {
            let login = async {
                tokio::task::yield_now().await;
                let number = self.logins.fetch_add(1, SeqCst);
                Ok((number, Some(DateTime::UNIX_EPOCH + TimeDelta::hours(1 + i64::from(number)))))
            };
            self.lease.get(login).await
        }

        async fn fail(&self) -> Result<u32, SecretsError> {
            let error =
                AuthenticationError::TokenRefreshFailed { provider: ProviderType::Aws, detail: "no".into() };
            self.lease.get(async { Err(error.into()) }).await
        }
    }

    #[tokio::test]
    async fn what_is_held_is_given_out_until_five_minutes_before_its_end() {
        let setting = Setting::new();
        assert_eq!(setting.get().await, Ok(0));
        setting.seconds.store(54 * 60 + 59, SeqCst);
        assert_eq!(setting.get().await, Ok(0));
        setting.seconds.store(55 * 60, SeqCst);
        assert_eq!(setting.get().await, Ok(1));
    }

    #[tokio::test]
    async fn callers_that_come_together_log_in_once() {
        let setting = Setting::new();
        let (one, two, three) = tokio::join!(setting.get(), setting.get(), setting.get());
        assert_eq!((one, two, three), (Ok(0), Ok(0), Ok(0)));
        assert_eq!(setting.logins.load(SeqCst), 1);
    }

    #[tokio::test]
    async fn a_login_that_fails_is_bridged_only_while_what_is_held_is_good() {
        let setting = Setting::new();
        setting.get().await.unwrap();
        setting.seconds.store(56 * 60, SeqCst);
        assert_eq!(setting.fail().await, Ok(0));
        setting.seconds.store(56 * 60 + 30, SeqCst);
        assert_eq!(setting.get().await, Ok(0), "asked again before the patience was over");
        setting.seconds.store(60 * 60, SeqCst);
        assert!(setting.fail().await.is_err());
    }

    #[tokio::test]
    async fn what_a_store_refused_is_let_go_of_and_nothing_newer() {
        let setting = Setting::new();
        setting.get().await.unwrap();
        setting.lease.refuse(|held| *held == 7).await;
        assert_eq!(setting.get().await, Ok(0));
        setting.lease.refuse(|held| *held == 0).await;
        assert_eq!(setting.get().await, Ok(1));
    }

    #[tokio::test]
    async fn what_has_no_end_is_had_once() {
        let lease = Lease::new(WallClock::default());
        assert_eq!(lease.get(async { Ok((1, None)) }).await, Ok(1));
        assert_eq!(lease.get(async { Ok((2, None)) }).await, Ok(1));
    }
}
