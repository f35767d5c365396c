//! A person who has logged in with gcloud. Knows nothing of files.

use secrecy::ExposeSecret;
use serde::Deserialize;

use super::{Login, Surroundings, Token, oauth};
use crate::types::SecretString;

/// A file of type `authorized_user`.
#[derive(Deserialize)]
pub(super) struct User {
    client_id: String,
    client_secret: SecretString,
    refresh_token: SecretString,
    quota_project_id: Option<String>,
    #[serde(default = "usual_token_uri")]
    token_uri: String,
}

impl User {
    pub(super) async fn login(&self, around: &Surroundings) -> Login {
        let fields = [
            ("grant_type", "refresh_token"),
            ("client_id", &self.client_id),
            ("client_secret", self.client_secret.expose_secret()),
            ("refresh_token", self.refresh_token.expose_secret()),
        ];
        let (token, expires_at) = oauth::ask(around, oauth::address(&self.token_uri)?, &fields).await?;
        // Google bills a person's requests to no project of its own accord.
        let given = around.environment.get("GOOGLE_CLOUD_QUOTA_PROJECT");
        Ok((Token { quota_project: given.or(self.quota_project_id.clone()), ..token }, expires_at))
    }
}

fn usual_token_uri() -> String {
    "https://oauth2.googleapis.com/token".into()
}
