//! What may go wrong with a store, as an error of this crate. Knows nothing of when it does, nor of any wire.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::types::{
    AccessError, AuthenticationError, NetworkError, ProviderError, ProviderType, SecretNotFoundError,
    SecretsError,
};

/// What goes wrong. In TOML `"denied"`, or `{ throttled = { retry_after = "2s" } }`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// Asked too often.
    Throttled {
        /// How long the store asks to be left alone, if it does.
        #[serde(default, with = "humantime_serde")]
        retry_after: Option<Duration>,
    },
    /// Down, sealed or standing by.
    Unavailable {
        /// How long the store asks to be left alone, if it does.
        #[serde(default, with = "humantime_serde")]
        retry_after: Option<Duration>,
    },
    /// The store's own fault.
    Internal,
    /// No answer in time. Nothing is waited for: the caller has it at once.
    Timeout,
    /// A connection that broke.
    Disconnected,
    /// The policy for who asks.
    Denied,
    /// No such secret.
    NotFound,
    /// A secret that was deleted.
    Deleted,
    /// A version that somebody turned off.
    Disabled,
    /// Credentials that were right once.
    ExpiredCredentials,
    /// An answer that nobody understands.
    Malformed,
    /// The right answer, but late.
    Slow {
        /// How late.
        #[serde(with = "humantime_serde")]
        by: Duration,
    },
}

impl Fault {
    /// One of each, for tests that go through all of them.
    pub const ALL: [Self; 12] = [
        Self::Throttled { retry_after: Some(Duration::from_secs(2)) },
        Self::Unavailable { retry_after: Some(Duration::from_secs(1)) },
        Self::Internal,
        Self::Timeout,
        Self::Disconnected,
        Self::Denied,
        Self::NotFound,
        Self::Deleted,
        Self::Disabled,
        Self::ExpiredCredentials,
        Self::Malformed,
        Self::Slow { by: Duration::from_secs(1) },
    ];

    /// The error that a caller of the simulation has for it when it asks for `path`; none for one that is only slow.
    pub fn error(self, path: &str) -> Option<SecretsError> {
        let (provider, path) = (ProviderType::Simulation, path.to_owned());
        let detail = "simulated".to_owned();
        Some(match self {
            Self::Throttled { retry_after } => {
                ProviderError::RateLimited { provider, detail, retry_after }.into()
            }
            Self::Unavailable { retry_after } => {
                ProviderError::ProviderUnavailable { provider, detail, retry_after }.into()
            }
            Self::Internal | Self::Malformed => ProviderError::InternalError { provider, detail }.into(),
            Self::Timeout => NetworkError::Timeout { detail }.into(),
            Self::Disconnected => NetworkError::ConnectionFailed { detail }.into(),
            Self::Denied => AccessError::AccessDenied { path, detail }.into(),
            Self::NotFound => SecretNotFoundError::SecretDoesNotExist { path }.into(),
            Self::Deleted => SecretNotFoundError::Deleted { path }.into(),
            Self::Disabled => AccessError::Disabled { path }.into(),
            Self::ExpiredCredentials => AuthenticationError::ExpiredCredentials { provider, detail }.into(),
            Self::Slow { .. } => return None,
        })
    }

    /// How late the answer comes.
    pub fn delay(self) -> Duration {
        match self {
            Self::Slow { by } => by,
            _ => Duration::ZERO,
        }
    }
}

/// A fault and the calls that it befalls: those that ask for a path under `path`, counted from 1 as they come, from the
/// call `from` to the call `to`, and of these as many as `chance` has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScheduledFault {
    /// What goes wrong.
    pub fault: Fault,
    /// How the paths begin; all of them unless given.
    #[serde(default)]
    pub path: String,
    /// The first call; the first of all unless given.
    #[serde(default = "first")]
    pub from: u64,
    /// The last call; no last one unless given.
    #[serde(default)]
    pub to: Option<u64>,
    /// How likely it is for each of these calls, from 0 to 1. Which ones it hits depends on the simulation's seed and
    /// the call's number alone.
    #[serde(default = "certain")]
    pub chance: f64,
}

impl ScheduledFault {
    /// A fault of every call.
    pub fn always(fault: Fault) -> Self {
        Self { fault, path: String::new(), from: first(), to: None, chance: certain() }
    }

    /// A fault of the first `calls` calls.
    pub fn first(calls: u64, fault: Fault) -> Self {
        Self { to: Some(calls), ..Self::always(fault) }
    }
}

const fn first() -> u64 {
    1
}

const fn certain() -> f64 {
    1.0
}

/// When which fault happens. The first of the faults that befall a call counts.
#[derive(Debug)]
pub(super) struct Schedule {
    seed: u64,
    /// Each with the number of calls that asked for a path of its own so far.
    faults: Vec<(ScheduledFault, u64)>,
}

impl Schedule {
    pub fn new(seed: u64, faults: Vec<ScheduledFault>) -> Self {
        Self { seed, faults: faults.into_iter().map(|fault| (fault, 0)).collect() }
    }

    /// The fault that befalls one more call, for `path`.
    pub fn next(&mut self, path: &str) -> Option<Fault> {
        let mut hit = None;
        for (index, (scheduled, calls)) in self.faults.iter_mut().enumerate() {
            if !path.starts_with(&scheduled.path) {
                continue;
            }
            *calls += 1;
            let in_time = scheduled.from <= *calls && scheduled.to.is_none_or(|to| *calls <= to);
            if in_time && draw(self.seed, index as u64, *calls) < scheduled.chance {
                hit = hit.or(Some(scheduled.fault));
            }
        }
        hit
    }
}

/// From 0 to 1, 1 excluded; the same for the same numbers, with any release of this crate.
fn draw(seed: u64, fault: u64, call: u64) -> f64 {
    let mut input = [0; 24];
    for (part, number) in input.chunks_exact_mut(8).zip([seed, fault, call]) {
        part.copy_from_slice(&number.to_le_bytes());
    }
    let hash = blake3::hash(&input);
    let number = hash.as_bytes()[..7].iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte)) >> 3;
    number as f64 / (1_u64 << 53) as f64
}

/// Whether it may stand for a chance.
pub(super) fn is_probability(chance: f64) -> bool {
    (0.0..=1.0).contains(&chance)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hits(schedule: &mut Schedule, path: &str, calls: usize) -> Vec<bool> {
        (0..calls).map(|_| schedule.next(path).is_some()).collect()
    }

    #[test]
    fn calls_are_counted_for_each_fault_and_its_paths() {
        let second = ScheduledFault {
            path: "app/".into(),
            from: 2,
            to: Some(3),
            ..ScheduledFault::always(Fault::Denied)
        };
        let mut schedule = Schedule::new(0, vec![second, ScheduledFault::first(1, Fault::Internal)]);
        assert_eq!(schedule.next("other"), Some(Fault::Internal));
        assert_eq!(hits(&mut schedule, "app/db", 4), [false, true, true, false]);
    }

    #[test]
    fn chance_depends_on_seed_and_call_alone() {
        let half = ScheduledFault { chance: 0.5, ..ScheduledFault::always(Fault::Internal) };
        let of = |seed| hits(&mut Schedule::new(seed, vec![half.clone()]), "a", 1000);
        assert_eq!(of(7), of(7));
        assert_ne!(of(7), of(8));
        let hits = of(7).into_iter().filter(|hit| *hit).count();
        assert!((400..600).contains(&hits), "{hits}");
        let never = ScheduledFault { chance: 0.0, ..half };
        assert_eq!(Schedule::new(7, vec![never]).next("a"), None);
    }

    #[test]
    fn each_fault_is_the_error_that_it_says() {
        let types = Fault::ALL.map(|fault| fault.error("a").map_or("none", |error| error.error_type()));
        assert_eq!(
            types,
            [
                "provider_rate_limited",
                "provider_unavailable",
                "provider_internal_error",
                "network_timeout",
                "network_connection_failed",
                "access_denied",
                "not_found_secret",
                "not_found_deleted",
                "access_disabled",
                "authentication_expired_credentials",
                "provider_internal_error",
                "none"
            ]
        );
    }
}
