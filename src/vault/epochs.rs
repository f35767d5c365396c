//! Epochs of a caller's tokens, and which fields of its documents become tokens: registry state, changed by
//! agreed commands. Keeps T2 by proposing only; `covault_model::epoch` decides. Knows nothing of mappings.

use covault_model::{
    command::Action as CommandAction,
    epoch::{Epoch, Epochs, epochs_of},
    field::FieldRule,
    name::CallerName,
    refusal::{CallerMistake, NodeFault, Refusal},
    registry::Registry,
};
use covault_store::Rows;

use super::{Asker, Changed, IdempotencyKey, Vault, audited::About, storage_refusal};
use crate::audit::{Action, Subject};

impl Vault {
    /// The caller's epochs, as this node knows them.
    pub async fn epochs(&self, asker: &Asker) -> Result<Epochs, Refusal> {
        let about = About::subject(Action::EpochList, Subject::Nothing);
        let list = async { epochs_in(self.look()?.rows(), &asker.session.caller) };
        self.audited(asker, about, |_| None, list).await
    }

    /// Makes `epoch` the active one, if it is the next after the active one and that one is among `active` (or
    /// that was not asked). Its tokens come of the master key that is active on this node.
    pub async fn activate_epoch(
        &self,
        asker: &Asker,
        epoch: Epoch,
        active: Option<Vec<Epoch>>,
        key: Option<IdempotencyKey>,
    ) -> Result<Changed<Epochs>, Refusal> {
        let activate = async {
            let caller = &asker.session.caller;
            let fields = ("epoch.activate", epoch, &active);
            let idempotency = self.idempotency(caller, key.as_ref(), &fields, None)?;
            let before = epoch.0.checked_sub(1).map(Epoch);
            if active.is_some_and(|active| before.is_none_or(|before| !active.contains(&before))) {
                return Err(CallerMistake::EpochConflict.into());
            }
            self.parts.keys.require_active()?;
            let of = self.parts.keys.ring()?.active().clone();
            let action = CommandAction::ActivateEpoch(caller.clone(), epoch, of);
            let applied = self.agree(self.command(&asker.session, idempotency, action)?, 0, None).await?;
            Ok(Changed { now: epochs_in(self.look()?.rows(), caller)?, replayed: applied.replayed })
        };
        let about = About::subject(Action::EpochActivate, Subject::Epoch(epoch));
        self.audited(asker, about, |_| None, activate).await
    }

    /// Lets go of an epoch that is not active, for good: its tokens are found no more, and what they stood for
    /// is erased.
    pub async fn destroy_epoch(
        &self,
        asker: &Asker,
        epoch: Epoch,
        key: Option<IdempotencyKey>,
    ) -> Result<Changed<Epochs>, Refusal> {
        let destroy = async {
            let caller = &asker.session.caller;
            let idempotency = self.idempotency(caller, key.as_ref(), &("epoch.destroy", epoch), None)?;
            let action = CommandAction::DestroyEpoch(caller.clone(), epoch);
            let applied = self.agree(self.command(&asker.session, idempotency, action)?, 0, None).await?;
            Ok(Changed { now: epochs_in(self.look()?.rows(), caller)?, replayed: applied.replayed })
        };
        let about = About::subject(Action::EpochDestroy, Subject::Epoch(epoch));
        self.audited(asker, about, |_| None, destroy).await
    }

    /// The fields that the caller has configured, as this node knows them.
    pub async fn fields(&self, asker: &Asker) -> Result<Vec<FieldRule>, Refusal> {
        let about = About::subject(Action::FieldsRead, Subject::Nothing);
        let read = async { self.fields_of(&asker.session.caller) };
        self.audited(asker, about, |_| None, read).await
    }

    /// Configures which fields become tokens, in place of what was configured.
    pub async fn set_fields(
        &self,
        asker: &Asker,
        fields: Vec<FieldRule>,
        key: Option<IdempotencyKey>,
    ) -> Result<Changed<Vec<FieldRule>>, Refusal> {
        let set = async {
            let caller = &asker.session.caller;
            let idempotency = self.idempotency(caller, key.as_ref(), &("fields", &fields), None)?;
            let action = CommandAction::SetFields(caller.clone(), fields.clone());
            let applied = self.agree(self.command(&asker.session, idempotency, action)?, 0, None).await?;
            Ok(Changed { now: self.fields_of(caller)?, replayed: applied.replayed })
        };
        let about = About::subject(Action::FieldsWrite, Subject::Nothing);
        self.audited(asker, about, |_| None, set).await
    }

    /// The same, for what is a part of another operation.
    pub fn fields_of(&self, owner: &CallerName) -> Result<Vec<FieldRule>, Refusal> {
        self.look()?.rows().fields(owner).map_err(storage_refusal)
    }
}

/// The epochs of a caller; refused while the cluster knows no master key.
pub(super) fn epochs_in(rows: Rows<'_>, owner: &CallerName) -> Result<Epochs, Refusal> {
    let epochs = epochs_of(&rows, owner).map_err(storage_refusal)?;
    epochs.ok_or_else(|| NodeFault::MasterKeyUnavailable(None).into())
}
