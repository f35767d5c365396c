//! A pile of mappings in memory: which rows each of them has. Nearly every mapping that comes is looked for in each pile
//! and is in none, so they are found by a hash; and they are taken out in the order of their ids, so those that begin
//! alike are in one heap. Keeps T3 with `unfiled`. Knows nothing of what is in the rows, of the disk, or of
//! when a pile is filed.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::Bound,
    sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use covault_model::{id::MappingId, issue::Scope};

/// Mappings in a heap that is not split. At most so many are sorted at a time.
const HEAP_MAX: usize = 1 << 12;
/// Heaps that one is split into: by the next four bits of ids.
const PARTS: usize = 1 << 4;
/// Splits after which no bits are left.
const SPLITS_MAX: usize = 2 * MappingId::LEN;

/// Mappings and the numbers of their rows.
#[derive(Default)]
pub(crate) struct Pile(RwLock<Held>);

#[derive(Default)]
struct Held {
    scopes: BTreeMap<Scope, OfScope>,
    count: usize,
}

#[derive(Default)]
struct OfScope {
    /// The last row of each mapping.
    heap: Heap,
    /// What other rows there are, of mappings that have several.
    earlier: BTreeSet<(MappingId, u64)>,
    /// The number of the last row of all.
    last: u64,
    count: usize,
}

type Table = HashMap<MappingId, u64>;

enum Heap {
    Whole(Table),
    /// By four bits of the ids, and so in their order.
    Split(Box<[Heap; PARTS]>),
}

/// Rows that stand side by side in the order of their mappings: those of one heap.
pub(crate) struct Run {
    /// The epoch they are of.
    pub scope: Scope,
    /// Rising; never empty.
    pub rows: Vec<(MappingId, u64)>,
}

impl Pile {
    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.held().count
    }

    /// Adds rows of these mappings, numbered from `first` on.
    pub fn take(&self, scope: &Scope, first: u64, ids: &[MappingId]) {
        let mut held = self.held_mut();
        held.count += ids.len();
        let of_scope = held.scopes.entry(scope.clone()).or_default();
        ids.iter().zip(first..).for_each(|(id, number)| of_scope.take(*id, number));
    }

    /// The numbers of the rows that a mapping has.
    pub fn rows_of(&self, scope: &Scope, id: &MappingId) -> Vec<u64> {
        let held = self.held();
        let Some(of_scope) = held.scopes.get(scope) else { return Vec::new() };
        let Some(last) = of_scope.heap.get(id, 0) else { return Vec::new() };
        of_scope.earlier_of(*id).chain([last]).collect()
    }

    /// The rows that come after those of a run, or the first ones. Of a pile that does not grow any more.
    pub fn run_after(&self, run: Option<&Run>) -> Option<Run> {
        let held = self.held();
        let from = run.map_or(Bound::Unbounded, |run| Bound::Included(&run.scope));
        held.scopes.range((from, Bound::Unbounded)).find_map(|(scope, of_scope)| {
            let after = run.filter(|run| run.scope == *scope).and_then(|run| run.rows.last());
            let rows = of_scope.rows(of_scope.heap.after(after.map(|(id, _)| id), 0)?);
            Some(Run { scope: scope.clone(), rows })
        })
    }

    /// The epoch after `after`, or the first, and the number of its last row.
    pub fn scope_after(&self, after: Option<&Scope>) -> Option<(Scope, u64)> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let held = self.held();
        let (scope, of_scope) = held.scopes.range((from, Bound::Unbounded)).next()?;
        Some((scope.clone(), of_scope.last))
    }

    /// Lets go of an epoch.
    pub fn drop_scope(&self, scope: &Scope) {
        let mut held = self.held_mut();
        let dropped = held.scopes.remove(scope);
        held.count -= dropped.as_ref().map_or(0, |of_scope| of_scope.count);
        // Nobody is to wait while memory is given back.
        drop(held);
    }

    fn held(&self) -> RwLockReadGuard<'_, Held> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn held_mut(&self) -> RwLockWriteGuard<'_, Held> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OfScope {
    fn take(&mut self, id: MappingId, number: u64) {
        self.count += 1;
        self.last = number;
        let before = self.heap.insert(id, number, 0);
        self.earlier.extend(before.map(|before| (id, before)));
    }

    fn earlier_of(&self, id: MappingId) -> impl Iterator<Item = u64> {
        self.earlier.range((id, 0)..=(id, u64::MAX)).map(|(_, number)| *number)
    }

    /// All rows of the mappings of one table, rising.
    fn rows(&self, table: &Table) -> Vec<(MappingId, u64)> {
        let rows_of = |(id, last): (&MappingId, &u64)| {
            let id = *id;
            self.earlier_of(id).chain([*last]).map(move |number| (id, number))
        };
        let mut rows: Vec<_> = table.iter().flat_map(rows_of).collect();
        rows.sort_unstable();
        rows
    }
}

impl Default for Heap {
    fn default() -> Self {
        Self::Whole(Table::default())
    }
}

impl Heap {
    /// The row of a mapping. This heap has come of so many splits.
    fn get(&self, id: &MappingId, splits: usize) -> Option<u64> {
        match self {
            Self::Whole(table) => table.get(id).copied(),
            Self::Split(parts) => parts[part_of(id, splits)].get(id, splits + 1),
        }
    }

    /// Sets the row of a mapping; gives the one it had. This heap has come of so many splits.
    fn insert(&mut self, id: MappingId, number: u64, splits: usize) -> Option<u64> {
        match self {
            Self::Whole(table) => {
                let before = table.insert(id, number);
                if HEAP_MAX < table.len() && splits < SPLITS_MAX {
                    self.split(splits);
                }
                before
            }
            Self::Split(parts) => parts[part_of(&id, splits)].insert(id, number, splits + 1),
        }
    }

    fn split(&mut self, splits: usize) {
        let Self::Whole(table) = self else { return };
        let mut parts = Box::<[Heap; PARTS]>::default();
        for (id, number) in table.drain() {
            parts[part_of(&id, splits)].insert(id, number, splits + 1);
        }
        *self = Self::Split(parts);
    }

    /// The first table that is not empty, after the one of a mapping if it is said. This heap has come of so many
    /// splits, and has that mapping.
    fn after(&self, id: Option<&MappingId>, splits: usize) -> Option<&Table> {
        match self {
            Self::Whole(table) => (id.is_none() && !table.is_empty()).then_some(table),
            Self::Split(parts) => {
                let first = id.map_or(0, |id| part_of(id, splits));
                let mut from_first = parts.iter().enumerate().skip(first);
                from_first.find_map(|(part, heap)| heap.after(id.filter(|_| part == first), splits + 1))
            }
        }
    }
}

/// The part a mapping goes to in a heap that has come of so many splits.
fn part_of(id: &MappingId, splits: usize) -> usize {
    let byte = id.0[splits / 2];
    usize::from(if splits.is_multiple_of(2) { byte >> 4 } else { byte & 15 })
}

#[cfg(test)]
mod tests {
    use std::iter::successors;

    use covault_model::{epoch::Epoch, name::CallerName};

    use super::*;

    fn scope(epoch: u32) -> Scope {
        Scope { owner: CallerName::parse("owner").expect("a name"), epoch: Epoch(epoch) }
    }

    /// Ids that share all but some bits in the middle, so that heaps are split at many depths.
    fn id(number: u64) -> MappingId {
        let spread = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) & 0xff00_0000_000f_fff0;
        MappingId((u128::from(spread) << 32).to_be_bytes())
    }

    /// All rows of a pile, in the order in which they are taken out.
    fn taken_out(pile: &Pile) -> Vec<(Scope, MappingId, u64)> {
        let runs = successors(pile.run_after(None), |run| pile.run_after(Some(run)));
        let rows_of =
            |Run { scope, rows }| rows.into_iter().map(move |(id, row)| (Scope::clone(&scope), id, row));
        runs.flat_map(rows_of).collect()
    }

    #[test]
    fn every_row_is_found_and_taken_out_once_in_the_order_of_its_mapping() {
        let (pile, mut rows) = (Pile::default(), BTreeSet::new());
        let mut count = 0;
        for number in 0..60_000 {
            // Some mappings have several rows.
            let (scope, id) = (scope((number % 3) as u32), id(number / 3 % 15_000));
            pile.take(&scope, number, &[id]);
            rows.insert((scope, id, number));
            count += 1;
            assert_eq!(pile.len(), count);
        }
        assert!(rows.iter().cloned().eq(taken_out(&pile)));
        for (scope, id, _) in &rows {
            let all = rows.range((scope.clone(), *id, 0)..=(scope.clone(), *id, u64::MAX));
            assert!(all.map(|(.., number)| *number).eq(pile.rows_of(scope, id)));
        }
        assert!(pile.rows_of(&scope(0), &MappingId([1; 16])).is_empty());
        assert!(pile.rows_of(&scope(3), &id(0)).is_empty());
    }

    #[test]
    fn ids_that_differ_in_their_last_bits_alone_are_told_apart() {
        let pile = Pile::default();
        let ids: Vec<_> = (0..3 * HEAP_MAX as u128).map(|number| MappingId(number.to_be_bytes())).collect();
        pile.take(&scope(1), 0, &ids);
        assert!(taken_out(&pile).into_iter().map(|(_, id, _)| id).eq(ids.iter().copied()));
        assert!(ids.iter().zip(0..).all(|(id, number)| pile.rows_of(&scope(1), id) == [number]));
    }

    #[test]
    fn an_epoch_that_is_dropped_leaves_the_others() {
        let pile = Pile::default();
        (1..4).for_each(|epoch| pile.take(&scope(epoch), 0, &[id(1), id(2)]));
        let first = pile.run_after(None).expect("rows of the first epoch");
        let second = pile.run_after(Some(&first)).expect("rows of the second epoch");
        pile.drop_scope(&second.scope);
        assert_eq!((pile.len(), pile.rows_of(&scope(2), &id(1))), (4, Vec::new()));
        let third = pile.run_after(Some(&second)).expect("rows of the third epoch");
        assert_eq!((&third.scope, pile.scope_after(Some(&scope(1)))), (&scope(3), Some((scope(3), 1))));
    }
}
