//! Mappings that may be on the disks of too few nodes, each with the issue that made it: a row is written with the issue
//! and deleted once a majority is known to have it. Keeps T6 over restarts: what was told not to be kept widely is not
//! forgotten. Knows nothing of which nodes have what.

use std::ops::Bound;

use covault_model::{
    id::{IssueId, MappingId},
    issue::{Issue, Mapping, Scope},
};

use crate::{error::StoreError, keys, txn::Txn, view::Rows};

/// A mapping that may be on too few nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unspread {
    /// Whose token it is of, and of which epoch.
    pub scope: Scope,
    /// The mapping.
    pub mapping: MappingId,
    /// The issue that made it.
    pub issue: IssueId,
}

impl Rows<'_> {
    /// The issue that made a mapping of which it is not known whether a majority has it; none for all others.
    pub fn unspread(&self, scope: &Scope, id: &MappingId) -> Result<Option<IssueId>, StoreError> {
        let row = self.tables.unspread.get(self.txn, &keys::of_epoch(scope, id.as_bytes()))?;
        row.map(issue_of).transpose()
    }

    /// Those that follow on `after` (or the first), at most `limit`, all of one epoch.
    pub fn unspread_after(
        &self,
        after: Option<&Unspread>,
        limit: usize,
    ) -> Result<Vec<Unspread>, StoreError> {
        let last = after.map(|last| keys::of_epoch(&last.scope, last.mapping.as_bytes()));
        let begin = last.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let mut found: Vec<Unspread> = Vec::new();
        for row in self.tables.unspread.range(self.txn, &(begin, Bound::Unbounded))?.take(limit) {
            let (key, row) = row?;
            let read =
                keys::read_epoch(key).and_then(|(scope, id)| Some((scope, MappingId(id.try_into().ok()?))));
            let (scope, mapping) =
                read.ok_or(StoreError::Inconsistent("an unspread mapping is of no epoch"))?;
            if found.last().is_some_and(|last| last.scope != scope) {
                break;
            }
            found.push(Unspread { scope, mapping, issue: issue_of(row)? });
        }
        Ok(found)
    }
}

fn issue_of(row: &[u8]) -> Result<IssueId, StoreError> {
    let id = row.try_into().map(IssueId);
    id.map_err(|_| StoreError::Inconsistent("an unspread mapping is of no issue"))
}

impl Txn<'_> {
    /// Notes that the mappings of an issue may be on too few nodes.
    pub fn note_unspread(&mut self, issue: &Issue) -> Result<(), StoreError> {
        let table = self.tables().unspread;
        for Mapping(id, _) in &issue.header().mappings {
            let key = keys::of_epoch(&issue.header().scope, id.as_bytes());
            self.put(table, &key, issue.id().as_bytes())?;
        }
        Ok(())
    }

    /// A majority has this issue, and so its mappings.
    pub fn forget_unspread(&mut self, scope: &Scope, id: &IssueId) -> Result<(), StoreError> {
        let table = self.tables().unspread;
        // It is gone if its epoch was destroyed meanwhile, and with it what was noted.
        let Some(bytes) = self.rows().issue(scope, id)? else { return Ok(()) };
        let issue =
            Issue::from_trusted_bytes(bytes).map_err(|why| StoreError::Corrupt { table: "issues", why });
        for Mapping(id, _) in &issue?.header().mappings {
            self.delete(table, &keys::of_epoch(scope, id.as_bytes()))?;
        }
        Ok(())
    }
}
