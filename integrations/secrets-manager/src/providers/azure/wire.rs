//! What a Key Vault answers, and what its refusals mean. Knows nothing of how it is asked.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde::Deserialize;

use crate::{
    transport::Answer,
    types::{
        AccessError, AuthenticationError, ConfigurationError, ProviderError, ProviderType,
        SecretNotFoundError, SecretString, SecretsError,
    },
};

const PROVIDER: ProviderType = ProviderType::Azure;

/// A secret, with its value or without.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Bundle {
    /// The secret's URL, with the version behind it or without.
    pub id: String,
    pub attributes: Attributes,
    pub tags: Option<HashMap<String, String>>,
    pub content_type: Option<String>,
}

/// The value alone, so that a description never holds one.
#[derive(Deserialize)]
pub(super) struct Value {
    pub value: SecretString,
}

/// Times are seconds since 1970.
#[derive(Deserialize)]
pub(super) struct Attributes {
    #[serde(default)]
    pub enabled: bool,
    #[serde(default, with = "chrono::serde::ts_seconds_option")]
    pub nbf: Option<DateTime<Utc>>,
    #[serde(default, with = "chrono::serde::ts_seconds_option")]
    pub exp: Option<DateTime<Utc>>,
    #[serde(with = "chrono::serde::ts_seconds")]
    pub created: DateTime<Utc>,
    #[serde(default, with = "chrono::serde::ts_seconds_option")]
    pub updated: Option<DateTime<Utc>>,
}

/// Some secrets of a list.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Page {
    #[serde(default)]
    pub value: Vec<Bundle>,
    pub next_link: Option<String>,
}

impl Bundle {
    /// Its name, by its URL: `…/secrets/{name}/{version}`.
    pub fn name(&self) -> &str {
        self.named().0
    }

    /// Its version, by its URL; empty in a list of secrets.
    pub fn version(&self) -> &str {
        self.named().1
    }

    fn named(&self) -> (&str, &str) {
        let named = self.id.split_once("/secrets/").map_or("", |(_, named)| named).trim_end_matches('/');
        named.split_once('/').unwrap_or((named, ""))
    }

    /// Whether the value is base64 by the word of who wrote it: Key Vault itself for a certificate, or the command line
    /// for a file.
    pub fn is_binary(&self) -> bool {
        self.content_type.as_deref() == Some("application/x-pkcs12")
            || self.tags.iter().flatten().any(|tag| tag == (&"file-encoding".into(), &"base64".into()))
    }
}

#[derive(Deserialize)]
struct Refusal {
    error: Reason,
}

#[derive(Deserialize)]
struct Reason {
    code: String,
    #[serde(default)]
    message: String,
    innererror: Option<Inner>,
}

#[derive(Deserialize)]
struct Inner {
    code: String,
}

/// What is meant by an answer that is none to what was asked.
pub(super) fn refusal(answer: &Answer, path: &str) -> SecretsError {
    let Some(Refusal { error: reason }) = answer.json() else { return wordless(answer) };
    let inner = reason.innererror.map_or(String::new(), |inner| inner.code);
    let code = if inner.is_empty() { &reason.code } else { &inner };
    let detail = answer.quoted(&format!("{}: {code}: {}", answer.status, reason.message));
    let path = path.to_owned();
    match (answer.status, &*inner) {
        (401, _) => AuthenticationError::InvalidCredentials { provider: PROVIDER, detail }.into(),
        (403, "SecretDisabled") => AccessError::Disabled { path }.into(),
        (403, "ForbiddenByFirewall" | "ForbiddenByConnection") => {
            AccessError::ResourcePolicyDenied { path, detail }.into()
        }
        (403, _) => AccessError::AccessDenied { path, detail }.into(),
        (404, _) if code == "SecretNotFound" => SecretNotFoundError::SecretDoesNotExist { path }.into(),
        _ => of_the_vault(answer, detail),
    }
}

/// Whether the vault refused by its policy for who asks, whom it therefore knows.
pub(super) fn is_policy(error: &SecretsError) -> bool {
    matches!(error, SecretsError::Access(AccessError::AccessDenied { .. }))
}

/// An answer that is not as Key Vault gives them.
pub(super) fn not_understood(answer: &Answer) -> SecretsError {
    let detail = format!("{} with a body that is not of the known form", answer.status);
    ProviderError::InternalError { provider: PROVIDER, detail }.into()
}

/// From something in front of the vault, or from the vault in a bad state.
fn wordless(answer: &Answer) -> SecretsError {
    let detail = format!("{}, not in Key Vault's own words", answer.status);
    match answer.status {
        401 => AuthenticationError::InvalidCredentials { provider: PROVIDER, detail }.into(),
        429 | 500..=599 => of_the_vault(answer, detail),
        _ => not_understood(answer),
    }
}

fn of_the_vault(answer: &Answer, detail: String) -> SecretsError {
    let retry_after = answer.retry_after();
    match answer.status {
        429 => ProviderError::RateLimited { provider: PROVIDER, detail, retry_after }.into(),
        502..=504 => ProviderError::ProviderUnavailable { provider: PROVIDER, detail, retry_after }.into(),
        400..=499 => ConfigurationError::InvalidRequest { provider: PROVIDER, detail }.into(),
        _ => ProviderError::InternalError { provider: PROVIDER, detail }.into(),
    }
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderMap;

    use super::*;

    fn refused(status: u16, body: &str) -> SecretsError {
        refusal(&Answer::of(status, HeaderMap::new(), body), "db")
    }

    #[test]
    fn each_refusal_means_what_the_service_documents() {
        for (status, code, inner, kind) in [
            (403, "Forbidden", "SecretDisabled", "access_disabled"),
            (403, "Forbidden", "ForbiddenByRbac", "access_denied"),
            (403, "Forbidden", "ForbiddenByPolicy", "access_denied"),
            (403, "Forbidden", "ForbiddenByFirewall", "access_resource_policy_denied"),
            (404, "SecretNotFound", "", "not_found_secret"),
            (404, "SomethingElse", "", "configuration_invalid_request"),
            (429, "Throttled", "", "provider_rate_limited"),
            (400, "BadParameter", "", "configuration_invalid_request"),
            (401, "Unauthorized", "", "authentication_invalid_credentials"),
            (500, "InternalServerError", "", "provider_internal_error"),
            (503, "ServiceUnavailable", "", "provider_unavailable"),
        ] {
            let inner = if inner.is_empty() { "null".into() } else { format!(r#"{{"code":"{inner}"}}"#) };
            let body = format!(r#"{{"error":{{"code":"{code}","message":"why","innererror":{inner}}}}}"#);
            assert_eq!(refused(status, &body).error_type(), kind, "{status} {code}");
        }
    }

    #[test]
    fn a_page_of_something_in_between_says_nothing_of_the_secret() {
        assert_eq!(refused(404, "<html>nginx</html>").error_type(), "provider_internal_error");
        assert_eq!(refused(503, "<html>nginx</html>").error_type(), "provider_unavailable");
    }

    #[test]
    fn a_bundle_is_named_by_its_address() {
        let mut bundle: Bundle = serde_json::from_value(serde_json::json!({
            "id": "https://v.vault.azure.net/secrets/db/0123", "attributes": {"created": 1}
        }))
        .unwrap();
        assert_eq!((bundle.name(), bundle.version()), ("db", "0123"));
        bundle.id.truncate("https://v.vault.azure.net/secrets/db".len());
        assert_eq!((bundle.name(), bundle.version()), ("db", ""));
    }
}
