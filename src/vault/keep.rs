//! Versions that no majority answered for. They are kept here without a number, merge like marks, and are offered
//! to the registry by the node that made them when a majority is back: adopted as the next number unless
//! something newer was agreed meanwhile, else passed over for good. Those of a node that was taken away are offered
//! by whoever leads.
//! Keeps X7, and C2: nothing kept is said to be agreed. Knows nothing of values.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use covault_model::{
    command::{Action, Command, NewVersion, SealedVersion},
    hlc::Millis,
    id::{CommandId, NodeId, RecordId},
    line::Place,
    name::SecretPath,
    record::{Idempotency, Record, key_apart},
    refusal::{CallerMistake, NoAuthority, Refusal},
    registry::{Outcome, Registry, Remembered, number_at},
};

use super::{UpdateTerms, Vault, Written, digest::recall_in, storage_refusal};

/// Secrets looked at between two turns of other tasks.
const SECRETS_PER_TURN: usize = 512;
/// The least time between two looks at all secrets, in milliseconds.
const LOOK_AGAIN_AFTER_MS: u64 = 10_000;
/// What a command takes beside its payload, in bytes.
const FIXED_BYTES: usize = 2048;

/// What is still to be offered.
#[derive(Default)]
pub(super) struct Kept(Mutex<ToOffer>);

#[derive(Default)]
struct ToOffer {
    /// The nodes of whose making it is; none before all secrets were looked at.
    by: BTreeSet<NodeId>,
    /// When all secrets were looked at, and how many versions had no number then, or fewer since.
    looked: (Millis, u64),
    /// The secrets with such versions, each with those that this node has kept since its start.
    paths: BTreeMap<SecretPath, Vec<RecordId>>,
}

impl ToOffer {
    /// Whether all secrets are to be looked at, now and with so many versions that have no number. What others made may
    /// still come; of its own making a node knows.
    fn is_to_look(&mut self, by: &BTreeSet<NodeId>, (now, without_number): (Millis, u64)) -> bool {
        let (at, had) = &mut self.looked;
        // Fewer, once some were agreed: what comes then makes them more again.
        *had = (*had).min(without_number);
        self.by != *by
            || (1 < by.len() && *had < without_number && LOOK_AGAIN_AFTER_MS <= now.0.abs_diff(at.0))
    }
}

impl Kept {
    fn held(&self) -> MutexGuard<'_, ToOffer> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Vault {
    /// Whether an update on these terms may stay without a number. A node on its own has nobody to wait for.
    pub(super) fn may_keep(&self, terms: &UpdateTerms) -> bool {
        !terms.want_agreement() && 1 < self.parts.consensus.voters()
    }

    /// Keeps a version that no majority answered for, with the marks that came with it.
    pub(super) async fn keep(
        &self,
        path: &SecretPath,
        (version, marks): (SealedVersion, Option<Record>),
    ) -> Result<Written, Refusal> {
        self.require_room()?;
        let made = version.record.clone();
        let (to, kept, kept_marks) = (path.clone(), version.clone(), marks.clone());
        let keeping = self.store_write(move |txn| {
            let header = kept.record.header();
            if let Some(Idempotency(key, request)) = header.idempotency {
                // Another request may have come with the key while this one waited for a majority, or this very one.
                if let Some(found) = recall_in(txn.rows(), &header.caller, &key)? {
                    return Ok(Some(found));
                }
                let outcome = Outcome::Marked(kept.record.id());
                txn.remember(&header.caller, &key_apart(&key), &Remembered { request, outcome })?;
            }
            // A snapshot may have come meanwhile that names it.
            let number = number_at(&txn.rows(), &to, &kept.place())?;
            txn.insert_version(&to, &kept.record, Some(&kept.payload), number)?;
            kept_marks.iter().try_for_each(|marks| txn.insert_marks(&to, marks).map(drop))?;
            Ok(None)
        });
        if let Some(found) = keeping.await? {
            return self.answered_before(path, made.header().idempotency.as_ref(), found).await;
        }
        self.parts.records.push(path, &version.record, Some(&version.payload));
        marks.iter().for_each(|marks| self.parts.records.push(path, marks, None));
        self.kept.held().paths.entry(path.clone()).or_default().push(made.id());
        self.written_apart(path, &made, false)
    }

    /// Offers what this node kept, if a majority answers again. To be called every second.
    pub async fn offer_kept(&self) -> Result<(), Refusal> {
        if !self.parts.consensus.has_majority() {
            return Ok(());
        }
        let by = self.authors_to_offer()?;
        let now = (self.now(), self.look()?.rows().counts().map_err(storage_refusal)?.provisional);
        let is_to_look = self.kept.held().is_to_look(&by, now);
        if is_to_look {
            let found = self.find_kept().await?;
            let mut held = self.kept.held();
            held.by.clone_from(&by);
            held.looked = now;
            for path in found {
                held.paths.entry(path).or_default();
            }
        }
        let paths: Vec<SecretPath> = self.kept.held().paths.keys().cloned().collect();
        for path in paths {
            self.offer_kept_of(&path, &by).await?;
        }
        Ok(())
    }

    /// Whose versions this node offers: its own; and while it leads, those of nodes that were taken away, which
    /// cannot offer them themselves. A leader has nothing ordered for it by another, so R3 is kept.
    fn authors_to_offer(&self) -> Result<BTreeSet<NodeId>, Refusal> {
        let mut authors = BTreeSet::from([self.node()]);
        if self.parts.consensus.standing().leader == Some(self.node()) {
            let roster = self.look()?.rows().roster().map_err(storage_refusal)?;
            authors.extend(roster.nodes.into_iter().filter(|(_, entry)| entry.removed).map(|(node, _)| node));
        }
        Ok(authors)
    }

    /// Offers the versions of one secret, in the order of their line.
    async fn offer_kept_of(&self, path: &SecretPath, by: &BTreeSet<NodeId>) -> Result<(), Refusal> {
        let _turn = self.turns.wait(path).await;
        self.settled(path).await?;
        let mut passed = None;
        while let Some((place, version)) = self.next_kept(path, by, passed)? {
            let (id, bytes) = (version.record.id(), version.payload.len());
            let applied =
                self.parts.consensus.propose(self.offering(path, version), bytes + FIXED_BYTES).await?;
            match applied.outcome {
                Ok(Outcome::Agreed(agreed)) if agreed.iter().any(|(agreed, _)| *agreed == id) => {}
                // Something newer was agreed, which this node has applied by now.
                Err(Refusal::NotNow(NoAuthority::StaleTime)) => {}
                // Another try of the same request was agreed, or another request with its key: this one never is, and
                // what was kept after it may be.
                Ok(_) | Err(Refusal::Caller(CallerMistake::IdempotencyConflict)) => passed = Some(place),
                // The secret can have no version.
                Err(_) => break,
            }
            self.settled(path).await?;
        }
        let kept = self.kept.held().paths.remove(path);
        self.push_again(path, &kept.unwrap_or_default())
    }

    /// What is passed over does not come with the log, and when it was kept there may have been nobody to push it to.
    fn push_again(&self, path: &SecretPath, kept: &[RecordId]) -> Result<(), Refusal> {
        let view = self.look()?;
        let rows = view.rows();
        for id in kept {
            let Some(record) = rows.record(path, id).map_err(storage_refusal)? else { continue };
            let Some(version) = record.version() else { continue };
            let payload = rows.payload(path, &version.payload).map_err(storage_refusal)?;
            self.parts.records.push(path, &record, payload);
        }
        Ok(())
    }

    fn offering(&self, path: &SecretPath, version: SealedVersion) -> Command {
        let mut id = CommandId::default();
        self.parts.host.fill(&mut id.0);
        let header = version.record.header();
        let (by, idempotency) = (header.caller.clone(), header.idempotency);
        let new = NewVersion { path: path.clone(), version, condition: None, marks: None };
        Command { id, by, at: self.now(), idempotency, action: Action::Agree(Box::new(new)) }
    }

    /// The first version of these authors' after the last agreed one and after `passed`, and its place.
    fn next_kept(
        &self,
        path: &SecretPath,
        by: &BTreeSet<NodeId>,
        passed: Option<Place>,
    ) -> Result<Option<(Place, SealedVersion)>, Refusal> {
        let view = self.look()?;
        let rows = view.rows();
        let find = || {
            let Some(entry) = rows.secret(path)? else { return Ok(None) };
            // Only what is later can be agreed, whatever its id.
            let agreed = Place::last_of(entry.last.time);
            let mut last = passed.map_or(agreed, |passed| passed.max(agreed));
            while let Some(place) = rows.next_place(path, &last)? {
                last = place;
                let row = rows.line_row(path, &place)?;
                let Some(row) = row.filter(|row| by.contains(&row.author) && !row.destroyed) else {
                    continue;
                };
                let (record, payload) = (rows.record(path, &place.id)?, rows.payload(path, &row.payload)?);
                if let (Some(record), Some(payload)) = (record, payload) {
                    return Ok(Some((place, SealedVersion { record, payload: payload.to_vec() })));
                }
            }
            Ok(None)
        };
        find().map_err(storage_refusal)
    }

    /// The secrets whose lines go on after the last agreed version, some at a time.
    async fn find_kept(&self) -> Result<BTreeSet<SecretPath>, Refusal> {
        let mut found = BTreeSet::new();
        if self.look()?.rows().counts().map_err(storage_refusal)?.provisional == 0 {
            return Ok(found);
        }
        let mut last: Option<SecretPath> = None;
        loop {
            let some = {
                let view = self.look()?;
                let rows = view.rows();
                let some = rows.secrets_after(last.as_ref(), SECRETS_PER_TURN).map_err(storage_refusal)?;
                for (path, held) in &some {
                    let entry = rows.secret(path).map_err(storage_refusal)?;
                    let current = held.as_ref().and_then(|held| held.current.as_ref());
                    if entry
                        .is_some_and(|entry| current.is_some_and(|(place, _)| entry.last.time < place.time))
                    {
                        found.insert(path.clone());
                    }
                }
                some
            };
            let Some((path, _)) = some.into_iter().next_back() else { return Ok(found) };
            last = Some(path);
            tokio::task::yield_now().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_made_is_looked_for_again_once_more_has_no_number() {
        let [me, other] = [1, 2].map(|number| NodeId([number; 32]));
        let at = |ms| Millis(1_000_000 + ms);
        let to_offer = |by: &[NodeId]| ToOffer {
            by: by.iter().copied().collect(),
            looked: (at(0), 3),
            ..ToOffer::default()
        };
        let mut both = to_offer(&[me, other]);
        assert!(both.is_to_look(&[me].into(), (at(0), 3)), "of other nodes' making");
        assert!(both.is_to_look(&both.by.clone(), (at(LOOK_AGAIN_AFTER_MS), 4)));
        assert!(!both.is_to_look(&both.by.clone(), (at(LOOK_AGAIN_AFTER_MS), 3)), "nothing came");
        assert!(!both.is_to_look(&both.by.clone(), (at(LOOK_AGAIN_AFTER_MS - 1), 4)), "not that soon");
        let mut offered = to_offer(&[me, other]);
        assert!(!offered.is_to_look(&both.by, (at(1), 2)), "one was agreed");
        assert!(offered.is_to_look(&both.by, (at(LOOK_AGAIN_AFTER_MS), 3)), "and one came");
        let mut own = to_offer(&[me]);
        assert!(!own.is_to_look(&own.by.clone(), (at(LOOK_AGAIN_AFTER_MS), 4)), "it knows of its own");
    }
}
