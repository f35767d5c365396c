//! From a token to a caller. The vault checks every token itself; only hashes of tokens are kept. A token that this node
//! does not know may be one that it has not heard of yet, so a majority is asked before it is refused. Keeps N4.
//! Knows nothing of headers.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use covault_model::{
    hlc::Millis,
    id::{TokenHash, TokenId},
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
    /// The node could not look, or no majority confirmed that there is no such token.
    Refused(Refusal),
}

/// Sessions of tokens that were checked, each good for as long as nothing was committed since: a removed
/// caller or token is out with the commit that removes it.
pub(super) struct CheckedTokens(Mutex<HashMap<TokenId, Checked>>);

/// Tokens kept at a time; beyond that all are let go of, and checked again.
const CHECKED_MAX: usize = 4096;

#[derive(Clone)]
struct Checked {
    commit: u64,
    hash: TokenHash,
    expires_at: Option<Millis>,
    session: Session,
}

impl CheckedTokens {
    pub fn new() -> Self {
        Self(Mutex::new(HashMap::new()))
    }

    fn get(&self, presented: &PresentedToken, commit: u64) -> Option<Checked> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(&presented.id).filter(|checked| checked.commit == commit).cloned()
    }

    fn put(&self, id: TokenId, checked: Checked) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if CHECKED_MAX <= kept.len() {
            kept.clear();
        }
        kept.insert(id, checked);
    }
}

impl Vault {
    /// The caller behind `token`. A failure is audited.
    pub async fn authenticate(
        &self,
        token: Option<&str>,
        request: &RequestId,
    ) -> Result<Session, AuthFailure> {
        let found = match token.map(read_token) {
            None => Err(AuthFailure::Missing),
            Some(None) => Err(AuthFailure::Invalid),
            Some(Some(presented)) => match self.known_session(&presented) {
                Ok(Some(session)) => Ok(session),
                // In a box: a token that is known would carry the room for it as well.
                Ok(None) => Box::pin(self.confirmed_session(&presented)).await,
                Err(failure) => Err(failure),
            },
        };
        if let Err(failure) = &found {
            let outcome = match failure {
                AuthFailure::Missing | AuthFailure::Invalid => Outcome::Refused("unauthenticated"),
                AuthFailure::Refused(refusal) => Outcome::Failed(refusal.code()),
            };
            self.record_unidentified(request, Action::Authenticate, outcome).map_err(AuthFailure::Refused)?;
        }
        found
    }

    /// What a majority knows of a token that this node does not know. Anybody may present such tokens, so all of them
    /// wait for the same confirmation.
    async fn confirmed_session(&self, presented: &PresentedToken) -> Result<Session, AuthFailure> {
        self.confirm().await.map_err(AuthFailure::Refused)?;
        self.known_session(presented)?.ok_or(AuthFailure::Invalid)
    }

    /// The caller behind a token; none if this node knows no such token.
    fn known_session(&self, presented: &PresentedToken) -> Result<Option<Session>, AuthFailure> {
        // Read before the rows are: a commit in between makes what is kept out of date, never too new.
        let commit = self.parts.store.last_commit();
        let checked = match self.tokens.get(presented, commit) {
            Some(checked) => checked,
            None => match self.check_token(presented, commit)? {
                Some(checked) => checked,
                None => return Ok(None),
            },
        };
        let expired = checked.expires_at.is_some_and(|end| end <= self.now());
        if presented.matches(&checked.hash) && !expired {
            Ok(Some(checked.session))
        } else {
            Err(AuthFailure::Invalid)
        }
    }

    fn check_token(&self, presented: &PresentedToken, commit: u64) -> Result<Option<Checked>, AuthFailure> {
        let refused = |error| AuthFailure::Refused(storage_refusal(error));
        let view = self.parts.store.view().map_err(refused)?;
        let rows = view.rows();
        let Some(token) = rows.token(&presented.id).map_err(refused)? else { return Ok(None) };
        let caller = rows.caller(&token.caller).map_err(refused)?;
        let caller = caller.filter(|caller| !caller.removed).ok_or(AuthFailure::Invalid)?;
        let session = Session { caller: token.caller, role: caller.role };
        let checked = Checked { commit, hash: token.hash, expires_at: token.expires_at, session };
        self.tokens.put(presented.id, checked.clone());
        Ok(Some(checked))
    }
}
