//! Mappings before they are filed, while they are, and after: found in each state, also after a kill in any of them (T3);
//! a few with each commit, and none of an epoch that was destroyed. Knows nothing of digests or peers.

#![allow(clippy::unwrap_used)]

#[path = "support/issues.rs"]
mod issues;
#[path = "support/lmdb.rs"]
mod lmdb;
#[path = "support/rows.rs"]
mod rows;
#[path = "support/scratch.rs"]
mod scratch;

use std::{
    fs,
    path::Path,
    sync::mpsc::channel,
    time::{Duration, Instant},
};

use covault_model::{
    id::MappingId,
    issue::{Issue, Scope},
};
use covault_store::{Options, Store, StoreError, WriterMode};
use tempfile::TempDir;

use self::{
    issues::scope,
    rows::all_rows,
    scratch::{empty, options},
};

/// Rows that go with one commit for each mapping it brings: four thirds of four.
const CLEARED_FOR_ONE_MAX: usize = 6;

/// A mapping id that lies anywhere, but always at the same place for one number.
fn id(number: u64) -> MappingId {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&(number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    MappingId(id)
}

fn issue(scope: &Scope, numbers: impl IntoIterator<Item = u64>, sealed: u8) -> Issue {
    issues::issue(scope, 1, numbers.into_iter().map(id), sealed)
}

fn insert(store: &Store, issue: &Issue) {
    let issue = issue.clone();
    assert!(store.write_now(move |txn| txn.insert_issue(&issue)).unwrap());
}

fn found(store: &Store, scope: &Scope, number: u64) -> Option<Vec<u8>> {
    let view = store.view().unwrap();
    view.rows().mapping(scope, &id(number)).unwrap().map(<[u8]>::to_vec)
}

/// What is on the disk between two commits, as a process that is killed now would leave it.
fn killed(dir: &Path) -> TempDir {
    let copy = TempDir::new().unwrap();
    fs::copy(dir.join("data.mdb"), copy.path().join("data.mdb")).unwrap();
    copy
}

/// How many rows of these tables there are in a store that is closed.
fn rows_of(dir: &Path, tables: [&str; 2]) -> [usize; 2] {
    let rows = all_rows(dir);
    tables.map(|table| rows.iter().filter(|row| row.0 == table).count())
}

fn check_whole(store: &Store) {
    assert_eq!(store.compare_with_rebuild().unwrap().differences, []);
}

#[test]
fn a_process_killed_after_any_commit_has_every_mapping_and_files_the_rest() {
    let options = Options { pile_max: 8, ..options() };
    let (dir, store) = empty(options);
    let (ann, bob) = (scope("ann", 1), scope("bob", 7));
    let mut seen_filed_and_not = false;
    for at in 0..24 {
        let owner = if at % 3 == 0 { &bob } else { &ann };
        insert(&store, &issue(owner, at * 3..at * 3 + 3, 4));
        let left = killed(dir.path());
        let [filed, unfiled] = rows_of(left.path(), ["mappings", "unfiled"]);
        seen_filed_and_not |= filed != 0 && unfiled != 0 && filed + unfiled != 3 * (at as usize + 1);
        let again = Store::open(left.path(), options).unwrap();
        check_whole(&again);
        for number in 0..(at + 1) * 3 {
            let owner = if number / 3 % 3 == 0 { &bob } else { &ann };
            assert_eq!(found(&again, owner, number), Some(vec![4; 20]), "{number} after {at}");
            assert_eq!(found(&again, &scope("ann", 2), number), None);
        }
        insert(&again, &issue(&ann, [1000], 4));
        check_whole(&again);
    }
    assert!(seen_filed_and_not, "some were filed and their rows not yet erased");
}

#[test]
fn a_commit_files_a_few_for_each_that_it_brings_and_a_pile_is_gone_before_the_next() {
    let (pile_max, brought) = (60, 3);
    let (dir, store) = empty(Options { pile_max, ..options() });
    let mut before = [0, 0];
    for at in 0..100 {
        insert(&store, &issue(&scope("ann", 1), at * 3..at * 3 + 3, 4));
        let now = rows_of(killed(dir.path()).path(), ["mappings", "unfiled"]);
        assert!(now[0] - before[0] <= brought + 1, "{before:?} {now:?}");
        assert!(before[1] <= now[1] + CLEARED_FOR_ONE_MAX * brought, "{before:?} {now:?}");
        assert!(now[1] <= 2 * pile_max, "{now:?}");
        before = now;
    }
    assert!(before[0] != 0 && before[1] != 0);
}

#[test]
fn of_two_values_the_lesser_holds_in_whichever_states_they_are() {
    let ann = scope("ann", 1);
    for (first, second) in [(1, 2), (2, 1)] {
        for between in 0..40 {
            let (dir, store) = empty(Options { pile_max: 4, ..options() });
            insert(&store, &issue(&ann, [0], first));
            (1..=between).for_each(|number| insert(&store, &issue(&ann, [number], 3)));
            insert(&store, &issue(&ann, [0], second));
            assert_eq!(found(&store, &ann, 0), Some(vec![1; 20]), "{first} {between}");
            check_whole(&store);
            (100..140).for_each(|number| insert(&store, &issue(&ann, [number], 3)));
            assert_eq!(found(&store, &ann, 0), Some(vec![1; 20]), "{first} {between}");
            let again = Store::open(killed(dir.path()).path(), options()).unwrap();
            assert_eq!(found(&again, &ann, 0), Some(vec![1; 20]), "{first} {between}");
        }
    }
}

#[test]
fn two_values_in_one_commit_come_to_the_lesser() {
    let (_dir, store) = empty(options());
    let (one, other) = (issue(&scope("ann", 1), [0], 2), issue(&scope("ann", 1), [0, 1], 1));
    store
        .write_now(move |txn| {
            txn.insert_issue(&one)?;
            txn.insert_issue(&other)
        })
        .unwrap();
    assert_eq!(found(&store, &scope("ann", 1), 0), Some(vec![1; 20]));
    check_whole(&store);
}

#[test]
fn mappings_are_filed_while_nothing_is_written_and_a_look_from_before_finds_them() {
    let (dir, store) = empty(Options { writer: WriterMode::Thread, ..options() });
    let ann = scope("ann", 1);
    let (told, heard) = channel();
    let one = issue(&ann, [0, 1], 7);
    store.write(move |txn| txn.insert_issue(&one), move |result| told.send(result).unwrap());
    assert!(heard.recv().unwrap().unwrap());
    let before = store.view().unwrap();
    let begun = Instant::now();
    while !store.is_all_filed() {
        assert!(begun.elapsed() < Duration::from_secs(60), "nothing is filed");
        std::thread::yield_now();
    }
    assert_eq!(found(&store, &ann, 0), Some(vec![7; 20]));
    assert_eq!(before.rows().mapping(&ann, &id(0)).unwrap(), Some([7; 20].as_slice()));
    assert_eq!(store.view().unwrap().rows().tokens().unwrap(), (2, 1));
    check_whole(&store);
    drop(before);
    drop(store);
    assert_eq!(rows_of(dir.path(), ["mappings", "unfiled"]), [2, 0]);
}

#[test]
fn what_a_killed_process_left_is_filed_while_nothing_is_written() {
    let (dir, store) = empty(options());
    (0..6).for_each(|at| insert(&store, &issue(&scope("ann", 1), at * 500..(at + 1) * 500, 4)));
    let left = killed(dir.path());
    assert_eq!(rows_of(left.path(), ["mappings", "unfiled"]), [0, 3000]);
    let again = Store::open(left.path(), Options { writer: WriterMode::Thread, ..options() }).unwrap();
    assert_eq!(again.view().unwrap().rows().tokens().unwrap(), (3000, 6));
    let begun = Instant::now();
    while !again.is_all_filed() {
        assert!(begun.elapsed() < Duration::from_secs(60), "nothing is filed");
        std::thread::yield_now();
    }
    drop(again);
    assert_eq!(rows_of(left.path(), ["mappings", "unfiled"]), [3000, 0]);
}

#[test]
fn who_looks_beside_the_writer_finds_what_is_not_filed() {
    let (dir, store) = empty(Options { pile_max: 8, ..options() });
    let ann = scope("ann", 1);
    (0..10).for_each(|at| insert(&store, &issue(&ann, [2 * at, 2 * at + 1], 4)));
    let left = killed(dir.path());
    assert!(rows_of(left.path(), ["mappings", "unfiled"]).into_iter().all(|rows| rows != 0));
    let beside = Store::open_reader(left.path(), 64 << 20).unwrap();
    check_whole(&beside);
    assert!((0..20).all(|number| found(&beside, &ann, number).is_some()));
}

#[test]
fn a_copy_of_a_store_has_what_is_not_filed() {
    let (_dir, store) = empty(Options { pile_max: 8, ..options() });
    let ann = scope("ann", 1);
    (0..10).for_each(|at| insert(&store, &issue(&ann, [2 * at, 2 * at + 1], 4)));
    let other = TempDir::new().unwrap();
    store.copy_to(other.path()).unwrap();
    let copy = Store::open(other.path(), options()).unwrap();
    check_whole(&copy);
    assert!((0..20).all(|number| found(&copy, &ann, number).is_some()));
}

#[test]
fn what_comes_once_all_rows_of_an_epoch_went_does_not_go_with_them() {
    let (_dir, store) = empty(Options { pile_max: 5, ..options() });
    // The fourth fills the pile. The seventh files the last of it, and has just enough left to clear the first epoch away.
    let issued = [(1, 0..1), (2, 1..2), (2, 2..3), (1, 3..6), (2, 6..8), (2, 8..9), (2, 9..10), (1, 10..11)];
    for (epoch, numbers) in issued {
        let scope = scope("ann", epoch);
        insert(&store, &issue(&scope, numbers.clone(), 1));
        assert!(numbers.into_iter().all(|number| found(&store, &scope, number).is_some()));
        check_whole(&store);
    }
}

#[test]
fn an_epoch_destroyed_at_any_moment_of_filing_leaves_nothing() {
    let options = Options { pile_max: 8, ..options() };
    let (old, new) = (scope("ann", 1), scope("ann", 2));
    for before in 0..24 {
        let (dir, store) = empty(options);
        for at in 0..before {
            insert(&store, &issue(&old, [3 * at, 3 * at + 1], 4));
            insert(&store, &issue(&new, [3 * at + 2], 4));
        }
        let shred = |store: &Store| {
            let old = old.clone();
            store.write_now(move |txn| txn.shred(&old, 5)).unwrap()
        };
        shred(&store);
        // One that was killed in the middle of it begins anew.
        let left = killed(dir.path());
        let again = Store::open(left.path(), options).unwrap();
        for (store, dir) in [(store, dir.path()), (again, left.path())] {
            let mut at = 1000;
            while shred(&store) != 0 {
                insert(&store, &issue(&new, [at], 4));
                at += 1;
            }
            (2000..2040).for_each(|number| insert(&store, &issue(&new, [number], 4)));
            check_whole(&store);
            assert!((0..before).all(|at| found(&store, &new, 3 * at + 2).is_some()));
            drop(store);
            let of_old = keys_of(dir).into_iter().filter(|key| key.starts_with(b"ann\0\0\0\0\x01"));
            assert_eq!(of_old.count(), 0, "{before}");
        }
    }
}

fn keys_of(dir: &Path) -> Vec<Vec<u8>> {
    let of_tokens = ["mappings", "unfiled", "issues", "issue_digests"];
    all_rows(dir).into_iter().filter(|row| of_tokens.contains(&row.0)).map(|row| row.1).collect()
}

#[test]
fn golden_bytes_of_what_is_not_filed() {
    let (dir, store) = empty(options());
    insert(&store, &issue(&scope("ann", 258), [5], 4));
    drop(store);
    let rows = all_rows(dir.path());
    let (_, key, row) = rows.iter().find(|row| row.0 == "unfiled").unwrap();
    assert_eq!(*key, [b"ann\0\0\0\x01\x02".as_slice(), &[0; 8]].concat());
    assert_eq!(*row, [id(5).as_bytes().as_slice(), &[4; 20]].concat());
}

#[test]
fn a_store_without_room_keeps_and_finds_what_it_took() {
    for writer in [WriterMode::Inline, WriterMode::Thread] {
        let options = Options { writer, map_bytes: 1 << 20, pile_max: 300, ..options() };
        let (dir, store) = empty(options);
        let ann = scope("ann", 1);
        let mut taken = 0;
        loop {
            let next = issue(&ann, taken * 50..(taken + 1) * 50, 3);
            match store.write_now(move |txn| txn.insert_issue(&next)) {
                Ok(_) => taken += 1,
                Err(error) => {
                    assert!(matches!(error, StoreError::Full), "{error}");
                    break;
                }
            }
        }
        check_whole(&store);
        assert!((0..taken * 50).all(|number| found(&store, &ann, number).is_some()));
        drop(store);
        let again = Store::open(dir.path(), options).unwrap();
        check_whole(&again);
        assert!((0..taken * 50).all(|number| found(&again, &ann, number).is_some()));
    }
}
