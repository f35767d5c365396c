//! How a secret, or a list of them, is asked for.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::ProviderType;

/// Which version of a secret, from where. The default is the current version from the provider that the path maps to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct GetSecretOptions {
    /// The version, by the identifier that its store gives it.
    pub version: Option<String>,
    /// The version, by a label that its store moves along: `AWSCURRENT`, `AWSPREVIOUS`, `AWSPENDING`.
    pub stage: Option<String>,
    /// The version that was current at this time. Covault and the simulation have this; the others refuse it.
    pub at: Option<DateTime<Utc>>,
    /// Asks this provider, whatever the path maps to.
    pub provider: Option<ProviderType>,
    /// Asks the store even if the cache has an answer, and lets the cache have the new one.
    pub skip_cache: bool,
}

/// Which secrets, and how many at most.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListOptions {
    /// At most so many; all of them unless given.
    pub max_results: Option<u32>,
    /// Where the last page ended.
    pub next_token: Option<String>,
    /// Only those that have all of these tags with these values.
    pub tags: Option<HashMap<String, String>>,
    /// Asks this provider, whatever the prefix maps to.
    pub provider: Option<ProviderType>,
}
