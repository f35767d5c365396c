//! Credentials of environment variables. Knows nothing of other places.

use async_trait::async_trait;

use super::{AwsCredentials, CredentialProvider, none};
use crate::{providers::environment::Environment, types::SecretsError};

/// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`.
#[derive(Debug)]
pub(super) struct FromEnvironment(pub(super) Environment);

#[async_trait]
impl CredentialProvider for FromEnvironment {
    async fn credentials(&self) -> Result<Option<AwsCredentials>, SecretsError> {
        match (self.0.get("AWS_ACCESS_KEY_ID"), self.0.get("AWS_SECRET_ACCESS_KEY")) {
            (Some(access_key_id), Some(secret)) => Ok(Some(AwsCredentials {
                access_key_id,
                secret_access_key: secret.into(),
                session_token: self.0.get("AWS_SESSION_TOKEN").map(Into::into),
                expires_at: None,
            })),
            (None, None) => Ok(None),
            _ => Err(none("only one of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY is set")),
        }
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    async fn found<const N: usize>(
        variables: [(&str, &str); N],
    ) -> Result<Option<AwsCredentials>, SecretsError> {
        FromEnvironment(Environment::of(variables)).credentials().await
    }

    #[tokio::test]
    async fn both_parts_of_a_key_are_needed() {
        assert!(found([]).await.unwrap().is_none());
        assert!(found([("AWS_ACCESS_KEY_ID", "AKID")]).await.is_err());
        let key = [("AWS_ACCESS_KEY_ID", "AKID"), ("AWS_SECRET_ACCESS_KEY", "s"), ("AWS_SESSION_TOKEN", "t")];
        let credentials = found(key).await.unwrap().unwrap();
        assert_eq!(credentials.access_key_id, "AKID");
        assert_eq!(credentials.secret_access_key.expose_secret(), "s");
        assert_eq!(credentials.session_token.unwrap().expose_secret(), "t");
    }

    #[tokio::test]
    async fn an_empty_variable_is_as_none() {
        assert!(found([("AWS_ACCESS_KEY_ID", ""), ("AWS_SECRET_ACCESS_KEY", "")]).await.unwrap().is_none());
    }
}
