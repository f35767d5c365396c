//! What a node's refusals mean: its problems (RFC 9457), by their stable codes. Knows nothing of how they are met.

use serde::Deserialize;

use crate::{
    transport::Answer,
    types::{
        AccessError, AuthenticationError, ConfigurationError, ProviderError, ProviderType,
        SecretNotFoundError, SecretsError,
    },
};

const PROVIDER: ProviderType = ProviderType::Covault;

/// A problem, as far as it is understood.
#[derive(Debug, Deserialize)]
struct Problem {
    code: String,
    #[serde(default)]
    detail: String,
}

/// What a node refused.
#[derive(Debug)]
pub enum Refusal {
    /// It has no such secret, or not this version of it; it does not say which.
    NotFound,
    /// The version has expired; it does not say when.
    Expired,
    /// Anything else.
    Other(SecretsError),
}

impl Refusal {
    /// What an answer that is no success means for the secret at `path` and the version that was asked for.
    pub fn of(answer: &Answer, path: &str, version: Option<&str>) -> Self {
        let Some(problem) = answer.json::<Problem>() else { return Self::Other(foreign(answer).into()) };
        let path = path.to_owned();
        let detail = answer.quoted(&format!("{}: {}", problem.code, problem.detail));
        let retry_after = answer.retry_after();
        Self::Other(match (answer.status, problem.code.as_str()) {
            (404, "not_found") => return Self::NotFound,
            (410, "version_expired") => return Self::Expired,
            (410, "version_destroyed") => {
                let version = version.unwrap_or_default().to_owned();
                SecretNotFoundError::Destroyed { path, version }.into()
            }
            (410, _) => SecretNotFoundError::Deleted { path }.into(),
            (401, _) => refused_token(answer).into(),
            (403, _) => AccessError::AccessDenied { path, detail }.into(),
            (429, _) => ProviderError::RateLimited { provider: PROVIDER, detail, retry_after }.into(),
            (503, _) => ProviderError::ProviderUnavailable { provider: PROVIDER, detail, retry_after }.into(),
            (500.., _) => ProviderError::InternalError { provider: PROVIDER, detail }.into(),
            (400.., _) => ConfigurationError::InvalidRequest { provider: PROVIDER, detail }.into(),
            _ => foreign(answer).into(),
        })
    }

    /// As an error for the secret at `path`, where it is all the same which version was asked for.
    pub fn into_error(self, path: &str) -> SecretsError {
        match self {
            Self::NotFound | Self::Expired => {
                SecretNotFoundError::SecretDoesNotExist { path: path.to_owned() }.into()
            }
            Self::Other(error) => error,
        }
    }
}

/// The token is unknown, revoked or expired: a node does not tell which.
pub fn refused_token(answer: &Answer) -> AuthenticationError {
    let problem = answer.json::<Problem>();
    let detail = problem.map_or_else(String::new, |problem| format!("{}: {}", problem.code, problem.detail));
    AuthenticationError::InvalidCredentials { provider: PROVIDER, detail: answer.quoted(&detail) }
}

/// An answer that Covault does not give: of something in between, or of something else at this address.
pub fn foreign(answer: &Answer) -> ProviderError {
    let detail = format!("status {} and no answer of Covault's", answer.status);
    match answer.status {
        502..=504 => {
            let retry_after = answer.retry_after();
            ProviderError::ProviderUnavailable { provider: PROVIDER, detail, retry_after }
        }
        429 => ProviderError::RateLimited { provider: PROVIDER, detail, retry_after: answer.retry_after() },
        _ => ProviderError::InternalError { provider: PROVIDER, detail },
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use reqwest::header::HeaderMap;

    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        let headers = HeaderMap::from_iter([(reqwest::header::RETRY_AFTER, "30".parse().unwrap())]);
        Answer::of(status, headers, body)
    }

    fn error(status: u16, code: &str) -> SecretsError {
        let body = format!(
            r#"{{"type":"urn:covault:problem:{code}","status":{status},"code":"{code}","detail":"so"}}"#
        );
        Refusal::of(&answer(status, &body), "app/db", Some("2")).into_error("app/db")
    }

    #[test]
    fn each_code_has_its_place_in_the_taxonomy() {
        for (status, code, kind) in [
            (400, "invalid_parameter", "configuration_invalid_request"),
            (401, "unauthenticated", "authentication_invalid_credentials"),
            (403, "forbidden", "access_denied"),
            (404, "not_found", "not_found_secret"),
            (404, "unknown_path", "configuration_invalid_request"),
            (410, "version_deleted", "not_found_deleted"),
            (410, "version_destroyed", "not_found_destroyed"),
            (429, "rate_limited", "provider_rate_limited"),
            (431, "headers_too_large", "configuration_invalid_request"),
            (500, "corrupt", "provider_internal_error"),
            (500, "internal", "provider_internal_error"),
            (503, "unconfirmed", "provider_unavailable"),
            (503, "quorum_unavailable", "provider_unavailable"),
            (503, "master_key_unavailable", "provider_unavailable"),
            (503, "overloaded", "provider_unavailable"),
        ] {
            let error = error(status, code);
            assert_eq!(error.error_type(), kind, "{code}");
            let waits = matches!(status, 429 | 503).then_some(Duration::from_secs(30));
            assert_eq!(error.retry_after(), waits, "{code}");
        }
    }

    #[test]
    fn an_answer_that_is_not_covaults_says_nothing_of_a_secret() {
        for (status, body, kind) in [
            (404, "<html>not found</html>", "provider_internal_error"),
            (404, "", "provider_internal_error"),
            (410, "{}", "provider_internal_error"),
            (301, "", "provider_internal_error"),
            (502, "Bad Gateway", "provider_unavailable"),
            (429, "slow down", "provider_rate_limited"),
        ] {
            let error = Refusal::of(&answer(status, body), "app/db", None).into_error("app/db");
            assert_eq!(error.error_type(), kind, "{status}");
        }
    }
}
