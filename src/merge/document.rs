//! One secret's history document. Keeps H1, H2 and H3: a record is inserted once, by the change that
//! follows from it, as soon as all its parents are; what is in the document is a function of the set of
//! records it was given.
//!
//! A record without its parents waits here and not in automerge's own queue: that would insert it when
//! they come without asking whether what it states of them is true, and a false depth makes a document
//! that cannot be read again.
//!
//! Knows nothing of disk, peers or signatures.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem, panic,
};

use automerge::{AutomergeError, ObjId, ROOT, ReadDoc, ScalarValueRef, ValueRef};
use covault_model::{
    DecodeError, decode, encode,
    history::{SecretState, derive},
    id::{self, ChangeHash, RecordId, SecretId},
    record::{Parent, Record},
};
use serde_bytes::ByteBuf;
use thiserror::Error;

use super::change::{RECORDS, change_hash_of, first_change, first_change_hash, hash_of, record_change};

/// Largest stored document, in bytes. Some 500,000 versions; no history of ours comes near it.
pub const DOCUMENT_BYTES_MAX: usize = 256 << 20;

/// The format marker of documents saved by this release.
const DOCUMENT_FORMAT: u8 = 1;

/// Format, secret, automerge document, records that wait for their parents.
type Saved = (u8, SecretId, ByteBuf, Vec<Record>);

/// The history of one secret. Two documents with the same records have the same heads, though what
/// they save may differ.
pub struct Document {
    secret: SecretId,
    inner: automerge::Automerge,
    counted: BTreeMap<RecordId, Counted>,
    /// Present only until their parents are counted; by depth, so that one pass finds parents before children.
    waiting: BTreeMap<(u64, RecordId), Record>,
}

/// What must be known of a record to check its children.
struct Counted {
    change: ChangeHash,
    depth: u64,
}

/// What became of a record that fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inserted {
    /// It counts now, and so do the records that waited only for it.
    New,
    /// It counted before; nothing changed.
    Known,
    /// Not all its parents count; it will as soon as they do.
    Waiting,
}

/// Why a record has no place in this document, now or ever. Its author did not keep to the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Unfit {
    /// It belongs to another secret.
    #[error("the record belongs to another secret")]
    OtherSecret,
    /// The change it states for this parent is not that parent's change.
    #[error("the change stated for parent {0} is not that record's")]
    ParentChange(RecordId),
    /// Its depth is not one more than that of its deepest parent.
    #[error("the stated depth does not follow from the parents")]
    Depth,
    /// A record of the same id but with another signature is here already.
    #[error("the record is known with another signature")]
    OtherSignature,
}

/// Why stored bytes are not a document. The operator must act: the disk gave back something else than was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum LoadError {
    /// Larger than [`DOCUMENT_BYTES_MAX`].
    #[error("larger than a stored document may be")]
    TooLarge,
    /// Written by a later release.
    #[error("document format {0} is newer than this release")]
    UnknownFormat(u8),
    /// Not what any release wrote.
    #[error("the stored document is damaged")]
    Damaged,
}

impl From<DecodeError> for LoadError {
    fn from(_: DecodeError) -> Self {
        Self::Damaged
    }
}

impl From<AutomergeError> for LoadError {
    fn from(_: AutomergeError) -> Self {
        Self::Damaged
    }
}

impl Document {
    /// The document of a secret without records.
    pub fn new(secret: SecretId) -> Self {
        // Its own actor is drawn at random, but never writes, so no byte depends on it.
        let mut inner = automerge::Automerge::new();
        inner.apply_changes([first_change(&secret)]).expect("an empty document takes any first change");
        Self { secret, inner, counted: BTreeMap::new(), waiting: BTreeMap::new() }
    }

    /// The document of these records, whose signatures were verified, in whatever order they come. Much
    /// cheaper than inserting many one by one; refused when one of them does not fit.
    pub fn of<'a>(secret: SecretId, records: impl IntoIterator<Item = &'a Record>) -> Result<Self, Unfit> {
        let mut document = Self::new(secret);
        for record in records {
            if !document.is_known(record)? {
                document.waiting.insert(waiting_key(record), record.clone());
            }
        }
        document.settle()?;
        Ok(document)
    }

    /// Inserts a record whose signature was verified. Waiting records for which it turns out a false
    /// parent are dropped, as they would have been refused had it come first.
    pub fn insert(&mut self, record: &Record) -> Result<Inserted, Unfit> {
        if self.is_known(record)? {
            let counts = self.counted.contains_key(&record.id());
            return Ok(if counts { Inserted::Known } else { Inserted::Waiting });
        }
        let complete = self.parents_count(record)?;
        self.waiting.insert(waiting_key(record), record.clone());
        if !complete {
            return Ok(Inserted::Waiting);
        }
        // What may be unfit is a record that waited, not this one.
        self.settle().ok();
        Ok(Inserted::New)
    }

    /// The changes that no other depends on, rising.
    pub fn heads(&self) -> Vec<ChangeHash> {
        self.inner.get_heads().iter().map(|hash| ChangeHash(hash.0)).collect()
    }

    /// A digest of the heads: equal when, and only when, the same records count.
    pub fn fingerprint(&self) -> [u8; 32] {
        let heads = self.heads();
        let parts: Vec<&[u8]> = heads.iter().map(|head| head.as_bytes().as_slice()).collect();
        id::derive("covault 2026-11 history fingerprint", &parts)
    }

    /// The records that count, by (time, id).
    pub fn records(&self) -> Vec<Record> {
        read_records(&self.inner).expect("what is in the document was a record when it was put in")
    }

    /// How many records wait for their parents.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// The state that follows from the records that count.
    pub fn state(&self) -> SecretState {
        derive(&self.records())
    }

    /// The bytes to store, waiting records included. They depend on the order of insertion.
    pub fn save(&self) -> Vec<u8> {
        let waiting = self.waiting.values().collect::<Vec<_>>();
        encode(&(DOCUMENT_FORMAT, self.secret, ByteBuf::from(self.inner.save()), waiting))
    }

    /// Reads bytes that this node stored, and makes sure that they hold nothing but what inserting
    /// their records gives. Never for bytes from elsewhere: a crafted document can make automerge use
    /// memory without bound.
    pub fn load(bytes: &[u8]) -> Result<Self, LoadError> {
        if bytes.len() > DOCUMENT_BYTES_MAX {
            return Err(LoadError::TooLarge);
        }
        // Some damaged documents make automerge panic, on loading or on the first look.
        panic::catch_unwind(|| Self::read(bytes)).unwrap_or(Err(LoadError::Damaged))
    }

    fn read(bytes: &[u8]) -> Result<Self, LoadError> {
        match bytes {
            [0x84, DOCUMENT_FORMAT, ..] => {}
            [0x84, format @ 2..=23, ..] => return Err(LoadError::UnknownFormat(*format)),
            _ => return Err(LoadError::Damaged),
        }
        let (_, secret, saved, waiting): Saved = decode(bytes)?;
        let inner = automerge::Automerge::load(&saved)?;
        let mut counted = BTreeMap::new();
        for record in read_records(&inner)? {
            let change = change_hash_of(&record);
            counted.insert(record.id(), Counted { change, depth: record.header().depth });
        }
        let mut document = Self { secret, inner, counted, waiting: BTreeMap::new() };
        document.check_changes()?;
        for record in &waiting {
            // No hash in the automerge document covers these.
            let sound = record.signature_verifies() && document.insert(record).is_ok();
            if !sound {
                return Err(LoadError::Damaged);
            }
        }
        Ok(document)
    }

    /// Makes sure that the changes are the first one and those of the records, and no other.
    fn check_changes(&self) -> Result<(), LoadError> {
        let held: BTreeSet<_> =
            self.inner.get_changes_meta(&[]).iter().map(|change| ChangeHash(change.hash.0)).collect();
        let mut meant: BTreeSet<_> = self.counted.values().map(|counted| counted.change).collect();
        meant.insert(first_change_hash(&self.secret));
        if held == meant { Ok(()) } else { Err(LoadError::Damaged) }
    }

    /// Whether this very record counts or waits here.
    fn is_known(&self, record: &Record) -> Result<bool, Unfit> {
        if record.header().secret != self.secret {
            return Err(Unfit::OtherSecret);
        }
        let same = match self.counted.get(&record.id()) {
            Some(counted) => Some(counted.change == change_hash_of(record)),
            None => self.waiting.get(&waiting_key(record)).map(|waiting| waiting == record),
        };
        if same == Some(false) { Err(Unfit::OtherSignature) } else { Ok(same.is_some()) }
    }

    /// Whether all parents count, if what the record states of those that do is true.
    fn parents_count(&self, record: &Record) -> Result<bool, Unfit> {
        let header = record.header();
        let (mut all, mut deepest) = (true, 0);
        for Parent(parent, change) in &header.parents {
            match self.counted.get(parent) {
                Some(counted) if counted.change != *change => return Err(Unfit::ParentChange(*parent)),
                Some(counted) => deepest = deepest.max(counted.depth),
                None => all = false,
            }
        }
        let depth_fits = if all { header.depth == deepest + 1 } else { deepest < header.depth };
        if depth_fits { Ok(all) } else { Err(Unfit::Depth) }
    }

    /// Inserts every waiting record whose parents count by now, and drops those that turn out unfit. With
    /// what was wrong with the last of these.
    fn settle(&mut self) -> Result<(), Unfit> {
        let (mut changes, mut outcome) = (Vec::new(), Ok(()));
        for (key, record) in mem::take(&mut self.waiting) {
            match self.parents_count(&record) {
                Ok(true) => {
                    let change = record_change(&record);
                    let counted = Counted { change: hash_of(&change), depth: record.header().depth };
                    self.counted.insert(record.id(), counted);
                    changes.push(change);
                }
                Ok(false) => {
                    self.waiting.insert(key, record);
                }
                Err(unfit) => outcome = Err(unfit),
            }
        }
        self.inner.apply_changes(changes).expect("each has an actor of its own, and its parents are there");
        outcome
    }
}

fn waiting_key(record: &Record) -> (u64, RecordId) {
    (record.header().depth, record.id())
}

/// The records in the map, by (time, id).
fn read_records(inner: &automerge::Automerge) -> Result<Vec<Record>, LoadError> {
    let (_, map): (_, ObjId) = inner.get(ROOT, RECORDS)?.ok_or(LoadError::Damaged)?;
    let mut records = Vec::with_capacity(inner.length(&map));
    for item in inner.map_range(&map, ..) {
        let ValueRef::Scalar(ScalarValueRef::Bytes(bytes)) = item.value else {
            return Err(LoadError::Damaged);
        };
        records.push(Record::from_trusted_bytes(&bytes)?);
    }
    records.sort_by_key(|record| (record.header().time, record.id()));
    Ok(records)
}
