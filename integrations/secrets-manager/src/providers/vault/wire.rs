//! What a Vault answers, and what its refusals mean. Knows nothing of how it is asked.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    transport::Answer,
    types::{ConfigurationError, ProviderError, ProviderType, SecretString, SecretsError, VersionStatus},
};

const PROVIDER: ProviderType = ProviderType::Vault;

/// A version, with or without its value, if the answer is one.
pub(super) fn read(answer: &Answer) -> Option<Read<'_>> {
    serde_json::from_slice(&answer.body).ok().map(|envelope: Envelope<Read<'_>>| envelope.data)
}

/// Around all that is answered.
#[derive(Deserialize)]
pub(super) struct Envelope<T> {
    pub data: T,
}

/// Of `data/{path}`. The value stays as it came: keys in their order, numbers with all their digits.
#[derive(Deserialize)]
pub(super) struct Read<'a> {
    #[serde(borrow)]
    pub data: Option<&'a RawValue>,
    pub metadata: ReadMetadata,
}

/// Of one version, beside its value.
#[derive(Deserialize)]
pub(super) struct ReadMetadata {
    pub created_time: DateTime<Utc>,
    pub custom_metadata: Option<HashMap<String, String>>,
    #[serde(flatten)]
    pub state: VersionState,
    pub version: u64,
}

/// What became of a version.
#[derive(Deserialize)]
pub(super) struct VersionState {
    /// Empty unless it is deleted, or will be.
    #[serde(default)]
    deletion_time: String,
    #[serde(default)]
    pub destroyed: bool,
}

impl VersionState {
    /// When it is deleted, or will be.
    pub fn deleted_at(&self) -> Option<DateTime<Utc>> {
        self.deletion_time.parse().ok()
    }

    /// Whether it can be read at a time.
    pub fn status(&self, now: DateTime<Utc>) -> VersionStatus {
        match self.deleted_at() {
            _ if self.destroyed => VersionStatus::Destroyed,
            Some(at) if at <= now => VersionStatus::Deleted,
            _ => VersionStatus::Readable,
        }
    }
}

/// Of `metadata/{path}`.
#[derive(Deserialize)]
pub(super) struct Described {
    pub current_version: u64,
    pub created_time: DateTime<Utc>,
    pub custom_metadata: Option<HashMap<String, String>>,
    /// By their numbers.
    pub versions: HashMap<String, DescribedVersion>,
}

/// Of one version, without its value.
#[derive(Deserialize)]
pub(super) struct DescribedVersion {
    pub created_time: Option<DateTime<Utc>>,
    #[serde(flatten)]
    pub state: VersionState,
}

/// Of a list: names, and folders with a `/` behind.
#[derive(Deserialize)]
pub(super) struct Keys {
    pub keys: Vec<String>,
}

/// Of a login, or of a renewal.
#[derive(Deserialize)]
pub(super) struct LoggedIn {
    pub auth: Lease,
}

/// A token and for how long it lasts.
#[derive(Deserialize)]
pub(super) struct Lease {
    pub client_token: SecretString,
    /// Seconds; none if 0.
    pub lease_duration: u64,
    pub renewable: bool,
}

/// What a token says of itself.
#[derive(Deserialize)]
pub(super) struct TokenState {
    /// Seconds; without end if 0.
    pub ttl: u64,
    #[serde(default)]
    pub renewable: bool,
}

#[derive(Deserialize)]
struct Refusal {
    errors: Vec<String>,
}

/// Whether a 404 says that there is nothing, rather than that nobody knows what was asked for.
pub(super) fn says_nothing_there(answer: &Answer) -> bool {
    answer.json::<Refusal>().is_some_and(|refusal| refusal.errors.is_empty())
}

/// The errors that Vault gives with an answer, and its status.
pub(super) fn words(answer: &Answer) -> String {
    match answer.json::<Refusal>() {
        Some(refusal) => answer.quoted(&format!("{}: {}", answer.status, refusal.errors.join("; "))),
        None => format!("{}, not in Vault's own words", answer.status),
    }
}

/// What is meant by an answer that is none to what was asked. Who may ask what, and what is not there, are decided
/// before.
pub(super) fn refusal(answer: &Answer) -> SecretsError {
    let (detail, retry_after) = (words(answer), answer.retry_after());
    let known = answer.json::<Refusal>().is_some();
    match answer.status {
        400..=499 if !known && !matches!(answer.status, 412 | 429 | 472..=474) => not_understood(answer),
        // A node that has yet to see a write (412), a standby without its primary (472 to 474).
        307 | 412 | 472..=474 | 501..=504 | 530 => {
            ProviderError::ProviderUnavailable { provider: PROVIDER, detail, retry_after }.into()
        }
        429 => ProviderError::RateLimited { provider: PROVIDER, detail, retry_after }.into(),
        400..=499 => ConfigurationError::InvalidRequest { provider: PROVIDER, detail }.into(),
        _ => ProviderError::InternalError { provider: PROVIDER, detail }.into(),
    }
}

/// What is meant by the health of a node that answers nothing else.
pub(super) fn unwell(answer: &Answer) -> SecretsError {
    let detail = match answer.status {
        501 => "it was never initialised".into(),
        503 => "it is sealed".into(),
        status => format!("its health is {status}"),
    };
    ProviderError::ProviderUnavailable { provider: PROVIDER, detail, retry_after: answer.retry_after() }
        .into()
}

/// An answer that is not as Vault gives them.
pub(super) fn not_understood(answer: &Answer) -> SecretsError {
    let detail = format!("{} with a body that is not of the known form", answer.status);
    ProviderError::InternalError { provider: PROVIDER, detail }.into()
}
