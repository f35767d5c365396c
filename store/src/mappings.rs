//! Issues and the mappings they make: an issue is inserted once, and its mappings and the digest that it belongs
//! to move with it. Keeps T3: of two sealed values for one token the same one holds on every node.
//! Digests say which issues there are without a list of them: for each first byte of their ids, how many and
//! what their ids come to, so that two nodes find what differs between them.
//! Knows nothing of whether an epoch may hold mappings, or of what is sealed.

use std::collections::BTreeMap;

use covault_model::{
    epoch::{Epoch, Epochs, epochs_of},
    id::{IssueId, MappingId},
    issue::{Issue, Mapping, Scope},
    name::CallerName,
};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteArray;

use crate::{
    error::StoreError,
    keys,
    rebuild::Difference,
    rows::{from_row, to_row},
    txn::Txn,
    unfiled::{News, sealed_at},
    view::Rows,
};

/// Which issues there are, of those whose ids begin in one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct IssueDigest {
    /// How many.
    pub count: u64,
    /// Their ids, added up bit by bit.
    sum: ByteArray<{ IssueId::LEN }>,
}

impl IssueDigest {
    /// Of the issues of both, if none is in both.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        self.count = self.count.saturating_add(other.count);
        self.sum.iter_mut().zip(other.sum.iter()).for_each(|(sum, byte)| *sum ^= byte);
        self
    }

    /// Takes one more in.
    fn add(&mut self, id: &IssueId) {
        self.count += 1;
        self.sum.iter_mut().zip(id.0).for_each(|(sum, byte)| *sum ^= byte);
    }
}

impl<'t> Rows<'t> {
    /// The sealed value behind a token.
    pub fn mapping(&self, scope: &Scope, id: &MappingId) -> Result<Option<&'t [u8]>, StoreError> {
        let mut held = self.tables.mappings.get(self.txn, &keys::of_epoch(scope, id.as_bytes()))?;
        for number in self.piles.rows_of(scope, id) {
            if let Some(sealed) = sealed_at(self.txn, self.tables, scope, id, number)? {
                held = Some(held.map_or(sealed, |held| Mapping::holding(held, sealed)));
            }
        }
        Ok(held)
    }

    /// An issue, as it was signed.
    pub fn issue(&self, scope: &Scope, id: &IssueId) -> Result<Option<&'t [u8]>, StoreError> {
        Ok(self.tables.issues.get(self.txn, &keys::of_epoch(scope, id.as_bytes()))?)
    }

    /// How many mappings there are, and how many issues. Those that were being filed when the process was killed count
    /// twice until they are, and of an epoch that is destroyed meanwhile what was filed is taken off twice.
    pub fn tokens(&self) -> Result<(u64, u64), StoreError> {
        let filed = self.tables.mappings.len(self.txn)?;
        Ok((filed + self.piles.count() as u64, self.tables.issues.len(self.txn)?))
    }

    /// The epochs that were destroyed, of all owners.
    pub fn destroyed_epochs(&self) -> Result<Vec<Scope>, StoreError> {
        let mut destroyed = Vec::new();
        for row in self.tables.epochs.iter(self.txn)? {
            let (key, row) = row?;
            let owner = std::str::from_utf8(key).ok().and_then(|text| CallerName::parse(text).ok());
            let owner = owner.ok_or(StoreError::Inconsistent("an owner of epochs is no caller"))?;
            let epochs: Epochs = from_row("epochs", row)?;
            let gone = epochs.iter().filter(|(_, entry)| entry.destroyed_at.is_some());
            destroyed.extend(gone.map(|(epoch, _)| Scope { owner: owner.clone(), epoch }));
        }
        Ok(destroyed)
    }

    /// The epoch after `after` (or the first) of which anything was issued, by owner and number.
    pub fn next_scope(&self, after: Option<&Scope>) -> Result<Option<Scope>, StoreError> {
        let from = match after {
            None => keys::FIRST.to_vec(),
            Some(Scope { owner, epoch: Epoch(u32::MAX) }) => [owner.as_bytes(), &[1]].concat(),
            Some(Scope { owner, epoch }) => {
                keys::of_epoch(&Scope { owner: owner.clone(), epoch: Epoch(epoch.0 + 1) }, &[])
            }
        };
        let found = self.tables.issue_digests.get_greater_than_or_equal_to(self.txn, &from)?;
        let Some((key, _)) = found else { return Ok(None) };
        let read = keys::read_epoch(key).ok_or(StoreError::Inconsistent("a digest is of no epoch"))?;
        Ok(Some(read.0))
    }

    /// The digests of an epoch's issues, by the first byte of their ids; only of those there are.
    pub fn issue_digests(&self, scope: &Scope) -> Result<Vec<(u8, IssueDigest)>, StoreError> {
        let prefix = keys::of_epoch(scope, &[]);
        let rows = self.tables.issue_digests.prefix_iter(self.txn, &prefix)?;
        rows.map(|row| {
            let (key, row) = row?;
            let byte = key.last().ok_or(StoreError::Inconsistent("a digest is of no epoch"))?;
            Ok((*byte, from_row("issue_digests", row)?))
        })
        .collect()
    }

    /// The digests of those of an epoch's issues whose ids begin with `prefix`, by the byte that follows.
    pub fn issue_digests_under(
        &self,
        scope: &Scope,
        prefix: &[u8],
    ) -> Result<Vec<(u8, IssueDigest)>, StoreError> {
        let mut digests: Vec<(u8, IssueDigest)> = Vec::new();
        for id in self.ids_under(scope, prefix)? {
            let id = id?;
            let Some(next) = id.0.get(prefix.len()) else { break };
            match digests.last_mut() {
                Some((byte, digest)) if byte == next => digest.add(&id),
                _ => {
                    let mut digest = IssueDigest::default();
                    digest.add(&id);
                    digests.push((*next, digest));
                }
            }
        }
        Ok(digests)
    }

    /// The ids of an epoch's issues that begin with `prefix`, at most `limit`, rising.
    pub fn issue_ids(&self, scope: &Scope, prefix: &[u8], limit: usize) -> Result<Vec<IssueId>, StoreError> {
        self.ids_under(scope, prefix)?.take(limit).collect()
    }

    fn ids_under(
        &self,
        scope: &Scope,
        prefix: &[u8],
    ) -> Result<impl Iterator<Item = Result<IssueId, StoreError>> + use<'t>, StoreError> {
        let rows = self.tables.issues.prefix_iter(self.txn, &keys::of_epoch(scope, prefix))?;
        Ok(rows.map(|row| {
            let (key, _) = row?;
            let id = key.last_chunk().copied().map(IssueId);
            id.ok_or(StoreError::Inconsistent("an issue's id is not one"))
        }))
    }
}

impl Rows<'_> {
    /// Derives mappings and digests again from the issues, and says of which epochs they are not those kept.
    pub(crate) fn compare_mappings(&self, differences: &mut Vec<Difference>) -> Result<(), StoreError> {
        let mut seen = [0; 3];
        let mut last = None;
        while let Some(scope) = self.next_scope(last.as_ref())? {
            let mut of_scope_differ = Vec::new();
            let of_scope = self.compare_scope(&scope, &mut of_scope_differ)?;
            // What is left of an epoch that was destroyed is being erased, a part at a time.
            let epochs = epochs_of(self, &scope.owner)?;
            let entry = epochs.as_ref().and_then(|epochs| epochs.get(scope.epoch));
            if entry.is_none_or(|entry| entry.destroyed_at.is_none()) {
                differences.append(&mut of_scope_differ);
            }
            seen.iter_mut().zip(of_scope).for_each(|(seen, rows)| *seen += rows);
            last = Some(scope);
        }
        let tables = [self.tables.mappings, self.tables.unfiled, self.tables.issues];
        for (table, seen) in tables.into_iter().zip(seen) {
            if table.len(self.txn)? != seen {
                differences.push(Difference::Counts);
            }
        }
        Ok(())
    }

    /// The same for one epoch; gives how many rows it has of mappings, unfiled ones, and issues.
    fn compare_scope(
        &self,
        scope: &Scope,
        differences: &mut Vec<Difference>,
    ) -> Result<[u64; 3], StoreError> {
        let (mut derived, mut digests) = (BTreeMap::new(), BTreeMap::<u8, IssueDigest>::new());
        let mut issues = 0;
        for id in self.ids_under(scope, &[])? {
            let (id, bytes) = (id?, self.tables.issues);
            let bytes = bytes.get(self.txn, &keys::of_epoch(scope, id.as_bytes()))?.unwrap_or_default();
            match Issue::from_untrusted_bytes(bytes) {
                Ok(issue) if issue.id() == id && issue.header().scope == *scope => {
                    issue.header().mappings.iter().for_each(|mapping| hold(&mut derived, mapping));
                }
                _ => differences.push(Difference::Issue(scope.clone(), id)),
            }
            digests.entry(id.0[0]).or_default().add(&id);
            issues += 1;
        }
        let digests: Vec<_> = digests.into_iter().collect();
        let mut fits = self.issue_digests(scope)? == digests;
        let (mut kept, unfiled) = self.unfiled(scope)?;
        let mut mappings = 0;
        for row in self.tables.mappings.prefix_iter(self.txn, &keys::of_epoch(scope, &[]))? {
            let (key, filed) = row?;
            let id = key.last_chunk().copied().map(MappingId).unwrap_or_default();
            let unfiled = kept.remove(&id);
            let held = unfiled.as_deref().map_or(filed, |unfiled| Mapping::holding(filed, unfiled));
            fits &= derived.remove(&id).is_some_and(|derived| derived == held);
            mappings += 1;
        }
        if !fits || derived != kept {
            differences.push(Difference::Mappings(scope.clone()));
        }
        Ok([mappings, unfiled, issues])
    }

    /// The mappings in unfiled rows of an epoch, and how many rows those are.
    fn unfiled(&self, scope: &Scope) -> Result<(BTreeMap<MappingId, Vec<u8>>, u64), StoreError> {
        let (mut unfiled, mut count) = (BTreeMap::new(), 0);
        for row in self.tables.unfiled.prefix_iter(self.txn, &keys::of_epoch(scope, &[]))? {
            let split = row?.1.split_first_chunk();
            let (id, sealed) = split.ok_or(StoreError::Inconsistent("an unfiled row is of no mapping"))?;
            hold(&mut unfiled, &Mapping(MappingId(*id), sealed.to_vec()));
            count += 1;
        }
        Ok((unfiled, count))
    }
}

/// Takes a mapping in among others: of two sealed values for one token the one that holds.
fn hold(held: &mut BTreeMap<MappingId, Vec<u8>>, Mapping(id, sealed): &Mapping) {
    let held = held.entry(*id).or_insert_with(|| sealed.clone());
    *held = Mapping::holding(held, sealed).to_vec();
}

impl Txn<'_> {
    /// Inserts an issue with its mappings. `false` when it was there already. That its epoch may hold
    /// mappings is for the caller to know.
    pub fn insert_issue(&mut self, issue: &Issue) -> Result<bool, StoreError> {
        let scope = &issue.header().scope;
        let key = keys::of_epoch(scope, issue.id().as_bytes());
        let tables = *self.tables();
        if tables.issues.get_or_put(self.raw(), &key, &issue.to_bytes())?.is_some() {
            return Ok(false);
        }
        self.pile_up(scope, &issue.header().mappings)?;
        self.add_to_digest(scope, &issue.id())?;
        self.saw_time(issue.header().time);
        Ok(true)
    }

    /// Makes rows of mappings that are filed later, but of those that are there.
    fn pile_up(&mut self, scope: &Scope, mappings: &[Mapping]) -> Result<(), StoreError> {
        let table = self.tables().unfiled;
        let last = table.get_lower_than_or_equal_to(self.raw(), &keys::numbered(scope, u64::MAX))?;
        let last = last.and_then(|(key, _)| keys::read_numbered(key)).filter(|(of, _)| of == scope);
        let first = last.map_or(0, |(_, number)| number + 1);
        let mut ids = Vec::new();
        for Mapping(id, sealed) in mappings {
            let held = self.rows().mapping(scope, id)?;
            if held.is_none_or(|held| Mapping::holding(held, sealed) != held) {
                let number = first + ids.len() as u64;
                self.put(
                    table,
                    &keys::numbered(scope, number),
                    &[id.as_bytes(), sealed.as_slice()].concat(),
                )?;
                ids.push(*id);
            }
        }
        if !ids.is_empty() {
            self.note(News::Issued(scope.clone(), first, ids));
        }
        Ok(())
    }

    fn add_to_digest(&mut self, scope: &Scope, id: &IssueId) -> Result<(), StoreError> {
        let table = self.tables().issue_digests;
        let key = keys::of_epoch(scope, &id.0[..1]);
        let row = table.get(self.raw(), &key)?;
        let mut digest: IssueDigest =
            row.map_or(Ok(IssueDigest::default()), |row| from_row("issue_digests", row))?;
        digest.add(id);
        self.put(table, &key, &to_row(&digest))
    }

    /// Erases what is kept of an epoch that was destroyed, at most `limit` rows of it at a time. Gives how many
    /// it were; none when nothing is left.
    pub fn shred(&mut self, scope: &Scope, limit: usize) -> Result<usize, StoreError> {
        let prefix = keys::of_epoch(scope, &[]);
        let tables = *self.tables();
        let mut erased = 0;
        for table in [tables.unfiled, tables.mappings, tables.issues, tables.issue_digests, tables.unspread] {
            let rows = table.prefix_iter(self.raw(), &prefix)?.take(limit - erased);
            let found = rows.map(|row| Ok(row?.0.to_vec())).collect::<Result<Vec<_>, StoreError>>()?;
            for key in &found {
                self.delete(table, key)?;
            }
            erased += found.len();
        }
        self.note(News::Shredded(scope.clone()));
        Ok(erased)
    }
}
