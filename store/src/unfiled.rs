//! Mappings that are rows in the order in which they came, and have no row among all others yet. Ids of mappings are
//! random: each new row among all others is on a page of its own, however few come at a time. So they are piled up, rows
//! one behind the other on the disk, their ids in memory (`pile.rs`), and filed in the order of these, several on each page,
//! some with each commit. Keeps T3 with whoever looks: what is not filed is found in a pile, and of
//! two sealed values for one mapping the same one holds. Nothing rests on memory: piles are made again from the rows.
//! Knows nothing of what is sealed, or of when to file.
//!
//! ```text
//!   issued ──► the growing pile ──► full, or the writer idle: the pile that is filed ──► rows of `mappings`
//!              rows of `unfiled`                                                         then those of `unfiled` go
//! ```

use std::{
    mem,
    ops::Bound,
    sync::{Arc, PoisonError, RwLock},
};

use covault_model::{
    id::MappingId,
    issue::{Mapping, Scope},
};
use heed::{RoTxn, RwTxn};

use crate::{
    error::StoreError,
    keys,
    pile::{Pile, Run},
    tables::Tables,
};

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
    /// All before this run are filed, and so many of it.
    Filing(Arc<Run>, usize),
    /// All are filed, and what stood for them is gone up to this epoch; absent before the first.
    Clearing(Option<Scope>),
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
        for row in tables.unfiled.iter(txn)? {
            let (key, row) = row?;
            let read = keys::read_numbered(key).zip(row.first_chunk());
            let ((scope, number), id) =
                read.ok_or(StoreError::Inconsistent("an unfiled mapping is of no epoch"))?;
            piles.growing.take(&scope, number, &[MappingId(*id)]);
        }
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
        let filing = self.filing.as_ref().filter(|filing| matches!(filing.stage, Stage::Filing(..)));
        let piles = [Some(&self.growing), filing.map(|filing| &filing.pile)];
        piles.into_iter().flatten().flat_map(|pile| pile.rows_of(scope, id)).collect()
    }

    /// Follows a commit that did this.
    pub fn take_in(&mut self, news: News) {
        match news {
            News::Issued(scope, first, ids) => self.growing.take(&scope, first, &ids),
            News::Shredded(scope) => {
                let filing = self.filing.as_ref().map(|filing| &filing.pile);
                [Some(&self.growing), filing].into_iter().flatten().for_each(|pile| pile.drop_scope(&scope));
            }
        }
    }

    /// Begins to file the pile that grows, unless one is being filed or there is nothing in it.
    pub fn turn(&mut self) {
        if self.filing.is_none()
            && let Some(first) = self.growing.run_after(None)
        {
            let pile = mem::take(&mut self.growing);
            self.filing = Some(Filing { pile, stage: Stage::Filing(Arc::new(first), 0), count: 0 });
        }
    }

    /// Follows a commit that came so far with filing, or to its end.
    pub fn follow(&mut self, filed: Option<Filing>) {
        self.filing = filed;
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
        let mut left = limit;
        while let Stage::Filing(run, done) = &mut self.stage
            && left != 0
        {
            let some = &run.rows[*done..];
            let some = &some[..left.min(some.len())];
            for (id, number) in some {
                file(txn, tables, &run.scope, id, *number)?;
            }
            *done += some.len();
            self.count += some.len();
            left -= some.len();
            if *done == run.rows.len() {
                let next = self.pile.run_after(Some(run));
                self.stage = next.map_or(Stage::Clearing(None), |next| Stage::Filing(Arc::new(next), 0));
            }
        }
        let Stage::Clearing(done) = &mut self.stage else { return Ok(Some(self)) };
        let mut left = left * CLEARED_FOR_ONE;
        while let Some((scope, last)) = self.pile.scope_after(done.as_ref()) {
            let (count, all) = clear(txn, tables, &scope, last, left)?;
            left -= count;
            if all {
                *done = Some(scope);
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
