//! Destroying values: agreed, erased with their wrapped keys, refused if they come back. History keeps
//! the headers. Keeps E7 by proposing only. Knows nothing of where payloads lie.

use covault_model::{
    command::Action as CommandAction,
    name::SecretPath,
    refusal::{CallerMistake, Refusal},
};

use super::{
    Asker, IdempotencyKey, Marked, Vault, Which,
    audited::About,
    marks::version_ref,
    read::{find, summarize},
    write::which_text,
};
use crate::audit::Action;

impl Vault {
    /// Erases the values of these versions for good.
    pub async fn destroy(
        &self,
        asker: &Asker,
        target: &SecretPath,
        which: Vec<Which>,
        key: Option<IdempotencyKey>,
    ) -> Result<Marked, Refusal> {
        let about = About::secret(Action::SecretDestroy, target);
        let version = which.first().and_then(|which| version_ref(*which));
        let destroy = self.destroy_unaudited(asker, target, &which, key.as_ref());
        self.audited(asker, about, |_| version, destroy).await
    }

    async fn destroy_unaudited(
        &self,
        asker: &Asker,
        target: &SecretPath,
        which: &[Which],
        key: Option<&IdempotencyKey>,
    ) -> Result<Marked, Refusal> {
        let session = &asker.session;
        let named: Vec<String> = which.iter().map(|which| which_text(*which)).collect();
        let fields = ("destroy", target.owner.as_str(), target.name.as_str(), named);
        let idempotency = self.idempotency(&session.caller, key, &fields, None)?;
        let _turn = self.turn_of(session, target).await?;
        self.have(session, target, which).await?;
        let versions = {
            let view = self.look()?;
            let payload_of = |which: &Which| {
                let found =
                    find(view.rows(), target, *which)?.ok_or(Refusal::from(CallerMistake::NotFound))?;
                Ok((found.place, found.row.payload))
            };
            which.iter().map(payload_of).collect::<Result<Vec<_>, Refusal>>()?
        };
        let command = self.command(session, idempotency, CommandAction::Destroy(target.clone(), versions))?;
        let applied = self.agree(command, 0, None).await?;
        self.parts.consensus.compact().await?;
        let view = self.look()?;
        let found =
            find(view.rows(), target, Which::Current)?.ok_or(Refusal::from(CallerMistake::NotFound))?;
        let summary = summarize(view.rows(), target, found)?;
        Ok(Marked { summary, replication: self.replication(), replayed: applied.replayed })
    }
}
