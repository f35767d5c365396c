//! The Raft log: bytes by index, read in order, cut from either end, whole after a restart or refused. Keeps
//! D1's promise for Raft as far as it can be seen without cutting the power. Knows nothing of what entries hold.

#![allow(clippy::unwrap_used)]

#[path = "support/scratch.rs"]
mod scratch;

use std::{
    collections::BTreeMap,
    fs,
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

use covault_store::{LogEntry, Meta, OpenError, Store, StoreError};
use proptest::prelude::*;
use tempfile::TempDir;

use self::scratch::{empty, options};

fn entry(index: u64) -> LogEntry {
    LogEntry { index, bytes: format!("entry {index}").into_bytes() }
}

fn large(index: u64, len: usize) -> LogEntry {
    LogEntry { index, bytes: (0..len).map(|at| (at as u64 + index) as u8).collect() }
}

fn append(store: &Store, indexes: RangeInclusive<u64>) {
    let entries: Vec<_> = indexes.map(entry).collect();
    store.log().unwrap().append(&entries).unwrap();
}

fn indexes(store: &Store) -> Vec<u64> {
    let entries = store.log().unwrap().read(0..=u64::MAX).unwrap();
    assert!(entries.iter().all(|found| *found == entry(found.index)), "bytes stand under their own index");
    entries.iter().map(|entry| entry.index).collect()
}

fn reopen(dir: &Path) -> Store {
    Store::open(dir, options()).unwrap()
}

/// The store as it is, and as it is when it is opened anew.
fn before_and_after_a_restart(dir: &TempDir, store: Store) -> impl Iterator<Item = Store> {
    let again = || reopen(dir.path());
    std::iter::once(store).chain(std::iter::once_with(again))
}

/// The files of the log, in order.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> =
        fs::read_dir(dir.join("raft")).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn entries_are_read_in_order_and_are_there_after_a_restart() {
    let (dir, store) = empty(options());
    assert_eq!((indexes(&store), store.log().unwrap().last().unwrap()), (vec![], None));
    append(&store, 7..=9);
    append(&store, 10..=10);
    for store in before_and_after_a_restart(&dir, store) {
        assert_eq!(indexes(&store), [7, 8, 9, 10]);
        let log = store.log().unwrap();
        assert_eq!(log.read(8..=9).unwrap(), [entry(8), entry(9)]);
        assert_eq!(log.read(0..=6).unwrap(), []);
        assert_eq!(log.read(11..=u64::MAX).unwrap(), []);
        assert_eq!((log.last().unwrap(), log.bounds()), (Some(entry(10)), (7, 11)));
    }
}

#[test]
fn entries_that_do_not_follow_are_refused_and_change_nothing() {
    let (_dir, store) = empty(options());
    append(&store, 5..=6);
    for wrong in [vec![entry(8)], vec![entry(4)], vec![entry(7), entry(9)], vec![entry(7), entry(7)]] {
        let refused = store.log().unwrap().append(&wrong);
        assert!(matches!(refused, Err(StoreError::Inconsistent(_))), "{wrong:?}");
    }
    store.log().unwrap().append(&[]).unwrap();
    assert_eq!(indexes(&store), [5, 6]);
}

#[test]
fn what_is_appended_replaces_all_that_stood_there_and_behind() {
    let (dir, store) = empty(options());
    append(&store, 1..=9);
    let other = LogEntry { index: 4, bytes: b"of a new leader".to_vec() };
    store.log().unwrap().append(std::slice::from_ref(&other)).unwrap();
    for store in before_and_after_a_restart(&dir, store) {
        let log = store.log().unwrap();
        assert_eq!((log.bounds(), log.last().unwrap()), ((1, 5), Some(other.clone())));
        assert_eq!(log.read(3..=3).unwrap(), [entry(3)]);
    }
}

#[test]
fn a_new_leader_cuts_the_end_and_a_snapshot_the_front() {
    let (dir, store) = empty(options());
    append(&store, 1..=300);
    store.log().unwrap().cut_from(298);
    assert_eq!(store.log().unwrap().last().unwrap(), Some(entry(297)));
    store.log().unwrap().purge_below(291).unwrap();
    assert_eq!(indexes(&store), [291, 292, 293, 294, 295, 296, 297]);
    store.log().unwrap().purge_below(1000).unwrap();
    assert_eq!((indexes(&store), files(dir.path())), (vec![], vec![]));
    append(&store, 1000..=1001);
    assert_eq!(indexes(&store), [1000, 1001]);
    drop(store);
    assert_eq!(indexes(&reopen(dir.path())), [1000, 1001]);
}

#[test]
fn large_entries_fill_files_and_purging_takes_the_files_away() {
    let (dir, store) = empty(options());
    for index in 1..=40 {
        store.log().unwrap().append(&[large(index, 900_000)]).unwrap();
    }
    let many = files(dir.path()).len();
    assert!(3 < many, "{many} files");
    drop(store);
    let store = reopen(dir.path());
    for index in 1..=40 {
        assert_eq!(store.log().unwrap().read(index..=index).unwrap(), [large(index, 900_000)]);
    }
    let before = store.log().unwrap().bytes();
    store.log().unwrap().purge_below(39).unwrap();
    assert_eq!(store.log().unwrap().read(0..=99).unwrap(), [large(39, 900_000), large(40, 900_000)]);
    assert_eq!(files(dir.path()).len(), 1);
    assert!(store.log().unwrap().bytes() < before / 2);
}

#[test]
fn after_turning_over_everything_before_can_be_taken_from_the_disk() {
    let (dir, store) = empty(options());
    assert_eq!(store.log().unwrap().turn_over().unwrap(), None);
    append(&store, 1..=5);
    let old = files(dir.path());
    assert_eq!(store.log().unwrap().turn_over().unwrap(), Some(5));
    append(&store, 6..=8);
    store.log().unwrap().purge_below(6).unwrap();
    assert!(old.iter().all(|file| !file.exists()));
    assert_eq!(indexes(&store), [6, 7, 8]);
    drop(store);
    assert_eq!(indexes(&reopen(dir.path())), [6, 7, 8]);
}

#[test]
fn a_file_whose_first_entries_were_replaced_in_it_stands_without_the_one_before() {
    let (dir, store) = empty(options());
    append(&store, 1..=3);
    store.log().unwrap().turn_over().unwrap();
    append(&store, 4..=4);
    append(&store, 3..=3);
    store.log().unwrap().purge_below(3).unwrap();
    for store in before_and_after_a_restart(&dir, store) {
        assert_eq!((indexes(&store), files(dir.path()).len()), (vec![3], 1));
    }
}

#[test]
fn an_append_that_was_never_finished_is_cut_away_and_the_next_takes_its_place() {
    let (dir, store) = empty(options());
    append(&store, 1..=3);
    drop(store);
    let file = files(dir.path()).pop().unwrap();
    let whole = fs::read(&file).unwrap();
    let end = whole.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let store = reopen(dir.path());
    store.log().unwrap().append(&[large(4, 5000)]).unwrap();
    drop(store);
    let longer = fs::read(&file).unwrap();
    for torn in [end + 1, end + 40, end + 4096, end + 5000] {
        let mut bytes = longer[..torn].to_vec();
        bytes.resize(longer.len(), 0);
        fs::write(&file, bytes).unwrap();
        let store = reopen(dir.path());
        assert_eq!(indexes(&store), [1, 2, 3], "torn at {torn}");
        append(&store, 4..=4);
        drop(store);
        assert_eq!(indexes(&reopen(dir.path())), [1, 2, 3, 4]);
    }
}

#[test]
fn one_append_runs_ahead_of_the_disk_and_all_before_it_are_synced() {
    let (_dir, store) = empty(options());
    append(&store, 1..=2);
    let mut log = store.log().unwrap();
    log.append_ahead(&[entry(3), entry(4)]).unwrap();
    assert_eq!((log.is_synced(2), log.is_synced(3), log.is_synced(4)), (true, false, false));
    assert_eq!(log.read(3..=4).unwrap(), [entry(3), entry(4)]);
    log.append_ahead(&[entry(5)]).unwrap();
    assert_eq!((log.is_synced(4), log.is_synced(5)), (true, false));
    log.sync().unwrap();
    assert!(log.is_synced(5));
    log.append_ahead(&[entry(6)]).unwrap();
    log.turn_over().unwrap();
    assert!(log.is_synced(6), "the file that it is in gets no further sync");
    log.append(&[entry(7)]).unwrap();
    assert!(log.is_synced(7));
}

#[test]
fn an_append_that_a_power_cut_took_is_gone_whole_and_nothing_else() {
    let (dir, store) = empty(options());
    append(&store, 1..=2);
    let file = files(dir.path()).pop().unwrap();
    let on_disk = fs::read(&file).unwrap();
    store.log().unwrap().append_ahead(&[entry(3), entry(4)]).unwrap();
    drop(store);
    fs::write(&file, on_disk).unwrap();
    let store = reopen(dir.path());
    assert_eq!((indexes(&store), store.log().unwrap().is_synced(2)), (vec![1, 2], true));
    append(&store, 3..=3);
    assert_eq!(indexes(&store), [1, 2, 3]);
}

#[test]
fn a_changed_byte_before_the_last_append_refuses_to_open_and_names_the_file() {
    let (dir, store) = empty(options());
    append(&store, 1..=1);
    append(&store, 2..=2);
    drop(store);
    let file = files(dir.path()).pop().unwrap();
    let whole = fs::read(&file).unwrap();
    let first_append = 36 + 4 + entry(1).bytes.len();
    for at in 0..first_append {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x40;
        fs::write(&file, bytes).unwrap();
        let refused = Store::open(dir.path(), options()).expect_err("damaged");
        assert!(
            matches!(&refused, OpenError::Damaged { why, .. } if why.contains("000001.raft")),
            "{refused}"
        );
    }
    fs::write(&file, whole).unwrap();
    assert_eq!(indexes(&reopen(dir.path())), [1, 2]);
}

#[test]
fn a_file_that_is_missing_between_others_refuses_to_open() {
    let (dir, store) = empty(options());
    for index in 1..=30 {
        store.log().unwrap().append(&[large(index, 900_000)]).unwrap();
    }
    drop(store);
    fs::remove_file(&files(dir.path())[1]).unwrap();
    assert!(matches!(Store::open(dir.path(), options()), Err(OpenError::Damaged { .. })));
}

#[test]
fn a_store_that_has_voted_does_not_open_without_its_log() {
    let (dir, store) = empty(options());
    store.write_now(|txn| txn.put_meta(Meta::Vote, &[1])).unwrap();
    drop(store);
    fs::remove_dir_all(dir.path().join("raft")).unwrap();
    let refused = Store::open(dir.path(), options()).expect_err("its log is missing");
    assert!(refused.to_string().contains("raft log"), "{refused}");
}

/// What may be done to a log.
#[derive(Debug, Clone)]
enum Deed {
    Append { back: u64, count: u64, len: usize },
    Purge(u64),
    TurnOver,
    Reopen,
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let append =
        (0..4u64, 1..5u64, 0..300usize).prop_map(|(back, count, len)| Deed::Append { back, count, len });
    let purge = (0..6u64).prop_map(Deed::Purge);
    let deed = prop_oneof![5 => append, 1 => purge, 1 => Just(Deed::TurnOver), 2 => Just(Deed::Reopen)];
    proptest::collection::vec(deed, 1..25)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_log_is_what_a_map_of_its_entries_would_be(deeds in deeds()) {
        let (dir, store) = empty(options());
        let (mut store, mut model, mut purged, mut stamp) = (Some(store), BTreeMap::new(), 0, 0);
        for deed in deeds {
            let next = model.last_key_value().map_or(purged, |(last, _): (&u64, &Vec<u8>)| last + 1);
            match deed {
                Deed::Append { back, count, len } => {
                    let first = next.saturating_sub(back).max(purged);
                    stamp += 1;
                    let entries: Vec<_> = (first..first + count)
                        .map(|index| LogEntry { index, bytes: vec![stamp; len] })
                        .collect();
                    store.as_ref().unwrap().log().unwrap().append(&entries).unwrap();
                    model.split_off(&first);
                    model.extend(entries.into_iter().map(|entry| (entry.index, entry.bytes)));
                }
                Deed::Purge(count) => {
                    purged = (purged + count).min(next);
                    store.as_ref().unwrap().log().unwrap().purge_below(purged).unwrap();
                    model = model.split_off(&purged);
                }
                Deed::TurnOver => drop(store.as_ref().unwrap().log().unwrap().turn_over().unwrap()),
                Deed::Reopen => {
                    drop(store.take());
                    let reopened = reopen(dir.path());
                    reopened.log().unwrap().purge_below(purged).unwrap();
                    store = Some(reopened);
                }
            }
            let found = store.as_ref().unwrap().log().unwrap().read(0..=u64::MAX).unwrap();
            let found: BTreeMap<_, _> = found.into_iter().map(|entry| (entry.index, entry.bytes)).collect();
            prop_assert_eq!(&found, &model);
        }
    }
}
