//! The writer's promises, the same with a thread of its own and inline: D1 as far as it can be seen without
//! cutting the power (an answer follows the commit) and D2 (a job is whole or absent).
//! Knows nothing of what the node writes.

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
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

use covault_model::{command::Action, id::PayloadHash, marks::Mark, name::NamePrefix};
use covault_store::{Options, Store, StoreError, Txn, View, WriterMode};
use tempfile::TempDir;

use self::{
    rows::all_rows,
    samples::{caller, command, create, marks, secret, version},
    scratch::{empty, options},
};

const BOTH: [WriterMode; 2] = [WriterMode::Thread, WriterMode::Inline];
/// How long an answer may take before it counts as lost.
const PATIENCE: Duration = Duration::from_secs(60);

type Told = (u64, Result<u64, StoreError>);

fn store(writer: WriterMode) -> (TempDir, Arc<Store>) {
    let (dir, store) = empty(Options { writer, ..options() });
    (dir, Arc::new(store))
}

/// Creates the secret of this number.
fn put(txn: &mut Txn<'_>, index: u64) -> Result<u64, StoreError> {
    put_large(txn, index, 8)
}

fn put_large(txn: &mut Txn<'_>, index: u64, bytes: usize) -> Result<u64, StoreError> {
    let of = format!("n/{index:05}");
    let applied = txn.apply(&create(&of, version(&of, 1, &[], &vec![0xa5; bytes]), None))?;
    assert!(applied.outcome.is_ok(), "each number is put once");
    Ok(index)
}

/// The numbers that a look sees.
fn stored(store: &Store) -> Vec<u64> {
    numbers(&store.view().unwrap())
}

fn numbers(view: &View<'_>) -> Vec<u64> {
    let prefix = NamePrefix::parse("n/").unwrap();
    let names = view.rows().names(&caller("ann"), &prefix, None, usize::MAX).unwrap();
    names.iter().map(|name| name.as_str()[2..].parse().unwrap()).collect()
}

/// Holds the writer's thread in a job of its own, so that what is queued meanwhile becomes one batch.
fn hold(store: &Store, mode: WriterMode) -> Option<Sender<()>> {
    let (release, held) = channel::<()>();
    let (started, has_started) = channel();
    (mode == WriterMode::Thread).then(|| {
        let wait = move |_: &mut Txn<'_>| {
            started.send(()).unwrap();
            let _ = held.recv();
            Ok(())
        };
        store.write(wait, |_| ());
        has_started.recv_timeout(PATIENCE).unwrap();
        release
    })
}

/// Runs jobs 0, 1, 2 … in one batch where there are batches, and gives what they were told, as it came.
fn batch(
    store: &Store,
    mode: WriterMode,
    jobs: u64,
    work: fn(&mut Txn<'_>, u64) -> Result<u64, StoreError>,
) -> Vec<Told> {
    let (sender, receiver) = channel();
    let held = hold(store, mode);
    for index in 0..jobs {
        let sender = sender.clone();
        store.write(move |txn| work(txn, index), move |result| sender.send((index, result)).unwrap());
    }
    drop((held, sender));
    (0..jobs).map(|_| told(&receiver)).collect()
}

/// Gathers the creation of the secret of this number, and waits until it has run.
fn gather(store: &Store, index: u64) -> Result<u64, StoreError> {
    let (sender, receiver) = channel();
    let secrets = vec![secret(&format!("n/{index:05}")).id()];
    store.gather(secrets, 8, move |txn| put(txn, index), move |result| sender.send(result).unwrap());
    told(&receiver)
}

fn told<T>(receiver: &Receiver<T>) -> T {
    receiver.recv_timeout(PATIENCE).expect("every caller is told")
}

#[test]
fn a_failing_job_undoes_only_itself() {
    for mode in BOTH {
        let (_dir, store) = store(mode);
        let told = batch(&store, mode, 5, |txn, index| {
            put(txn, index)?;
            put(txn, index + 100)?;
            if index % 2 == 0 { Ok(index) } else { Err(StoreError::Inconsistent("as the test wants")) }
        });
        for (index, result) in told {
            match result {
                Ok(value) => assert_eq!((value, index % 2), (index, 0)),
                Err(StoreError::Inconsistent("as the test wants")) => assert_eq!(index % 2, 1),
                Err(other) => panic!("{other}"),
            }
        }
        assert_eq!(stored(&store), [0, 2, 4, 100, 102, 104], "{mode:?}");
    }
}

#[test]
fn a_job_that_fails_leaves_no_row_of_records_registry_or_views() {
    for mode in BOTH {
        let (dir, store) = store(mode);
        let first = version("kept", 1, &[], b"value");
        store.write_now(move |txn| txn.apply(&create("kept", first, None))).unwrap();
        drop(store);
        let before = all_rows(dir.path());
        let store = Store::open(dir.path(), Options { writer: mode, ..options() }).unwrap();
        let told: Result<(), StoreError> = store.write_now(|txn| {
            let first = version("lost", 2, &[], b"value");
            let mark = Mark::Description(None);
            let marks = marks("lost", 3, &[&first.record], &[mark]);
            assert!(txn.apply(&create("lost", first, Some(marks)))?.outcome.is_ok());
            put(txn, 1)?;
            Err(StoreError::Inconsistent("as the test wants"))
        });
        assert!(matches!(told, Err(StoreError::Inconsistent(_))));
        drop(store);
        assert_eq!(all_rows(dir.path()), before, "{mode:?}");
    }
}

#[test]
fn a_job_sees_what_the_one_before_it_in_the_batch_wrote() {
    for mode in BOTH {
        let (_dir, store) = store(mode);
        let told = batch(&store, mode, 4, |txn, index| {
            let prefix = NamePrefix::parse("n/").unwrap();
            let before = txn.rows().names(&caller("ann"), &prefix, None, 9)?.len();
            put(txn, index)?;
            Ok(before as u64)
        });
        let seen: Vec<u64> = told.into_iter().map(|(_, result)| result.unwrap()).collect();
        assert_eq!(seen, [0, 1, 2, 3], "{mode:?}");
    }
}

#[test]
fn an_answer_comes_after_the_commit() {
    for mode in BOTH {
        let (_dir, store) = store(mode);
        let (sender, receiver) = channel();
        let held = hold(&store, mode);
        for index in 0..3 {
            let (sender, looking) = (sender.clone(), store.clone());
            store.write(
                move |txn| put(txn, index),
                move |result| sender.send((result.unwrap(), stored(&looking))).unwrap(),
            );
        }
        drop(held);
        for index in 0..3 {
            let (told_of, seen) = told(&receiver);
            assert_eq!(told_of, index, "answers come in the order of their jobs");
            assert!(seen.contains(&index), "{mode:?}: {index} was not there when its answer came: {seen:?}");
        }
    }
}

#[test]
fn an_answer_may_write_again() {
    for mode in BOTH {
        let (_dir, store) = store(mode);
        let (sender, receiver) = channel();
        let again = store.clone();
        store.write(
            |txn| put(txn, 1),
            move |_| again.write(|txn| put(txn, 2), move |result| sender.send(result).unwrap()),
        );
        assert_eq!(told(&receiver).unwrap(), 2);
        assert_eq!(stored(&store), [1, 2], "{mode:?}");
    }
}

#[test]
fn a_panic_undoes_its_batch_and_closes_the_writer_but_hangs_nobody() {
    for mode in BOTH {
        let (dir, store) = store(mode);
        store.write_now(|txn| put(txn, 50)).unwrap();
        let told = batch(&store, mode, 3, |txn, index| {
            put(txn, index)?;
            assert!(index != 1, "as the test wants");
            Ok(index)
        });
        // Inline, the first job was a batch of its own, committed before the second came.
        let kept = if mode == WriterMode::Inline { vec![0, 50] } else { vec![50] };
        for (index, result) in told {
            match result {
                Ok(_) => assert!(kept.contains(&index)),
                Err(StoreError::Closed) => assert!(!kept.contains(&index)),
                Err(other) => panic!("{other}"),
            }
        }
        assert_eq!(stored(&store), kept, "what was committed can still be read");
        for _ in 0..2 {
            assert!(matches!(store.write_now(|txn| put(txn, 60)), Err(StoreError::Closed)), "{mode:?}");
        }
        drop(store);
        let store = Store::open(dir.path(), Options { writer: mode, ..options() }).unwrap();
        store.write_now(|txn| put(txn, 61)).unwrap();
        assert_eq!(stored(&store), [kept, vec![61]].concat());
    }
}

#[test]
fn an_answer_that_panics_takes_no_other_along() {
    for mode in BOTH {
        let (_dir, store) = store(mode);
        let (sender, receiver) = channel();
        let held = hold(&store, mode);
        store.write(|txn| put(txn, 1), |_| panic!("as the test wants"));
        store.write(|txn| put(txn, 2), move |result| sender.send(result).unwrap());
        drop(held);
        assert_eq!(told(&receiver).unwrap(), 2);
        store.write_now(|txn| put(txn, 3)).unwrap();
        assert_eq!(stored(&store), [1, 2, 3], "{mode:?}");
    }
}

#[test]
fn what_is_queued_is_committed_when_the_store_is_dropped() {
    for mode in BOTH {
        let (dir, store) = store(mode);
        let (sender, receiver) = channel();
        let held = hold(&store, mode);
        for index in 0..50 {
            let sender = sender.clone();
            store.write(move |txn| put(txn, index), move |result| sender.send(result).unwrap());
        }
        let dropping = thread::spawn(move || drop(store));
        drop((held, sender));
        dropping.join().unwrap();
        assert_eq!(
            receiver.try_iter().filter(Result::is_ok).count(),
            50,
            "all were told before the drop ended"
        );
        let store = Store::open(dir.path(), options()).unwrap();
        assert_eq!(stored(&store), (0..50).collect::<Vec<u64>>(), "{mode:?}");
    }
}

#[test]
fn an_answer_may_be_the_stores_last_owner() {
    for mode in BOTH {
        let (_dir, store) = store(mode);
        let (sender, receiver) = channel();
        let held = hold(&store, mode);
        let owner = store.clone();
        store.write(
            |txn| put(txn, 1),
            move |result| {
                drop(owner);
                sender.send(result).unwrap();
            },
        );
        drop(store);
        drop(held);
        assert_eq!(told(&receiver).unwrap(), 1, "{mode:?}");
    }
}

#[test]
fn writers_in_many_threads_all_hear_of_their_own_job() {
    for mode in BOTH {
        let (_dir, store) = store(mode);
        thread::scope(|scope| {
            for client in 0..8 {
                let store = &store;
                scope.spawn(move || {
                    for turn in 0..50 {
                        let index = client * 1000 + turn;
                        assert_eq!(store.write_now(move |txn| put(txn, index)).unwrap(), index);
                        assert!(stored(store).contains(&index));
                    }
                });
            }
        });
        assert_eq!(stored(&store).len(), 400, "{mode:?}");
    }
}

#[test]
fn a_full_map_refuses_the_job_that_does_not_fit_and_no_other() {
    for mode in BOTH {
        let (_dir, store) = empty(Options { writer: mode, map_bytes: 1 << 20, ..options() });
        let told = batch(&store, mode, 5, |txn, index| {
            put(txn, index)?;
            if index == 2 { put_large(txn, 200, 1_048_000) } else { put_large(txn, index + 100, 10_000) }
        });
        for (index, result) in told {
            match result {
                Ok(value) => assert_eq!(value, index + 100),
                Err(StoreError::Full) => assert_eq!(index, 2),
                Err(other) => panic!("{other}"),
            }
        }
        assert_eq!(stored(&store), [0, 1, 3, 4, 100, 101, 103, 104], "{mode:?}");
    }
}

#[test]
fn a_full_map_leaves_nothing_half_written_and_goes_on_reading_and_writing_small() {
    for mode in BOTH {
        let (dir, store) = empty(Options { writer: mode, map_bytes: 1 << 20, ..options() });
        let mut made = 0u64;
        let refused = loop {
            assert!(made < 1000, "a map of 1 MiB holds less");
            let (of, made_at) = (format!("s/{made}"), made + 1);
            let first = version(&of, made_at, &[], &vec![0x5a; 20_000]);
            let applied = store.write_now(move |txn| txn.apply(&create(&of, first, None)));
            match applied {
                Ok(applied) => assert!(applied.outcome.is_ok()),
                Err(error) => break error,
            }
            made += 1;
        };
        assert!(matches!(refused, StoreError::Full), "{refused}");
        assert!(made > 5);
        let report = store.compare_with_rebuild().unwrap();
        assert_eq!((report.secrets, report.versions, report.differences), (made, made, vec![]));
        // Erasing needs room too, but little; what it leaves is room for small writes.
        for at in 0..made {
            let of = format!("s/{at}");
            let erased = version(&of, at + 1, &[], &vec![0x5a; 20_000]);
            let what = (erased.place(), PayloadHash::of(&erased.payload));
            let destroy = command(Action::Destroy(secret(&of), vec![what]));
            assert!(store.write_now(move |txn| txn.apply(&destroy)).unwrap().outcome.is_ok());
        }
        for index in 0..100 {
            store.write_now(move |txn| put(txn, index)).unwrap();
        }
        drop(store);
        let store = Store::open(dir.path(), Options { map_bytes: 1 << 20, ..options() }).unwrap();
        assert_eq!(stored(&store).len(), 100, "{mode:?}");
        assert_eq!(store.compare_with_rebuild().unwrap().differences, []);
    }
}

#[test]
fn gathered_jobs_are_answered_at_once_and_seen_after_the_next_write_that_is_waited_for() {
    for mode in BOTH {
        let (dir, store) = store(mode);
        for index in 0..3 {
            assert_eq!(gather(&store, index).unwrap(), index);
        }
        store.write_now(|_| Ok(())).unwrap();
        assert!(store.is_all_settled() && store.is_settled(&secret("n/00001").id()));
        assert_eq!(stored(&store), [0, 1, 2], "{mode:?}");
        assert_eq!(gather(&store, 3).unwrap(), 3);
        assert!(store.is_settled(&secret("n/00001").id()), "only what was written is not settled");
        assert!(
            store.is_settled(&secret("n/00003").id()) == stored(&store).contains(&3)
                || store.is_all_settled()
        );
        drop(store);
        let store = Store::open(dir.path(), options()).unwrap();
        assert_eq!(stored(&store), [0, 1, 2, 3], "what was gathered is committed when the store is dropped");
    }
}

#[test]
fn what_was_gathered_is_committed_when_nothing_follows() {
    let (_dir, store) = store(WriterMode::Thread);
    gather(&store, 1).unwrap();
    let begun = Instant::now();
    while !store.is_all_settled() {
        assert!(begun.elapsed() < PATIENCE, "it is never committed");
        thread::yield_now();
    }
    assert_eq!(stored(&store), [1]);
}

#[test]
fn a_gathered_job_that_fails_says_so_and_undoes_only_itself() {
    for mode in BOTH {
        let (_dir, store) = store(mode);
        gather(&store, 1).unwrap();
        let (sender, receiver) = channel();
        let fail = |txn: &mut Txn<'_>| {
            put(txn, 2)?;
            Err::<u64, _>(StoreError::Inconsistent("as the test wants"))
        };
        store.gather(vec![], 1, fail, move |result| sender.send(result).unwrap());
        assert!(matches!(told(&receiver), Err(StoreError::Inconsistent("as the test wants"))), "{mode:?}");
        gather(&store, 3).unwrap();
        store.write_now(|_| Ok(())).unwrap();
        assert_eq!(stored(&store), [1, 3], "{mode:?}");
    }
}

#[test]
fn gathered_and_awaited_jobs_keep_their_order() {
    let (_dir, store) = store(WriterMode::Thread);
    let held = hold(&store, WriterMode::Thread);
    let (sender, receiver) = channel();
    for index in 0..20 {
        let sender = sender.clone();
        let done = move |result: Result<Vec<u64>, StoreError>| sender.send((index, result.unwrap())).unwrap();
        let work = move |txn: &mut Txn<'_>| {
            put(txn, index)?;
            let prefix = NamePrefix::parse("n/").unwrap();
            let names = txn.rows().names(&caller("ann"), &prefix, None, usize::MAX)?;
            Ok(names.iter().map(|name| name.as_str()[2..].parse().unwrap()).collect())
        };
        if index % 3 == 0 { store.write(work, done) } else { store.gather(vec![], 1, work, done) }
    }
    drop(held);
    for _ in 0..20 {
        let (index, seen) = told(&receiver);
        assert_eq!(seen, (0..=index).collect::<Vec<_>>());
    }
}

#[test]
fn who_asks_sees_what_was_written_before_and_changes_nothing() {
    for mode in BOTH {
        let (_dir, store) = store(mode);
        let (sender, receiver) = channel();
        let held = hold(&store, mode);
        for index in 0..4 {
            let asked = sender.clone();
            store.gather(vec![], 1, move |txn| put(txn, index), |_| ());
            let ask = move |rows: covault_store::Rows<'_>| {
                Ok(rows.names(&caller("ann"), &NamePrefix::parse("n/").unwrap(), None, 9)?.len())
            };
            store.ask(ask, move |result| asked.send(result.unwrap()).unwrap());
        }
        store.ask(
            |_| Err::<usize, _>(StoreError::Inconsistent("as the test wants")),
            move |result| sender.send(if result.is_err() { 0 } else { 9 }).unwrap(),
        );
        drop(held);
        let seen: Vec<usize> = (0..5).map(|_| told(&receiver)).collect();
        assert_eq!(seen, [1, 2, 3, 4, 0], "{mode:?}");
        store.write_now(|_| Ok(())).unwrap();
        assert_eq!(stored(&store), [0, 1, 2, 3], "{mode:?}");
    }
}

#[test]
fn who_asks_is_told_nothing_of_what_is_not_committed_yet() {
    let (_dir, store) = store(WriterMode::Thread);
    let release = hold(&store, WriterMode::Thread);
    let (told, tells) = channel();
    let (of_write, of_ask) = (told.clone(), told);
    store.gather(Vec::new(), 8, |txn| put(txn, 1), |_| ());
    let other = store.clone();
    let told_of_write = move |result: Result<u64, StoreError>| {
        of_write.send(("write", result.unwrap())).unwrap();
        // Another commit, before the thread goes on with who asks.
        other.write_now(|_| Ok(())).unwrap();
    };
    store.write(|txn| put(txn, 2), told_of_write);
    store.ask(|rows| rows.secrets(), move |result| of_ask.send(("ask", result.unwrap())).unwrap());
    drop(release);
    let in_order = [self::told(&tells), self::told(&tells)];
    assert_eq!(in_order, [("write", 2), ("ask", 2)]);
}

#[test]
fn asking_without_end_does_not_put_off_the_commit() {
    const ASKED: usize = 2000;
    let (_dir, store) = store(WriterMode::Thread);
    let (sender, receiver) = channel();
    let held = hold(&store, WriterMode::Thread);
    store.gather(vec![], 1, |txn| put(txn, 1), |_| ());
    for _ in 0..ASKED {
        let (sender, looking) = (sender.clone(), store.clone());
        store.ask(|_| Ok(()), move |_| sender.send(looking.is_all_settled()).unwrap());
    }
    drop(held);
    let settled = (0..ASKED).map(|_| told(&receiver)).filter(|settled| *settled).count();
    assert!(0 < settled, "all were answered before anything was committed");
}

#[test]
fn many_gathered_bytes_are_committed_without_anybody_asking() {
    let (_dir, store) = store(WriterMode::Thread);
    let (sender, receiver) = channel();
    for index in 0..12 {
        let sender = sender.clone();
        let work = move |txn: &mut Txn<'_>| put_large(txn, index, 1 << 20);
        store.gather(vec![], 1 << 20, work, move |result| sender.send(result).unwrap());
    }
    for index in 0..12 {
        assert_eq!(told(&receiver).unwrap(), index);
    }
    assert!(4 <= stored(&store).len(), "at most four are not committed");
}

#[test]
fn a_store_opened_to_look_refuses_to_write() {
    let (dir, store) = store(WriterMode::Inline);
    drop(store);
    let looking = Store::open_reader(dir.path(), 1 << 20).unwrap();
    assert!(matches!(looking.write_now(|txn| put(txn, 1)), Err(StoreError::Closed)));
}
