//! Histories stand under their paths: by owner and name, whatever begins like another, with room for the
//! longest, and none is a name before it was agreed. Knows nothing of what versions hold.

#![allow(clippy::unwrap_used)]

#[path = "support/lmdb.rs"]
mod lmdb;
#[path = "support/records.rs"]
mod records;
#[path = "support/rows.rs"]
mod rows;
#[path = "support/scratch.rs"]
mod scratch;

use std::{collections::BTreeSet, path::Path};

use covault_model::{
    command::{Action, NewSecret, NewVersion},
    id::PayloadHash,
    limits::{CALLER_BYTES_MAX, NAME_BYTES_MAX},
    marks::Mark,
    name::{NamePrefix, SecretPath},
};
use covault_store::{Store, StoreError, Txn};
use tempfile::TempDir;

use self::{
    records::{caller, command, marks, name, version},
    rows::all_rows,
    scratch::{empty, options},
};

/// Owners in order; some begin like others.
const OWNERS: [&str; 6] = ["an", "ann", "ann-", "ann.b", "annb", "bob"];
/// Names in order; some begin like others.
const NAMES: [&str; 7] = ["a", "a-b", "a.b", "a/a", "a/b", "aa", "b"];
/// Those that exist, of an owner who has any.
const EXISTING: [&str; 6] = ["a", "a-b", "a.b", "a/b", "aa", "b"];
const NONE: [&str; 0] = [];

/// Nothing of `ann-` was agreed, and of nobody `a/a`.
fn exists(path: &SecretPath) -> bool {
    &*path.owner != "ann-" && &*path.name != "a/a"
}

fn paths() -> Vec<SecretPath> {
    let of = |owner| NAMES.map(|of| SecretPath { owner: caller(owner), name: name(of) });
    OWNERS.into_iter().flat_map(of).collect()
}

/// Keeps three versions, two of them agreed if the name is to exist, and marks: every kind of row.
fn keep(txn: &mut Txn<'_>, path: &SecretPath, exists: bool) -> Result<(), StoreError> {
    let first = version(path, 10, &[], b"first");
    let second = version(path, 20, &[&first.record], b"second");
    let third = version(path, 30, &[&second.record], b"third");
    let marked = marks(path, 40, &[&third.record], &[Mark::Deleted(first.record.id(), true)]);
    if exists {
        let new = NewSecret { path: path.clone(), version: first, marks: None };
        assert!(txn.apply(&command(Action::Create(vec![new])))?.outcome.is_ok());
        let new = NewVersion { path: path.clone(), version: second, condition: None, marks: None };
        assert!(txn.apply(&command(Action::Agree(new.into())))?.outcome.is_ok());
    } else {
        assert!(txn.insert_version(path, &first.record, Some(&first.payload), None)?);
        assert!(txn.insert_version(path, &second.record, Some(&second.payload), None)?);
    }
    assert!(txn.insert_version(path, &third.record, Some(&third.payload), None)?);
    assert!(txn.insert_marks(path, &marked)?);
    Ok(())
}

/// All paths with their histories, the last one kept first.
fn sample() -> (TempDir, Store) {
    let (dir, store) = empty(options());
    let fill = |txn: &mut Txn<'_>| paths().iter().rev().try_for_each(|path| keep(txn, path, exists(path)));
    store.write_now(fill).unwrap();
    (dir, store)
}

fn list(store: &Store, owner: &str, prefix: &str, after: Option<&str>, limit: usize) -> Vec<String> {
    let (prefix, after) = (NamePrefix::parse(prefix).unwrap(), after.map(name));
    let view = store.view().unwrap();
    let names = view.rows().names(&caller(owner), &prefix, after.as_ref(), limit).unwrap();
    names.iter().map(ToString::to_string).collect()
}

/// The keys of histories as they stand on disk, each as owner, name, and kind with what follows it.
fn keys(dir: &Path) -> Vec<[Vec<u8>; 3]> {
    let histories = all_rows(dir).into_iter().filter(|(table, ..)| *table == "histories");
    let parts = |key: Vec<u8>| {
        let mut parts = key.splitn(3, |byte| *byte == 0).map(<[u8]>::to_vec);
        [(); 3].map(|()| parts.next().unwrap())
    };
    histories.map(|(_, key, _)| parts(key)).collect()
}

#[test]
fn names_are_listed_in_order_within_their_owner_and_prefix() {
    let (_dir, store) = sample();
    for owner in ["an", "ann", "ann.b", "annb", "bob"] {
        assert_eq!(list(&store, owner, "", None, 9), EXISTING, "{owner}");
    }
    let list = |owner, prefix, after, limit| list(&store, owner, prefix, after, limit);
    assert_eq!(list("ann", "a/", None, 9), ["a/b"]);
    assert_eq!(list("ann", "a", None, 9), ["a", "a-b", "a.b", "a/b", "aa"]);
    assert_eq!(list("ann", "a", None, 2), ["a", "a-b"]);
    assert_eq!(list("ann", "a", None, 0), NONE);
    assert_eq!(list("ann", "a.b", None, 9), ["a.b"]);
    assert_eq!(list("ann", "a", Some("a"), 2), ["a-b", "a.b"]);
    assert_eq!(list("ann", "a/", Some("a/b"), 9), NONE);
    assert_eq!(list("ann", "a/", Some("a/a"), 9), ["a/b"], "a place of no name");
    assert_eq!(list("ann", "a/", Some("a"), 9), ["a/b"], "a place before the prefix is its beginning");
    assert_eq!(list("ann", "a/", Some("b"), 9), NONE);
    assert_eq!(list("ann-", "", None, 9), NONE, "a history that was not agreed is no name");
    for nobody in ["a", "ann.", "zoe"] {
        assert_eq!(list(nobody, "", None, 9), NONE, "no owner sees into another whose name begins the same");
    }
    assert_eq!(store.view().unwrap().rows().secrets().unwrap(), 5 * 6);
}

#[test]
fn secrets_of_all_owners_come_in_pages_each_with_its_view() {
    let (_dir, store) = sample();
    let view = store.view().unwrap();
    let expected: Vec<SecretPath> = paths().into_iter().filter(exists).collect();
    for limit in [1, 7, 100] {
        let mut listed: Vec<SecretPath> = Vec::new();
        loop {
            let page = view.rows().secrets_after(listed.last(), limit).unwrap();
            if page.is_empty() {
                break;
            }
            assert!(page.iter().all(|(path, held)| *held == view.rows().secret_view(path).unwrap()));
            listed.extend(page.into_iter().map(|(path, _)| path));
        }
        assert_eq!(listed, expected, "{limit} a page");
    }
}

#[test]
fn pages_of_any_size_from_any_place_are_the_whole_list() {
    let (_dir, store) = sample();
    for prefix in ["", "a", "a-", "a.b", "a/", "b", "c"] {
        let whole: Vec<_> = EXISTING.into_iter().filter(|name| name.starts_with(prefix)).collect();
        for limit in 1..=whole.len() + 1 {
            let mut listed: Vec<String> = Vec::new();
            while listed.len() <= whole.len() {
                let page = list(&store, "ann", prefix, listed.last().map(String::as_str), limit);
                listed.extend_from_slice(&page);
                if page.len() < limit {
                    break;
                }
            }
            assert_eq!(listed, whole, "{prefix:?}, {limit} a page");
        }
        for after in NAMES.into_iter().chain(["A", "a-", "a.", "a/aa", "c"]) {
            let rest: Vec<_> = whole.iter().copied().filter(|name| after < *name).collect();
            assert_eq!(list(&store, "ann", prefix, Some(after), 9), rest, "{prefix:?} after {after}");
        }
    }
}

#[test]
fn all_names_come_by_owner_and_name_until_it_is_enough() {
    let (_dir, store) = sample();
    let view = store.view().unwrap();
    let first = |enough: usize| {
        let mut seen = Vec::new();
        let each = |path| {
            seen.push(path);
            Ok(seen.len() < enough)
        };
        view.rows().each_secret(each).unwrap();
        seen
    };
    let expected: Vec<_> = paths().into_iter().filter(exists).collect();
    assert_eq!(first(usize::MAX), expected);
    assert_eq!(first(8), expected[..8]);
}

#[test]
fn all_rows_of_a_secret_stand_together_in_the_order_of_paths() {
    let (dir, store) = sample();
    assert_eq!(store.compare_with_rebuild().unwrap().differences, []);
    drop(store);
    let keys = keys(dir.path());
    assert!(keys.is_sorted(), "in order of owner, then name, then kind");
    let mut standing: Vec<_> =
        keys.iter().map(|[owner, name, _]| (owner.as_slice(), name.as_slice())).collect();
    standing.dedup();
    let paths = paths();
    let expected: Vec<_> = paths.iter().map(|path| (path.owner.as_bytes(), path.name.as_bytes())).collect();
    assert_eq!(standing, expected);
}

#[test]
fn the_longest_owner_and_name_leave_room_for_every_kind_of_row() {
    let path = SecretPath {
        owner: caller(&"o".repeat(CALLER_BYTES_MAX)),
        name: name(&["n".repeat(200), "n".repeat(NAME_BYTES_MAX - 201)].join("/")),
    };
    let (dir, store) = empty(options());
    let of = path.clone();
    store.write_now(move |txn| keep(txn, &of, true)).unwrap();
    let view = store.view().unwrap();
    let rows = view.rows();
    let every = NamePrefix::parse("").unwrap();
    assert_eq!(rows.names(&path.owner, &every, None, 9).unwrap(), std::slice::from_ref(&path.name));
    assert_eq!(rows.names(&path.owner, &every, Some(&path.name), 9).unwrap(), []);
    let line = rows.versions(&path, None, 9).unwrap();
    assert_eq!(line.iter().map(|(_, row)| row.number).collect::<Vec<_>>(), [None, Some(2), Some(1)]);
    assert_eq!(rows.next_place(&path, &line[1].0).unwrap(), Some(line[0].0));
    assert_eq!(rows.payload(&path, &PayloadHash::of(b"third")).unwrap(), Some(b"third".as_slice()));
    assert!(line[2].1.deleted && rows.deleted(&path, &line[2].0.id).unwrap().is_some());
    drop(view);
    assert_eq!(store.compare_with_rebuild().unwrap().differences, []);
    let (_other_dir, other) = empty(options());
    let export = store.export_registry().unwrap();
    other.write_now(move |txn| txn.install_registry(&export)).unwrap();
    assert_eq!(other.view().unwrap().rows().secrets().unwrap(), 1);
    drop(store);
    let kinds: BTreeSet<u8> = keys(dir.path()).iter().map(|[.., rest]| rest[0]).collect();
    assert_eq!(Vec::from_iter(kinds), [0, 1, 2, 3, 4, 5, 6]);
}
