//! What a data directory may turn out to be: each a clear refusal, never a crash, and never a change to what
//! was found. LMDB maps its file, so a wrong page can end the process: such openings run in one of their own.
//! Knows nothing of what is kept.

#![allow(clippy::unwrap_used)]

#[path = "support/lmdb.rs"]
mod lmdb;
#[path = "support/rows.rs"]
mod rows;
#[path = "support/samples.rs"]
mod samples;
#[path = "support/scratch.rs"]
mod scratch;

use std::{
    fs::{self, File, OpenOptions},
    io::{BufRead, BufReader, Read},
    os::unix::fs::{FileExt, PermissionsExt},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use covault_model::{
    command::{Action, Command as Proposal},
    id::PayloadHash,
    marks::Mark,
    registry::Registry,
};
use covault_store::{Meta, OpenError, Options, Store, TABLES};
use tempfile::TempDir;

use self::{
    lmdb::lmdb,
    rows::{all_rows, open},
    samples::{command, create, marks, secret, version},
    scratch::{empty, options},
};

const PAGE: u64 = 4096;
/// How long a lock may be held by a process that is only starting.
const PATIENCE: Duration = Duration::from_secs(60);
const DIR: &str = "COVAULT_STORE_TEST_DIR";

fn existing() -> Options {
    Options { create: false, ..options() }
}

/// Opens `dir`, which this process has closed. A process that another test is just starting still holds every
/// lock of this one, until it has become its own program.
fn reopen(dir: &Path, options: Options) -> Result<Store, OpenError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match Store::open(dir, options) {
            Err(OpenError::InUse(_)) if Instant::now() < deadline => std::thread::yield_now(),
            other => return other,
        }
    }
}

fn refusal(dir: &Path, options: Options) -> OpenError {
    reopen(dir, options).expect_err("refused")
}

/// The destruction of the first version of a secret, made at `time` with a payload of so many bytes.
fn destroy(of: &str, time: u64, bytes: usize) -> Proposal {
    let first = version(of, time, &[], &vec![0x5a; bytes]);
    command(Action::Destroy(secret(of), vec![(first.place(), PayloadHash::of(&first.payload))]))
}

/// A closed store with rows on every kind of page: branches, leaves, large rows, free ones.
fn closed_store() -> TempDir {
    let (dir, store) = empty(options());
    for at in 1..40u64 {
        store
            .write_now(move |txn| {
                let first =
                    version(&format!("s/{at}"), at, &[], &vec![0x5a; if at % 4 == 0 { 9000 } else { 200 }]);
                let described =
                    marks(&format!("s/{at}"), at + 1, &[&first.record], &[Mark::Description(None)]);
                txn.apply(&create(&format!("s/{at}"), first, Some(described)))
            })
            .unwrap();
    }
    for at in 1..=20 {
        let destroyed = destroy(&format!("s/{at}"), at, if at % 4 == 0 { 9000 } else { 200 });
        assert!(store.write_now(move |txn| txn.apply(&destroyed)).unwrap().outcome.is_ok());
    }
    dir
}

fn data_of(dir: &Path) -> std::path::PathBuf {
    dir.join("data.mdb")
}

/// How an opening ended that may end its process.
#[derive(Debug, PartialEq, Eq)]
enum Ended {
    Opened,
    Refused(String),
    Crashed(String),
}

/// Opens `dir` in another process, as a node would and as a reader would: both end the same.
fn open_apart(dir: &Path) -> Ended {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match open_apart_at_once(dir) {
            (Ended::Refused(why), _) if why.contains("in use") && Instant::now() < deadline => {}
            (node, reader) => {
                assert_eq!(node, reader);
                return node;
            }
        }
    }
}

/// How that ended for a node, and for a reader.
fn open_apart_at_once(dir: &Path) -> (Ended, Ended) {
    let me = std::env::current_exe().unwrap();
    let ran = Command::new(me)
        .args(["--exact", "opens_the_directory_it_is_given", "--ignored", "--nocapture"])
        .env(DIR, dir)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    let ended = |who: &str| match said.lines().find_map(|line| line.strip_prefix(who)) {
        Some("opened") => Ended::Opened,
        Some(why) => Ended::Refused(why.to_owned()),
        None => Ended::Crashed(format!("{}: {}", ran.status, String::from_utf8_lossy(&ran.stderr))),
    };
    (ended("node: "), ended("reader: "))
}

#[test]
#[ignore = "the other tests run it, in a process of its own"]
fn opens_the_directory_it_is_given() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let dir = Path::new(&dir);
    let say =
        |opened: Result<Store, OpenError>| opened.map_or_else(|why| why.to_string(), |_| "opened".into());
    println!("\nnode: {}", say(Store::open(dir, existing())));
    println!("reader: {}", say(Store::open_reader(dir, 64 << 20)));
}

#[test]
#[ignore = "another test runs it, in a process of its own"]
fn looks_until_it_is_killed() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let store = Store::open_reader(Path::new(&dir), 64 << 20).unwrap();
    let _view = store.view().unwrap();
    println!("\nlooking");
    let _ = std::io::stdin().read(&mut [0]);
}

#[test]
fn a_reader_that_was_killed_while_it_looked_is_forgotten() {
    let (dir, store) = empty(options());
    let mut looking = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "looks_until_it_is_killed", "--ignored", "--nocapture"])
        .env(DIR, dir.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(looking.stdout.take().unwrap());
    assert!(said.lines().any(|line| line.unwrap() == "looking"));
    assert_eq!(store.forget_dead_readers().unwrap(), 0, "it lives");
    looking.kill().unwrap();
    looking.wait().unwrap();
    assert_eq!(store.forget_dead_readers().unwrap(), 1);
    assert_eq!(store.forget_dead_readers().unwrap(), 0);
}

#[test]
fn a_second_opening_of_a_directory_is_refused_until_the_first_is_gone() {
    let (dir, store) = empty(options());
    assert!(matches!(Store::open(dir.path(), options()), Err(OpenError::InUse(_))));
    let reader = Store::open_reader(dir.path(), 1 << 20);
    assert!(matches!(reader.err(), Some(OpenError::InUse(_))), "LMDB opens a file once in one process");
    let (node, reader) = open_apart_at_once(dir.path());
    assert!(
        matches!(&node, Ended::Refused(why) if why.contains("in use by another covault process")),
        "{node:?}"
    );
    assert_eq!(reader, Ended::Opened, "only to look");
    drop(store);
    reopen(dir.path(), existing()).unwrap();
}

#[test]
fn a_directory_without_a_store_is_absent_and_stays_as_it_was() {
    let dir = TempDir::new().unwrap();
    for path in [dir.path().to_owned(), dir.path().join("none")] {
        assert!(matches!(refusal(&path, existing()), OpenError::Absent(_)));
        let reader = Store::open_reader(&path, 1 << 20);
        assert!(matches!(reader.err(), Some(OpenError::Absent(_))));
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_path_that_is_no_directory_is_refused() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("file");
    File::create(&file).unwrap();
    assert!(matches!(refusal(&file, options()), OpenError::Io { .. }));
    assert!(matches!(refusal(&file, existing()), OpenError::Absent(_)));
}

#[test]
fn a_new_store_is_its_users_alone() {
    let parent = TempDir::new().unwrap();
    let dir = parent.path().join("new");
    drop(Store::open(&dir, options()).unwrap());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    for entry in fs::read_dir(&dir).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), if path.is_dir() { 0o700 } else { 0o600 }, "{}", path.display());
    }
}

#[test]
fn a_making_that_was_interrupted_is_done_again() {
    let dir = TempDir::new().unwrap();
    let incoming = dir.path().join("incoming");
    fs::create_dir(&incoming).unwrap();
    fs::write(incoming.join("data.mdb"), b"half of it").unwrap();
    assert!(matches!(refusal(dir.path(), existing()), OpenError::Absent(_)));
    drop(reopen(dir.path(), options()).unwrap());
    assert!(!incoming.exists());
    drop(reopen(dir.path(), existing()).unwrap());
}

#[test]
fn random_bytes_are_foreign() {
    for len in [8, 24, 100, 4096, 8192, 100_000] {
        let dir = TempDir::new().unwrap();
        let bytes: Vec<u8> = noise(len as u64).take(len).collect();
        fs::write(data_of(dir.path()), &bytes).unwrap();
        let said = open_apart(dir.path());
        let why = if len < 24 { "shorter than it should be" } else { "covault did not make" };
        assert!(matches!(&said, Ended::Refused(text) if text.contains(why)), "{len}: {said:?}");
        assert_eq!(fs::read(data_of(dir.path())).unwrap(), bytes, "nothing was changed");
    }
}

/// Bytes without a pattern, the same for the same seed.
fn noise(seed: u64) -> impl Iterator<Item = u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    })
}

fn somebody_elses(dir: &Path, table: Option<&str>, key: &[u8]) {
    let env = lmdb(dir);
    let txn = env.write_txn().unwrap();
    let made = env.create_databases_and_commit(txn, |opener, txn| -> heed::Result<_> {
        let table = opener.create_database::<heed::types::Bytes, heed::types::Bytes>(txn, table)?;
        table.put(txn, key, b"of somebody else")?;
        Ok(heed::CommitOrAbort::<_, ()>::Commit(()))
    });
    made.unwrap().unwrap_commit();
}

#[test]
fn an_lmdb_file_of_somebody_else_is_foreign() {
    let others: [(Option<&str>, &[u8]); 4] =
        [(Some("theirs"), b"key"), (Some("meta"), b"key"), (Some("meta"), &[0]), (None, b"meta")];
    for (table, key) in others {
        let dir = TempDir::new().unwrap();
        somebody_elses(dir.path(), table, key);
        assert!(matches!(refusal(dir.path(), options()), OpenError::Foreign(_)), "{table:?} {key:?}");
    }
}

fn put_format(dir: &Path, format: &[u8]) {
    let (env, tables) = open(dir);
    let mut txn = env.write_txn().unwrap();
    tables[0].put(&mut txn, &[0], format).unwrap();
    txn.commit().unwrap();
}

#[test]
fn a_newer_format_is_refused_by_its_number() {
    let dir = closed_store();
    put_format(dir.path(), &[9]);
    let before = all_rows(dir.path());
    for options in [options(), existing()] {
        assert!(matches!(refusal(dir.path(), options), OpenError::Newer { found: 9, known: 5, .. }));
    }
    assert_eq!(all_rows(dir.path()), before);
    put_format(dir.path(), &[0]);
    assert!(matches!(refusal(dir.path(), existing()), OpenError::Foreign(_)));
}

#[test]
fn a_store_of_the_format_before_opens_with_its_rows_and_an_empty_log_behind_what_was_applied() {
    let (dir, store) = empty(options());
    let first = version("kept", 1, &[], b"value");
    store.write_now(move |txn| txn.apply(&create("kept", first, None))).unwrap();
    store.write_now(|txn| txn.put_meta(Meta::Vote, b"a vote")).unwrap();
    store.write_now(|txn| txn.put_meta(Meta::Applied, b"the last one")).unwrap();
    drop(store);
    fs::remove_dir_all(dir.path().join("raft")).unwrap();
    put_format(dir.path(), &[1]);
    {
        let (env, _) = open(dir.path());
        let made = env.create_databases_and_commit(env.write_txn().unwrap(), |opener, txn| {
            let log = opener.create_database::<heed::types::Bytes, heed::types::Bytes>(txn, Some("log"))?;
            log.put(txn, &[0; 10], b"an entry")?;
            Ok::<_, heed::Error>(heed::CommitOrAbort::<_, ()>::Commit(()))
        });
        made.unwrap().unwrap_commit();
    }
    for _ in 0..2 {
        let store = reopen(dir.path(), existing()).unwrap();
        let view = store.view().unwrap();
        assert!(view.rows().secret(&secret("kept")).unwrap().is_some());
        assert_eq!(view.rows().meta(Meta::Purged).unwrap(), Some(&b"the last one"[..]));
        assert_eq!(store.log().unwrap().last().unwrap(), None);
    }
}

#[test]
fn a_store_of_a_format_with_fewer_tables_gets_the_others_when_its_node_opens_it() {
    for (format, tables) in [(2, 9), (3, 14), (4, 15)] {
        check_older(format, tables);
    }
}

/// A store of an older format, which had the first so many tables, opens with what it has.
fn check_older(format: u8, tables: usize) {
    let (dir, store) = empty(options());
    let first = version("kept", 1, &[], b"value");
    store.write_now(move |txn| txn.apply(&create("kept", first, None))).unwrap();
    drop(store);
    let before = TempDir::new().unwrap();
    {
        let (old, env) = (open(dir.path()), lmdb(before.path()));
        let txn = old.0.read_txn().unwrap();
        let made = env.create_databases_and_commit(env.write_txn().unwrap(), |opener, to| {
            for (info, table) in TABLES.iter().zip(old.1).take(tables) {
                let copy =
                    opener.create_database::<heed::types::Bytes, heed::types::Bytes>(to, Some(info.name))?;
                table
                    .iter(&txn)?
                    .try_for_each(|row| row.and_then(|(key, value)| copy.put(to, key, value)))?;
            }
            Ok::<_, heed::Error>(heed::CommitOrAbort::<_, ()>::Commit(()))
        });
        made.unwrap().unwrap_commit();
        env.prepare_for_closing().wait();
    }
    put_first_format(before.path(), &[format]);
    assert!(matches!(Store::open_reader(before.path(), 64 << 20).unwrap_err(), OpenError::Older(_)));
    for _ in 0..2 {
        let store = reopen(before.path(), existing()).unwrap();
        let view = store.view().unwrap();
        assert!(view.rows().secret(&secret("kept")).unwrap().is_some());
        assert_eq!(view.rows().tokens().unwrap(), (0, 0));
        assert_eq!(view.rows().unspread_after(None, 1).unwrap(), []);
    }
    assert_eq!(all_rows(before.path()), all_rows(dir.path()));
}

/// As [`put_format`], for an environment without all tables.
fn put_first_format(dir: &Path, format: &[u8]) {
    let env = lmdb(dir);
    let txn = env.write_txn().unwrap();
    let put = env.create_databases_and_commit(txn, |opener, txn| -> heed::Result<_> {
        let meta = opener.open_database::<heed::types::Bytes, heed::types::Bytes>(txn, Some("meta"))?;
        meta.unwrap().put(txn, &[0], format)?;
        Ok(heed::CommitOrAbort::<_, ()>::Commit(()))
    });
    put.unwrap().unwrap_commit();
}

#[test]
fn a_file_that_was_cut_short_is_truncated_and_stays_as_it_was() {
    let dir = closed_store();
    let rows = all_rows(dir.path());
    let whole = fs::read(data_of(dir.path())).unwrap();
    let len = whole.len() as u64;
    let pages = (2..len / PAGE - 1).step_by(3).map(|page| page * PAGE);
    let lengths = [0, 100, 200, 4096, 4196, 8192, len / 2, len / 2 + 100, len - 1];
    for cut in lengths.into_iter().chain(pages) {
        fs::write(data_of(dir.path()), &whole[..usize::try_from(cut).unwrap()]).unwrap();
        for round in 0..2 {
            let said = open_apart(dir.path());
            let clear = matches!(&said, Ended::Refused(why) if why.contains("data.mdb is shorter"));
            // The last pages may be free ones, of which LMDB never wrote all. Then nothing is missing.
            let lacks_nothing =
                || len - 8 * PAGE <= cut && said == Ended::Opened && all_rows(dir.path()) == rows;
            assert!(clear || lacks_nothing(), "{cut} of {len}, {round}: {said:?}");
        }
        assert_eq!(fs::metadata(data_of(dir.path())).unwrap().len(), cut, "nothing was added");
    }
    fs::write(data_of(dir.path()), &whole).unwrap();
    assert_eq!(open_apart(dir.path()), Ended::Opened);
}

#[test]
fn a_file_that_lacks_only_free_pages_opens() {
    let (dir, store) = empty(options());
    drop(store);
    {
        let (env, tables) = open(dir.path());
        let destroyed = tables[8];
        let write = |work: &dyn Fn(&mut heed::RwTxn<'_>) -> heed::Result<()>| {
            let mut txn = env.write_txn().unwrap();
            work(&mut txn).unwrap();
            txn.commit().unwrap();
        };
        write(&|txn| (0..200u8).try_for_each(|at| destroyed.put(txn, &[at], &[1; 2000])));
        for left in [1, 2, 3] {
            write(&|txn| destroyed.clear(txn));
            write(&|txn| destroyed.put(txn, &[left], &[2; 10]));
        }
    }
    let rows = all_rows(dir.path());
    let file = OpenOptions::new().write(true).open(data_of(dir.path())).unwrap();
    file.set_len(file.metadata().unwrap().len() - 40 * PAGE).unwrap();
    assert_eq!(open_apart(dir.path()), Ended::Opened);
    assert_eq!(all_rows(dir.path()), rows);
}

/// Garbage over any page does not crash the opening, and is refused wherever the opening or the first write
/// would trip over it. Garbage in the tables is found when they are read: see `store/src/pages.rs`.
#[test]
fn garbage_on_any_page_does_not_crash_the_opening() {
    let dir = closed_store();
    let whole = fs::read(data_of(dir.path())).unwrap();
    let file = OpenOptions::new().write(true).open(data_of(dir.path())).unwrap();
    let mut refused = Vec::new();
    for page in 0..whole.len() as u64 / PAGE {
        let noise = |len| noise(page + 1).take(len).collect();
        let kinds: [Vec<u8>; 5] = [noise(4096), vec![0; 4096], noise(4000), noise(300), vec![0xfe; 8]];
        for (kind, garbage) in kinds.into_iter().enumerate() {
            let at = page * PAGE + (PAGE - garbage.len() as u64);
            file.write_all_at(&garbage, at).unwrap();
            match open_apart(dir.path()) {
                Ended::Opened => {}
                Ended::Refused(why) => refused.push((page, kind, why)),
                Ended::Crashed(how) => panic!("page {page}, garbage {kind}: {how}"),
            }
            file.write_all_at(&whole, 0).unwrap();
        }
    }
    for header in 0..2 {
        assert!(refused.iter().any(|(page, ..)| *page == header), "a damaged header: {refused:?}");
    }
    let free = refused.iter().filter(|(.., why)| why.contains("the list of free pages is out of order"));
    assert!(free.count() > 0, "a page number that was never one: {refused:?}");
    assert!(refused.len() > 6, "both headers, tables, single values, free pages: {refused:?}");
    assert_eq!(open_apart(dir.path()), Ended::Opened);
}
