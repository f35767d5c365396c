//! Labels, description, delete and undelete: records that merge key by key and need no agreement. What is written
//! here is sent to the other nodes at once.
//! Keeps H3 through `covault_model::marks`, I1 for requests that pass no registry, and C2: one disk is what is acknowledged.
//! Knows nothing of values.

use covault_model::{
    id::VersionId,
    isolation::Session,
    limits::LABELS_MAX,
    marks::Mark,
    name::{LabelKey, SecretPath},
    record::{Body, Idempotency, key_apart},
    refusal::{CallerMistake, Limit, NodeFault, Refusal},
    registry::{Outcome, Remembered},
};
use covault_store::{StoreError, Txn};
use tokio::sync::oneshot;

use super::{
    Asker, IdempotencyKey, Marked, Patch, Replication, Vault, Which,
    audited::About,
    author::Draft,
    digest::recall_in,
    read::{find, summarize},
    storage_refusal,
    write::which_text,
};
use crate::audit::{Action, VersionRef};

impl Vault {
    /// Changes labels and description.
    pub async fn patch(
        &self,
        asker: &Asker,
        target: &SecretPath,
        patch: Patch,
        key: Option<IdempotencyKey>,
    ) -> Result<Marked, Refusal> {
        let fields =
            ("patch", target.owner.as_str(), target.name.as_str(), &patch.labels, &patch.description);
        let draw = |vault: &Self, path: &SecretPath| vault.patch_marks(path, &patch);
        let about = About::secret(Action::SecretPatch, target);
        let marked = self.mark(&asker.session, target, &[], key.as_ref(), &fields, draw);
        self.audited(asker, about, |_| None, marked).await
    }

    /// Marks a version deleted, the current one unless another is named. It can be brought back.
    pub async fn delete(
        &self,
        asker: &Asker,
        target: &SecretPath,
        which: Option<Which>,
        key: Option<IdempotencyKey>,
    ) -> Result<Marked, Refusal> {
        let which = vec![which.unwrap_or(Which::Current)];
        self.set_deleted(asker, target, (Action::SecretDelete, true), which, key).await
    }

    /// Brings deleted versions back, the current one unless others are named.
    pub async fn undelete(
        &self,
        asker: &Asker,
        target: &SecretPath,
        mut which: Vec<Which>,
        key: Option<IdempotencyKey>,
    ) -> Result<Marked, Refusal> {
        if which.is_empty() {
            which.push(Which::Current);
        }
        self.set_deleted(asker, target, (Action::SecretUndelete, false), which, key).await
    }

    async fn set_deleted(
        &self,
        asker: &Asker,
        target: &SecretPath,
        (action, deleted): (Action, bool),
        which: Vec<Which>,
        key: Option<IdempotencyKey>,
    ) -> Result<Marked, Refusal> {
        let versions: Vec<String> = which.iter().map(|which| which_text(*which)).collect();
        let fields = (action.as_str(), target.owner.as_str(), target.name.as_str(), versions);
        let draw = |vault: &Self, path: &SecretPath| {
            let named = vault.versions_named(path, &which)?;
            Ok(named.into_iter().map(|id| Mark::Deleted(id, deleted)).collect())
        };
        let about = About::secret(action, target);
        let version = which.first().and_then(|which| version_ref(*which));
        let marked = self.mark(&asker.session, target, &which, key.as_ref(), &fields, draw);
        self.audited(asker, about, |_| version, marked).await
    }

    /// Makes and inserts a record of the marks that `draw` gives, which need the versions `which` beside the
    /// current one, in this secret's turn.
    async fn mark(
        &self,
        session: &Session,
        target: &SecretPath,
        which: &[Which],
        key: Option<&IdempotencyKey>,
        fields: &impl serde::Serialize,
        draw: impl Fn(&Self, &SecretPath) -> Result<Vec<Mark>, Refusal>,
    ) -> Result<Marked, Refusal> {
        let idempotency = self.idempotency(&session.caller, key, fields, None)?;
        let _turn = self.turn_of(session, target).await?;
        if which.iter().any(|which| matches!(which, Which::Current | Which::At(_))) {
            // A node that has not heard of the newest version yet would mark the one before. One that nobody answers
            // marks what it has.
            let _ = self.parts.consensus.confirms_soon().await;
        }
        self.have(session, target, &[&[Which::Current], which].concat()).await?;
        let recalled = idempotency.as_ref().map(|it| self.recall(&session.caller, it.key()));
        let replayed = match recalled.transpose()?.flatten() {
            Some(found) => self.is_marked(target, idempotency.as_ref(), &found).await?,
            None => {
                let marks = draw(self, target)?;
                !marks.is_empty() && self.insert_marks(session, target, marks, idempotency).await?
            }
        };
        let view = self.look()?;
        let found =
            find(view.rows(), target, Which::Current)?.ok_or(Refusal::from(CallerMistake::NotFound))?;
        let summary = summarize(view.rows(), target, found)?;
        // It is on this node's disk, and on its way to the others.
        let replication = Replication { acknowledged: 1, ..self.replication() };
        Ok(Marked { summary, replication, replayed })
    }

    /// Inserts a record of these marks; `true` when the same request had done so just before.
    async fn insert_marks(
        &self,
        session: &Session,
        path: &SecretPath,
        marks: Vec<Mark>,
        idempotency: Option<Idempotency>,
    ) -> Result<bool, Refusal> {
        self.require_room()?;
        let ((parents, depth), last) = self.place_in_history(path).await?;
        let time = self.parts.author.stamp_after(self.time_to_stamp()?, last)?;
        let draft = Draft { secret: path.id(), parents, depth, caller: &session.caller, idempotency };
        let record = self.parts.author.sign(draft, time, Body::Marks(marks));
        let made = record.clone();
        let (caller, to) = (session.caller.clone(), path.clone());
        let remembered = self.store_write(move |txn| {
            if let Some(Idempotency(key, request)) = idempotency {
                // Another request may have come with the key just before.
                if let Some(found) = recall_in(txn.rows(), &caller, &key)? {
                    return Ok(Some(found));
                }
                let outcome = Outcome::Marked(record.id());
                txn.remember(&caller, &key_apart(&key), &Remembered { request, outcome })?;
            }
            txn.insert_marks(&to, &record)?;
            Ok(None)
        });
        match remembered.await? {
            Some(found) => self.is_marked(path, idempotency.as_ref(), &found).await,
            None => {
                self.parts.records.push(path, &made, None);
                Ok(false)
            }
        }
    }

    /// Whether this very request has set its marks, of which this is remembered; refuses another one. They are here then.
    async fn is_marked(
        &self,
        path: &SecretPath,
        idempotency: Option<&Idempotency>,
        found: &Remembered,
    ) -> Result<bool, Refusal> {
        is_same_request(idempotency, found)?;
        if let Outcome::Marked(id) = found.outcome {
            // What is remembered comes with a snapshot, and the record it is of later.
            self.named_record(path, &id).await?;
        }
        Ok(true)
    }

    fn patch_marks(&self, path: &SecretPath, patch: &Patch) -> Result<Vec<Mark>, Refusal> {
        let (set, taken_away): (Vec<_>, Vec<_>) = patch.labels.iter().partition(|(_, value)| value.is_some());
        self.require_room_for_labels(
            path,
            set.into_iter().map(|(key, _)| key),
            taken_away.into_iter().map(|(key, _)| key),
        )?;
        let labels = patch.labels.iter().map(|(key, value)| Mark::Label(key.clone(), value.clone()));
        Ok(labels.chain(patch.description.clone().map(Mark::Description)).collect())
    }

    /// Refuses labels that the secret does not have if it would carry too many with them. It may carry more, if nodes that
    /// were apart set them; those can be changed and taken away.
    pub(super) fn require_room_for_labels<'l>(
        &self,
        path: &SecretPath,
        set: impl Iterator<Item = &'l LabelKey>,
        taken_away: impl Iterator<Item = &'l LabelKey>,
    ) -> Result<(), Refusal> {
        let held = self.look()?.rows().secret_view(path).map_err(storage_refusal)?;
        let held = held.map(|view| view.labels).unwrap_or_default();
        let has = |key: &&LabelKey| held.get(*key).is_some_and(|value| value.1.is_some());
        let (new, gone) = (set.filter(|key| !has(key)).count(), taken_away.filter(has).count());
        let carried = held.values().filter(|value| value.1.is_some()).count();
        if 0 < new && LABELS_MAX < carried + new - gone {
            Err(CallerMistake::TooMany(Limit::Labels).into())
        } else {
            Ok(())
        }
    }

    /// The ids of the versions that are meant; refuses one that is not there or whose value is erased.
    fn versions_named(&self, path: &SecretPath, which: &[Which]) -> Result<Vec<VersionId>, Refusal> {
        let view = self.look()?;
        let id_of = |which: &Which| {
            let found = find(view.rows(), path, *which)?.ok_or(Refusal::from(CallerMistake::NotFound))?;
            if found.row.destroyed { Err(CallerMistake::VersionDestroyed.into()) } else { Ok(found.place.id) }
        };
        which.iter().map(id_of).collect()
    }

    pub(super) fn require_room(&self) -> Result<(), Refusal> {
        let room = self.parts.store.room().map_err(storage_refusal)?;
        if room.fits(0) { Ok(()) } else { Err(NodeFault::StorageFull.into()) }
    }

    /// Runs `work` on the store and waits until it is synced.
    pub(super) async fn store_write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Txn<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Refusal> {
        let (sender, receiver) = oneshot::channel();
        self.parts.store.write(work, move |result| drop(sender.send(result)));
        receiver.await.unwrap_or(Err(StoreError::Closed)).map_err(storage_refusal)
    }
}

/// Whether what is remembered under the key came of this very request; refuses another one.
pub(super) fn is_same_request(
    idempotency: Option<&Idempotency>,
    found: &Remembered,
) -> Result<bool, Refusal> {
    if idempotency.is_some_and(|idempotency| found.request == *idempotency.request()) {
        Ok(true)
    } else {
        Err(CallerMistake::IdempotencyConflict.into())
    }
}

/// The version that a request names, for its audit line.
pub(super) fn version_ref(which: Which) -> Option<VersionRef> {
    match which {
        Which::Number(number) => Some(VersionRef::Number(number)),
        Which::Id(id) => Some(VersionRef::Id(id)),
        Which::Current | Which::At(_) => None,
    }
}
