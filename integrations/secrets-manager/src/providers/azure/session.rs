//! The token that a Key Vault is asked with: had for what the vault's challenge wants, kept until shortly before it
//! expires, replaced when the vault refuses it. Whoever needs one while another logs in waits for that one.

use std::time::Duration;

use secrecy::ExposeSecret;
use tokio::{sync::Mutex, time::Instant};
use url::Url;

use super::{
    challenge::Challenge,
    identity::{Identity, Token},
};
use crate::types::{ConfigurationError, SecretString, SecretsError, WallClock};

/// How long before its end a token is replaced, where it lasts so long; Entra ID gives an hour or more.
const AHEAD: Duration = Duration::from_secs(300);

/// The token in use.
pub(super) struct Session {
    identity: Identity,
    /// The vault whose challenge must be of its own service; none if it is not to be checked.
    vault: Option<Url>,
    clock: WallClock,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    challenge: Option<Challenge>,
    token: Option<(SecretString, Instant)>,
}

impl Session {
    pub fn new(identity: Identity, vault: Option<Url>, clock: WallClock) -> Self {
        Self { identity, vault, clock, held: Mutex::default() }
    }

    /// The token to ask with; none before the vault has said for what it wants one.
    pub async fn token(&self) -> Result<Option<SecretString>, SecretsError> {
        let mut held = self.held.lock().await;
        match (&held.token, &held.challenge) {
            (Some((token, until)), _) if Instant::now() < *until => Ok(Some(token.clone())),
            (_, Some(_)) => self.login(&mut held).await.map(Some),
            (_, None) => Ok(None),
        }
    }

    /// The token to answer a challenge with: another than `refused`.
    pub async fn answer(
        &self,
        challenge: Challenge,
        refused: Option<&SecretString>,
    ) -> Result<SecretString, SecretsError> {
        if let Some(vault) = self.vault.as_ref().filter(|vault| !challenge.is_of(vault)) {
            let detail = format!("{vault} wants a token for {:?}, which it is no part of", challenge.scope);
            return Err(ConfigurationError::InvalidProvider { detail }.into());
        }
        let mut held = self.held.lock().await;
        let is_refused = |token: &SecretString| {
            refused.is_some_and(|refused| refused.expose_secret() == token.expose_secret())
        };
        if held.challenge.as_ref() == Some(&challenge)
            && let Some((token, until)) = &held.token
            && Instant::now() < *until
            && !is_refused(token)
        {
            return Ok(token.clone());
        }
        *held = Held { challenge: Some(challenge), token: None };
        self.login(&mut held).await
    }

    async fn login(&self, held: &mut Held) -> Result<SecretString, SecretsError> {
        let challenge = held.challenge.as_ref().expect("a login follows a challenge");
        let Token { text, lasts } = self.identity.token(challenge, self.clock.now()).await?;
        let until = Instant::now().checked_add(lasts.saturating_sub(AHEAD.min(lasts / 5)));
        held.token = until.map(|until| (text.clone(), until));
        Ok(text)
    }
}
