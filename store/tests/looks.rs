//! Looks are kept for the next one while nothing is committed (D4): whoever was told of a commit sees it, and what is kept
//! keeps no page from being used again.

#![allow(clippy::unwrap_used)]

#[path = "support/scratch.rs"]
mod scratch;

use std::{env, process::Command};

use covault_store::{Meta, Store, View};

use self::scratch::{empty, options};

/// Where a process of its own finds the store.
const DIR: &str = "COVAULT_LOOKS_TEST_DIR";

fn put(store: &Store, value: &[u8]) {
    let value = value.to_vec();
    store.write_now(move |txn| txn.put_meta(Meta::Cluster, &value)).unwrap();
}

fn seen(view: &View<'_>) -> Option<u8> {
    view.rows().meta(Meta::Cluster).unwrap().and_then(|value| value.first().copied())
}

#[test]
fn a_look_after_a_commit_sees_it_whatever_was_kept() {
    let (_dir, store) = empty(options());
    for value in 1..=20 {
        let kept = [store.view().unwrap(), store.view().unwrap()];
        drop(kept);
        put(&store, &[value]);
        assert_eq!(seen(&store.view().unwrap()), Some(value));
    }
}

#[test]
fn a_look_that_a_commit_overtook_is_not_given_out_again() {
    let (_dir, store) = empty(options());
    put(&store, &[1]);
    let before = store.view().unwrap();
    put(&store, &[2]);
    assert_eq!(seen(&before), Some(1), "it stays what it was");
    drop(before);
    assert_eq!(seen(&store.view().unwrap()), Some(2));
}

#[test]
fn a_commit_has_a_number_of_its_own() {
    let (_dir, store) = empty(options());
    let before = store.last_commit();
    drop(store.view().unwrap());
    assert_eq!(store.last_commit(), before);
    put(&store, &[1]);
    assert_ne!(store.last_commit(), before);
}

#[test]
fn who_looks_beside_the_process_that_commits_sees_what_it_committed() {
    let (dir, store) = empty(options());
    put(&store, &[1]);
    drop(store);
    let beside = Store::open_reader(dir.path(), options().map_bytes).unwrap();
    assert_eq!(seen(&beside.view().unwrap()), Some(1));
    let apart = Command::new(env::current_exe().unwrap())
        .args(["--exact", "a_process_that_commits", "--ignored"])
        .env(DIR, dir.path())
        .output()
        .unwrap();
    assert!(apart.status.success(), "{}", String::from_utf8_lossy(&apart.stdout));
    assert_eq!(seen(&beside.view().unwrap()), Some(2));
}

#[test]
#[ignore = "run in a process of its own by the test before it"]
fn a_process_that_commits() {
    let Some(dir) = env::var_os(DIR) else { return };
    put(&Store::open(dir.as_ref(), options()).unwrap(), &[2]);
}

#[test]
fn looks_that_are_kept_keep_no_pages() {
    const VALUE_BYTES: usize = 64 * 1024;
    let (dir, store) = empty(options());
    for value in 0..200 {
        drop([store.view().unwrap(), store.view().unwrap()]);
        put(&store, &[value; VALUE_BYTES]);
    }
    let len = std::fs::metadata(dir.path().join("data.mdb")).unwrap().len();
    assert!(len < 20 * VALUE_BYTES as u64, "{len} bytes for one value");
}
