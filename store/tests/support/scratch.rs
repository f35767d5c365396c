//! A store in a directory of its own, for as long as a test looks at it.
//! Knows nothing of what is kept in it.

use covault_store::{Options, PILE_MAX, Store, WriterMode};
use tempfile::TempDir;

/// A small store, not synced, with its writer in the test's own thread.
pub fn options() -> Options {
    Options { map_bytes: 64 << 20, create: true, sync: false, writer: WriterMode::Inline, pile_max: PILE_MAX }
}

/// An empty store and its directory.
pub fn empty(options: Options) -> (TempDir, Store) {
    let dir = TempDir::new().expect("the test may make directories");
    let store = Store::open(dir.path(), options).expect("an empty directory becomes a store");
    (dir, store)
}
