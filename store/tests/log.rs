//! The Raft log: bytes by index, read in order, cut from either end. Keeps D1's promise for Raft only as far
//! as the writer does. Knows nothing of what entries hold.

#![allow(clippy::unwrap_used)]

#[path = "support/scratch.rs"]
mod scratch;

use std::ops::RangeInclusive;

use covault_store::{LogEntry, Store};

use self::scratch::{empty, options};

fn entry(index: u64) -> LogEntry {
    LogEntry { index, bytes: format!("entry {index}").into_bytes() }
}

fn append(store: &Store, indexes: RangeInclusive<u64>) {
    store.write_now(|txn| indexes.into_iter().try_for_each(|index| txn.put_log(&entry(index)))).unwrap();
}

fn cut(store: &Store, range: RangeInclusive<u64>) {
    store.write_now(|txn| txn.delete_log(range)).unwrap();
}

fn indexes(store: &Store, range: RangeInclusive<u64>) -> Vec<u64> {
    let entries = store.view().unwrap().rows().log(range).unwrap();
    assert!(entries.iter().all(|found| *found == entry(found.index)), "bytes stand under their own index");
    entries.iter().map(|entry| entry.index).collect()
}

fn last(store: &Store) -> Option<u64> {
    store.view().unwrap().rows().last_log().unwrap().map(|entry| entry.index)
}

#[test]
fn entries_are_read_in_the_order_of_their_index() {
    let (_dir, store) = empty(options());
    assert_eq!((indexes(&store, 0..=u64::MAX), last(&store)), (vec![], None));
    append(&store, 250..=260);
    append(&store, 1..=3);
    append(&store, u64::MAX..=u64::MAX);
    assert_eq!(indexes(&store, 0..=255), [1, 2, 3, 250, 251, 252, 253, 254, 255]);
    assert_eq!(indexes(&store, 3..=250), [3, 250]);
    assert_eq!(indexes(&store, 4..=249), []);
    assert_eq!(last(&store), Some(u64::MAX));
}

#[test]
fn an_empty_range_has_no_entries() {
    let (_dir, store) = empty(options());
    append(&store, 1..=3);
    #[expect(clippy::reversed_empty_ranges, reason = "what an empty range of indexes comes to")]
    let nothing = 2..=1;
    assert_eq!(indexes(&store, nothing.clone()), []);
    cut(&store, nothing);
    assert_eq!(indexes(&store, 0..=9), [1, 2, 3]);
}

#[test]
fn an_entry_written_again_replaces_the_one_at_its_index() {
    let (_dir, store) = empty(options());
    append(&store, 1..=3);
    let other = LogEntry { index: 2, bytes: b"of a new leader".to_vec() };
    let kept = other.clone();
    store.write_now(move |txn| txn.put_log(&other)).unwrap();
    assert_eq!(store.view().unwrap().rows().log(2..=2).unwrap(), [kept]);
}

#[test]
fn a_new_leader_cuts_the_end_and_a_snapshot_the_front() {
    let (_dir, store) = empty(options());
    append(&store, 1..=300);
    cut(&store, 298..=u64::MAX);
    assert_eq!(last(&store), Some(297));
    cut(&store, 0..=290);
    assert_eq!(indexes(&store, 0..=u64::MAX), [291, 292, 293, 294, 295, 296, 297]);
    cut(&store, 0..=290);
    cut(&store, 0..=u64::MAX);
    assert_eq!((indexes(&store, 0..=u64::MAX), last(&store)), (vec![], None));
    append(&store, 291..=292);
    assert_eq!(indexes(&store, 0..=u64::MAX), [291, 292]);
}

#[test]
fn entries_larger_than_a_page_come_back_whole_after_a_restart() {
    let (dir, store) = empty(options());
    let large = LogEntry { index: 7, bytes: (0..1_500_000u32).map(|at| at.to_le_bytes()[1]).collect() };
    let written = large.clone();
    store.write_now(move |txn| txn.put_log(&written)).unwrap();
    drop(store);
    let store = Store::open(dir.path(), options()).unwrap();
    assert_eq!(store.view().unwrap().rows().last_log().unwrap(), Some(large));
}

#[test]
fn a_long_entry_comes_back_whole_and_a_shorter_one_in_its_place_leaves_nothing_of_it() {
    let (_dir, store) = empty(options());
    for len in [2016, 2017, 4032, 100_000, 1] {
        let bytes: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
        let long = LogEntry { index: 2, bytes };
        let kept = long.clone();
        store
            .write_now(move |txn| {
                txn.put_log(&entry(1))?;
                txn.put_log(&long)?;
                txn.put_log(&entry(3))
            })
            .unwrap();
        let found = store.view().unwrap().rows().log(0..=9).unwrap();
        assert_eq!(found, [entry(1), kept.clone(), entry(3)], "{len} bytes");
        store.write_now(|txn| txn.delete_log(3..=3)).unwrap();
        assert_eq!(store.view().unwrap().rows().last_log().unwrap(), Some(kept));
    }
}

#[test]
fn purging_takes_a_few_rows_at_a_time_and_says_when_nothing_is_left() {
    let (_dir, store) = empty(options());
    append(&store, 1..=10);
    let purge = |end: u64, rows: usize| store.write_now(move |txn| txn.purge_log(end, rows)).unwrap();
    assert!(!purge(1, 5));
    assert!(purge(8, 5));
    assert_eq!(indexes(&store, 0..=99), [6, 7, 8, 9, 10]);
    assert!(!purge(8, 5));
    assert_eq!(indexes(&store, 0..=99), [8, 9, 10]);
    assert!(!purge(8, 5));
    assert!(!purge(u64::MAX, 5));
    assert_eq!(last(&store), None);
}
