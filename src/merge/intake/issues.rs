//! Issues of mappings that other nodes sent: judged by themselves, then against what is kept here, in the
//! transaction that writes them. Keeps T5: one that does not verify counts nowhere, one of an epoch that was
//! destroyed never comes back, and nothing from the future counts. What does not count yet is let go of, since
//! a search brings it again.

use std::{collections::BTreeSet, ops::AddAssign};

use covault_model::{
    arrival::Fault,
    epoch::epochs_of,
    id::NodeId,
    issue::{Issue, Scope},
    limits::RECORD_BYTES_MAX,
    record::{Idempotency, key_apart},
    registry::{Outcome, Registry, Remembered},
};
use covault_store::{StoreError, Txn};
use serde_bytes::ByteBuf;
use tokio::sync::oneshot;

use super::{Intake, IntakeError, locked};

/// In a cluster of so many nodes two are a majority: this one and that which it has an issue from.
const TWO_SUFFICE: usize = 3;

/// What became of the issues of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Taken {
    /// How many of them are kept here now.
    pub kept: usize,
    /// How many of those came just now.
    pub new: usize,
    /// How many are there that may come to be kept and are not: from the future, of an epoch or by a member that
    /// this node does not know yet, or not looked at.
    pub left: usize,
}

impl AddAssign for Taken {
    fn add_assign(&mut self, other: Self) {
        self.kept += other.kept;
        self.new += other.new;
        self.left += other.left;
    }
}

impl Intake {
    /// Takes in issues from another node. Nothing of a message is taken in of which one does not verify.
    pub async fn take_in_issues(&self, sent: Vec<ByteBuf>) -> Result<Taken, IntakeError> {
        let judged = sent.iter().map(|bytes| judge(bytes));
        let issues = judged.collect::<Result<Vec<_>, _>>().map_err(|fault| self.refuse(fault))?;
        let now = self.host.now();
        let (early, ripe): (Vec<_>, Vec<_>) =
            issues.into_iter().partition(|issue| issue.header().time.is_beyond_skew(now));
        early.iter().for_each(|_| self.count(Fault::Early));
        if ripe.is_empty() {
            return Ok(Taken { left: early.len(), ..Taken::default() });
        }
        let bytes = sent.iter().map(|bytes| 2 * bytes.len() as u64).sum();
        if !self.store.room()?.fits(bytes) {
            return Err(StoreError::Full.into());
        }
        let authors = locked(&self.authors).clone();
        let (sender, receiver) = oneshot::channel();
        let work = move |txn: &mut Txn<'_>| insert_all(txn, &ripe, &authors);
        self.store.write(work, move |result| drop(sender.send(result)));
        let (taken, faults) = receiver.await.unwrap_or(Err(StoreError::Closed))?;
        let later = faults.iter().filter(|fault| **fault != Fault::Destroyed).count();
        faults.into_iter().for_each(|fault| self.count(fault));
        Ok(Taken { left: early.len() + later, ..taken })
    }
}

fn judge(bytes: &[u8]) -> Result<Issue, Fault> {
    if RECORD_BYTES_MAX < bytes.len() {
        return Err(Fault::Oversized);
    }
    Issue::from_untrusted_bytes(bytes).map_err(Fault::from)
}

/// Inserts what counts; gives why the others do not.
fn insert_all(
    txn: &mut Txn<'_>,
    issues: &[Issue],
    authors: &BTreeSet<NodeId>,
) -> Result<(Taken, Vec<Fault>), StoreError> {
    let roster = txn.rows().roster()?;
    let members = roster.nodes.values().filter(|node| !node.removed).count();
    let (mut taken, mut faults) = (Taken::default(), Vec::new());
    for issue in issues {
        let author = &issue.header().author;
        let enrolled = roster.nodes.contains_key(author) || authors.contains(author);
        match fault_of(txn, &issue.header().scope, enrolled)? {
            Some(fault) => faults.push(fault),
            None => {
                taken.kept += 1;
                if txn.insert_issue(issue)? {
                    taken.new += 1;
                    remember(txn, issue)?;
                    if TWO_SUFFICE < members {
                        txn.note_unspread(issue)?;
                    }
                }
            }
        }
    }
    Ok((taken, faults))
}

/// Why an issue of this scope does not count here, if it does not.
fn fault_of(txn: &Txn<'_>, scope: &Scope, enrolled: bool) -> Result<Option<Fault>, StoreError> {
    if !enrolled {
        return Ok(Some(Fault::UnknownAuthor));
    }
    let epochs = epochs_of(&txn.rows(), &scope.owner)?;
    Ok(match epochs.as_ref().and_then(|epochs| epochs.get(scope.epoch)) {
        None => Some(Fault::Early),
        Some(entry) if entry.destroyed_at.is_some() => Some(Fault::Destroyed),
        Some(_) => None,
    })
}

/// Lets a retry find what another node did, as it would there.
fn remember(txn: &mut Txn<'_>, issue: &Issue) -> Result<(), StoreError> {
    let Some(Idempotency(key, request)) = issue.header().idempotency else { return Ok(()) };
    let Scope { owner, epoch } = &issue.header().scope;
    txn.remember(owner, &key_apart(&key), &Remembered { request, outcome: Outcome::Issued(*epoch) })
}
