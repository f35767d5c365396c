//! The registry as bytes, for a node that is far behind, and from bytes. Histories travel as records, not
//! in here. Format: marker, then a CBOR array of (table, key, row). Bounded by its input.

use covault_model::{DecodeError, decode, encode, id::SecretId, registry::Registry};
use serde_bytes::ByteBuf;

use crate::{
    error::StoreError,
    keys::{self, Kind},
    open::Store,
    rows::to_row,
    tables::{Table, Tables},
    txn::Txn,
};

const SNAPSHOT_FORMAT: u8 = 1;

type Rows = (u8, Vec<(u8, ByteBuf, ByteBuf)>);

impl Tables {
    /// The tables that are registry and nothing else. The order is part of the snapshot's format.
    fn registry(&self) -> [Table; 8] {
        [
            self.names,
            self.callers,
            self.tokens,
            self.caller_tokens,
            self.grants,
            self.remembered,
            self.keys,
            self.destroyed,
        ]
    }
}

/// Stands for the histories table, of which entries and numbers are registry.
const HISTORIES: u8 = 255;

impl Store {
    /// All registry rows as of now.
    pub fn export_registry(&self) -> Result<Vec<u8>, StoreError> {
        let view = self.view()?;
        let rows = view.rows();
        let mut out: Rows = (SNAPSHOT_FORMAT, Vec::new());
        for (at, table) in self.tables().registry().into_iter().enumerate() {
            for row in table.iter(rows.txn)? {
                let (key, value) = row?;
                out.1.push((at as u8, ByteBuf::from(key), ByteBuf::from(value)));
            }
        }
        rows.each_secret(|secret| {
            let Some(entry) = rows.secret(&secret)? else { return Ok(true) };
            let key = keys::prefix(&secret, Kind::Entry);
            out.1.push((HISTORIES, ByteBuf::from(key), ByteBuf::from(to_row(&entry))));
            for row in rows.tables.histories.prefix_iter(rows.txn, &keys::prefix(&secret, Kind::Number))? {
                let (key, value) = row?;
                out.1.push((HISTORIES, ByteBuf::from(key), ByteBuf::from(value)));
            }
            Ok(true)
        })?;
        Ok(encode(&out))
    }
}

impl Txn<'_> {
    /// Replaces the registry by what [`Store::export_registry`] wrote elsewhere.
    pub fn install_registry(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let corrupt = |why| StoreError::Corrupt { table: "snapshot", why };
        let (format, rows) = decode::<Rows>(bytes).map_err(corrupt)?;
        if format != SNAPSHOT_FORMAT {
            return Err(corrupt(DecodeError::UnknownFormat(format)));
        }
        let registry = self.tables().registry();
        for table in registry {
            table.clear(self.raw())?;
        }
        for (at, key, value) in rows {
            let is_registry = |kind: Kind| key.get(SecretId::LEN) == Some(&(kind as u8));
            let table = match at {
                HISTORIES if is_registry(Kind::Entry) || is_registry(Kind::Number) => self.tables().histories,
                at => *registry.get(usize::from(at)).ok_or_else(|| corrupt(DecodeError::Malformed))?,
            };
            self.put(table, &key, &value)?;
        }
        Ok(())
    }
}
