//! Whoever follows is told of each record that was inserted and committed, of nothing else, and when it must look at
//! everything. Knows nothing of what follows from it.

#![allow(clippy::unwrap_used)]

#[path = "support/samples.rs"]
mod samples;
#[path = "support/scratch.rs"]
mod scratch;

use covault_model::{marks::Mark, record::Record};
use covault_store::{Change, Newest, Store, StoreError};

use self::samples::{create, marks, secret, version};

fn newest(heads: &[&Record]) -> Newest {
    let mut heads: Vec<_> = heads.iter().map(|record| record.id()).collect();
    heads.sort_unstable();
    Newest { heads, awaited: Vec::new() }
}

fn write_marks(store: &Store, record: &Record) -> bool {
    let record = record.clone();
    store.write_now(move |txn| txn.insert_marks(&secret("s"), &record)).unwrap()
}

#[test]
fn each_record_is_told_once_with_what_was_the_newest_before() {
    let (_dir, store) = scratch::empty(scratch::options());
    let first = version("s", 10, &[], b"first");
    let second = marks("s", 20, &[&first.record], &[Mark::Description(None)]);
    let apart = marks("s", 30, &[], &[Mark::Description(None)]);
    let beginning = create("s", first.clone(), None);
    store.follow_changes();
    store.write_now(move |txn| txn.apply(&beginning)).unwrap();
    assert!(write_marks(&store, &second));
    assert!(!write_marks(&store, &second), "it is there already");
    let change = |before, now| Change { path: secret("s"), secret: secret("s").id(), before, now };
    let expected =
        [change(None, newest(&[&first.record])), change(Some(newest(&[&first.record])), newest(&[&second]))];
    assert_eq!(store.take_changes(usize::MAX).unwrap(), expected);
    assert_eq!(store.take_changes(usize::MAX).unwrap(), []);
    assert!(write_marks(&store, &apart));
    assert_eq!(
        store.take_changes(usize::MAX).unwrap(),
        [change(Some(newest(&[&second])), newest(&[&second, &apart]))]
    );
}

#[test]
fn what_came_to_nothing_is_not_told() {
    let (_dir, store) = scratch::empty(scratch::options());
    let record = marks("s", 20, &[], &[Mark::Description(None)]);
    store.follow_changes();
    let failed = store.write_now(move |txn| {
        txn.insert_marks(&secret("s"), &record)?;
        Err::<(), _>(StoreError::Full)
    });
    assert!(failed.is_err());
    assert_eq!(store.take_changes(usize::MAX).unwrap(), []);
}

#[test]
fn who_takes_some_is_given_the_first_and_then_the_rest() {
    let (_dir, store) = scratch::empty(scratch::options());
    store.follow_changes();
    let written = [20, 30, 40].map(|at| marks("s", at, &[], &[Mark::Description(None)]));
    written.iter().for_each(|record| assert!(write_marks(&store, record)));
    let take = |at_most| {
        let taken = store.take_changes(at_most).unwrap();
        taken.into_iter().map(|change| change.now).collect::<Vec<_>>()
    };
    let [one, two, three] = &written;
    assert_eq!(take(2), [newest(&[one]), newest(&[one, two])]);
    assert_eq!(take(2), [newest(&[one, two, three])]);
    assert_eq!(take(2), []);
}

#[test]
fn nobody_is_told_who_did_not_follow() {
    let (_dir, store) = scratch::empty(scratch::options());
    assert_eq!(store.take_changes(usize::MAX), None);
    assert!(write_marks(&store, &marks("s", 20, &[], &[Mark::Description(None)])));
    store.follow_changes();
    assert_eq!(store.take_changes(usize::MAX).unwrap(), [], "only what comes from then on");
}

#[test]
fn another_registry_is_everything_anew() {
    let (_dir, store) = scratch::empty(scratch::options());
    let (_other_dir, other) = scratch::empty(scratch::options());
    let registry = other.export_registry().unwrap();
    store.follow_changes();
    store.write_now(move |txn| txn.install_registry(&registry)).unwrap();
    assert_eq!(store.take_changes(usize::MAX), None);
    store.follow_changes();
    assert!(write_marks(&store, &marks("s", 20, &[], &[Mark::Description(None)])));
    assert_eq!(store.take_changes(usize::MAX).unwrap().len(), 1);
}
