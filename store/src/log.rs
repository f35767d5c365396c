//! The Raft log as bytes by index. Knows nothing of terms, votes or what an entry holds.
//!
//! An entry lies in parts, each small enough for a page of the tree: LMDB would put a longer row on pages of
//! its own, and finding free ones side by side makes it read and write back ever more of its free list.

use std::ops::{Bound, RangeInclusive};

use crate::{error::StoreError, txn::Txn, view::Rows};

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// Its index.
    pub index: u64,
    /// What consensus wrote there; not empty.
    pub bytes: Vec<u8>,
}

/// Bytes of an entry in one row. Two rows with their keys fill a page of 4,096 bytes.
const PART_LEN_MAX: usize = 2016;
/// Bytes in the key of a part: its entry's index and its number, both big end first.
const KEY_LEN: usize = 8 + 2;

fn key(index: u64, part: u16) -> [u8; KEY_LEN] {
    let mut key = [0; KEY_LEN];
    key[..8].copy_from_slice(&index.to_be_bytes());
    key[8..].copy_from_slice(&part.to_be_bytes());
    key
}

fn read_key(key: &[u8]) -> Result<u64, StoreError> {
    match key.split_first_chunk::<8>() {
        Some((index, rest)) if rest.len() == 2 => Ok(u64::from_be_bytes(*index)),
        _ => Err(StoreError::Inconsistent("a key of the log is not an index and a part")),
    }
}

impl Rows<'_> {
    /// The entries of `range` that exist, in order.
    pub fn log(&self, range: RangeInclusive<u64>) -> Result<Vec<LogEntry>, StoreError> {
        let mut entries: Vec<LogEntry> = Vec::new();
        if range.is_empty() {
            return Ok(entries);
        }
        let (from, to) = (key(*range.start(), 0), key(*range.end(), u16::MAX));
        let bounds = (Bound::Included(from.as_slice()), Bound::Included(to.as_slice()));
        for row in self.tables.log.range(self.txn, &bounds)? {
            let (key, part) = row?;
            let index = read_key(key)?;
            match entries.last_mut() {
                Some(entry) if entry.index == index => entry.bytes.extend_from_slice(part),
                _ => entries.push(LogEntry { index, bytes: part.to_vec() }),
            }
        }
        Ok(entries)
    }

    /// The last entry.
    pub fn last_log(&self) -> Result<Option<LogEntry>, StoreError> {
        let Some((key, _)) = self.tables.log.last(self.txn)? else { return Ok(None) };
        let index = read_key(key)?;
        Ok(self.log(index..=index)?.pop())
    }
}

impl Txn<'_> {
    /// Writes one entry at its index, in place of what was there.
    pub fn put_log(&mut self, entry: &LogEntry) -> Result<(), StoreError> {
        let log = self.tables().log;
        let mut parts = 0_u16;
        for bytes in entry.bytes.chunks(PART_LEN_MAX) {
            self.put(log, &key(entry.index, parts), bytes)?;
            let next = parts.checked_add(1);
            parts = next.ok_or(StoreError::Inconsistent("a log entry has too many parts"))?;
        }
        let rest = (Bound::Included(key(entry.index, parts)), Bound::Included(key(entry.index, u16::MAX)));
        self.delete_rows(rest)
    }

    /// Takes away the entries of `range`.
    pub fn delete_log(&mut self, range: RangeInclusive<u64>) -> Result<(), StoreError> {
        self.delete_rows((
            Bound::Included(key(*range.start(), 0)),
            Bound::Included(key(*range.end(), u16::MAX)),
        ))
    }

    fn delete_rows(
        &mut self,
        (from, to): (Bound<[u8; KEY_LEN]>, Bound<[u8; KEY_LEN]>),
    ) -> Result<(), StoreError> {
        let log = self.tables().log;
        let bounds = (from.as_ref().map(|key| key.as_slice()), to.as_ref().map(|key| key.as_slice()));
        log.delete_range(self.raw(), &bounds)?;
        Ok(())
    }

    /// Takes away the first `rows_max` rows of the entries below `end`. `false` when none is left of them.
    pub fn purge_log(&mut self, end: u64, rows_max: usize) -> Result<bool, StoreError> {
        let log = self.tables().log;
        for _ in 0..rows_max {
            match log.first(self.raw())? {
                Some((first, _)) if read_key(first)? < end => {
                    let first = first.to_vec();
                    self.delete(log, &first)?;
                }
                _ => return Ok(false),
            }
        }
        Ok(true)
    }
}
