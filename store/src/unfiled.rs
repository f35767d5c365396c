//! Mappings that are rows in the order in which they came, and have no row among all others yet. Ids of mappings are
//! random: each new row among all others is on a page of its own, however few come at a time. So they are piled up, rows
//! one behind the other on the disk, their ids sorted in memory, and filed from one end of the pile to the other, several
//! on each page, some with each commit. Keeps T3 with whoever looks: what is not filed is found in a pile, and of
//! two sealed values for one mapping the same one holds. Nothing rests on memory: piles are made again from the rows.
//! Knows nothing of what is sealed, or of when to file.
//!
//! ```text
//!   issued ──► the growing pile ──► full, or the writer idle: the pile that is filed ──► rows of `mappings`
//!              rows of `unfiled`                                                         then those of `unfiled` go
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    ops::Bound,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use covault_model::{
    id::MappingId,
    issue::{Mapping, Scope},
};
use heed::{RoTxn, RwTxn};

use crate::{error::StoreError, keys, tables::Tables};

/// Rows that go for the price of filing one mapping: they are side by side.
const CLEARED_FOR_ONE: usize = 4;

/// What a committed write did about mappings.
pub(crate) enum News {
    /// Made rows of these, in this order and from this number on.
    Issued(Scope, u64, Vec<MappingId>),
    /// Erased rows of an epoch that was destroyed.
    Shredded(Scope),
}

impl News {
    /// How many mappings it made rows of.
    pub fn mappings(&self) -> usize {
        match self {
            Self::Issued(_, _, ids) => ids.len(),
            Self::Shredded(_) => 0,
        }
    }
}

/// The piles there are. The writer changes them; whoever looks takes them before the look begins, so that what is
/// filed in between is in both rather than in neither.
#[derive(Default)]
pub(crate) struct Unfiled(RwLock<Arc<Piles>>);

/// The pile that grows, and the one that is being filed.
#[derive(Clone, Default)]
pub(crate) struct Piles {
    growing: Arc<Pile>,
    filing: Option<Filing>,
}

/// A pile that does not grow any more, and how far it is filed.
#[derive(Clone)]
pub(crate) struct Filing {
    pile: Arc<Pile>,
    stage: Stage,
    /// How many are filed.
    count: usize,
}

/// What is done already.
#[derive(Clone)]
enum Stage {
    /// Mappings up to this one are filed; absent before the first.
    Filing(Option<Entry>),
    /// All are filed, and what stood for them is gone up to this epoch; absent before the first.
    Clearing(Option<Scope>),
}

/// A mapping and the number of its row.
type Entry = (Scope, MappingId, u64);

#[derive(Default)]
pub(crate) struct Pile(RwLock<Held>);

/// Which rows there are, in the order of the mappings in them. A mapping may be in several.
#[derive(Default)]
struct Held {
    scopes: BTreeMap<Scope, OfScope>,
    count: usize,
}

#[derive(Default)]
struct OfScope {
    rows: BTreeSet<(MappingId, u64)>,
    /// The number of the last row.
    last: u64,
}

impl Unfiled {
    /// The piles as they are now.
    pub fn piles(&self) -> Arc<Piles> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Lets whoever looks know of these.
    pub fn publish(&self, piles: Piles) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(piles);
    }

    /// Piles up the rows that a transaction sees.
    pub fn load(txn: &RoTxn<'_>, tables: &Tables) -> Result<Self, StoreError> {
        let piles = Piles::default();
        let mut held = piles.growing.held_mut();
        for row in tables.unfiled.iter(txn)? {
            let (key, row) = row?;
            let read = keys::read_numbered(key).zip(row.first_chunk());
            let ((scope, number), id) =
                read.ok_or(StoreError::Inconsistent("an unfiled mapping is of no epoch"))?;
            held.take(&scope, number, &[MappingId(*id)]);
        }
        drop(held);
        Ok(Self(RwLock::new(Arc::new(piles))))
    }
}

impl Piles {
    /// How many mappings are in them that are not filed.
    pub fn count(&self) -> usize {
        let filing = self.filing.as_ref();
        let left = filing.map_or(0, |filing| filing.pile.len().saturating_sub(filing.count));
        self.growing.len() + left
    }

    /// Whether all are filed, and nothing is left of them.
    pub fn is_empty(&self) -> bool {
        self.filing.is_none() && self.growing() == 0
    }

    /// How many are in the one that grows.
    pub fn growing(&self) -> usize {
        self.growing.len()
    }

    /// What is being filed.
    pub fn filing(&self) -> Option<&Filing> {
        self.filing.as_ref()
    }

    /// The numbers of the rows that a mapping has.
    pub fn rows_of(&self, scope: &Scope, id: &MappingId) -> Vec<u64> {
        let filing = self.filing.as_ref().filter(|filing| matches!(filing.stage, Stage::Filing(_)));
        let piles = [Some(&self.growing), filing.map(|filing| &filing.pile)];
        piles.into_iter().flatten().flat_map(|pile| pile.held().rows_of(scope, id)).collect()
    }

    /// Follows a commit that did this. Gives what can be let go of.
    pub fn take_in(&mut self, news: News) -> Vec<Pile> {
        match news {
            News::Issued(scope, first, ids) => {
                self.growing.held_mut().take(&scope, first, &ids);
                Vec::new()
            }
            News::Shredded(scope) => {
                let piles = [Some(&self.growing), self.filing.as_ref().map(|filing| &filing.pile)];
                piles.into_iter().flatten().filter_map(|pile| pile.without(&scope)).collect()
            }
        }
    }

    /// Begins to file the pile that grows, unless one is being filed or there is nothing in it.
    pub fn turn(&mut self) {
        if self.filing.is_none() && self.growing() != 0 {
            let pile = mem::take(&mut self.growing);
            self.filing = Some(Filing { pile, stage: Stage::Filing(None), count: 0 });
        }
    }

    /// Follows a commit that came so far with filing, or to its end. Gives the pile then.
    pub fn follow(&mut self, filed: Option<Filing>) -> Option<Arc<Pile>> {
        let before = mem::replace(&mut self.filing, filed);
        before.filter(|_| self.filing.is_none()).map(|filing| filing.pile)
    }
}

impl Filing {
    /// Files the next `limit` mappings, or erases rows of those that all are filed. Gives how far that came; nothing
    /// at the end.
    pub fn step(
        mut self,
        txn: &mut RwTxn<'_>,
        tables: &Tables,
        limit: usize,
    ) -> Result<Option<Self>, StoreError> {
        let pile = self.pile.clone();
        let (held, mut left) = (pile.held(), limit);
        if let Stage::Filing(after) = &self.stage {
            let mut last = after.clone();
            for (scope, id, number) in held.after(after.as_ref()).take(limit) {
                file(txn, tables, scope, id, number)?;
                left -= 1;
                if left == 0 {
                    last = Some((scope.clone(), *id, number));
                }
            }
            self.count += limit - left;
            self.stage = if left == 0 { Stage::Filing(last) } else { Stage::Clearing(None) };
        }
        let Stage::Clearing(after) = &mut self.stage else { return Ok(Some(self)) };
        let mut left = left * CLEARED_FOR_ONE;
        let from = after.clone().map_or(Bound::Unbounded, Bound::Excluded);
        for (scope, OfScope { last, .. }) in held.scopes.range((from, Bound::Unbounded)) {
            let (count, all) = clear(txn, tables, scope, *last, left)?;
            left -= count;
            if all {
                *after = Some(scope.clone());
            }
            if left == 0 {
                return Ok(Some(self));
            }
        }
        Ok(None)
    }
}

/// Writes the row of a mapping among all others, if its epoch was not destroyed meanwhile.
fn file(
    txn: &mut RwTxn<'_>,
    tables: &Tables,
    scope: &Scope,
    id: &MappingId,
    number: u64,
) -> Result<(), StoreError> {
    let Some(sealed) = sealed_at(txn, tables, scope, id, number)?.map(<[u8]>::to_vec) else { return Ok(()) };
    let key = keys::of_epoch(scope, id.as_bytes());
    let filed = tables.mappings.get_or_put(txn, &key, &sealed)?;
    if filed.is_some_and(|filed| Mapping::holding(filed, &sealed) != filed) {
        tables.mappings.put(txn, &key, &sealed)?;
    }
    Ok(())
}

/// Erases the first `limit` rows of an epoch up to the one of this number, which is there until then. Gives how many it
/// were, and whether that were all: rows that come when none is left have the numbers of those that went.
fn clear(
    txn: &mut RwTxn<'_>,
    tables: &Tables,
    scope: &Scope,
    last: u64,
    limit: usize,
) -> Result<(usize, bool), StoreError> {
    let (first, last) = (keys::numbered(scope, 0), keys::numbered(scope, last));
    let rows = |last| (Bound::Included(first.as_slice()), Bound::Included(last));
    let (mut count, mut until) = (0, Vec::new());
    for row in tables.unfiled.range(txn, &rows(last.as_slice()))?.take(limit) {
        let (key, _) = row?;
        until.clear();
        until.extend_from_slice(key);
        count += 1;
    }
    if count != 0 {
        tables.unfiled.delete_range(txn, &rows(until.as_slice()))?;
    }
    Ok((count, count < limit || until == last))
}

/// The sealed value in the row of this number, if it is of this mapping and still there.
pub(crate) fn sealed_at<'t>(
    txn: &'t RoTxn<'_>,
    tables: &Tables,
    scope: &Scope,
    id: &MappingId,
    number: u64,
) -> Result<Option<&'t [u8]>, StoreError> {
    let row = tables.unfiled.get(txn, &keys::numbered(scope, number))?;
    Ok(row.and_then(|row| row.strip_prefix(id.as_bytes().as_slice())))
}

impl Pile {
    fn held(&self) -> RwLockReadGuard<'_, Held> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn held_mut(&self) -> RwLockWriteGuard<'_, Held> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn len(&self) -> usize {
        self.held().count
    }

    /// Takes an epoch out; gives it.
    fn without(&self, scope: &Scope) -> Option<Self> {
        let mut held = self.held_mut();
        let of_scope = held.scopes.remove(scope)?;
        let count = of_scope.rows.len();
        held.count -= count;
        Some(Self(RwLock::new(Held { scopes: BTreeMap::from([(scope.clone(), of_scope)]), count })))
    }

    /// Lets go of up to `limit` of what it holds; gives whether anything is left.
    pub fn shrink(&mut self, limit: usize) -> bool {
        let held = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..limit {
            let Some(mut first) = held.scopes.first_entry() else { return false };
            if first.get_mut().rows.pop_first().is_none() {
                first.remove();
            }
        }
        true
    }
}

impl Held {
    fn rows_of(&self, scope: &Scope, id: &MappingId) -> Vec<u64> {
        let Some(of_scope) = self.scopes.get(scope) else { return Vec::new() };
        of_scope.rows.range((*id, 0)..=(*id, u64::MAX)).map(|(_, number)| *number).collect()
    }

    fn take(&mut self, scope: &Scope, first: u64, ids: &[MappingId]) {
        let of_scope = self.scopes.entry(scope.clone()).or_default();
        for (id, number) in ids.iter().zip(first..) {
            self.count += usize::from(of_scope.rows.insert((*id, number)));
            of_scope.last = number;
        }
    }

    /// All after one of them, in the order of the rows that they will be.
    fn after(&self, entry: Option<&Entry>) -> impl Iterator<Item = (&Scope, &MappingId, u64)> {
        let from = entry.map_or(Bound::Unbounded, |(scope, ..)| Bound::Included(scope));
        self.scopes.range::<Scope, _>((from, Bound::Unbounded)).flat_map(move |(scope, of_scope)| {
            let entry = entry.filter(|(of, ..)| of == scope);
            let from = entry.map_or(Bound::Unbounded, |(_, id, number)| Bound::Excluded((*id, *number)));
            let rows = of_scope.rows.range((from, Bound::Unbounded));
            rows.map(move |(id, number)| (scope, id, *number))
        })
    }
}
