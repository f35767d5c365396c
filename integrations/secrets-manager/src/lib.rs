//! One interface for every place where secrets live: AWS Secrets Manager, HashiCorp Vault, Azure Key Vault, GCP Secret
//! Manager, local files, Covault, and a simulation of them. Read-only, but for the trigger of a rotation.
//!
//! Knows nothing of the vault that it is shipped beside: it imports none of its rooms and speaks HTTP to it, as to the
//! others.
//!
//! | module | its one job | what it may not know |
//! | --- | --- | --- |
//! | `types` | what is asked, answered, refused and recorded | HTTP, any provider |
//! | `transport` | one HTTP exchange, bounded in time and size | what is asked, retries |
//! | `client` | which store, what may be asked, the way of a question | any store's wire |
//! | `resolver` | references in texts: found, fetched together, put in | where secrets live |
//! | `cache` | answers, kept for a while | providers, retries, scopes |
//! | `resilience` | asking again, and not asking for a while | secrets, caches |
//! | `rotation` | noticing changes, telling of them, the version before | how a secret is fetched |
//! | `observe` | metrics, and events for auditors | values |
//! | `simulation` | a store that is none: mocks, recordings, faults | HTTP, how it is asked |
//! | `providers` | one store each: its wire, its logins, its errors | caching, retries, other providers |

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod cache;
pub mod client;
pub mod observe;
pub mod providers;
pub mod resilience;
pub mod resolver;
pub mod rotation;
mod secret_file;
pub mod simulation;
pub mod transport;
pub mod types;

pub use client::{Client, SecretsClient, SecretsConfig};
pub use providers::SecretProvider;
pub use types::*;

/// The code of the readme and of the page on the cache, as doctests.
#[cfg(doctest)]
mod pages {
    #[doc = include_str!("../README.md")]
    struct Readme;
    #[doc = include_str!("../docs/cache.md")]
    struct Cache;
}
