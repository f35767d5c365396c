//! The state of one secret as a fold over the set of its records.
//! Keeps H3: [`SecretState::insert`] is commutative and idempotent, so neither order nor repetition matters.
//! Views are compared with this. It counts every record it is given: which ones count (their parents
//! known, their stated parent changes true) is decided by `src/merge` before.
//! Knows nothing of the registry's numbers, of destroyed payloads or of where records are kept.

use alloc::collections::{BTreeMap, BTreeSet};

use crate::{
    hlc::Hlc,
    id::{NodeId, RecordId, VersionId},
    line::Place,
    marks::{Mark, Stamp, Stamped},
    name::{CallerName, Description, LabelKey, LabelValue},
    record::{Body, Parent, Record, VersionBody},
};

/// All that follows from a set of records of one secret. Equal for equal sets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SecretState {
    /// The versions, in the order of their line.
    pub line: BTreeMap<Place, VersionFacts>,
    /// The label marks that hold; one without a value says that the label was taken away.
    pub labels: BTreeMap<LabelKey, Stamped<Option<LabelValue>>>,
    /// The description mark that holds; absent when there was never one.
    pub description: Option<Stamped<Option<Description>>>,
    /// The delete marks that hold, whether or not the version they name is known.
    pub deleted: BTreeMap<VersionId, Stamped<bool>>,
    /// The records that no other names as a parent, each with its depth: the parents of the next record.
    pub heads: BTreeMap<RecordId, u64>,
    /// All records inserted so far. Without it a record that came again after its child would look like a head.
    seen: BTreeSet<RecordId>,
    /// Named as a parent by a record that came first. One of these is no head when it comes.
    awaited: BTreeSet<RecordId>,
}

/// What a version's record says of it, beside its time and id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionFacts {
    /// The node that made and signed it.
    pub author: NodeId,
    /// The caller on whose behalf.
    pub caller: CallerName,
    /// The version.
    pub body: VersionBody,
}

/// The state that follows from `records`.
pub fn derive<'a>(records: impl IntoIterator<Item = &'a Record>) -> SecretState {
    let mut state = SecretState::default();
    for record in records {
        state.insert(record);
    }
    state
}

impl SecretState {
    /// Takes in a record. `false`, and nothing changes, when it is known.
    pub fn insert(&mut self, record: &Record) -> bool {
        if !self.seen.insert(record.id()) {
            return false;
        }
        self.link(record);
        let header = record.header();
        match &header.body {
            Body::Version(body) => {
                let facts =
                    VersionFacts { author: header.author, caller: header.caller.clone(), body: body.clone() };
                self.line.insert(Place { time: header.time, id: record.id() }, facts);
            }
            Body::Marks(marks) => self.merge(marks, header.time, record.id()),
        }
        true
    }

    fn link(&mut self, record: &Record) {
        if !self.awaited.remove(&record.id()) {
            self.heads.insert(record.id(), record.header().depth);
        }
        for Parent(parent, _) in &record.header().parents {
            self.heads.remove(parent);
            if !self.seen.contains(parent) {
                self.awaited.insert(*parent);
            }
        }
    }

    fn merge(&mut self, marks: &[Mark], time: Hlc, id: RecordId) {
        let stamp = Stamp(time, id);
        for mark in marks {
            match mark {
                Mark::Label(key, value) => merge_key(&mut self.labels, key, stamp, value.clone()),
                Mark::Description(text) => Stamped::merge(&mut self.description, stamp, text.clone()),
                Mark::Deleted(version, deleted) => {
                    merge_key(&mut self.deleted, version, stamp, *deleted);
                }
            }
        }
    }
}

fn merge_key<K: Ord + Clone, T>(held: &mut BTreeMap<K, Stamped<T>>, key: &K, stamp: Stamp, value: T) {
    let mut one = held.remove(key);
    Stamped::merge(&mut one, stamp, value);
    held.extend(one.map(|holds| (key.clone(), holds)));
}
