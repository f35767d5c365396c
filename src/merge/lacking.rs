//! What one node lacks of a secret's history that another has, without either listing it: a node names the newest
//! records it has and a few older ones, farther and farther back; whatever those build on it has too.
//! Keeps X5 with `search`. Knows nothing of peers and of what is in a record.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use covault_model::{id::RecordId, name::SecretPath, record::Record};
use covault_store::{StoreError, View};

use super::message::{KNOWN_MAX, Known};

/// How many of the records that a peer sent though they were here it is told of.
const FLOOR_MAX: usize = KNOWN_MAX / 4;

/// What a peer sent of a secret though it was here, since it could not tell. So that it goes on behind that, it is told
/// of the deepest of it.
#[derive(Default)]
pub struct Floor(BTreeSet<(u64, RecordId)>);

impl Floor {
    /// Adds records with their depths; false if all of them were there.
    pub fn rises(&mut self, records: Vec<(u64, RecordId)>) -> bool {
        let before = self.0.len();
        self.0.extend(records);
        before < self.0.len()
    }

    /// Has what is known of the secret say so.
    pub fn lift(&self, known: &mut Known) {
        let deepest: Vec<RecordId> = self.0.iter().rev().take(FLOOR_MAX).map(|(_, id)| *id).collect();
        known.has.truncate(KNOWN_MAX - deepest.len());
        known.has.extend(deepest);
    }
}

/// What is here of the secret at `path`.
pub fn known(view: &View<'_>, path: &SecretPath) -> Result<Known, StoreError> {
    let rows = view.rows();
    let Some(held) = rows.secret_view(path)? else {
        return Ok(Known { path: path.clone(), has: Vec::new(), awaits: Vec::new() });
    };
    let (mut records, mut awaits) = (rows.records(path)?, held.awaited);
    records.sort_by_key(|record| Reverse((record.header().depth, record.id())));
    if KNOWN_MAX < awaits.len() {
        // One that is left out would be taken for one that is here: what builds on any is not told of instead.
        (records, awaits) = (whole(records), Vec::new());
    }
    let named: BTreeSet<&RecordId> = records.iter().flat_map(parents).collect();
    let heads = records.iter().map(Record::id).filter(|id| !named.contains(id)).take(KNOWN_MAX / 2);
    let older = (0..usize::BITS).map_while(|doublings| records.get((1 << doublings) - 1));
    let mut has: Vec<RecordId> = heads.chain(older.map(Record::id)).collect();
    has.sort_unstable();
    has.dedup();
    has.truncate(KNOWN_MAX);
    Ok(Known { path: path.clone(), has, awaits })
}

/// Those of the records, which come deepest first, that build on nothing that is not among them.
fn whole(mut records: Vec<Record>) -> Vec<Record> {
    let mut whole = BTreeSet::new();
    for record in records.iter().rev() {
        if parents(record).all(|parent| whole.contains(parent)) {
            whole.insert(record.id());
        }
    }
    records.retain(|record| whole.contains(&record.id()));
    records
}

fn parents(record: &Record) -> impl Iterator<Item = &RecordId> {
    record.header().parents.iter().map(|parent| &parent.0)
}

/// The records of a secret that a node lacks which has this much of it, parents before children. A few that it
/// has may be among them.
pub fn lacked(records: Vec<Record>, known: &Known) -> Vec<Record> {
    let by_id: BTreeMap<RecordId, Record> = records.into_iter().map(|record| (record.id(), record)).collect();
    let awaited: BTreeSet<&RecordId> = known.awaits.iter().collect();
    let (mut there, mut next) = (BTreeSet::new(), known.has.clone());
    while let Some(id) = next.pop() {
        let Some(record) = by_id.get(&id) else { continue };
        if !awaited.contains(&id) && there.insert(id) {
            next.extend(record.header().parents.iter().map(|parent| parent.0));
        }
    }
    let mut lacked: Vec<Record> =
        by_id.into_iter().filter(|(id, _)| !there.contains(id)).map(|(_, record)| record).collect();
    lacked.sort_by_key(|record| (record.header().depth, record.id()));
    lacked
}
