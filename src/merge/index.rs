//! Which secrets' histories differ between two nodes, found without listing them: range-based set
//! reconciliation over one item per secret. An item changes when its history does; both versions of it lie side
//! by side, since they are ordered by the secret first, so that a difference costs half the bytes.
//! The one door of the reconciliation library. Knows nothing of disk, peers or what is in a history.

use covault_model::{
    id::{RecordId, SecretId, derive},
    name::SecretPath,
};
use covault_store::SecretView;
use negentropy::{Id, Negentropy, NegentropyStorageVector};
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

/// The items of a node, ready to be compared with another's.
pub struct Index {
    items: NegentropyStorageVector,
    /// By item.
    paths: Vec<(ItemId, SecretPath)>,
}

impl Index {
    /// The index of these secrets.
    pub fn of(mut paths: Vec<(ItemId, SecretPath)>) -> Self {
        let mut items = NegentropyStorageVector::with_capacity(paths.len());
        for (item, path) in &paths {
            let inserted = items.insert(order_of(&path.id()), Id::from_byte_array(*item.0));
            inserted.expect("items are inserted before the index is sealed");
        }
        items.seal().expect("an index is sealed once");
        paths.sort_unstable();
        Self { items, paths }
    }

    /// The secret whose item this is.
    pub fn path_of(&self, item: &ItemId) -> Option<&SecretPath> {
        let at = self.paths.binary_search_by_key(item, |(item, _)| *item).ok()?;
        Some(&self.paths[at].1)
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

    fn comparison(&self) -> Negentropy<'_, NegentropyStorageVector> {
        Negentropy::borrowed(&self.items, SEARCH_BYTES_MAX as u64).expect("the bound is above the least")
    }
}

/// A search for what another node has and this one lacks.
pub struct Search<'a> {
    comparison: Negentropy<'a, NegentropyStorageVector>,
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

/// Where a secret stands among the items. Six bytes keep bounds short, and two secrets rarely share them.
fn order_of(secret: &SecretId) -> u64 {
    let [a, b, c, d, e, f, ..] = *secret.as_bytes();
    u64::from_be_bytes([0, 0, a, b, c, d, e, f])
}
