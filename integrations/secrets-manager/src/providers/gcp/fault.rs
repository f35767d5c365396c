//! What Secret Manager says when it does not do what it was asked, as an error of ours. Knows nothing of how it is asked.

use std::time::Duration;

use serde::Deserialize;

use crate::{
    transport::Answer,
    types::{
        AccessError, AuthenticationError, ConfigurationError, ProviderError, ProviderType,
        SecretNotFoundError, SecretsError,
    },
};

/// What the store was asked for, as far as an error tells.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) path: &'a str,
    /// The version, by number or alias.
    pub(super) version: Option<&'a str>,
    /// Whether the version is an alias that somebody moves.
    pub(super) is_alias: bool,
}

impl<'a> Asked<'a> {
    pub(super) fn of(path: &'a str) -> Self {
        Self { path, version: None, is_alias: false }
    }
}

#[derive(Deserialize)]
struct Body {
    error: Fault,
}

/// A refusal, in the words of Google's APIs.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Fault {
    message: String,
    status: String,
    details: Vec<Detail>,
}

/// More about it; each kind has one of these.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Detail {
    reason: String,
    /// Seconds, as in `12.5s`.
    retry_delay: String,
}

/// The error that an answer is which is no success.
pub(super) fn error(answer: &Answer, asked: Asked<'_>) -> SecretsError {
    let Some(Body { error: fault }) = answer.json() else { return without_words(answer, asked) };
    let detail = answer.quoted(&format!("{}: {}", fault.status, fault.message));
    let (provider, path) = (ProviderType::Gcp, asked.path.to_owned());
    let retry_after = answer.retry_after().or_else(|| fault.retry_delay());
    match fault.status.as_str() {
        "NOT_FOUND" => fault.missing(asked).into(),
        "FAILED_PRECONDITION" => fault.precondition(asked, detail),
        "PERMISSION_DENIED" => fault.denied(path, detail),
        "UNAUTHENTICATED" if fault.has_reason("ACCESS_TOKEN_EXPIRED") => {
            AuthenticationError::ExpiredCredentials { provider, detail }.into()
        }
        "UNAUTHENTICATED" => AuthenticationError::InvalidCredentials { provider, detail }.into(),
        "RESOURCE_EXHAUSTED" => ProviderError::RateLimited { provider, detail, retry_after }.into(),
        "UNAVAILABLE" | "DEADLINE_EXCEEDED" | "ABORTED" | "CANCELLED" => {
            ProviderError::ProviderUnavailable { provider, detail, retry_after }.into()
        }
        "INVALID_ARGUMENT" | "OUT_OF_RANGE" | "UNIMPLEMENTED" => {
            ConfigurationError::InvalidRequest { provider, detail }.into()
        }
        _ => of_status(answer, asked, detail),
    }
}

impl Fault {
    fn has_reason(&self, reason: &str) -> bool {
        self.details.iter().any(|detail| detail.reason == reason)
    }

    fn retry_delay(&self) -> Option<Duration> {
        let seconds = self.details.iter().find_map(|detail| detail.retry_delay.strip_suffix('s'))?;
        Duration::try_from_secs_f64(seconds.parse().ok()?).ok()
    }

    fn missing(&self, asked: Asked<'_>) -> SecretNotFoundError {
        let path = asked.path.to_owned();
        match asked.version {
            Some(stage) if self.is_about_a_version() && asked.is_alias => {
                SecretNotFoundError::StageNotFound { path, stage: stage.to_owned() }
            }
            Some(version) if self.is_about_a_version() => {
                SecretNotFoundError::VersionNotFound { path, version: version.to_owned() }
            }
            _ => SecretNotFoundError::SecretDoesNotExist { path },
        }
    }

    fn is_about_a_version(&self) -> bool {
        self.message.starts_with("Secret Version") || self.message.contains("version alias")
    }

    fn precondition(&self, asked: Asked<'_>, detail: String) -> SecretsError {
        let path = asked.path.to_owned();
        if self.message.contains("DESTROYED state") {
            return SecretNotFoundError::Destroyed { path, version: self.version().to_owned() }.into();
        }
        if self.message.contains("DISABLED state") {
            return AccessError::Disabled { path }.into();
        }
        if self.is_about_a_key() {
            return AccessError::KmsAccessDenied { path, detail }.into();
        }
        ConfigurationError::InvalidRequest { provider: ProviderType::Gcp, detail }.into()
    }

    /// The number in `Secret Version [projects/1/secrets/db/versions/4] is in DESTROYED state.`
    fn version(&self) -> &str {
        let after = self.message.split("/versions/").nth(1).unwrap_or_default();
        let is_number = |text: &&str| text.len() <= 20 && text.bytes().all(|byte| byte.is_ascii_digit());
        after.split(']').next().filter(is_number).unwrap_or_default()
    }

    fn denied(&self, path: String, detail: String) -> SecretsError {
        if self.is_about_a_key() {
            return AccessError::KmsAccessDenied { path, detail }.into();
        }
        if self.has_reason("SECURITY_POLICY_VIOLATED") {
            return AccessError::ResourcePolicyDenied { path, detail }.into();
        }
        if ["SERVICE_DISABLED", "CONSUMER_INVALID", "BILLING_DISABLED"].iter().any(|why| self.has_reason(why))
        {
            return ConfigurationError::InvalidProvider { detail }.into();
        }
        // Google says the same of secrets that do not exist; that is not for us to guess.
        AccessError::AccessDenied { path, detail }.into()
    }

    fn is_about_a_key(&self) -> bool {
        self.message.contains("cloudkms.") || self.message.contains("Cloud KMS")
    }
}

/// An answer without Google's words, from a front end of it or somebody else on the way.
fn without_words(answer: &Answer, asked: Asked<'_>) -> SecretsError {
    if answer.status == 404 {
        // Google's general page: the address means nothing to it.
        let detail = format!("{:?}: GCP knows no such address", asked.path);
        return ConfigurationError::InvalidPathPattern { detail }.into();
    }
    of_status(answer, asked, format!("status {} without words of the store", answer.status))
}

fn of_status(answer: &Answer, asked: Asked<'_>, detail: String) -> SecretsError {
    let (provider, retry_after) = (ProviderType::Gcp, answer.retry_after());
    match answer.status {
        400 => ConfigurationError::InvalidRequest { provider, detail }.into(),
        401 => AuthenticationError::InvalidCredentials { provider, detail }.into(),
        403 => AccessError::AccessDenied { path: asked.path.to_owned(), detail }.into(),
        429 => ProviderError::RateLimited { provider, detail, retry_after }.into(),
        502..=504 => ProviderError::ProviderUnavailable { provider, detail, retry_after }.into(),
        _ => ProviderError::InternalError { provider, detail }.into(),
    }
}
