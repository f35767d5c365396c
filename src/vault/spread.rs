//! Whether what was issued here is on the disks of a majority. Sent at once and counted; what was not acknowledged by
//! enough is not taken for kept, also by later requests that find it, until enough nodes are seen to have it. A
//! node that is started anew has forgotten, and its peers look for what they lack of it.
//! Keeps T6. Knows nothing of what is in an issue.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use covault_model::{
    id::NodeId,
    issue::{Issue, Scope},
    mutant::Mutant,
    refusal::Refusal,
};

use super::{Replication, Vault};

/// Epochs of which this node has issues that may be on too few others, and how often that came about.
#[derive(Default)]
pub(super) struct Unspread(Mutex<BTreeMap<Scope, u64>>);

impl Unspread {
    fn held(&self) -> MutexGuard<'_, BTreeMap<Scope, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Vault {
    /// Sends issues that were just inserted here to the other nodes, and says how widely they are kept.
    pub(super) async fn spread(&self, scope: &Scope, issues: &[Issue]) -> Replication {
        let replication = self.replication();
        let consensus = &self.parts.consensus;
        let wanted = if consensus.has_majority() { replication.quorum as usize } else { 1 };
        let wanted = if Mutant::EarlyToken.is_on() { 1 } else { wanted };
        let mut acknowledged = self.parts.records.spread(issues, &self.voters(), wanted).await as u32;
        if Mutant::EarlyToken.is_on() {
            acknowledged = replication.quorum;
        }
        if acknowledged < replication.quorum {
            *self.unspread.held().entry(scope.clone()).or_default() += 1;
        }
        Replication { acknowledged, ..replication }
    }

    /// Whether all that this node issued of an epoch since its start is known to be on a majority's disks.
    pub(super) fn is_spread(&self, scope: &Scope) -> bool {
        !self.unspread.held().contains_key(scope)
    }

    /// Looks whether a majority has what was issued here meanwhile. To be called every second.
    ///
    /// # Errors
    /// When this node's own store cannot be read.
    pub async fn look_for_spread(&self) -> Result<(), Refusal> {
        if !self.parts.consensus.has_majority() {
            return Ok(());
        }
        let scopes = self.unspread.held().clone();
        for (scope, times) in scopes {
            let mut have = 0;
            for voter in self.voters() {
                let has =
                    voter == self.node() || self.parts.records.covers(voter, &scope).await.unwrap_or(false);
                have += u32::from(has);
            }
            let mut held = self.unspread.held();
            // Not if there was more of it while the others were asked.
            if self.replication().quorum <= have && held.get(&scope) == Some(&times) {
                held.remove(&scope);
            }
        }
        Ok(())
    }

    /// The members that vote.
    pub(super) fn voters(&self) -> Vec<NodeId> {
        let members = self.parts.consensus.standing().members;
        members.into_iter().filter(|member| member.voter).map(|member| member.node).collect()
    }
}
