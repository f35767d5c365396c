//! Callers and their tokens, for admins; and who one is, for everybody. A token's secret half is drawn
//! here, shown once and kept nowhere. Knows nothing of namespaces' content.

use covault_model::{
    command::Action as CommandAction,
    hlc::Millis,
    id::{TokenHash, TokenId},
    isolation::Role,
    name::CallerName,
    record::Idempotency,
    refusal::{CallerMistake, NodeFault, Refusal},
    registry::{CallerEntry, Outcome, Registry, TokenEntry},
    token::{TOKEN_SECRET_LEN, token_text},
};
use covault_seal::Plaintext;
use covault_store::View;

use super::{
    Asker, CallerInfo, Changed, IdempotencyKey, NewToken, TokenInfo, Vault, audited::About,
    digest::idempotency_of_removal, storage_refusal,
};
use crate::audit::{Action, Subject};

/// A token just drawn: what is kept of it, and its text.
pub(crate) struct DrawnToken {
    pub id: TokenId,
    pub entry: TokenEntry,
    pub text: Plaintext,
}

/// Draws a token for `caller`.
pub(crate) fn draw_token(
    caller: &CallerName,
    now: Millis,
    expires_at: Option<Millis>,
    chance: &mut dyn FnMut(&mut [u8]),
) -> DrawnToken {
    let mut id = TokenId::default();
    let mut secret = [0; TOKEN_SECRET_LEN];
    chance(&mut id.0);
    chance(&mut secret);
    let hash = TokenHash::of(&secret);
    let entry = TokenEntry { caller: caller.clone(), hash, created_at: now, expires_at };
    DrawnToken { id, entry, text: Plaintext::new(token_text(&id, &secret).into_bytes()) }
}

impl Vault {
    /// All callers, for admins.
    pub async fn callers(&self, asker: &Asker) -> Result<Vec<CallerInfo>, Refusal> {
        let about = About::subject(Action::CallerList, Subject::Nothing);
        let list = async {
            asker.session.require_admin()?;
            let view = self.look()?;
            let present = view.rows().callers().map_err(storage_refusal)?;
            let present = present.into_iter().filter(|(_, entry)| !entry.removed);
            present.map(|(name, entry)| caller_info(&view, name, &entry)).collect()
        };
        self.audited(asker, about, |_| None, list).await
    }

    /// The asking caller itself.
    pub async fn who(&self, asker: &Asker) -> Result<CallerInfo, Refusal> {
        let about = About::subject(Action::SelfRead, Subject::Nothing);
        let who = self.caller_info_of(&asker.session.caller);
        self.audited(asker, about, |_| None, who).await
    }

    /// Makes a caller with a first token. Nobody is let in where nothing can be served; to take a caller or a
    /// token away needs no key.
    pub async fn add_caller(
        &self,
        asker: &Asker,
        name: CallerName,
        role: Role,
        expires: Option<Millis>,
        key: Option<IdempotencyKey>,
    ) -> Result<NewToken, Refusal> {
        let about = About::subject(Action::CallerAdd, Subject::Caller(&name));
        let add = async {
            asker.session.require_admin()?;
            self.parts.keys.require_active()?;
            let fields = ("caller.add", name.as_str(), role.as_str(), expires);
            let idempotency = self.idempotency(&asker.session.caller, key.as_ref(), &fields, None)?;
            let drawn = self.draw(&name, expires);
            let action = CommandAction::AddCaller(role, drawn.id, drawn.entry.clone());
            self.agree_token(asker, idempotency, action, role, drawn).await
        };
        self.audited(asker, about, |_| None, add).await
    }

    /// Takes a caller away for good. Its namespace stays, reachable through grants it gave before.
    pub async fn remove_caller(
        &self,
        asker: &Asker,
        name: &CallerName,
        key: Option<IdempotencyKey>,
    ) -> Result<Changed<()>, Refusal> {
        let about = About::subject(Action::CallerRemove, Subject::Caller(name));
        let remove = async {
            asker.session.require_admin()?;
            let fields = ("caller.remove", name.as_str());
            let idempotency = idempotency_of_removal(&asker.session.caller, key.as_ref(), &fields);
            self.agree_removal(asker, idempotency, CommandAction::RemoveCaller(name.clone())).await
        };
        self.audited(asker, about, |_| None, remove).await
    }

    /// Gives a caller another token.
    pub async fn add_token(
        &self,
        asker: &Asker,
        name: &CallerName,
        expires: Option<Millis>,
        key: Option<IdempotencyKey>,
    ) -> Result<NewToken, Refusal> {
        let about = About::subject(Action::TokenAdd, Subject::Caller(name));
        let add = async {
            asker.session.require_admin()?;
            self.parts.keys.require_active()?;
            let role = self.caller_info_of(name).await?.role;
            let fields = ("token.add", name.as_str(), expires);
            let idempotency = self.idempotency(&asker.session.caller, key.as_ref(), &fields, None)?;
            let drawn = self.draw(name, expires);
            let action = CommandAction::AddToken(drawn.id, drawn.entry.clone());
            self.agree_token(asker, idempotency, action, role, drawn).await
        };
        self.audited(asker, about, |_| None, add).await
    }

    /// The tokens of a caller, without their secret halves.
    pub async fn tokens(&self, asker: &Asker, name: &CallerName) -> Result<Vec<TokenInfo>, Refusal> {
        let about = About::subject(Action::TokenList, Subject::Caller(name));
        let list = async {
            asker.session.require_admin()?;
            Ok(self.caller_info_of(name).await?.tokens)
        };
        self.audited(asker, about, |_| None, list).await
    }

    /// Takes a token of a caller away.
    pub async fn remove_token(
        &self,
        asker: &Asker,
        name: &CallerName,
        id: &TokenId,
        key: Option<IdempotencyKey>,
    ) -> Result<Changed<()>, Refusal> {
        let about = About::subject(Action::TokenRemove, Subject::Token(*id));
        let remove = async {
            asker.session.require_admin()?;
            let fields = ("token.remove", name.as_str(), id);
            let idempotency = idempotency_of_removal(&asker.session.caller, key.as_ref(), &fields);
            self.agree_removal(asker, idempotency, CommandAction::RemoveToken(name.clone(), *id)).await
        };
        self.audited(asker, about, |_| None, remove).await
    }

    /// Has a command agreed that takes something away which is no secret.
    pub(super) async fn agree_removal(
        &self,
        asker: &Asker,
        idempotency: Option<Idempotency>,
        action: CommandAction,
    ) -> Result<Changed<()>, Refusal> {
        let command = self.command(&asker.session, idempotency, action)?;
        let applied = self.agree(command, 0, None).await?;
        Ok(Changed { now: (), replayed: applied.replayed })
    }

    async fn agree_token(
        &self,
        asker: &Asker,
        idempotency: Option<Idempotency>,
        action: CommandAction,
        role: Role,
        drawn: DrawnToken,
    ) -> Result<NewToken, Refusal> {
        let command = self.command(&asker.session, idempotency, action)?;
        let applied = self.agree(command, 0, None).await?;
        let Ok(Outcome::Token(id)) = applied.outcome else { return Err(NodeFault::Corrupt.into()) };
        // It may have been sent twice and found its own outcome, which makes it no replay of another request.
        let replayed = id != drawn.id;
        let DrawnToken { entry, text, .. } = drawn;
        let text = (!replayed).then_some(text);
        Ok(NewToken { caller: entry.caller, role, id, expires_at: entry.expires_at, text, replayed })
    }

    fn draw(&self, caller: &CallerName, expires_at: Option<Millis>) -> DrawnToken {
        draw_token(caller, self.now(), expires_at, &mut |bytes| self.parts.host.fill(bytes))
    }

    /// What there is to say of a caller; that there is none is confirmed first.
    async fn caller_info_of(&self, name: &CallerName) -> Result<CallerInfo, Refusal> {
        match self.known_caller(name) {
            Err(Refusal::Caller(CallerMistake::NotFound)) => self.confirm().await?,
            known => return known,
        }
        self.known_caller(name)
    }

    fn known_caller(&self, name: &CallerName) -> Result<CallerInfo, Refusal> {
        let view = self.look()?;
        let entry = view.rows().caller(name).map_err(storage_refusal)?;
        let entry = entry.filter(|entry| !entry.removed).ok_or(Refusal::from(CallerMistake::NotFound))?;
        caller_info(&view, name.clone(), &entry)
    }
}

fn caller_info(view: &View<'_>, name: CallerName, entry: &CallerEntry) -> Result<CallerInfo, Refusal> {
    let tokens = view.rows().tokens_of(&name).map_err(storage_refusal)?;
    let info = |(id, token): (TokenId, TokenEntry)| TokenInfo {
        id,
        created_at: token.created_at,
        expires_at: token.expires_at,
    };
    Ok(CallerInfo {
        name,
        role: entry.role,
        created_at: entry.created_at,
        tokens: tokens.into_iter().map(info).collect(),
    })
}
