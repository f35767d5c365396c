//! LMDB itself, without the store's code, for tests that look or damage behind its back. The only `unsafe` of
//! the tests. Knows nothing of what rows mean.

use std::path::Path;

use heed::{Env, EnvOpenOptions};

/// Opens the LMDB file in `dir`, which nobody else has open, or makes one.
#[allow(unsafe_code)]
pub fn lmdb(dir: &Path) -> Env {
    let mut options = EnvOpenOptions::new();
    // Room for all tables, and for one that an older format had.
    options.map_size(64 << 20).max_dbs(covault_store::TABLES.len() as u32 + 1);
    // SAFETY: the directory is the test's own, and the test has closed the store that was open there.
    unsafe { options.open(dir) }.expect("an LMDB file or none")
}
