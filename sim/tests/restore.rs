//! A restore whose power is cut, at each change that it makes to its disk: it leaves a whole store or none, and what
//! it left can be restored over.

#![allow(clippy::unwrap_used)]

#[path = "../../store/tests/support/lmdb.rs"]
mod lmdb;
#[path = "../../store/tests/support/rows.rs"]
mod rows;
#[path = "../../store/tests/support/scratch.rs"]
mod scratch;
#[path = "support/steps.rs"]
mod steps;
#[path = "../../store/tests/support/workload.rs"]
mod workload;

use std::{
    fs,
    path::{Path, PathBuf},
};

use covault_store::{BackupError, Options, RestoreAs, Store, restore};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use sim::disk::Disk;
use tempfile::TempDir;

use self::{
    rows::{Row, all_rows},
    scratch::{empty, options},
    steps::write,
    workload::World,
};

fn synced() -> Options {
    Options { sync: true, ..options() }
}

/// A backup, of a store that has done some steps.
fn backup(dir: &Path) -> PathBuf {
    let (_from, store) = empty(options());
    let mut chance = StdRng::seed_from_u64(1);
    let (mut world, found) = World::founded();
    let steps = std::iter::once(found).chain(std::iter::repeat_with(|| world.step(chance.random())).take(40));
    for step in steps {
        store.write_now(move |txn| write(txn, &step)).unwrap();
    }
    let to = dir.join("backup");
    store.back_up(&to, &dir.join("scratch")).unwrap();
    to
}

/// The rows of the store in `dir`, opened as a node opens it.
fn rows_of(dir: &Path) -> Vec<Row> {
    drop(Store::open(dir, Options { create: false, ..synced() }).unwrap());
    all_rows(dir)
}

fn restored(backup: &Path, dir: &Path) -> Result<(), BackupError> {
    restore(backup, dir, RestoreAs::NewNode, synced()).map(drop)
}

#[test]
fn a_restore_whose_power_is_cut_leaves_a_whole_store_or_none_and_can_be_done_again() {
    let elsewhere = TempDir::new().unwrap();
    let backup = backup(elsewhere.path());
    let whole = {
        let dir = TempDir::new().unwrap();
        restored(&backup, dir.path()).unwrap();
        rows_of(dir.path())
    };
    let (mut none, mut some) = (0, 0);
    for cut in 1.. {
        let dir = TempDir::new().unwrap();
        let disk = Disk::at(dir.path()).unwrap();
        disk.crash_at(cut);
        let outcome = restored(&backup, dir.path());
        assert!(outcome.is_ok() != disk.is_crashed(), "cut at change {cut}: {outcome:?}");
        disk.crash();
        disk.restart(&mut StdRng::seed_from_u64(cut)).unwrap();
        if dir.path().join("data.mdb").exists() {
            some += 1;
        } else {
            assert!(outcome.is_err(), "cut at change {cut}: what was restored is gone");
            restored(&backup, dir.path()).unwrap();
            none += 1;
        }
        assert!(rows_of(dir.path()) == whole, "cut at change {cut}: {:?}", fs::read_dir(dir.path()));
        if outcome.is_ok() {
            break;
        }
    }
    assert!(20 < none && 1 < some, "{none} left nothing, {some} a store");
}

/// What the disk has of what `make` made on it, after a power cut, whatever else the cut takes.
fn after_a_cut(make: impl Fn(&Path), check: impl Fn(&Path)) {
    for seed in 0..20 {
        let dir = TempDir::new().unwrap();
        let disk = Disk::at(dir.path()).unwrap();
        make(dir.path());
        disk.crash();
        disk.restart(&mut StdRng::seed_from_u64(seed)).unwrap();
        check(dir.path());
    }
}

#[test]
fn a_backup_that_was_written_is_there_after_the_power_was_cut() {
    let (_from, store) = empty(options());
    let make = |dir: &Path| {
        store.back_up(&dir.join("backup"), &dir.join("scratch")).unwrap();
    };
    after_a_cut(make, |dir| restored(&dir.join("backup"), &dir.join("restored")).unwrap());
}

#[test]
fn a_store_is_there_after_the_power_was_cut_in_a_directory_that_was_made_for_it() {
    let elsewhere = TempDir::new().unwrap();
    let backup = backup(elsewhere.path());
    let opened =
        |dir: &Path| drop(Store::open(&dir.join("new"), Options { create: false, ..synced() }).unwrap());
    after_a_cut(|dir| drop(Store::open(&dir.join("new"), synced()).unwrap()), opened);
    after_a_cut(|dir| restored(&backup, &dir.join("new")).unwrap(), opened);
}
