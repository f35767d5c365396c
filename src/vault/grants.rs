//! Grants: an owner lets another caller at the names under a prefix. Knows nothing of what is there.

use covault_model::{
    command::Action as CommandAction,
    id::GrantId,
    isolation::Access,
    name::{CallerName, NamePrefix},
    refusal::Refusal,
    registry::{Grant, Registry},
};

use super::{
    Asker, Changed, GrantInfo, IdempotencyKey, Vault, audited::About, digest::idempotency_of_removal,
    storage_refusal,
};
use crate::audit::{Action, Subject};

impl Vault {
    /// Lets `grantee` at the caller's own names under `prefix`.
    pub async fn add_grant(
        &self,
        asker: &Asker,
        prefix: NamePrefix,
        grantee: CallerName,
        access: Access,
        key: Option<IdempotencyKey>,
    ) -> Result<Changed<GrantInfo>, Refusal> {
        let owner = asker.session.caller.clone();
        let fields = ("grant.add", prefix.as_str(), grantee.as_str(), access.as_str());
        let grant =
            Grant { owner, prefix: prefix.clone(), grantee: grantee.clone(), access, created_at: self.now() };
        let about = About::subject(Action::GrantAdd, Subject::Grant(grant.id()));
        let add = async {
            let idempotency = self.idempotency(&asker.session.caller, key.as_ref(), &fields, None)?;
            let action = CommandAction::AddGrant(grant.clone());
            let command = self.command(&asker.session, idempotency, action)?;
            let applied = self.agree(command, 0, None).await?;
            // The same grant may have been there before, and stays as it is.
            let given = self.look()?.rows().grants_by(&grant.owner).map_err(storage_refusal)?;
            let held = given.into_iter().find(|(id, _)| *id == grant.id());
            let grant = held.map_or_else(|| grant.clone(), |(_, held)| held);
            Ok(Changed { now: GrantInfo { id: grant.id(), grant }, replayed: applied.replayed })
        };
        self.audited(asker, about, |_| None, add).await
    }

    /// The grants the caller gave.
    pub async fn grants(&self, asker: &Asker) -> Result<Vec<GrantInfo>, Refusal> {
        let about = About::subject(Action::GrantList, Subject::Nothing);
        let list = async {
            let given = self.look()?.rows().grants_by(&asker.session.caller).map_err(storage_refusal)?;
            Ok(given.into_iter().map(|(id, grant)| GrantInfo { id, grant }).collect())
        };
        self.audited(asker, about, |_: &Vec<GrantInfo>| None, list).await
    }

    /// Takes back a grant the caller gave.
    pub async fn remove_grant(
        &self,
        asker: &Asker,
        id: &GrantId,
        key: Option<IdempotencyKey>,
    ) -> Result<Changed<()>, Refusal> {
        let about = About::subject(Action::GrantRemove, Subject::Grant(*id));
        let owner = asker.session.caller.clone();
        let idempotency = idempotency_of_removal(&owner, key.as_ref(), &("grant.remove", id));
        let action = CommandAction::RemoveGrant(owner, *id);
        self.audited(asker, about, |_| None, self.agree_removal(asker, idempotency, action)).await
    }
}
