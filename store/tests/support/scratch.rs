//! A store in a directory of its own, for as long as a test looks at it.
//! Knows nothing of what is kept in it.

use covault_model::{
    id::{ChangeHash, derive},
    record::Record,
};
use covault_store::{Options, Store, WriterMode};
use tempfile::TempDir;

/// A pure function of the record, as the node's is, but without documents.
pub fn change_of(record: &Record) -> ChangeHash {
    ChangeHash(derive("covault test change", &[record.id().as_bytes()]))
}

/// A small store, not synced, with its writer in the test's own thread.
pub fn options() -> Options {
    Options { map_bytes: 64 << 20, create: true, sync: false, writer: WriterMode::Inline, change_of }
}

/// An empty store and its directory.
pub fn empty(options: Options) -> (TempDir, Store) {
    let dir = TempDir::new().expect("the test may make directories");
    let store = Store::open(dir.path(), options).expect("an empty directory becomes a store");
    (dir, store)
}
