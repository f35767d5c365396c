//! New versions: create, update, rollback. A value is sealed, its header signed, and the version offered
//! to the registry; the answer follows agreement, or says that there was none (`keep.rs`).
//!
//! On one node, updates of one secret take turns, so that each builds on the one before it.
//! Keeps E1 to E4 by proposing only; `covault_model::plan` decides. Keeps C2, and X4: what
//! follows on a version is stamped after it, or refused. Knows nothing of HTTP.

use std::{collections::BTreeMap, iter, slice};

use covault_model::{
    command::{Action as CommandAction, Command, NewSecret, NewVersion, SealedVersion},
    hlc::{Hlc, Millis},
    id::{ChangeHash, CommandId, PayloadHash, RecordId, SecretId},
    isolation::{Access, Session},
    limits::LABELS_MAX,
    line::{Place, State},
    marks::Mark,
    name::{Description, LabelKey, LabelValue, SecretPath},
    plan::plan,
    record::{Body, Idempotency, Parent, Record, VersionBody},
    refusal::{CallerMistake, Limit, NoAuthority, NodeFault, Refusal},
    registry::{Outcome, Registry, Remembered},
};
use covault_seal::{Context, Plaintext};
use covault_store::{Applied, Rows};
use tokio::sync::{Mutex, MutexGuard};

use super::{
    Asker, Consistency, IdempotencyKey, NewValue, Replication, UpdateTerms, Vault, Version, Which, Written,
    audited::About, author::Draft, keys::seal_refusal, marks::is_same_request, storage_refusal,
};
use crate::{
    audit::{Action, VersionRef},
    merge,
};

/// Times a version is stamped anew when another node's version was agreed just before it.
const RESTAMPS_MAX: usize = 8;

/// One queue per group of secrets.
pub(super) struct Turns(Vec<Mutex<()>>);

impl Turns {
    pub fn new() -> Self {
        Self((0..1024).map(|_| Mutex::new(())).collect())
    }

    /// Waits for this secret's turn. To be called once it is known that the caller may write to it: nobody else is to
    /// hold up those who may.
    pub async fn wait(&self, path: &SecretPath) -> MutexGuard<'_, ()> {
        let SecretId(id) = path.id();
        let at = usize::from(u16::from_le_bytes([id[0], id[1]])) % self.0.len();
        self.0[at].lock().await
    }
}

/// What becomes a version, apart from its place in history.
pub(super) struct Draftable<'a> {
    path: &'a SecretPath,
    value: &'a Plaintext,
    content_type: Option<covault_model::name::ContentType>,
    expires_at: Option<Millis>,
    restores: Option<RecordId>,
    labels: &'a BTreeMap<LabelKey, LabelValue>,
    description: Option<&'a Description>,
}

/// What a new record follows and its depth, and the time it must come after.
type PlaceInHistory = ((Vec<Parent>, u64), Hlc);

/// What a request says beside its value, for the digest of retries.
type RequestFields<'a> = (
    &'a str,
    &'a str,
    &'a str,
    Option<&'a covault_model::name::ContentType>,
    Option<Millis>,
    &'a BTreeMap<LabelKey, LabelValue>,
    Option<&'a Description>,
    Option<&'a covault_model::command::Condition>,
);

impl Vault {
    /// This secret's turn, for a caller who may write to it, which may have changed while others had theirs.
    pub(super) async fn turn_of(
        &self,
        session: &Session,
        path: &SecretPath,
    ) -> Result<MutexGuard<'_, ()>, Refusal> {
        self.permit_existing(session, path, Access::Write).await?;
        let turn = self.turns.wait(path).await;
        self.permit_existing(session, path, Access::Write).await?;
        Ok(turn)
    }

    /// Creates a secret. The first create of a name to be agreed wins, every other is refused.
    pub async fn create(
        &self,
        asker: &Asker,
        target: &SecretPath,
        new: NewValue,
        key: Option<IdempotencyKey>,
    ) -> Result<Written, Refusal> {
        let about = About::secret(Action::SecretCreate, target);
        self.audited(asker, about, made, self.create_unaudited(&asker.session, target, &new, key.as_ref()))
            .await
    }

    async fn create_unaudited(
        &self,
        session: &Session,
        target: &SecretPath,
        new: &NewValue,
        key: Option<&IdempotencyKey>,
    ) -> Result<Written, Refusal> {
        self.check_size(new)?;
        self.permit_creates(session, slice::from_ref(target)).await?;
        let fields = request_fields("create", target, new, None);
        let idempotency = self.idempotency(&session.caller, key, &fields, Some(&new.value))?;
        let draft = draftable(target, new);
        let (version, marks) =
            self.seal_version(session, &draft, (Vec::new(), 1), Hlc::default(), idempotency)?;
        let made = version.record.clone();
        let first = NewSecret { path: target.clone(), version, marks };
        let command = self.command(session, idempotency, CommandAction::Create(vec![first]))?;
        let applied = self.agree(command, new.value.len(), Some(made.id())).await?;
        self.written(target, Some(&made), &applied).await
    }

    /// Writes a new version of a secret that exists.
    pub async fn update(
        &self,
        asker: &Asker,
        target: &SecretPath,
        new: NewValue,
        terms: UpdateTerms,
        key: Option<IdempotencyKey>,
    ) -> Result<Written, Refusal> {
        let about = About::secret(Action::SecretUpdate, target);
        let update = async {
            self.check_size(&new)?;
            let fields = request_fields("update", target, &new, terms.condition.as_ref());
            let idempotency =
                self.idempotency(&asker.session.caller, key.as_ref(), &fields, Some(&new.value))?;
            self.offer(&asker.session, &draftable(target, &new), &terms, idempotency).await
        };
        self.audited(asker, about, made, update).await
    }

    /// Writes the value of an old version as a new one.
    pub async fn rollback(
        &self,
        asker: &Asker,
        target: &SecretPath,
        to: Which,
        key: Option<IdempotencyKey>,
    ) -> Result<Written, Refusal> {
        let about = About::secret(Action::SecretRollback, target);
        let rollback = async {
            let fields = ("rollback", target.owner.as_str(), target.name.as_str(), which_text(to));
            let idempotency = self.idempotency(&asker.session.caller, key.as_ref(), &fields, None)?;
            self.permit_existing(&asker.session, target, Access::Write).await?;
            self.settled(target).await?;
            if let Some(written) = self.repeated(&asker.session, target, idempotency.as_ref()).await? {
                return Ok(written);
            }
            let old = match self.read_unaudited(&asker.session, target, to, Consistency::Local).await {
                // It may have been there when this very request was carried out elsewhere.
                Err(Refusal::Caller(mistake)) if idempotency.is_some() => {
                    self.confirm().await?;
                    let repeated = self.repeated(&asker.session, target, idempotency.as_ref()).await?;
                    return repeated.ok_or(mistake.into());
                }
                read => read?,
            };
            let draft = Draftable {
                path: target,
                value: &old.value,
                content_type: old.summary.version.content_type.clone(),
                expires_at: old.summary.version.expires_at,
                restores: Some(old.summary.version.id),
                labels: &BTreeMap::new(),
                description: None,
            };
            self.offer(&asker.session, &draft, &UpdateTerms::default(), idempotency).await
        };
        self.audited(asker, about, made, rollback).await
    }

    /// Offers a version of an existing secret to the registry, stamping it anew when its time is passed, and
    /// keeps it if no majority answers.
    async fn offer(
        &self,
        session: &Session,
        draft: &Draftable<'_>,
        terms: &UpdateTerms,
        idempotency: Option<Idempotency>,
    ) -> Result<Written, Refusal> {
        let _turn = self.turn_of(session, draft.path).await?;
        for _ in 0..RESTAMPS_MAX {
            if let Some(written) =
                self.answered_apart(session, draft.path, terms, idempotency.as_ref()).await?
            {
                return Ok(written);
            }
            self.require_room_for_new_labels(session, draft, idempotency.as_ref()).await?;
            let (history, last) = self.place_in_history(draft.path).await?;
            let (version, marks) = self.seal_version(session, draft, history, last, idempotency)?;
            let made = version.record.clone();
            let to_keep = self.may_keep(terms).then(|| (version.clone(), marks.clone()));
            let offered =
                NewVersion { path: draft.path.clone(), version, condition: terms.condition.clone(), marks };
            let command = self.command(session, idempotency, CommandAction::Agree(Box::new(offered)))?;
            match (self.agree(command, draft.value.len(), Some(made.id())).await, to_keep) {
                (Err(Refusal::NotNow(NoAuthority::StaleTime)), _) => {}
                (Err(Refusal::NotNow(why)), Some(version)) if why.is_silence() => {
                    let kept = self.keep(draft.path, version).await;
                    // What may be agreed yet is not refused because it cannot be kept here.
                    let sent = matches!(why, NoAuthority::OutcomeUnknown(_));
                    return kept.map_err(|refusal| if sent { why.into() } else { refusal });
                }
                (other, _) => return self.written(draft.path, Some(&made), &other?).await,
            }
        }
        Err(NoAuthority::StaleTime.into())
    }

    /// Refuses labels that there is no room for, but of a request that was agreed, which is answered as it was then.
    async fn require_room_for_new_labels(
        &self,
        session: &Session,
        draft: &Draftable<'_>,
        idempotency: Option<&Idempotency>,
    ) -> Result<(), Refusal> {
        if draft.labels.is_empty() {
            return Ok(());
        }
        self.settled(draft.path).await?;
        let fits = self.require_room_for_labels(draft.path, draft.labels.keys(), iter::empty());
        match (fits, idempotency) {
            (Err(refusal), Some(key)) => {
                self.confirm().await?;
                if self.is_agreed(&session.caller, key.key())? { Ok(()) } else { Err(refusal) }
            }
            (fits, _) => fits,
        }
    }

    /// The answer to this very request if it was made before.
    async fn repeated(
        &self,
        session: &Session,
        path: &SecretPath,
        idempotency: Option<&Idempotency>,
    ) -> Result<Option<Written>, Refusal> {
        let kept = self.answered_apart(session, path, &UpdateTerms::default(), idempotency).await?;
        let (Some(key), None) = (idempotency, &kept) else { return Ok(kept) };
        let Some(found) = self.recall(&session.caller, key.key())? else { return Ok(None) };
        self.answered_before(path, idempotency, found).await.map(Some)
    }

    /// The same, if it was kept without agreement, and no other try of it was agreed.
    async fn repeated_apart(
        &self,
        session: &Session,
        path: &SecretPath,
        idempotency: Option<&Idempotency>,
    ) -> Result<Option<Written>, Refusal> {
        let Some(key) = idempotency else { return Ok(None) };
        if self.is_agreed(&session.caller, key.key())? {
            return Ok(None);
        }
        let Some(found) = self.recall_apart(&session.caller, key.key())? else { return Ok(None) };
        self.answered_before(path, idempotency, found).await.map(Some)
    }

    /// The same, once a majority was asked about what has no number here: it may have been agreed elsewhere, or another try
    /// of it, which is for the registry to answer. If neither was, and it is to be, then the key came with a request
    /// that let it be kept, which is another one.
    async fn answered_apart(
        &self,
        session: &Session,
        path: &SecretPath,
        terms: &UpdateTerms,
        idempotency: Option<&Idempotency>,
    ) -> Result<Option<Written>, Refusal> {
        let Some(first) = self.repeated_apart(session, path, idempotency).await? else { return Ok(None) };
        if first.version.number.is_some() {
            return Ok(Some(first));
        }
        if terms.want_agreement() {
            self.confirm().await.map_err(|_| NoAuthority::OutcomeUnknown(Some(first.version.id)))?;
        } else if !self.parts.consensus.confirms_soon().await {
            return Ok(Some(first));
        }
        match self.repeated_apart(session, path, idempotency).await? {
            Some(kept) if terms.want_agreement() && kept.version.number.is_none() => {
                Err(CallerMistake::IdempotencyConflict.into())
            }
            answer => Ok(answer),
        }
    }

    /// The answer to a request of which this is remembered, if it is this very one.
    pub(super) async fn answered_before(
        &self,
        path: &SecretPath,
        idempotency: Option<&Idempotency>,
        found: Remembered,
    ) -> Result<Written, Refusal> {
        is_same_request(idempotency, &found)?;
        if let Outcome::Marked(id) = found.outcome {
            // What is remembered comes with a snapshot, and the record it is of later.
            let kept = self.named_record(path, &id).await?;
            return self.written_apart(path, &kept, true);
        }
        self.written(path, None, &Applied { outcome: Ok(found.outcome), replayed: true }).await
    }

    /// What a new record of the secret follows, and the time it must come after.
    pub(super) async fn place_in_history(&self, path: &SecretPath) -> Result<PlaceInHistory, Refusal> {
        if self.is_settled(path) {
            return place_in_history(self.look()?.rows(), path);
        }
        let path = path.clone();
        self.ask(move |rows| place_in_history(rows, &path)).await
    }

    /// Seals the value and signs the version, and the marks that come with it.
    pub(super) fn seal_version(
        &self,
        session: &Session,
        draft: &Draftable<'_>,
        (parents, depth): (Vec<Parent>, u64),
        after: Hlc,
        idempotency: Option<Idempotency>,
    ) -> Result<(SealedVersion, Option<Record>), Refusal> {
        let author = &self.parts.author;
        let time = author.stamp_after(self.time_to_stamp()?, after)?;
        let secret = draft.path.id();
        let context = Context { cluster: self.parts.cluster, secret, time, author: author.node() };
        let mut chance = |bytes: &mut [u8]| self.parts.host.fill(bytes);
        let ring = self.parts.keys.ring()?;
        let payload = covault_seal::seal(ring, &context, draft.value, &mut chance)
            .map_err(|error| seal_refusal(&error))?;
        let body = Body::Version(VersionBody {
            payload: PayloadHash::of(&payload),
            payload_len: payload.len() as u32,
            content_type: draft.content_type.clone(),
            expires_at: draft.expires_at,
            restores: draft.restores,
        });
        let caller = &session.caller;
        let record = author.sign(Draft { secret, parents, depth, caller, idempotency }, time, body);
        let marks = self.marks_of(session, draft, &record, depth + 1);
        Ok((SealedVersion { record, payload }, marks))
    }

    /// A record of the labels and description that come with a version, following it.
    fn marks_of(
        &self,
        session: &Session,
        draft: &Draftable<'_>,
        version: &Record,
        depth: u64,
    ) -> Option<Record> {
        let labels = draft.labels.iter().map(|(key, value)| Mark::Label(key.clone(), Some(value.clone())));
        let description = draft.description.map(|text| Mark::Description(Some(text.clone())));
        let marks: Vec<Mark> = labels.chain(description).collect();
        if marks.is_empty() {
            return None;
        }
        let change: ChangeHash = merge::change_hash_of(version);
        let time = self.parts.author.stamp(self.now());
        let draft = Draft {
            secret: version.header().secret,
            parents: vec![Parent(version.id(), change)],
            depth,
            caller: &session.caller,
            idempotency: None,
        };
        Some(self.parts.author.sign(draft, time, Body::Marks(marks)))
    }

    /// A command of this caller, now. Refused while the node's clock is off.
    pub(super) fn command(
        &self,
        session: &Session,
        idempotency: Option<Idempotency>,
        action: CommandAction,
    ) -> Result<Command, Refusal> {
        let mut id = CommandId::default();
        self.parts.host.fill(&mut id.0);
        Ok(Command { id, by: session.caller.clone(), at: self.time_to_stamp()?, idempotency, action })
    }

    /// Has a command agreed, unless the registry as this node sees it already says what becomes of it for good.
    /// `bytes` is what it carries beside its fixed parts; `version` what an unknown outcome would be of.
    pub(super) async fn agree(
        &self,
        command: Command,
        bytes: usize,
        version: Option<RecordId>,
    ) -> Result<Applied, Refusal> {
        const FIXED_BYTES: usize = 2048;
        if self.sees_what(&command) {
            let planned = plan(&self.look()?.rows(), &command).map_err(storage_refusal)?;
            match planned {
                Ok(plan) if plan.replayed => {
                    return Ok(Applied { outcome: Ok(plan.outcome), replayed: true });
                }
                Err(refusal)
                    if self.parts.consensus.voters() == 1
                        || refusal.is_for_good() && !command.makes_several() =>
                {
                    return Err(refusal);
                }
                // Of several nodes this one may lack what the others have agreed since, so they are asked.
                Ok(_) | Err(_) => {}
            }
        }
        // The registry knows nothing of what needed no agreement: a key of that is not free for another request.
        if let Some(key) = &command.idempotency
            && self.recall_apart(&command.by, key.key())?.is_some_and(|found| found.request != *key.request())
            && !self.is_agreed(&command.by, key.key())?
        {
            return Err(CallerMistake::IdempotencyConflict.into());
        }
        let applied = self.parts.consensus.propose(command, bytes + FIXED_BYTES).await;
        let applied = applied.map_err(|refusal| match refusal {
            Refusal::NotNow(NoAuthority::OutcomeUnknown(_)) => NoAuthority::OutcomeUnknown(version).into(),
            other => other,
        })?;
        let outcome = applied.outcome?;
        Ok(Applied { outcome: Ok(outcome), replayed: applied.replayed })
    }

    /// Whether a look sees all that this node has answered about what the command writes.
    fn sees_what(&self, command: &Command) -> bool {
        let store = &self.parts.store;
        let secrets = command.secrets().unwrap_or_default();
        store.is_all_settled() || secrets.iter().all(|secret| store.is_settled(secret))
    }

    /// The answer to a write, the same for a retry as it was at first. `made` is the version this request
    /// made; a retry's is the one that was remembered.
    async fn written(
        &self,
        target: &SecretPath,
        made: Option<&Record>,
        applied: &Applied,
    ) -> Result<Written, Refusal> {
        let Ok(Outcome::Agreed(agreed)) = &applied.outcome else {
            return Err(NodeFault::Corrupt.into());
        };
        let (id, number) = *agreed.first().ok_or(Refusal::from(NodeFault::Corrupt))?;
        let version = match made.filter(|made| made.id() == id) {
            Some(made) => written_version(made, Some(number)),
            None => {
                self.settled(target).await.map_err(|_| NoAuthority::OutcomeUnknown(Some(id)))?;
                written_version(&self.named_record(target, &id).await?, Some(number))
            }
        };
        Ok(Written {
            name: target.name.clone(),
            version: version.ok_or(Refusal::from(NodeFault::Corrupt))?,
            replication: self.replication(),
            replayed: applied.replayed,
        })
    }

    /// The answer to a write that was kept without agreement; it may have been agreed since.
    pub(super) fn written_apart(
        &self,
        target: &SecretPath,
        made: &Record,
        replayed: bool,
    ) -> Result<Written, Refusal> {
        let place = Place { time: made.header().time, id: made.id() };
        let row = self.look()?.rows().line_row(target, &place).map_err(storage_refusal)?;
        let number = row.ok_or(Refusal::from(NodeFault::Corrupt))?.number;
        let version = written_version(made, number).ok_or(Refusal::from(NodeFault::Corrupt))?;
        let mut replication = self.replication();
        if number.is_none() {
            replication.acknowledged = 1;
        }
        Ok(Written { name: target.name.clone(), version, replication, replayed })
    }

    pub(super) fn replication(&self) -> Replication {
        let members = self.parts.consensus.voters();
        let quorum = members / 2 + 1;
        Replication { acknowledged: quorum, members, quorum }
    }

    fn check_size(&self, new: &NewValue) -> Result<(), Refusal> {
        if new.value.len() > self.parts.value_bytes_max {
            Err(CallerMistake::TooMany(Limit::ValueBytes).into())
        } else if new.labels.len() > LABELS_MAX {
            Err(CallerMistake::TooMany(Limit::Labels).into())
        } else {
            Ok(())
        }
    }
}

fn place_in_history(rows: Rows<'_>, path: &SecretPath) -> Result<PlaceInHistory, Refusal> {
    let history = rows.secret_view(path).map_err(storage_refusal)?;
    let entry = rows.secret(path).map_err(storage_refusal)?;
    let (heads, depth) = history.map_or((Vec::new(), 1), |view| view.parents());
    let mut after = entry.map_or(Hlc::default(), |entry| entry.last.time);
    let mut parents = Vec::with_capacity(heads.len());
    for id in heads {
        let record = rows.record(path, &id).map_err(storage_refusal)?;
        let record = record.ok_or(Refusal::from(NodeFault::Corrupt))?;
        // Another node's clock may be ahead: what follows on its record must also come after it.
        after = after.max(record.header().time);
        parents.push(Parent(id, merge::change_hash_of(&record)));
    }
    Ok(((parents, depth), after))
}

/// A version as it was when it was written: the last of the line.
fn written_version(record: &Record, number: Option<u64>) -> Option<Version> {
    let (header, body) = (record.header(), record.version()?);
    let made = header.time.millis();
    Some(Version {
        number,
        id: record.id(),
        valid_from: made,
        valid_to: None,
        created_at: made,
        author: header.author,
        caller: header.caller.clone(),
        state: if number.is_some() { State::Current } else { State::Provisional },
        content_type: body.content_type.clone(),
        expires_at: body.expires_at,
        restores: body.restores,
    })
}

/// No labels.
static NO_LABELS: BTreeMap<LabelKey, LabelValue> = BTreeMap::new();

impl<'a> Draftable<'a> {
    /// A value of which nothing else is said.
    pub fn of_value(path: &'a SecretPath, value: &'a Plaintext) -> Self {
        let labels = &NO_LABELS;
        Self { path, value, content_type: None, expires_at: None, restores: None, labels, description: None }
    }
}

fn draftable<'a>(path: &'a SecretPath, new: &'a NewValue) -> Draftable<'a> {
    Draftable {
        path,
        value: &new.value,
        content_type: new.content_type.clone(),
        expires_at: new.expires_at,
        restores: None,
        labels: &new.labels,
        description: new.description.as_ref(),
    }
}

fn request_fields<'a>(
    operation: &'a str,
    target: &'a SecretPath,
    new: &'a NewValue,
    condition: Option<&'a covault_model::command::Condition>,
) -> RequestFields<'a> {
    (
        operation,
        &target.owner,
        &target.name,
        new.content_type.as_ref(),
        new.expires_at,
        &new.labels,
        new.description.as_ref(),
        condition,
    )
}

/// The version a write made, for its audit line.
fn made(written: &Written) -> Option<VersionRef> {
    Some(VersionRef::Id(written.version.id))
}

/// One way to write which version is meant, for digests.
pub(super) fn which_text(which: Which) -> String {
    match which {
        Which::Current => "current".into(),
        Which::Number(number) => format!("number {number}"),
        Which::Id(id) => format!("id {id}"),
        Which::At(at) => format!("at {}", at.0),
    }
}
