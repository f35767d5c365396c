//! Changes as pure functions of what they insert. Keeps H1: no clock, no chance and no document is
//! asked, so the same record gives byte for byte the same change on every node.
//! Knows nothing of documents or of whether a change may be inserted.
//!
//! Every change has one operation. The first change's has counter 1, and a record's counter is one more
//! than its deepest parent's: that is `1 + depth`, which the header states.

use std::num::NonZeroU64;

use automerge::{
    ActorId, Change, ExpandedChange, ObjType, ScalarValue,
    legacy::{Key, ObjectId, Op, OpId, OpType, SortedVec},
};
use covault_model::{
    id::{ChangeHash, SecretId},
    record::{Parent, Record},
};

/// The map under the root that holds the records, each under its id in hexadecimal.
pub(super) const RECORDS: &str = "records";

/// The hash of the change that every document of `secret` begins with. A record without parents depends on it.
pub fn first_change_hash(secret: &SecretId) -> ChangeHash {
    hash_of(&first_change(secret))
}

/// The change that inserts `record`: its bytes as an uncompressed automerge change chunk, and its hash.
pub fn change_of(record: &Record) -> (Vec<u8>, ChangeHash) {
    let change = record_change(record);
    (change.raw_bytes().to_vec(), hash_of(&change))
}

/// The hash of the change that inserts `record`: what its children state of it.
pub fn change_hash_of(record: &Record) -> ChangeHash {
    hash_of(&record_change(record))
}

pub(super) fn hash_of(change: &Change) -> ChangeHash {
    ChangeHash(change.hash().0)
}

pub(super) fn first_change(secret: &SecretId) -> Change {
    let make_map = op(ObjectId::Root, RECORDS.to_owned(), OpType::Make(ObjType::Map));
    change(ActorId::from(secret.as_bytes()), NonZeroU64::MIN, 0, Vec::new(), make_map)
}

pub(super) fn record_change(record: &Record) -> Change {
    let header = record.header();
    let records = ObjectId::Id(OpId(1, ActorId::from(header.secret.as_bytes())));
    let put = OpType::Put(ScalarValue::Bytes(record.to_bytes()));
    // Rising by record id here; automerge sorts them by hash.
    let mut deps: Vec<_> =
        header.parents.iter().map(|Parent(_, change)| automerge::ChangeHash(change.0)).collect();
    if deps.is_empty() {
        deps.push(first_change(&header.secret).hash());
    }
    // Whole seconds, as automerge's own tools write and show it.
    let seconds = (header.time.millis().0 / 1000).cast_signed();
    let start_op = NonZeroU64::MIN.saturating_add(header.depth);
    let actor = ActorId::from(record.id().as_bytes());
    change(actor, start_op, seconds, deps, op(records, record.id().to_string(), put))
}

fn op(obj: ObjectId, key: String, action: OpType) -> Op {
    Op { action, obj, key: Key::Map(key.into()), pred: SortedVec::new(), insert: false }
}

fn change(
    actor_id: ActorId,
    start_op: NonZeroU64,
    time: i64,
    deps: Vec<automerge::ChangeHash>,
    operation: Op,
) -> Change {
    Change::from(ExpandedChange {
        operations: vec![operation],
        actor_id,
        author: None,
        hash: None,
        seq: 1,
        start_op,
        time,
        message: None,
        deps,
        extra_bytes: Vec::new(),
    })
}
