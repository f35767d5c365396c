//! Whether mappings are on the disks of a majority. Those of which it is not known have a row beside them, from the
//! transaction that made them until a majority was seen to have them; a request that finds such a row sends the issue
//! again and counts. So what was answered with `202`, or not at all, is never taken for kept, also not after a restart.
//! Keeps T6. Knows nothing of what is in an issue.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use covault_model::{
    id::{IssueId, NodeId},
    issue::{Issue, Scope},
    mutant::Mutant,
    refusal::{NodeFault, Refusal},
};
use covault_store::Unspread;

use super::{Replication, Vault, storage_refusal};

/// Rows looked at, and so issues asked about, at a time.
const ASKED_AT_ONCE: usize = 256;
/// Issues whose rows one transaction deletes.
const FORGOTTEN_AT_ONCE: usize = 512;

/// Issues that a majority has and whose rows are still to be deleted: some at a time, so that no request waits for it.
#[derive(Default)]
pub(super) struct Spread(Mutex<BTreeMap<IssueId, Scope>>);

impl Spread {
    fn held(&self) -> MutexGuard<'_, BTreeMap<IssueId, Scope>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a majority is known to have this issue, whatever its rows say.
    pub fn has(&self, issue: &IssueId) -> bool {
        self.held().contains_key(issue)
    }
}

impl Vault {
    /// Whether issues that are inserted here may be on too few nodes: not if this one is a majority.
    pub(super) fn may_be_unspread(&self) -> bool {
        1 < self.replication().quorum
    }

    /// Sends issues that are kept here to the other nodes, and says how widely they are kept.
    pub(super) async fn spread(&self, scope: &Scope, issues: &[Issue]) -> Replication {
        let replication = self.replication();
        let consensus = &self.parts.consensus;
        let wanted = if consensus.has_majority() { replication.quorum as usize } else { 1 };
        let acknowledged = if Mutant::EarlyToken.is_on() {
            replication.quorum
        } else {
            self.parts.records.spread(issues, &self.voters(), wanted).await as u32
        };
        if replication.quorum <= acknowledged && self.may_be_unspread() {
            self.spread.held().extend(issues.iter().map(|issue| (issue.id(), scope.clone())));
        }
        Replication { acknowledged, ..replication }
    }

    /// The issues with these ids, to be sent again.
    pub(super) fn issues_of(&self, scope: &Scope, ids: &BTreeSet<IssueId>) -> Result<Vec<Issue>, Refusal> {
        let view = self.look()?;
        let read = |id| {
            let bytes = view.rows().issue(scope, id).map_err(storage_refusal)?;
            let issue = bytes.map(Issue::from_trusted_bytes).transpose();
            issue.map_err(|_| Refusal::from(NodeFault::Corrupt))
        };
        ids.iter().filter_map(|id| read(id).transpose()).collect()
    }

    /// Looks whether a majority has meanwhile what may have been on too few nodes. To be called every second.
    ///
    /// # Errors
    /// When this node's own store cannot be read or written.
    pub async fn look_for_spread(&self) -> Result<(), Refusal> {
        self.forget_spread().await?;
        let mut last: Option<Unspread> = None;
        while self.parts.consensus.has_majority() {
            let some = self.look()?.rows().unspread_after(last.as_ref(), ASKED_AT_ONCE);
            let some = some.map_err(storage_refusal)?;
            let Some(end) = some.last() else { break };
            let asked = some.iter().map(|one| one.issue).filter(|issue| !self.spread.has(issue));
            let asked: BTreeSet<IssueId> = asked.collect();
            let found = self.on_majority(&end.scope, &asked).await;
            if found.is_empty() && !asked.is_empty() {
                // The others are not as far yet, or would not take it when it was sent: they had not heard of the epoch.
                self.spread(&end.scope, &self.issues_of(&end.scope, &asked)?).await;
                break;
            }
            self.spread.held().extend(found.into_iter().map(|issue| (issue, end.scope.clone())));
            if FORGOTTEN_AT_ONCE <= self.spread.held().len() {
                self.forget_spread().await?;
            }
            last = some.into_iter().last();
        }
        self.forget_spread().await
    }

    /// Those of these issues of an epoch that a majority has.
    async fn on_majority(&self, scope: &Scope, issues: &BTreeSet<IssueId>) -> Vec<IssueId> {
        let (voters, quorum) = (self.voters(), self.replication().quorum);
        let here = u32::from(voters.contains(&self.node()));
        let mut have: BTreeMap<IssueId, u32> = issues.iter().map(|issue| (*issue, here)).collect();
        for voter in voters.into_iter().filter(|voter| *voter != self.node()) {
            if have.values().all(|count| quorum <= *count) {
                break;
            }
            let has = self.parts.records.which_has(voter, scope, issues).await.unwrap_or_default();
            has.iter().for_each(|issue| *have.entry(*issue).or_default() += 1);
        }
        have.into_iter().filter(|(_, count)| quorum <= *count).map(|(issue, _)| issue).collect()
    }

    /// Deletes the rows of what a majority is known to have.
    async fn forget_spread(&self) -> Result<(), Refusal> {
        loop {
            let some: Vec<(IssueId, Scope)> = {
                let held = self.spread.held();
                held.iter().take(FORGOTTEN_AT_ONCE).map(|(issue, scope)| (*issue, scope.clone())).collect()
            };
            if some.is_empty() {
                return Ok(());
            }
            let ids: Vec<IssueId> = some.iter().map(|(issue, _)| *issue).collect();
            let forgetting = self.store_write(move |txn| {
                some.iter().try_for_each(|(issue, scope)| txn.forget_unspread(scope, issue))
            });
            forgetting.await?;
            let mut held = self.spread.held();
            ids.iter().for_each(|issue| drop(held.remove(issue)));
        }
    }

    /// The members that vote.
    pub(super) fn voters(&self) -> BTreeSet<NodeId> {
        self.parts.consensus.standing().voters()
    }
}
