//! Credentials as the endpoints of containers and instances write them. Knows nothing of how they are asked.

use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::{AwsCredentials, not_given};
use crate::{
    transport::Answer,
    types::{ProviderError, ProviderType, SecretString, SecretsError},
};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Given {
    access_key_id: String,
    secret_access_key: SecretString,
    token: Option<SecretString>,
    expiration: Option<DateTime<Utc>>,
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(alias = "Code")]
    code: Option<String>,
    #[serde(alias = "Message")]
    message: Option<String>,
}

/// The credentials that `who` answered with.
pub(super) fn read(answer: &Answer, who: &str) -> Result<AwsCredentials, SecretsError> {
    if answer.status != 200 {
        return Err(refused(answer, who));
    }
    // An instance whose role cannot be had says so with status 200.
    let given: Given = answer.json().ok_or_else(|| refused(answer, who))?;
    Ok(AwsCredentials {
        access_key_id: given.access_key_id,
        secret_access_key: given.secret_access_key,
        session_token: given.token,
        expires_at: given.expiration,
    })
}

/// What `who` said instead.
pub(super) fn refused(answer: &Answer, who: &str) -> SecretsError {
    let words = answer.json::<Refusal>().map(|refusal| {
        let both = [refusal.code, refusal.message].into_iter().flatten().collect::<Vec<_>>();
        answer.quoted(&both.join(": "))
    });
    let detail = format!("{who} answers with status {}: {}", answer.status, words.unwrap_or_default());
    let provider = ProviderType::Aws;
    match answer.status {
        429 => ProviderError::RateLimited { provider, detail, retry_after: answer.retry_after() }.into(),
        500.. => {
            ProviderError::ProviderUnavailable { provider, detail, retry_after: answer.retry_after() }.into()
        }
        _ => not_given(detail),
    }
}
