//! What one node lacks of a secret's history that another has, without either listing it: a node names the newest
//! records it has and a few older ones, farther and farther back; whatever those build on it has too.
//! Knows nothing of peers and of what is in a record.

use std::collections::{BTreeMap, BTreeSet};

use covault_model::{id::RecordId, name::SecretPath, record::Record};
use covault_store::{StoreError, View};

use super::message::{KNOWN_MAX, Known};

/// What is here of the secret at `path`.
pub fn known(view: &View<'_>, path: &SecretPath) -> Result<Known, StoreError> {
    let rows = view.rows();
    let Some(held) = rows.secret_view(path)? else {
        return Ok(Known { path: path.clone(), has: Vec::new(), awaits: Vec::new() });
    };
    // All or none of these: one that is left out would be taken for one that is here.
    if KNOWN_MAX < held.awaited.len() {
        return Ok(Known { path: path.clone(), has: Vec::new(), awaits: Vec::new() });
    }
    let mut records = rows.records(path)?;
    records.sort_by_key(|record| std::cmp::Reverse((record.header().depth, record.id())));
    let heads = held.heads.iter().map(|head| head.id).take(KNOWN_MAX / 2);
    let older = (0..usize::BITS).map_while(|doublings| records.get((1 << doublings) - 1));
    let mut has: Vec<RecordId> = heads.chain(older.map(Record::id)).collect();
    has.sort_unstable();
    has.dedup();
    has.truncate(KNOWN_MAX);
    Ok(Known { path: path.clone(), has, awaits: held.awaited })
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
