//! Many secrets at once: read in one view of all of them, created all or none. What a `.env` file asks for.
//! Keeps E6 by proposing one command, F3 by reading in one view, U1 with a line for each name, and that a miss is
//! confirmed before it is one. Knows nothing of files and HTTP.

use std::sync::Arc;

use covault_model::{
    command::{Action as CommandAction, NewSecret},
    hlc::Hlc,
    id::VersionId,
    isolation::Session,
    limits::{CREATE_BYTES_MAX, CREATE_MAX},
    name::{CallerName, SecretName, SecretPath},
    record::Idempotency,
    refusal::{CallerMistake, Limit, NoAuthority, NodeFault, Refusal},
    registry::Outcome as Agreed,
};
use covault_seal::Plaintext;
use covault_store::Rows;

use super::{Asker, Consistency, IdempotencyKey, Opened, Replication, Vault, Which, write::Draftable};
use crate::audit::{Action, Outcome, VersionRef};

/// What is proposed of a secret beside its value, in bytes.
const FIXED_BYTES: usize = 2048;

/// Bytes of values that one view opens (4 MiB).
const OPENED_BYTES_MAX: usize = 4 << 20;

/// Which version of which secret.
pub type Wanted = (SecretName, Which);
/// What became of each that was wanted, in order.
pub type Each<T> = Vec<Result<T, CallerMistake>>;

/// Secrets to be created, all or none.
pub struct NewSecrets {
    /// In whose namespace.
    pub owner: CallerName,
    /// Their names and values.
    pub secrets: Vec<(SecretName, Plaintext)>,
    /// What is read first, to be judged whether all is there that is needed.
    pub needed: Vec<Wanted>,
    /// The request as it was sent: with one idempotency key it must be the same.
    pub request: Plaintext,
}

/// What became of them; `L` says what is lacking.
pub enum CreatedMany<L> {
    /// All were created.
    All {
        /// How widely they are kept.
        replication: Replication,
        /// Whether this is the remembered answer of an earlier request with the same idempotency key.
        replayed: bool,
        /// The first version of each.
        versions: Vec<VersionId>,
    },
    /// None was, since not all that is needed is there.
    Lacking(L),
}

impl Vault {
    /// The values of versions of secrets, all as of one moment.
    pub async fn read_many(
        &self,
        asker: &Asker,
        owner: &CallerName,
        wanted: &[Wanted],
        consistency: Consistency,
    ) -> Result<Each<Opened>, Refusal> {
        let names: Vec<_> = wanted.iter().map(|(name, _)| name).collect();
        let line = |opened: &Each<Opened>, at: usize| match &opened[at] {
            Ok(opened) => {
                let version = &opened.summary.version;
                let version = version.number.map_or(VersionRef::Id(version.id), VersionRef::Number);
                (Some(version), Outcome::Done)
            }
            Err(mistake) => (None, Outcome::Refused(Refusal::from(mistake.clone()).code())),
        };
        let reading = self.read_many_unaudited(&asker.session, owner, wanted, consistency);
        self.audited_each(asker, Action::EnvExpand, owner, &names, line, reading).await
    }

    /// Creates secrets: all, or none if one of the names is taken or `lacks` finds that something lacks of what is
    /// needed. A request that was carried out before is not judged again.
    pub async fn create_many<L>(
        &self,
        asker: &Asker,
        new: &NewSecrets,
        key: Option<IdempotencyKey>,
        lacks: impl FnOnce(&Each<Opened>) -> Option<L>,
    ) -> Result<CreatedMany<L>, Refusal> {
        let created = new.secrets.iter().map(|(name, _)| name);
        let names: Vec<_> = created.chain(new.needed.iter().map(|(name, _)| name)).collect();
        let line = |created: &CreatedMany<L>, at: usize| match created {
            CreatedMany::All { versions, .. } => {
                (versions.get(at).copied().map(VersionRef::Id), Outcome::Done)
            }
            CreatedMany::Lacking(_) => (None, Outcome::Refused("unresolved_reference")),
        };
        let creating = self.create_many_unaudited(&asker.session, new, key.as_ref(), lacks);
        self.audited_each(asker, Action::EnvEncrypt, &new.owner, &names, line, creating).await
    }

    async fn read_many_unaudited(
        &self,
        session: &Session,
        owner: &CallerName,
        wanted: &[Wanted],
        consistency: Consistency,
    ) -> Result<Each<Opened>, Refusal> {
        let path = |name: &SecretName| SecretPath { owner: owner.clone(), name: name.clone() };
        let wanted: Arc<[_]> = wanted.iter().map(|(name, which)| (path(name), *which)).collect();
        if consistency == Consistency::Local {
            let each = self.open_many(session, &wanted).await?;
            if !each.iter().any(|one| matches!(one, Err(CallerMistake::NotFound))) {
                return Ok(each);
            }
        }
        self.confirm().await?;
        for (path, which) in wanted.iter() {
            self.fetch_named(session, path, *which).await?;
        }
        self.open_many(session, &wanted).await
    }

    async fn open_many(
        &self,
        session: &Session,
        wanted: &Arc<[(SecretPath, Which)]>,
    ) -> Result<Each<Opened>, Refusal> {
        if wanted.iter().all(|(path, _)| self.is_settled(path)) {
            return self.open_many_as_of(self.look()?.rows(), session, wanted);
        }
        let (vault, session, wanted) = (self.clone(), session.clone(), wanted.clone());
        self.ask(move |rows| vault.open_many_as_of(rows, &session, &wanted)).await
    }

    fn open_many_as_of(
        &self,
        rows: Rows<'_>,
        session: &Session,
        wanted: &[(SecretPath, Which)],
    ) -> Result<Each<Opened>, Refusal> {
        let mut room = OPENED_BYTES_MAX;
        let open = |(path, which): &(SecretPath, Which)| match self.open_as_of(rows, session, path, *which) {
            Ok(opened) => {
                let left = room.checked_sub(opened.value.len());
                room = left.ok_or(Refusal::from(CallerMistake::TooMany(Limit::ValueBytes)))?;
                Ok(Ok(opened))
            }
            Err(Refusal::Caller(mistake)) => Ok(Err(mistake)),
            Err(other) => Err(other),
        };
        wanted.iter().map(open).collect()
    }

    async fn create_many_unaudited<L>(
        &self,
        session: &Session,
        new: &NewSecrets,
        key: Option<&IdempotencyKey>,
        lacks: impl FnOnce(&Each<Opened>) -> Option<L>,
    ) -> Result<CreatedMany<L>, Refusal> {
        self.check_many(session, new).await?;
        let names: Vec<_> = new.secrets.iter().map(|(name, _)| name).collect();
        let fields = ("create many", &new.owner, names);
        let idempotency = self.idempotency(&session.caller, key, &fields, Some(&new.request))?;
        if !self.is_remembered(session, idempotency.as_ref())? {
            let needed = &new.needed;
            let needed = self.read_many_unaudited(session, &new.owner, needed, Consistency::Local).await?;
            // They may have been there when this very request was carried out elsewhere.
            if let Some(lacking) = lacks(&needed)
                && !self.is_remembered_anywhere(session, idempotency.as_ref()).await?
            {
                return Ok(CreatedMany::Lacking(lacking));
            }
        }
        if new.secrets.is_empty() {
            let replication = self.replication();
            return Ok(CreatedMany::All { replication, replayed: false, versions: Vec::new() });
        }
        let action = CommandAction::Create(self.seal_many(session, new, idempotency)?);
        let command = self.command(session, idempotency, action)?;
        let bytes = new.secrets.iter().map(|(_, value)| value.len() + FIXED_BYTES).sum();
        let applied = self.agree(command, bytes, None).await?;
        let Agreed::Agreed(agreed) = applied.outcome? else { return Err(NodeFault::Corrupt.into()) };
        let versions: Vec<_> = agreed.into_iter().map(|(id, _)| id).collect();
        if applied.replayed {
            self.have_created(new, &versions).await?;
        }
        Ok(CreatedMany::All { replication: self.replication(), replayed: applied.replayed, versions })
    }

    /// Has these versions here, which an earlier request created: what is remembered of it comes with a snapshot, and
    /// they come later.
    async fn have_created(&self, new: &NewSecrets, versions: &[VersionId]) -> Result<(), Refusal> {
        for ((name, _), id) in new.secrets.iter().zip(versions) {
            let path = SecretPath { owner: new.owner.clone(), name: name.clone() };
            let have = async {
                self.settled(&path).await?;
                self.named_record(&path, id).await
            };
            have.await.map_err(|_| NoAuthority::OutcomeUnknown(None))?;
        }
        Ok(())
    }

    /// Refuses what is too large, and what the caller may not create.
    async fn check_many(&self, session: &Session, new: &NewSecrets) -> Result<(), Refusal> {
        let total: usize = new.secrets.iter().map(|(_, value)| value.len()).sum();
        let too_large = |(_, value): &(_, Plaintext)| self.parts.value_bytes_max < value.len();
        if CREATE_MAX < new.secrets.len() {
            return Err(CallerMistake::TooMany(Limit::Secrets).into());
        }
        if CREATE_BYTES_MAX < total || new.secrets.iter().any(too_large) {
            return Err(CallerMistake::TooMany(Limit::ValueBytes).into());
        }
        let path = |(name, _): &(SecretName, _)| SecretPath { owner: new.owner.clone(), name: name.clone() };
        self.permit_creates(session, &new.secrets.iter().map(path).collect::<Vec<_>>()).await
    }

    /// Whether this request was carried out before.
    fn is_remembered(&self, session: &Session, idempotency: Option<&Idempotency>) -> Result<bool, Refusal> {
        let Some(key) = idempotency else { return Ok(false) };
        Ok(self.recall(&session.caller, key.key())?.is_some())
    }

    /// The same, once a majority was asked.
    async fn is_remembered_anywhere(
        &self,
        session: &Session,
        idempotency: Option<&Idempotency>,
    ) -> Result<bool, Refusal> {
        if idempotency.is_some() {
            self.confirm().await?;
        }
        self.is_remembered(session, idempotency)
    }

    fn seal_many(
        &self,
        session: &Session,
        new: &NewSecrets,
        idempotency: Option<Idempotency>,
    ) -> Result<Vec<NewSecret>, Refusal> {
        let seal = |(name, value): &(SecretName, Plaintext)| {
            let path = SecretPath { owner: new.owner.clone(), name: name.clone() };
            let draft = Draftable::of_value(&path, value);
            let first = (Vec::new(), 1);
            let (version, marks) = self.seal_version(session, &draft, first, Hlc::default(), idempotency)?;
            Ok(NewSecret { path, version, marks })
        };
        new.secrets.iter().map(seal).collect()
    }
}
