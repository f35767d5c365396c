//! The rows of a store that is closed, read and damaged behind its back with LMDB itself.
//! Knows nothing of what rows mean.

use std::path::Path;

use covault_store::TABLES;
use heed::{CommitOrAbort, Database, Env, types::Bytes};

use super::lmdb::lmdb;

/// A row: table, key, value.
pub type Row = (&'static str, Vec<u8>, Vec<u8>);
/// An open table, in the order of [`TABLES`].
pub type Table = Database<'static, Bytes, Bytes>;

/// Every row of the store in `dir`, by table and key.
pub fn all_rows(dir: &Path) -> Vec<Row> {
    let (env, tables) = open(dir);
    let txn = env.read_txn().expect("a look");
    let rows_of = |(info, table): (&covault_store::TableInfo, Table)| -> Vec<Row> {
        let rows = table.iter(&txn).expect("the table's rows");
        rows.map(|row| row.map(|(key, value)| (info.name, key.to_vec(), value.to_vec())).expect("a row"))
            .collect()
    };
    TABLES.iter().zip(tables).flat_map(rows_of).collect()
}

/// Opens the closed store in `dir` without the store's own code.
pub fn open(dir: &Path) -> (Env, [Table; TABLES.len()]) {
    let env = lmdb(dir);
    let txn = env.read_txn().expect("a look");
    let tables = env.open_databases_and_commit(txn, |opener, txn| -> heed::Result<_> {
        let mut tables = Vec::new();
        for info in &TABLES {
            tables.extend(opener.open_database::<Bytes, Bytes>(txn, Some(info.name))?);
        }
        let all =
            <[_; TABLES.len()]>::try_from(tables).map_err(|_| heed::Error::Mdb(heed::MdbError::NotFound))?;
        Ok(CommitOrAbort::<_, ()>::Commit(all))
    });
    let tables = tables.expect("the tables are there").unwrap_commit();
    (env, tables)
}
