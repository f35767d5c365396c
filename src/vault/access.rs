//! Rights, looked up. Keeps N3 with `covault_model::isolation`; another's name and a missing one take the
//! same way to the same answer. Knows nothing of what is read or written.

use covault_model::{
    isolation::{Access, Session},
    name::{CallerName, NamePrefix, SecretPath},
    refusal::{CallerMistake, Refusal},
    registry::{Grant, Registry},
};
use covault_store::Rows;

use super::{Vault, storage_refusal};

impl Vault {
    /// Refuses, as if nothing were there, what the caller has no right to.
    pub(super) fn permit(
        &self,
        rows: Rows<'_>,
        session: &Session,
        target: &SecretPath,
        wanted: Access,
    ) -> Result<(), Refusal> {
        let grants = grants_to(rows, session, &target.owner)?;
        session.may(wanted, &target.owner, &target.name, &grants)
    }

    /// Refuses creates in another's namespace without a grant; that there is none is confirmed first. It says nothing of
    /// what exists there.
    pub(super) async fn permit_creates(
        &self,
        session: &Session,
        targets: &[SecretPath],
    ) -> Result<(), Refusal> {
        let is_refused = |refusal: &Refusal| {
            matches!(refusal, Refusal::Caller(CallerMistake::NotFound | CallerMistake::Forbidden))
        };
        match self.may_create(session, targets) {
            Err(refusal) if is_refused(&refusal) => self.confirm().await?,
            known => return known,
        }
        self.may_create(session, targets)
            .map_err(|refusal| if is_refused(&refusal) { CallerMistake::Forbidden.into() } else { refusal })
    }

    fn may_create(&self, session: &Session, targets: &[SecretPath]) -> Result<(), Refusal> {
        let view = self.look()?;
        targets.iter().try_for_each(|target| self.permit(view.rows(), session, target, Access::Write))
    }

    /// The prefixes under `prefix` of which the caller may read every name of `owner`.
    pub(super) fn readable_under(
        &self,
        rows: Rows<'_>,
        session: &Session,
        owner: &CallerName,
        prefix: &NamePrefix,
    ) -> Result<Vec<NamePrefix>, Refusal> {
        Ok(session.readable_under(owner, prefix, &grants_to(rows, session, owner)?))
    }
}

fn grants_to(rows: Rows<'_>, session: &Session, owner: &CallerName) -> Result<Vec<Grant>, Refusal> {
    if session.owns(owner) {
        return Ok(Vec::new());
    }
    let grants = rows.grants_by(owner).map_err(storage_refusal)?;
    Ok(grants.into_iter().map(|(_, grant)| grant).filter(|grant| grant.grantee == session.caller).collect())
}
