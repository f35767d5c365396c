//! Which secrets' histories differ between two nodes, found without listing them: range-based set
//! reconciliation over one item per secret. An item changes when its history does; both versions of it lie side
//! by side, since they are ordered by the secret first, so that a difference costs half the bytes.
//! The one door of the reconciliation library. Knows nothing of peers or what is in a history, and of the disk only in
//! which order secrets stand there.

use std::collections::{BTreeMap, BTreeSet};

use covault_model::{
    id::{RecordId, SecretId, derive},
    name::SecretPath,
};
use covault_store::SecretView;
use negentropy::{Bound, Id, Item, Negentropy, NegentropyStorageBase};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteArray;

use super::message::SEARCH_BYTES_MAX;

/// Differences that one search finds at most; the next one finds the rest.
const FOUND_MAX: usize = 1 << 20;

/// A secret and the records it has: a digest of its id, of the records that none of its others names as a
/// parent, and of those that were named and have not arrived. These two say which records there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ItemId(ByteArray<32>);

impl ItemId {
    /// The item of a secret whose view this is.
    pub fn of(secret: &SecretId, view: &SecretView) -> Self {
        let heads: Vec<RecordId> = view.heads.iter().map(|head| head.id).collect();
        Self::new(secret, &heads, &view.awaited)
    }

    /// The item of a secret with these heads and awaited records, each rising.
    pub fn new(secret: &SecretId, heads: &[RecordId], awaited: &[RecordId]) -> Self {
        let run = |ids: &[RecordId]| ids.iter().flat_map(|id| id.0).collect::<Vec<u8>>();
        let parts = [secret.as_bytes().as_slice(), &run(heads), &run(awaited)];
        Self(ByteArray::new(derive("covault 2026-11 history item", &parts)))
    }
}

/// What the peer sent is no message of a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a message of a search for differences")]
pub struct Garbled;

/// Secrets that stand side by side in the store, so many together: which one of them an item is of is looked up there
/// when it is asked for. A path for every item took three times the memory of the items.
const STRETCH_LEN: usize = 16;

/// The items of a node, ready to be compared with another's.
#[derive(Default)]
pub struct Index {
    /// Rising.
    items: Vec<Indexed>,
    /// The last secret of each stretch.
    ends: Vec<SecretPath>,
}

/// An item, and where in the store its secret is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Indexed {
    order: Order,
    id: [u8; 32],
    stretch: u32,
}

/// Where a secret stands among the items: the beginning of its id. Six bytes keep bounds short, and two secrets rarely
/// share them.
type Order = [u8; 6];

/// An index that is being made.
pub struct Making {
    index: Index,
}

/// Secrets side by side, some of which are looked for.
pub struct Stretch<'a> {
    /// They come after this one, or are the first.
    pub after: Option<&'a SecretPath>,
    /// The last of them.
    pub last: &'a SecretPath,
    wanted: Vec<Order>,
}

impl Index {
    /// Makes an index of about so many secrets in the room of this one, or in more where that is too little.
    pub fn begin_again(self, secrets: usize) -> Making {
        // More secrets may come meanwhile, and growing would need the room of both.
        let room = secrets + secrets / 8;
        let mut items = self.items;
        items.clear();
        if items.capacity() < room {
            drop(items);
            items = Vec::with_capacity(room);
        }
        Making { index: Self { items, ends: Vec::new() } }
    }

    /// Where the secrets are whose items these are. Looks through all items; that is far less than what is done with
    /// what is found.
    pub fn stretches_of(&self, items: &[ItemId]) -> Vec<Stretch<'_>> {
        let wanted: BTreeSet<&[u8; 32]> = items.iter().map(|item| &*item.0).collect();
        let mut found: BTreeMap<usize, Vec<Order>> = BTreeMap::new();
        for indexed in self.items.iter().filter(|indexed| wanted.contains(&indexed.id)) {
            found.entry(indexed.stretch as usize).or_default().push(indexed.order);
        }
        let stretch = |(at, wanted): (usize, _)| Stretch {
            after: at.checked_sub(1).map(|before| &self.ends[before]),
            last: &self.ends[at],
            wanted,
        };
        found.into_iter().map(stretch).collect()
    }

    /// Answers a message of another node's search.
    pub fn answer(&self, message: &[u8]) -> Result<Vec<u8>, Garbled> {
        self.comparison().reconcile(message).map_err(|_| Garbled)
    }

    /// Begins a search; gives it with its first message.
    pub fn search(&self) -> (Search<'_>, Vec<u8>) {
        let mut comparison = self.comparison();
        let first = comparison.initiate().expect("a search is begun once");
        (Search { comparison, found: Vec::new() }, first)
    }

    fn comparison(&self) -> Negentropy<'_, Self> {
        Negentropy::borrowed(self, SEARCH_BYTES_MAX as u64).expect("the bound is above the least")
    }
}

impl Making {
    /// Adds a secret, which comes after those that were added before.
    pub fn add(&mut self, path: SecretPath, item: ItemId) {
        let Index { items, ends } = &mut self.index;
        let stretch = (items.len() / STRETCH_LEN) as u32;
        items.push(Indexed { order: order_of(&path.id()), id: *item.0, stretch });
        ends.truncate(stretch as usize);
        ends.push(path);
    }

    /// The index of what was added.
    pub fn done(self) -> Index {
        let mut index = self.index;
        index.items.sort_unstable();
        index
    }
}

impl Stretch<'_> {
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

impl NegentropyStorageBase for Index {
    fn size(&self) -> Result<usize, negentropy::Error> {
        Ok(self.items.len())
    }

    fn get_item(&self, at: usize) -> Result<Option<Item>, negentropy::Error> {
        Ok(self.items.get(at).map(Indexed::item))
    }

    fn iterate(
        &self,
        begin: usize,
        end: usize,
        each: &mut dyn FnMut(Item, usize) -> Result<bool, negentropy::Error>,
    ) -> Result<(), negentropy::Error> {
        let range = self.items.get(begin..end).ok_or(negentropy::Error::BadRange)?;
        for (at, indexed) in (begin..).zip(range) {
            if !each(indexed.item(), at)? {
                break;
            }
        }
        Ok(())
    }

    fn find_lower_bound(&self, first: usize, last: usize, bound: &Bound) -> usize {
        first + self.items[first..last].partition_point(|indexed| indexed.item() < bound.item)
    }
}

/// A search for what another node has and this one lacks.
pub struct Search<'a> {
    comparison: Negentropy<'a, Index>,
    found: Vec<ItemId>,
}

impl Search<'_> {
    /// Takes in an answer; gives the next message unless the search has ended.
    pub fn take_in(&mut self, answer: &[u8]) -> Result<Option<Vec<u8>>, Garbled> {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        let next = self.comparison.reconcile_with_ids(answer, &mut ours, &mut theirs);
        let next = next.map_err(|_| Garbled)?;
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
