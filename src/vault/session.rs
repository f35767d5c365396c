//! From a token to a caller. The vault checks every token itself; only hashes of tokens are kept.
//! Knows nothing of headers.

use covault_model::{
    isolation::Session,
    refusal::Refusal,
    registry::Registry,
    token::{PresentedToken, read_token},
};

use super::{RequestId, Vault, storage_refusal};
use crate::audit::{Action, Outcome};

/// Why nobody was identified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthFailure {
    /// No token was presented.
    Missing,
    /// The token is malformed, unknown, revoked or expired; which of them is not said.
    Invalid,
    /// The node could not look.
    Refused(Refusal),
}

impl Vault {
    /// The caller behind `token`. A failure is audited.
    pub fn authenticate(&self, token: Option<&str>, request: &RequestId) -> Result<Session, AuthFailure> {
        let found = match token {
            None => Err(AuthFailure::Missing),
            Some(text) => match read_token(text) {
                None => Err(AuthFailure::Invalid),
                Some(presented) => self.session_of(&presented),
            },
        };
        if let Err(AuthFailure::Missing | AuthFailure::Invalid) = &found {
            self.record_unidentified(request, Action::Authenticate, Outcome::Refused("unauthenticated"))
                .map_err(AuthFailure::Refused)?;
        }
        found
    }

    fn session_of(&self, presented: &PresentedToken) -> Result<Session, AuthFailure> {
        let refused = |error| AuthFailure::Refused(storage_refusal(error));
        let view = self.parts.store.view().map_err(refused)?;
        let rows = view.rows();
        let token = rows.token(&presented.id).map_err(refused)?;
        let token = token.filter(|token| presented.matches(&token.hash)).ok_or(AuthFailure::Invalid)?;
        if token.expires_at.is_some_and(|end| end <= self.now()) {
            return Err(AuthFailure::Invalid);
        }
        let caller = rows.caller(&token.caller).map_err(refused)?;
        let caller = caller.filter(|caller| !caller.removed).ok_or(AuthFailure::Invalid)?;
        Ok(Session { caller: token.caller, role: caller.role })
    }
}
