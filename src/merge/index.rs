//! Which secrets' histories differ between two nodes, found without listing them: range-based set
//! reconciliation over one item per secret. An item changes when its history does; both versions of it lie side
//! by side, since they are ordered by the secret first, so that a difference costs half the bytes.
//! The one door of the reconciliation library. Keeps X5 with `search`. Knows nothing of peers,
//! of the disk, or of what is in a history.

use std::collections::BTreeSet;

use covault_model::{
    id::{RecordId, SecretId, derive},
    name::SecretPath,
};
use covault_store::{Change, Newest};
use negentropy::{Bound, Id, Item, Negentropy, NegentropyStorageBase};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteArray;

use super::{
    message::SEARCH_BYTES_MAX,
    stretches::{self, Span, Stretches},
};

/// Differences that one search finds at most; the next one finds the rest.
const FOUND_MAX: usize = 1 << 20;

/// A secret and the records it has: a digest of its id, of the records that none of its others names as a
/// parent, and of those that were named and have not arrived. These two say which records there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ItemId(ByteArray<32>);

impl ItemId {
    /// The item of a secret of which these are the newest records.
    pub fn new(secret: &SecretId, Newest { heads, awaited }: &Newest) -> Self {
        let run = |ids: &[RecordId]| ids.iter().flat_map(|id| id.0).collect::<Vec<u8>>();
        let parts = [secret.as_bytes().as_slice(), &run(heads), &run(awaited)];
        Self(ByteArray::new(derive("covault 2026-11 history item", &parts)))
    }
}

/// What the peer sent is no message of a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a message of a search for differences")]
pub struct Garbled;

/// Items stand in so many heaps, by the beginning of their secrets' ids, so that one comes among few others.
const HEAPS: usize = 1 << 12;
/// The stretch of an item whose secret may be anywhere.
const ANYWHERE: u32 = u32::MAX;

/// The items of a node, to be compared with another's. It follows each change, so that it is made from what the store
/// has once.
pub struct Index {
    /// Each rising, and all items of one before those of the next.
    heaps: Vec<Vec<Indexed>>,
    stretches: Stretches,
}

/// An item, and in which stretch of the store its secret is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Indexed {
    order: Order,
    id: [u8; 32],
    /// As bytes, which take no room between two items.
    stretch: [u8; 4],
}

/// Where a secret stands among the items: the beginning of its id. Six bytes keep bounds short, and two secrets rarely
/// share them.
type Order = [u8; 6];

/// Pieces that are cut off a stretch at once.
const PIECES_MAX: u32 = 3;

/// A stretch off whose beginning pieces are cut.
pub struct Cut {
    of: u32,
    /// Its secrets since the last piece.
    since: Vec<Order>,
    pieces: u32,
}

/// Where some secrets are that are looked for.
#[derive(Debug, Default)]
pub struct Whereabouts {
    wanted: BTreeSet<Order>,
    /// All of them are within these.
    pub spans: BTreeSet<Span>,
}

impl Default for Index {
    fn default() -> Self {
        Self { heaps: vec![Vec::new(); HEAPS], stretches: Stretches::default() }
    }
}

impl Index {
    /// Adds a secret that comes after all that were added, before any change is followed.
    pub fn append(&mut self, path: &SecretPath, item: ItemId) {
        let order = order_of(&path.id());
        let stretch = self.stretches.append(path);
        self.insert(order, item, stretch);
    }

    /// Follows changes of one secret, in the order in which they were made. They may have been seen by what was added.
    pub fn follow(&mut self, changes: &[Change]) {
        let Some(Change { path, secret, .. }) = changes.first() else { return };
        let told = changes.iter().flat_map(|change| change.before.iter().chain([&change.now]));
        let told: Vec<_> = told.map(|newest| ItemId::new(secret, newest)).collect();
        let (Some(now), order) = (told.last(), order_of(secret)) else { return };
        let held = told.iter().filter_map(|item| self.remove(order, *item)).last();
        let stretch = held.unwrap_or_else(|| self.stretches.insert(path));
        self.insert(order, *now, stretch);
    }

    /// Begins to cut a stretch that has become too long, if there is one. The secrets that the store has in its span are to
    /// be laid, from the first one on.
    pub fn begin_cut(&mut self) -> Option<(Cut, Span)> {
        let (of, span) = self.stretches.long()?;
        Some((Cut { of, since: Vec::new(), pieces: 0 }, span))
    }

    /// Lays the next secret of a stretch that is being cut, if it has an item: those before it are a piece by themselves
    /// once they are enough for one. Whether to go on.
    pub fn lay(&mut self, cut: &mut Cut, path: SecretPath) -> bool {
        let order = order_of(&path.id());
        if self.in_stretch(order, cut.of).is_none() {
            return true;
        }
        if cut.since.len() == stretches::LEN as usize {
            let piece = self.stretches.cut_off(cut.of, path).to_be_bytes();
            for order in cut.since.drain(..) {
                if let Some(indexed) = self.in_stretch(order, cut.of) {
                    indexed.stretch = piece;
                }
            }
            cut.pieces += 1;
        }
        cut.since.push(order);
        cut.pieces < PIECES_MAX
    }

    /// Ends a cut. What was not laid is cut later, unless all was.
    pub fn end_cut(&mut self, cut: Cut, all_laid: bool) {
        self.stretches.was_cut(cut.of, all_laid.then_some(cut.since.len() as u32));
    }

    fn in_stretch(&mut self, order: Order, number: u32) -> Option<&mut Indexed> {
        let of = number.to_be_bytes();
        of_order(&mut self.heaps[heap_of(order)], order).find(|held| held.stretch == of)
    }

    /// Where the secrets are whose items these are. Looks through all items; that is far less than what is done with
    /// what is found.
    pub fn whereabouts(&self, items: &[ItemId]) -> Whereabouts {
        let wanted: BTreeSet<&[u8; 32]> = items.iter().map(|item| &*item.0).collect();
        let mut found = Whereabouts::default();
        for indexed in self.heaps.iter().flatten().filter(|indexed| wanted.contains(&indexed.id)) {
            found.wanted.insert(indexed.order);
            found.spans.insert(match u32::from_be_bytes(indexed.stretch) {
                ANYWHERE => Span::default(),
                number => self.stretches.span(number),
            });
        }
        found
    }

    /// Answers a message of another node's search.
    pub fn answer(&self, message: &[u8]) -> Result<Vec<u8>, Garbled> {
        self.comparison().reconcile(message).map_err(|_| Garbled)
    }

    fn insert(&mut self, order: Order, item: ItemId, stretch: u32) {
        let heap = &mut self.heaps[heap_of(order)];
        let mut indexed = Indexed { order, id: *item.0, stretch: stretch.to_be_bytes() };
        // A stretch is cut by looking for what is of this order in it, and that must be of one secret.
        for other in of_order(heap, order) {
            (other.stretch, indexed.stretch) = (ANYWHERE.to_be_bytes(), ANYWHERE.to_be_bytes());
        }
        if heap.len() == heap.capacity() {
            // Doubling it, as is usual, would leave a third of all room unused.
            heap.reserve_exact(1 + heap.len() / 16);
        }
        heap.insert(heap.partition_point(|other| *other < indexed), indexed);
    }

    /// Takes an item out; gives its stretch, if it was there.
    fn remove(&mut self, order: Order, item: ItemId) -> Option<u32> {
        let heap = &mut self.heaps[heap_of(order)];
        let at = heap.binary_search_by(|held| (held.order, held.id).cmp(&(order, *item.0))).ok()?;
        Some(u32::from_be_bytes(heap.remove(at).stretch))
    }

    fn comparison(&self) -> Negentropy<'_, Laid<'_>> {
        Negentropy::owned(Laid::new(self), SEARCH_BYTES_MAX as u64).expect("the bound is above the least")
    }
}

impl Whereabouts {
    /// Whether this is one of those that are looked for, or, rarely, another that looks like one.
    pub fn has(&self, secret: &SecretPath) -> bool {
        self.wanted.contains(&order_of(&secret.id()))
    }
}

impl Indexed {
    fn item(&self) -> Item {
        let [a, b, c, d, e, f] = self.order;
        Item::with_timestamp_and_id(
            u64::from_be_bytes([0, 0, a, b, c, d, e, f]),
            Id::from_byte_array(self.id),
        )
    }
}

/// The items as one row, for one message.
struct Laid<'a> {
    heaps: &'a [Vec<Indexed>],
    /// Where each heap ends in the row.
    ends: Vec<usize>,
}

impl<'a> Laid<'a> {
    fn new(index: &'a Index) -> Self {
        let mut end = 0;
        let ends = index.heaps.iter().map(|heap| {
            end += heap.len();
            end
        });
        Self { ends: ends.collect(), heaps: &index.heaps }
    }

    /// Where a heap begins in the row.
    fn begin_of(&self, heap: usize) -> usize {
        heap.checked_sub(1).map_or(0, |before| self.ends[before])
    }

    /// The items from one on.
    fn items_from(&self, at: usize) -> impl Iterator<Item = &'a Indexed> {
        let heap = self.ends.partition_point(|end| *end <= at);
        let mut heaps = self.heaps[heap..].iter();
        let first = heaps.next().and_then(|first| first.get(at - self.begin_of(heap)..));
        first.unwrap_or_default().iter().chain(heaps.flatten())
    }
}

impl NegentropyStorageBase for Laid<'_> {
    fn size(&self) -> Result<usize, negentropy::Error> {
        Ok(self.ends.last().copied().unwrap_or_default())
    }

    fn get_item(&self, at: usize) -> Result<Option<Item>, negentropy::Error> {
        Ok(self.items_from(at).next().map(Indexed::item))
    }

    fn iterate(
        &self,
        begin: usize,
        end: usize,
        each: &mut dyn FnMut(Item, usize) -> Result<bool, negentropy::Error>,
    ) -> Result<(), negentropy::Error> {
        if end < begin || self.size()? < end {
            return Err(negentropy::Error::BadRange);
        }
        for (at, indexed) in (begin..end).zip(self.items_from(begin)) {
            if !each(indexed.item(), at)? {
                break;
            }
        }
        Ok(())
    }

    fn find_lower_bound(&self, first: usize, last: usize, bound: &Bound) -> usize {
        let [0, 0, order @ ..] = bound.item.timestamp.to_be_bytes() else { return last };
        let heap = heap_of(order);
        let within = self.heaps[heap].partition_point(|indexed| indexed.item() < bound.item);
        (self.begin_of(heap) + within).clamp(first, last)
    }
}

/// A search for what another node has and this one lacks. The index may follow changes between two messages: what
/// changes meanwhile may be found or not.
pub struct Search {
    found: Vec<ItemId>,
}

impl Search {
    /// Begins; gives the first message.
    pub fn begin(index: &Index) -> (Self, Vec<u8>) {
        let first = index.comparison().initiate().expect("a search is begun once");
        (Self { found: Vec::new() }, first)
    }

    /// Takes in an answer; gives the next message unless the search has ended.
    pub fn take_in(&mut self, index: &Index, answer: &[u8]) -> Result<Option<Vec<u8>>, Garbled> {
        let mut comparison = index.comparison();
        comparison.set_initiator();
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        let next = comparison.reconcile_with_ids(answer, &mut ours, &mut theirs).map_err(|_| Garbled)?;
        self.found.extend(theirs.into_iter().map(|id| ItemId(ByteArray::new(id.to_bytes()))));
        Ok(next.filter(|_| self.found.len() < FOUND_MAX))
    }

    /// The other node's items that this one lacks, rising.
    pub fn found(mut self) -> Vec<ItemId> {
        self.found.sort_unstable();
        self.found.dedup();
        self.found
    }
}

fn order_of(secret: &SecretId) -> Order {
    let [a, b, c, d, e, f, ..] = *secret.as_bytes();
    [a, b, c, d, e, f]
}

/// Those of a heap that are of this order.
fn of_order(heap: &mut [Indexed], order: Order) -> impl Iterator<Item = &mut Indexed> {
    let first = heap.partition_point(|held| held.order < order);
    heap[first..].iter_mut().take_while(move |held| held.order == order)
}

fn heap_of([first, second, ..]: Order) -> usize {
    usize::from(u16::from_be_bytes([first, second])) >> (u16::BITS - HEAPS.ilog2())
}
