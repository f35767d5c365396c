//! The registry as bytes, for a node that is far behind, and from bytes. Histories travel as records, not
//! in here. Format: marker, then a CBOR array of (table, key, row). Bounded by its input.

use std::ops::Bound;

use covault_model::{
    DecodeError, decode, encode,
    epoch::Epochs,
    field::FieldRule,
    id::{ClusterId, RecordId},
    line::Place,
    name::MasterKeyName,
    registry::{CallerEntry, Grant, KeyCheck, Outcome, Registry, Remembered, SecretEntry, TokenEntry},
    roster::Roster,
};
use serde_bytes::ByteBuf;

use crate::{
    error::StoreError,
    keys::{self, Kind},
    open::Store,
    rows::{from_row, to_row},
    tables::{Meta, Table, Tables},
    txn::Txn,
    view::Rows,
};

const SNAPSHOT_FORMAT: u8 = 1;

/// A key and what is under it.
type Row = (Vec<u8>, Vec<u8>);
type Export = (u8, Vec<(u8, ByteBuf, ByteBuf)>);

impl Tables {
    /// The tables that are registry and nothing else. The order is part of the snapshot's format.
    fn registry(&self) -> [Table; 9] {
        [
            self.callers,
            self.tokens,
            self.caller_tokens,
            self.grants,
            self.remembered,
            self.keys,
            self.destroyed,
            self.epochs,
            self.fields,
        ]
    }
}

/// Stands for the histories table, of which entries and numbers are registry.
const HISTORIES: u8 = 255;
/// Stands for the table of single values, of which these are registry.
const META: u8 = 254;
const META_OF_REGISTRY: [Meta; 3] = [Meta::Cluster, Meta::Roster, Meta::FirstKey];

impl Store {
    /// All registry rows as of now.
    pub fn export_registry(&self) -> Result<Vec<u8>, StoreError> {
        self.view()?.rows().export_registry()
    }
}

impl Rows<'_> {
    /// All registry rows as of this look.
    pub fn export_registry(&self) -> Result<Vec<u8>, StoreError> {
        let mut out: Export = (SNAPSHOT_FORMAT, Vec::new());
        for (at, table) in self.tables.registry().into_iter().enumerate() {
            for row in table.iter(self.txn)? {
                let (key, value) = row?;
                out.1.push((at as u8, ByteBuf::from(key), ByteBuf::from(value)));
            }
        }
        for key in META_OF_REGISTRY {
            if let Some(row) = self.meta(key)? {
                out.1.push((META, ByteBuf::from([key as u8]), ByteBuf::from(row)));
            }
        }
        self.each_secret(|path| {
            let Some(entry) = self.secret(&path)? else { return Ok(true) };
            let key = keys::prefix(&path, Kind::Entry);
            out.1.push((HISTORIES, ByteBuf::from(key), ByteBuf::from(to_row(&entry))));
            for row in self.tables.histories.prefix_iter(self.txn, &keys::prefix(&path, Kind::Number))? {
                let (key, value) = row?;
                out.1.push((HISTORIES, ByteBuf::from(key), ByteBuf::from(value)));
            }
            Ok(true)
        })?;
        Ok(encode(&out))
    }
}

impl Txn<'_> {
    /// Replaces the registry by what [`Store::export_registry`] wrote elsewhere, and makes the histories
    /// that are here follow it. What this store remembers of requests that needed no agreement stays (I1): nobody else may
    /// know of them.
    pub fn install_registry(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let (format, rows) = decode::<Export>(bytes).map_err(corrupt)?;
        if format != SNAPSHOT_FORMAT {
            return Err(corrupt(DecodeError::UnknownFormat(format)));
        }
        self.changed_mut().note_all();
        let apart = self.remembered_apart()?;
        self.clear_registry()?;
        for (at, key, value) in rows {
            let table = self.registry_table(at, &key).ok_or(corrupt(DecodeError::Malformed))?;
            check_row(at, &key, &value)?;
            self.put(table, &key, &value)?;
        }
        let remembered = self.tables().remembered;
        apart.iter().try_for_each(|(key, value)| self.put(remembered, key, value))?;
        for path in self.rows().histories()? {
            self.follow_registry(&path)?;
            let exists = self.rows().secret(&path)?.is_some();
            self.counts_mut().secrets += u64::from(exists);
        }
        Ok(())
    }

    /// The rows of requests that no log entry was made for.
    fn remembered_apart(&self) -> Result<Vec<Row>, StoreError> {
        let rows = self.rows();
        let mut found = Vec::new();
        for row in rows.tables.remembered.iter(rows.txn)? {
            let (key, value) = row?;
            if matches!(
                from_row::<Remembered>("remembered", value)?.outcome,
                Outcome::Marked(_) | Outcome::Issued(_)
            ) {
                found.push((key.to_vec(), value.to_vec()));
            }
        }
        Ok(found)
    }

    fn clear_registry(&mut self) -> Result<(), StoreError> {
        for path in self.rows().histories()? {
            let (first, end) = (keys::prefix(&path, Kind::Number), keys::prefix(&path, Kind::Record));
            let numbers = (Bound::Included(first.as_slice()), Bound::Excluded(end.as_slice()));
            let histories = self.tables().histories;
            histories.delete_range(self.raw(), &numbers)?;
            self.delete(histories, &keys::prefix(&path, Kind::Entry))?;
        }
        self.counts_mut().secrets = 0;
        for table in self.tables().registry() {
            table.clear(self.raw())?;
        }
        META_OF_REGISTRY.iter().try_for_each(|key| self.delete(self.tables().meta, &[*key as u8]))
    }

    fn registry_table(&self, at: u8, key: &[u8]) -> Option<Table> {
        match at {
            HISTORIES if is_entry(key) || is_number(key) => Some(self.tables().histories),
            META if META_OF_REGISTRY.iter().any(|of| key == [*of as u8]) => Some(self.tables().meta),
            at => self.tables().registry().get(usize::from(at)).copied(),
        }
    }
}

/// Refuses a row that this node could not read. `at` is its place in [`Tables::registry`].
fn check_row(at: u8, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
    let id = |len: usize| if value.len() == len { Ok(()) } else { Err(corrupt(DecodeError::Malformed)) };
    match at {
        0 => from_row::<CallerEntry>("callers", value).map(drop),
        1 => from_row::<TokenEntry>("tokens", value).map(drop),
        2 => id(0),
        3 => from_row::<Grant>("grants", value).map(drop),
        4 => from_row::<Remembered>("remembered", value).map(drop),
        5 => from_row::<KeyCheck>("keys", value).map(drop),
        6 => id(RecordId::LEN),
        7 => from_row::<Epochs>("epochs", value).map(drop),
        8 => from_row::<Vec<FieldRule>>("fields", value).map(drop),
        META if key == [Meta::FirstKey as u8] => from_row::<MasterKeyName>("meta", value).map(drop),
        META if key == [Meta::Roster as u8] => from_row::<Roster>("meta", value).map(drop),
        META => from_row::<ClusterId>("meta", value).map(drop),
        _ if is_entry(key) => from_row::<SecretEntry>("histories", value).map(drop),
        _ => from_row::<Place>("histories", value).map(drop),
    }
}

/// Whether `key` is that of a secret's entry in the histories table.
fn is_entry(key: &[u8]) -> bool {
    keys::read_path(key).is_some_and(|(path, _)| key == keys::prefix(&path, Kind::Entry))
}

/// Whether `key` is that of a secret's number in the histories table.
fn is_number(key: &[u8]) -> bool {
    let rest = |(path, _)| key.strip_prefix(keys::prefix(&path, Kind::Number).as_slice());
    keys::read_path(key).and_then(rest).is_some_and(|rest| rest.len() == size_of::<u64>())
}

fn corrupt(why: DecodeError) -> StoreError {
    StoreError::Corrupt { table: "snapshot", why }
}
