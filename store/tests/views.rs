//! Keeps H4: whatever comes, the views equal what is rebuilt from the records; and the comparison that says so
//! sees every kind of damage. Knows nothing of agreement.

#![allow(clippy::unwrap_used)]

#[path = "support/keys.rs"]
mod keys;
#[path = "support/lmdb.rs"]
mod lmdb;
#[path = "support/rows.rs"]
mod rows;
#[path = "support/samples.rs"]
mod samples;
#[path = "support/scratch.rs"]
mod scratch;
#[path = "support/workload.rs"]
mod workload;

use std::path::Path;

use covault_model::{
    command::{Action, NewVersion},
    id::{PayloadHash, RecordId},
    marks::Mark,
    name::{Description, SecretPath},
    registry::Registry,
};
use covault_store::{Difference, Store, StoreError, TABLES, Txn};
use proptest::{
    collection::vec,
    prelude::{ProptestConfig, any, proptest},
};
use tempfile::TempDir;

use self::{
    rows::{all_rows, open},
    samples::{command, create, marks, secret, version},
    scratch::{empty, options},
    workload::{Step, World, callers, names},
};

fn carry_out(txn: &mut Txn<'_>, step: &Step) -> Result<(), StoreError> {
    match step {
        Step::Command(command, applied) => assert_eq!(txn.apply(command)?, *applied),
        Step::Version(path, version) => {
            assert!(txn.insert_version(path, &version.record, Some(&version.payload), None)?);
        }
        Step::Marks(path, record) => assert!(txn.insert_marks(path, record)?),
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn views_equal_what_is_rebuilt_whatever_comes(
        drawn in vec(any::<workload::Drawn>(), 1..80),
        steps_per_job in 1..10usize,
    ) {
        let (_dir, store) = empty(options());
        let (mut world, found) = World::founded();
        let mut steps = vec![found];
        steps.extend(drawn.into_iter().map(|drawn| world.step(drawn)));
        for job in steps.chunks(steps_per_job) {
            let job = job.to_vec();
            store.write_now(move |txn| job.iter().try_for_each(|step| carry_out(txn, step))).unwrap();
        }
        let report = store.compare_with_rebuild().unwrap();
        assert_eq!(report.differences, []);
        assert_eq!(report.secrets, store.view().unwrap().rows().secrets().unwrap());
        assert_eq!(report.versions, world.versions.values().map(|versions| versions.len() as u64).sum());
        let secrets = callers().into_iter().flat_map(|owner| {
            names().map(|name| SecretPath { owner: owner.clone(), name })
        });
        secrets.for_each(|path| read_apart_and_together(&store, &path));
    }
}

/// What is read of a secret by one search is what is read row by row.
fn read_apart_and_together(store: &Store, path: &SecretPath) {
    let look = store.view().unwrap();
    let (rows, together) = (look.rows(), look.rows().current(path).unwrap());
    assert_eq!(together.entry, rows.secret(path).unwrap());
    assert_eq!(together.view, rows.secret_view(path).unwrap());
    let last = together.view.as_ref().and_then(|view| view.current.as_ref());
    let payload = last.and_then(|(_, row)| rows.payload(path, &row.payload).unwrap());
    assert_eq!(together.payload, payload);
}

#[test]
fn a_secret_is_read_by_one_search_however_many_versions_lie_between() {
    let (_dir, store) = empty(options());
    let first = version("s", 10, &[], b"first");
    let mut last = first.record.clone();
    store.write_now(move |txn| txn.apply(&create("s", first, None))).unwrap().outcome.unwrap();
    for time in 11..30 {
        read_apart_and_together(&store, &secret("s"));
        assert!(store.view().unwrap().rows().current(&secret("s")).unwrap().payload.is_some());
        let next = version("s", time, &[&last], format!("value {time}").as_bytes());
        last = next.record.clone();
        store
            .write_now(move |txn| txn.insert_version(&secret("s"), &next.record, Some(&next.payload), None))
            .unwrap();
    }
    read_apart_and_together(&store, &secret("t"));
}

/// What the comparison says of a store with two secrets after `damage` was done to it behind its back. `s` has
/// a first version, an agreed second one that was destroyed, a provisional one and marks; `t` has one version.
fn differences(damage: impl FnOnce(&Path)) -> Vec<Difference> {
    let (dir, store) = sample();
    assert_eq!(store.compare_with_rebuild().unwrap().differences, []);
    drop(store);
    damage(dir.path());
    let store = Store::open(dir.path(), options()).unwrap();
    store.compare_with_rebuild().unwrap().differences
}

const FIRST: usize = 0;
const DESTROYED: usize = 1;
const PROVISIONAL: usize = 2;

fn ids() -> [RecordId; 3] {
    let first = version("s", 10, &[], b"first").record;
    let second = version("s", 20, &[&first], b"second").record;
    let third = version("s", 30, &[&second], b"third").record;
    [first.id(), second.id(), third.id()]
}

fn sample() -> (TempDir, Store) {
    let (dir, store) = empty(options());
    store
        .write_now(|txn| {
            let first = version("s", 10, &[], b"first");
            let second = version("s", 20, &[&first.record], b"second");
            let third = version("s", 30, &[&second.record], b"third");
            let marked = marks(
                "s",
                40,
                &[&third.record],
                &[Mark::Description(Some(Description::parse("what for").unwrap()))],
            );
            txn.apply(&create("t", version("t", 5, &[], b"other"), None))?;
            txn.apply(&create("s", first, None))?;
            let erased = (second.place(), PayloadHash::of(&second.payload));
            let agreed = NewVersion { path: secret("s"), version: second, condition: None, marks: None };
            txn.apply(&command(Action::Agree(agreed.into())))?;
            txn.apply(&command(Action::Destroy(secret("s"), vec![erased])))?;
            txn.insert_version(&secret("s"), &third.record, Some(&third.payload), None)?;
            txn.insert_marks(&secret("s"), &marked)
        })
        .unwrap();
    (dir, store)
}

const ENTRY: u8 = 0;
const VIEW: u8 = 1;
const LINE: u8 = 2;
const NUMBER: u8 = 3;
const RECORD: u8 = 4;
const PAYLOAD: u8 = 5;

/// The rows of one kind of a secret, by key.
fn rows_of(dir: &Path, of: &str, kind: u8) -> Vec<(Vec<u8>, Vec<u8>)> {
    let begins = keys::of_kind(&secret(of), kind);
    let rows =
        all_rows(dir).into_iter().filter(|(table, key, _)| *table == "histories" && key.starts_with(&begins));
    rows.map(|(_, key, value)| (key, value)).collect()
}

fn the_row(dir: &Path, of: &str, kind: u8, holds: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let holds = |row: &[u8]| row.windows(holds.len()).any(|window| window == holds);
    rows_of(dir, of, kind)
        .into_iter()
        .find(|(key, value)| holds(key) || holds(value))
        .expect("the row is there")
}

/// Puts a row, or takes it away.
fn put(dir: &Path, table: &str, key: &[u8], value: Option<&[u8]>) {
    let (env, tables) = open(dir);
    let mut txn = env.write_txn().unwrap();
    let table = tables[TABLES.iter().position(|info| info.name == table).unwrap()];
    match value {
        Some(value) => table.put(&mut txn, key, value).unwrap(),
        None => assert!(table.delete(&mut txn, key).unwrap(), "the row was there"),
    }
    txn.commit().unwrap();
}

#[test]
fn an_altered_view_is_seen() {
    let found = differences(|dir| {
        let (key, _) = rows_of(dir, "s", VIEW).remove(0);
        let (_, other) = rows_of(dir, "t", VIEW).remove(0);
        put(dir, "histories", &key, Some(&other));
    });
    assert_eq!(found, [Difference::View(secret("s"))]);
    let found = differences(|dir| put(dir, "histories", &rows_of(dir, "s", VIEW)[0].0, None));
    assert_eq!(found, [Difference::View(secret("s"))]);
}

#[test]
fn an_altered_missing_or_invented_version_of_the_line_is_seen() {
    let line = |dir: &Path, at: usize| the_row(dir, "s", LINE, ids()[at].as_bytes());
    let found =
        differences(|dir| put(dir, "histories", &line(dir, FIRST).0, Some(&line(dir, PROVISIONAL).1)));
    assert_eq!(found, [Difference::Line(secret("s"), ids()[FIRST])]);
    let found = differences(|dir| put(dir, "histories", &line(dir, FIRST).0, None));
    assert_eq!(found, [Difference::Line(secret("s"), ids()[FIRST])]);
    let invented = RecordId([9; 32]);
    let found = differences(|dir| {
        let (mut key, value) = line(dir, FIRST);
        let id_at = key.len() - RecordId::LEN;
        key[id_at..].copy_from_slice(invented.as_bytes());
        put(dir, "histories", &key, Some(&value));
    });
    assert_eq!(found, [Difference::Line(secret("s"), invented)]);
}

#[test]
fn a_payload_that_is_missing_another_or_back_from_the_dead_is_seen() {
    let payload = |dir: &Path| the_row(dir, "s", PAYLOAD, b"first");
    let expected = [Difference::Payload(secret("s"), ids()[FIRST])];
    assert_eq!(differences(|dir| put(dir, "histories", &payload(dir).0, None)), expected);
    assert_eq!(differences(|dir| put(dir, "histories", &payload(dir).0, Some(b"fIrst"))), expected);
    let found = differences(|dir| {
        let (mut key, _) = payload(dir);
        let hash_at = key.len() - PayloadHash::LEN;
        key[hash_at..].copy_from_slice(PayloadHash::of(b"second").as_bytes());
        put(dir, "histories", &key, Some(b"second"));
    });
    assert_eq!(found, [Difference::Payload(secret("s"), ids()[DESTROYED])]);
}

#[test]
fn a_signature_that_does_not_verify_is_seen() {
    let found = differences(|dir| {
        let (key, mut value) = the_row(dir, "s", RECORD, ids()[PROVISIONAL].as_bytes());
        *value.last_mut().unwrap() ^= 1;
        put(dir, "histories", &key, Some(&value));
    });
    assert_eq!(found, [Difference::Record(secret("s"), ids()[PROVISIONAL])]);
}

/// Such a record is whole and well signed, and every view of it fits.
#[test]
fn a_record_under_the_path_of_another_secret_is_seen() {
    let (stray, marked) = (version("t", 50, &[], b"stray"), marks("t", 60, &[], &[Mark::Description(None)]));
    let (version_id, marks_id) = (stray.record.id(), marked.id());
    let found = differences(|dir| {
        let store = Store::open(dir, options()).unwrap();
        store
            .write_now(move |txn| {
                txn.insert_version(&secret("s"), &stray.record, Some(&stray.payload), None)?;
                txn.insert_marks(&secret("s"), &marked)
            })
            .unwrap();
    });
    let mut expected = [version_id, marks_id];
    expected.sort_unstable();
    assert_eq!(found, expected.map(|id| Difference::Record(secret("s"), id)));
}

#[test]
fn a_missing_record_is_seen() {
    let found = differences(|dir| {
        put(dir, "histories", &the_row(dir, "s", RECORD, ids()[PROVISIONAL].as_bytes()).0, None);
    });
    let id = secret("s");
    let expected =
        [Difference::Line(id.clone(), ids()[PROVISIONAL]), Difference::View(id), Difference::Counts];
    assert_eq!(found, expected);
}

#[test]
fn a_record_that_is_not_one_stops_the_comparison() {
    let (dir, store) = sample();
    drop(store);
    let (key, mut value) = the_row(dir.path(), "s", RECORD, ids()[FIRST].as_bytes());
    value[10] ^= 1;
    put(dir.path(), "histories", &key, Some(&value[..40]));
    let store = Store::open(dir.path(), options()).unwrap();
    assert!(matches!(store.compare_with_rebuild(), Err(StoreError::Corrupt { table: "histories", .. })));
}

#[test]
fn a_key_that_is_of_no_secret_stops_the_comparison() {
    let keys: [&[u8]; 5] = [b"short", b"ann\0s", b"ann\0s\0", b"ann\0\0\0", b"\0s\0\0"];
    for key in keys {
        let (dir, store) = sample();
        drop(store);
        put(dir.path(), "histories", key, Some(b"row"));
        let store = Store::open(dir.path(), options()).unwrap();
        let said = store.compare_with_rebuild();
        assert!(matches!(said, Err(StoreError::Inconsistent(_))), "{key:?}: {said:?}");
    }
}

#[test]
fn an_entry_that_does_not_fit_its_numbers_is_seen() {
    let entry = Difference::Entry(secret("s"));
    let found = differences(|dir| {
        let (mut key, value) = rows_of(dir, "s", NUMBER).pop().unwrap();
        *key.last_mut().unwrap() = 3;
        put(dir, "histories", &key, Some(&value));
    });
    assert_eq!(found, std::slice::from_ref(&entry), "a number beyond the last agreed one");
    let found = differences(|dir| put(dir, "histories", &rows_of(dir, "s", NUMBER)[1].0, None));
    assert_eq!(found, std::slice::from_ref(&entry), "no row for the last number");
    let found = differences(|dir| {
        let (key, _) = rows_of(dir, "s", ENTRY).remove(0);
        put(dir, "histories", &key, Some(&rows_of(dir, "t", ENTRY)[0].1));
    });
    assert!(found.contains(&entry), "another secret's entry: {found:?}");
    let found = differences(|dir| put(dir, "histories", &rows_of(dir, "s", ENTRY)[0].0, None));
    assert!(found.contains(&entry) && found.contains(&Difference::Counts), "no entry: {found:?}");
    let found = differences(|dir| {
        let (_, value) = rows_of(dir, "t", ENTRY).remove(0);
        put(dir, "histories", &keys::of_kind(&secret("u"), ENTRY), Some(&value));
    });
    assert_eq!(found, [Difference::Entry(secret("u")), Difference::Counts], "a name too many");
}

#[test]
fn a_number_that_moved_is_seen() {
    let found = differences(|dir| {
        let numbers = rows_of(dir, "s", NUMBER);
        put(dir, "histories", &numbers[0].0, Some(&numbers[1].1));
    });
    assert_eq!(found, [Difference::Line(secret("s"), ids()[FIRST]), Difference::Counts]);
}

#[test]
fn wrong_counts_are_seen() {
    const COUNTS: &[u8] = &[3];
    let counted = |secrets: u8, versions: u8, provisional: u8| {
        differences(|dir| put(dir, "meta", COUNTS, Some(&[1, 0x83, secrets, versions, provisional])))
    };
    assert_eq!(counted(2, 4, 1), [], "as it is");
    for (secrets, versions, provisional) in [(1, 4, 1), (3, 4, 1), (2, 5, 1), (2, 4, 0)] {
        assert_eq!(counted(secrets, versions, provisional), [Difference::Counts]);
    }
    assert_eq!(differences(|dir| put(dir, "meta", COUNTS, None)), [Difference::Counts]);
}
