//! Backup and restore: a moment of a store that is being written to, whole, in one file that notices every
//! changed byte. Knows nothing of keys.

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

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
};

use covault_model::{marks::Mark, registry::Registry};
use covault_store::{BackupError, Manifest, Meta, Options, RestoreAs, Store, StoreError, WriterMode};
use tempfile::TempDir;

use self::{
    rows::all_rows,
    samples::{create, marks, secret, version},
    scratch::{empty, options},
};

/// The kind of row that a secret's view is.
const VIEW: u8 = 1;

const MADE: RestoreAs = RestoreAs::NewNode;

/// What Raft and the audit log keep in the store, which a restored node forgets.
const OF_THE_NODE: [Meta; 6] =
    [Meta::Vote, Meta::Purged, Meta::Snapshot, Meta::Installed, Meta::AuditAnchor, Meta::Destroyed];

fn write_one(store: &Store, at: u64) {
    store
        .write_now(move |txn| {
            let of = format!("s/{at}");
            let first = version(&of, at + 1, &[], &vec![0x5a; if at.is_multiple_of(5) { 6000 } else { 100 }]);
            let described = marks(&of, at + 2, &[&first.record], &[Mark::Description(None)]);
            txn.put_meta(Meta::Applied, &at.to_be_bytes())?;
            txn.apply(&create(&of, first, Some(described)))
        })
        .unwrap();
}

fn store_of(secrets: u64) -> (TempDir, Store) {
    let (dir, store) = empty(options());
    (0..secrets).for_each(|at| write_one(&store, at));
    (dir, store)
}

fn back_up(store: &Store, to: &Path) -> Result<Manifest, BackupError> {
    store.back_up(to, &to.with_extension("check"))
}

fn backed_up(dir: &TempDir, secrets: u64) -> PathBuf {
    let to = dir.path().join("backup");
    back_up(&store_of(secrets).1, &to).unwrap();
    to
}

fn files_in(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn a_restored_store_has_every_row_but_the_old_nodes_own() {
    let (dir, store) = store_of(60);
    store
        .write_now(|txn| OF_THE_NODE.into_iter().try_for_each(|key| txn.put_meta(key, b"of the old node")))
        .unwrap();
    let out = TempDir::new().unwrap();
    let (to, restored) = (out.path().join("backup"), out.path().join("restored"));
    let made = back_up(&store, &to).unwrap();
    assert_eq!((made.secrets, made.versions, made.bytes), (60, 60, fs::metadata(&to).unwrap().len()));
    assert_eq!(covault_store::restore(&to, &restored, MADE, options()).unwrap(), made);
    drop(store);
    let of_the_node = |key: &[u8]| OF_THE_NODE.iter().any(|meta| key == [*meta as u8]);
    let mut expected = all_rows(dir.path());
    expected.retain(|(table, key, _)| !(*table == "meta" && of_the_node(key)));
    assert_eq!(all_rows(&restored), expected);
    let store = Store::open(&restored, options()).unwrap();
    write_one(&store, 60);
    assert_eq!(store.compare_with_rebuild().unwrap().differences, []);
}

#[test]
fn a_backup_of_a_store_being_written_to_is_one_moment_of_it() {
    let (_dir, store) = empty(Options { writer: WriterMode::Thread, ..options() });
    let (written, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let out = TempDir::new().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            // Enough to go on through all rounds, not enough to fill the map.
            for at in 0..2000 {
                write_one(&store, at);
                written.store(at + 1, Ordering::SeqCst);
                if stop.load(Ordering::SeqCst) {
                    break;
                }
            }
        });
        for round in 0..4u64 {
            while written.load(Ordering::SeqCst) < 20 * (round + 1) {
                thread::yield_now();
            }
            let (to, restored) =
                (out.path().join(format!("{round}")), out.path().join(format!("{round}.dir")));
            let before = written.load(Ordering::SeqCst);
            let made = back_up(&store, &to).unwrap();
            let after = written.load(Ordering::SeqCst) + 1;
            assert!((before..=after).contains(&made.secrets), "{before} <= {} <= {after}", made.secrets);
            covault_store::restore(&to, &restored, MADE, options()).unwrap();
            let store = Store::open(&restored, options()).unwrap();
            assert_eq!(store.compare_with_rebuild().unwrap().differences, []);
            let view = store.view().unwrap();
            let exists = |at: u64| view.rows().secret(&secret(&format!("s/{at}"))).unwrap().is_some();
            assert!((0..made.secrets).all(exists) && !exists(made.secrets), "the state after one commit");
        }
        stop.store(true, Ordering::SeqCst);
    });
}

#[test]
fn a_backup_after_many_failed_and_grouped_jobs_is_compact_and_whole() {
    let (_dir, store) = empty(Options { writer: WriterMode::Thread, ..options() });
    for at in 0..400u64 {
        store.write(
            move |txn| {
                txn.put_meta(Meta::Snapshot, &vec![3; 700 * (at as usize % 13)])?;
                if at % 3 == 0 { Err(StoreError::Inconsistent("as the test wants")) } else { Ok(()) }
            },
            |_| (),
        );
    }
    write_one(&store, 1);
    let out = TempDir::new().unwrap();
    assert_eq!(back_up(&store, &out.path().join("backup")).unwrap().secrets, 1);
}

#[test]
fn a_changed_byte_anywhere_is_refused() {
    let dir = TempDir::new().unwrap();
    let good = fs::read(backed_up(&dir, 3)).unwrap();
    let (bad, scratch) = (dir.path().join("bad"), dir.path().join("scratch"));
    let head = 0..64usize;
    for at in head.chain((64..good.len()).step_by(97)).chain([good.len() - 1]) {
        let mut bytes = good.clone();
        bytes[at] ^= 1 << (at % 8);
        fs::write(&bad, bytes).unwrap();
        let said = covault_store::verify_backup(&bad, &scratch).unwrap_err();
        let fits = match at {
            0..15 => matches!(said, BackupError::NotABackup),
            15 => matches!(said, BackupError::Newer(_)),
            _ => matches!(said, BackupError::Damaged),
        };
        assert!(fits, "byte {at}: {said}");
        assert!(!scratch.exists());
    }
}

#[test]
fn a_backup_that_is_cut_or_goes_on_is_refused() {
    let dir = TempDir::new().unwrap();
    let good = fs::read(backed_up(&dir, 3)).unwrap();
    let (bad, restored) = (dir.path().join("bad"), dir.path().join("restored"));
    let mut others: Vec<Vec<u8>> =
        [0, 10, 16, 47, 48, 49, 4096, good.len() / 2, good.len() - 1].map(|len| good[..len].to_vec()).into();
    others.push([good.as_slice(), &[0]].concat());
    for bytes in others {
        fs::write(&bad, &bytes).unwrap();
        let said = covault_store::restore(&bad, &restored, MADE, options()).unwrap_err();
        let fits = if bytes.len() < 48 {
            matches!(said, BackupError::NotABackup)
        } else {
            matches!(said, BackupError::Damaged)
        };
        assert!(fits, "{} bytes: {said}", bytes.len());
        assert!(files_in(&restored).is_empty(), "a failed restore leaves nothing");
    }
    fs::write(&bad, &good).unwrap();
    covault_store::restore(&bad, &restored, MADE, options()).unwrap();
}

#[test]
fn a_backup_whose_views_do_not_fit_is_refused_by_both_ends() {
    let (dir, store) = store_of(3);
    drop(store);
    let view_of = |of: &str| keys::of_kind(&secret(of), VIEW);
    let other = all_rows(dir.path()).into_iter().find(|(_, key, _)| *key == view_of("s/1")).unwrap().2;
    let (env, tables) = rows::open(dir.path());
    let mut txn = env.write_txn().unwrap();
    tables[1].put(&mut txn, &view_of("s/2"), &other).unwrap();
    txn.commit().unwrap();
    drop(env);
    let out = TempDir::new().unwrap();
    let store = Store::open(dir.path(), options()).unwrap();
    let said = back_up(&store, &out.path().join("backup"));
    assert!(matches!(said, Err(BackupError::Inconsistent(_))), "{said:?}");
    assert!(files_in(out.path()).is_empty(), "a backup that failed leaves no file");
}

#[test]
fn a_restore_never_replaces_what_is_there() {
    let dir = TempDir::new().unwrap();
    let backup = backed_up(&dir, 2);
    let restored = dir.path().join("restored");
    covault_store::restore(&backup, &restored, MADE, options()).unwrap();
    let before = all_rows(&restored);
    let again = covault_store::restore(&backup, &restored, MADE, options());
    assert!(matches!(again, Err(BackupError::NotEmpty)), "{again:?}");
    assert_eq!(all_rows(&restored), before);
    let other = dir.path().join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("file"), b"of somebody").unwrap();
    assert!(matches!(covault_store::restore(&backup, &other, MADE, options()), Err(BackupError::NotEmpty)));
    assert_eq!(files_in(&other), [other.join("file")]);
}

#[test]
fn a_restore_that_was_killed_can_be_tried_again() {
    let dir = TempDir::new().unwrap();
    let backup = backed_up(&dir, 2);
    let restored = dir.path().join("restored");
    fs::create_dir_all(restored.join("incoming")).unwrap();
    fs::write(restored.join("incoming/data.mdb"), b"half of it").unwrap();
    covault_store::restore(&backup, &restored, MADE, options()).unwrap();
    assert_eq!(files_in(&restored), [restored.join("data.mdb")]);
}

#[test]
fn a_backup_is_its_users_alone_and_never_replaces_a_file() {
    let dir = TempDir::new().unwrap();
    let backup = backed_up(&dir, 2);
    assert_eq!(fs::metadata(&backup).unwrap().permissions().mode() & 0o777, 0o600);
    let before = fs::read(&backup).unwrap();
    let said = back_up(&store_of(1).1, &backup);
    assert!(
        matches!(&said, Err(BackupError::Io(error)) if error.kind() == std::io::ErrorKind::AlreadyExists)
    );
    assert_eq!(fs::read(&backup).unwrap(), before);
}

#[test]
fn a_scratch_directory_that_exists_is_not_touched() {
    let dir = TempDir::new().unwrap();
    let scratch = dir.path().join("backup.check");
    fs::create_dir(&scratch).unwrap();
    fs::write(scratch.join("file"), b"of somebody").unwrap();
    let (_store_dir, store) = store_of(1);
    let said = store.back_up(&dir.path().join("backup"), &scratch);
    assert!(matches!(&said, Err(BackupError::Scratch { folder, .. }) if *folder == scratch));
    assert_eq!(fs::read(scratch.join("file")).unwrap(), b"of somebody");
    assert!(!dir.path().join("backup").exists(), "a backup that failed leaves no file");
}

/// As of a node that was sent a registry and has not received the histories yet.
#[test]
fn a_backup_says_how_many_agreed_versions_have_not_come_to_its_node() {
    let registry = store_of(3).1.export_registry().unwrap();
    let (_dir, store) = empty(options());
    store.write_now(move |txn| txn.install_registry(&registry)).unwrap();
    write_one(&store, 3);
    let out = TempDir::new().unwrap();
    let made = back_up(&store, &out.path().join("backup")).unwrap();
    assert_eq!((made.secrets, made.versions, made.provisional, made.lacking), (4, 1, 0, 3));
}

#[test]
fn a_backup_of_an_empty_store_restores() {
    let dir = TempDir::new().unwrap();
    let backup = backed_up(&dir, 0);
    let restored = dir.path().join("restored");
    let made = covault_store::restore(&backup, &restored, MADE, options()).unwrap();
    assert_eq!((made.secrets, made.versions), (0, 0));
    Store::open(&restored, options()).unwrap();
}
