//! What token services are asked and answer. Knows nothing of what a token is asked for with.

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::{
    Method,
    header::{CONTENT_TYPE, HeaderMap, HeaderValue},
};
use serde::Deserialize;
use serde_json::Value;
use url::{Url, form_urlencoded};
use zeroize::Zeroizing;

use super::{Login, Surroundings, Token, none};
use crate::{
    transport::Answer,
    types::{AuthenticationError, ProviderError, ProviderType, SecretString, SecretsError},
};

/// How long a token is good, in seconds, if the service does not tell.
const USUAL: i64 = 3600;

/// The fields of a form that are credentials.
const SECRETS: [&str; 4] = ["assertion", "client_secret", "refresh_token", "subject_token"];

#[derive(Deserialize)]
struct Given {
    access_token: SecretString,
    expires_in: Option<i64>,
}

#[derive(Deserialize)]
struct Refusal {
    /// OAuth's code; an object of code and words where one of Google's own services answers.
    error: Value,
    error_description: Option<String>,
}

/// A service's address, as a file names it.
pub(super) fn address(text: &str) -> Result<Url, SecretsError> {
    Url::parse(text).map_err(|_| none("an address in the file of credentials is no URL"))
}

/// Asks a token service.
pub(super) async fn ask(around: &Surroundings, url: Url, fields: &[(&str, &str)]) -> Login {
    let form = Zeroizing::new(form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish());
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    let answer = around.http.send(Method::POST, url, headers, Some(form.as_bytes().to_vec())).await?;
    let secrets = fields.iter().filter(|(name, _)| SECRETS.contains(name)).map(|(_, value)| *value);
    read(&answer.after_sending(secrets), around.clock.now())
}

/// The token that a service has answered with `now`.
pub(super) fn read(answer: &Answer, now: DateTime<Utc>) -> Login {
    let given: Option<Given> = Some(answer).filter(|answer| answer.status == 200).and_then(Answer::json);
    let given = given.ok_or_else(|| refusal(answer))?;
    let seconds = given.expires_in.unwrap_or(USUAL).clamp(0, 30 * 24 * 3600);
    Ok((Token::new(given.access_token), Some(now + TimeDelta::seconds(seconds))))
}

/// The error that a service's answer is which has no token.
pub(super) fn refusal(answer: &Answer) -> SecretsError {
    let refusal = answer.json::<Refusal>();
    let of_google = |name: &str| refusal.as_ref().and_then(|refusal| refusal.error[name].as_str());
    let code = refusal.as_ref().and_then(|refusal| refusal.error.as_str()).or(of_google("status"));
    let words = refusal.as_ref().and_then(|refusal| refusal.error_description.as_deref());
    let (code, words) = (code.unwrap_or_default(), words.or(of_google("message")).unwrap_or_default());
    let detail = format!("status {}: {}", answer.status, answer.quoted(&format!("{code}: {words}")));
    let (provider, retry_after) = (ProviderType::Gcp, answer.retry_after());
    match (code, answer.status) {
        ("invalid_grant", _) if words.contains("expired") || words.contains("revoked") => {
            AuthenticationError::ExpiredCredentials { provider, detail }.into()
        }
        ("invalid_grant" | "invalid_client" | "UNAUTHENTICATED", _) => {
            AuthenticationError::InvalidCredentials { provider, detail }.into()
        }
        ("unauthorized_client" | "access_denied" | "PERMISSION_DENIED", _) => {
            AuthenticationError::InsufficientPermissions { provider, detail }.into()
        }
        (_, 429) => ProviderError::RateLimited { provider, detail, retry_after }.into(),
        (_, 500..) => ProviderError::ProviderUnavailable { provider, detail, retry_after }.into(),
        _ => AuthenticationError::TokenRefreshFailed { provider, detail }.into(),
    }
}
