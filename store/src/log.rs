//! The Raft log as bytes by index. Knows nothing of terms, votes or what an entry holds.

use std::ops::{Bound, RangeInclusive};

use crate::{error::StoreError, txn::Txn, view::Rows};

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// Its index.
    pub index: u64,
    /// What consensus wrote there.
    pub bytes: Vec<u8>,
}

impl Rows<'_> {
    /// The entries of `range` that exist, in order.
    pub fn log(&self, range: RangeInclusive<u64>) -> Result<Vec<LogEntry>, StoreError> {
        if range.is_empty() {
            return Ok(Vec::new());
        }
        let (from, to) = (range.start().to_be_bytes(), range.end().to_be_bytes());
        self.tables
            .log
            .range(self.txn, &(Bound::Included(from.as_slice()), Bound::Included(to.as_slice())))?
            .map(|row| read(row?))
            .collect()
    }

    /// The last entry.
    pub fn last_log(&self) -> Result<Option<LogEntry>, StoreError> {
        self.tables.log.last(self.txn)?.map(read).transpose()
    }
}

impl Txn<'_> {
    /// Writes one entry at its index.
    pub fn put_log(&mut self, entry: &LogEntry) -> Result<(), StoreError> {
        self.put(self.tables().log, &entry.index.to_be_bytes(), &entry.bytes)
    }

    /// Takes away the entries of `range`.
    pub fn delete_log(&mut self, range: RangeInclusive<u64>) -> Result<(), StoreError> {
        let (from, to) = (range.start().to_be_bytes(), range.end().to_be_bytes());
        let log = self.tables().log;
        log.delete_range(self.raw(), &(Bound::Included(from.as_slice()), Bound::Included(to.as_slice())))?;
        Ok(())
    }
}

fn read((key, bytes): (&[u8], &[u8])) -> Result<LogEntry, StoreError> {
    let index = key.try_into().map(u64::from_be_bytes);
    let index = index.map_err(|_| StoreError::Inconsistent("a log index is not eight bytes"))?;
    Ok(LogEntry { index, bytes: bytes.to_vec() })
}
