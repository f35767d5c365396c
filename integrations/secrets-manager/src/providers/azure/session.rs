//! The token that a Key Vault is asked with: had for what the vault's challenge wants, kept until shortly before it
//! expires, replaced when the vault refuses it. Knows nothing of what is asked, nor where tokens come from.

use std::sync::{Mutex, PoisonError};

use secrecy::ExposeSecret;

use super::{challenge::Challenge, identity::Identity};
use crate::{
    providers::lease::Lease,
    types::{SecretString, SecretsError, WallClock},
};

/// The token in use.
pub(super) struct Session {
    identity: Identity,
    challenge: Mutex<Option<Challenge>>,
    lease: Lease<SecretString>,
    clock: WallClock,
}

impl Session {
    pub fn new(identity: Identity, clock: WallClock) -> Self {
        Self { identity, challenge: Mutex::new(None), lease: Lease::new(clock.clone()), clock }
    }

    /// The token to ask with; none before the vault has said for what it wants one.
    pub async fn token(&self) -> Result<Option<SecretString>, SecretsError> {
        let challenge = self.challenge.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match challenge {
            Some(challenge) => self.token_for(&challenge).await.map(Some),
            None => Ok(None),
        }
    }

    /// The token to answer a challenge with: another than `refused`.
    pub async fn answer(
        &self,
        challenge: Challenge,
        refused: Option<&SecretString>,
    ) -> Result<SecretString, SecretsError> {
        let before = self.challenge.lock().unwrap_or_else(PoisonError::into_inner).replace(challenge.clone());
        let is_other = before.is_some_and(|before| before != challenge);
        let is_refused = |held: &SecretString| {
            refused.is_some_and(|refused| refused.expose_secret() == held.expose_secret())
        };
        self.lease.refuse(|held| is_other || is_refused(held)).await;
        self.token_for(&challenge).await
    }

    async fn token_for(&self, challenge: &Challenge) -> Result<SecretString, SecretsError> {
        let login = async {
            let (token, expires_at) = self.identity.token(challenge, self.clock.now()).await?;
            Ok((token, Some(expires_at)))
        };
        self.lease.get(login).await
    }
}
