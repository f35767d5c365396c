//! A service account's own key: signs a statement of who it is, for a token. Knows nothing of files.

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};

use super::{Login, SCOPE, Surroundings, none, oauth};
use crate::types::{SecretString, SecretsError};

/// How long a statement is good, in seconds; Google takes none of more than an hour.
const GOOD_FOR: i64 = 3600;

/// A key file of type `service_account`.
#[derive(Deserialize)]
pub(super) struct ServiceAccount {
    client_email: String,
    private_key: SecretString,
    private_key_id: Option<String>,
    #[serde(default = "usual_token_uri")]
    token_uri: String,
}

#[derive(Serialize)]
struct Statement<'a> {
    iss: &'a str,
    scope: &'a str,
    aud: &'a str,
    iat: i64,
    exp: i64,
}

impl ServiceAccount {
    pub(super) async fn login(&self, around: &Surroundings) -> Login {
        let statement = self.statement(around.clock.now().timestamp())?;
        let fields = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
            ("assertion", statement.expose_secret()),
        ];
        oauth::ask(around, oauth::address(&self.token_uri)?, &fields).await
    }

    fn statement(&self, now: i64) -> Result<SecretString, SecretsError> {
        let key = EncodingKey::from_rsa_pem(self.private_key.expose_secret().as_bytes())
            .map_err(|_| none("the service account's private key is no RSA key in PEM"))?;
        let header = Header { kid: self.private_key_id.clone(), ..Header::new(Algorithm::RS256) };
        let statement = Statement {
            iss: &self.client_email,
            scope: SCOPE,
            aud: &self.token_uri,
            iat: now,
            exp: now + GOOD_FOR,
        };
        let signed = jsonwebtoken::encode(&header, &statement, &key);
        signed.map(SecretString::from).map_err(|_| none("the service account's private key signs nothing"))
    }
}

fn usual_token_uri() -> String {
    "https://oauth2.googleapis.com/token".into()
}
