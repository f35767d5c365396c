//! Histories are insert-once. Keeps H2 (twice is once, nothing inserted is replaced, and the order of arrival
//! does not matter) and E7 (a destroyed payload stays destroyed). Knows nothing of documents or agreement.

#![allow(clippy::unwrap_used)]

#[path = "support/lmdb.rs"]
mod lmdb;
#[path = "support/rows.rs"]
mod rows;
#[path = "support/samples.rs"]
mod samples;
#[path = "support/scratch.rs"]
mod scratch;

use covault_model::{
    command::{Action, SealedVersion},
    hlc::Hlc,
    id::{PayloadHash, RecordId},
    limits::{DEPTH_MAX, PARENTS_MAX},
    line::Place,
    marks::{Mark, Stamp, Stamped},
    name::{Description, LabelKey, LabelValue},
    record::Record,
    registry::Registry,
};
use covault_store::{Counts, HeadRow, LineRow, SecretView, Store, StoreError, Txn};
use tempfile::TempDir;

use self::{
    rows::all_rows,
    samples::{command, create, marks, secret, version},
};

fn store() -> (TempDir, Store) {
    scratch::empty(scratch::options())
}

fn label(key: &str, value: Option<&str>) -> Mark {
    let value = value.map(|value| LabelValue::parse(value).unwrap());
    Mark::Label(LabelKey::parse(key).unwrap(), value)
}

fn described(text: &str) -> Mark {
    Mark::Description(Some(Description::parse(text).unwrap()))
}

/// Something that arrives.
#[derive(Debug, Clone)]
enum Arrival {
    Version { version: SealedVersion, with_payload: bool, number: Option<u64> },
    Marks(Record),
    Destroy(SealedVersion),
}

fn arrive(txn: &mut Txn<'_>, arrival: &Arrival) -> Result<bool, StoreError> {
    match arrival {
        Arrival::Version { version, with_payload, number } => txn.insert_version(
            &secret("s"),
            &version.record,
            with_payload.then_some(version.payload.as_slice()),
            *number,
        ),
        Arrival::Marks(record) => txn.insert_marks(&secret("s"), record),
        Arrival::Destroy(version) => {
            let what = (version.place(), PayloadHash::of(&version.payload));
            let applied = txn.apply(&command(Action::Destroy(secret("s"), vec![what])))?;
            Ok(applied.outcome.is_ok())
        }
    }
}

/// All that is kept of the secret `s`.
#[derive(Debug, Clone, PartialEq)]
struct Kept {
    view: Option<SecretView>,
    line: Vec<(Place, LineRow)>,
    records: Vec<Record>,
    deleted: Vec<Option<Stamped<bool>>>,
    payloads: Vec<Option<Vec<u8>>>,
}

fn kept(txn: &Txn<'_>) -> Result<Kept, StoreError> {
    let (rows, id) = (txn.rows(), secret("s"));
    let records = rows.records(&id)?;
    let payload = |record: &Record| {
        let hash = record.version().map(|body| body.payload)?;
        rows.payload(&id, &hash).unwrap().map(<[u8]>::to_vec)
    };
    Ok(Kept {
        view: rows.secret_view(&id)?,
        line: rows.versions(&id, None, usize::MAX)?,
        deleted: records.iter().map(|record| rows.deleted(&id, &record.id())).collect::<Result<_, _>>()?,
        payloads: records.iter().map(payload).collect(),
        records,
    })
}

/// Has `arrivals` come in this order, each once or twice, says what is kept then, and undoes it all.
fn outcome(store: &Store, arrivals: Vec<Arrival>, times: usize) -> Kept {
    let (sender, receiver) = std::sync::mpsc::channel();
    let told: Result<(), StoreError> = store.write_now(move |txn| {
        for arrival in &arrivals {
            let changes: Vec<bool> = (0..times).map(|_| arrive(txn, arrival)).collect::<Result<_, _>>()?;
            let again = &changes[1..];
            assert!(matches!(arrival, Arrival::Destroy(_)) || again.iter().all(|changed| !changed));
        }
        sender.send(kept(txn)?).unwrap();
        Err(StoreError::Inconsistent("as the test wants"))
    });
    assert!(matches!(told, Err(StoreError::Inconsistent("as the test wants"))), "{told:?}");
    receiver.recv().unwrap()
}

/// Every order of `items`, by Heap's algorithm.
fn each_order<T: Clone>(items: &mut Vec<T>, count: usize, each: &mut impl FnMut(&[T])) {
    if count <= 1 {
        return each(items);
    }
    for at in 0..count {
        each_order(items, count - 1, each);
        items.swap(if count.is_multiple_of(2) { at } else { 0 }, count - 1);
    }
}

/// A secret with every kind of record, to arrive in any order after its first version.
struct Sample {
    first: SealedVersion,
    second: SealedVersion,
    apart: SealedVersion,
    last: Record,
    arrivals: Vec<Arrival>,
}

fn sample() -> Sample {
    let first = version("s", 10, &[], b"first");
    let second = version("s", 20, &[&first.record], b"second");
    let apart = version("s", 15, &[&first.record], b"apart");
    let last = marks(
        "s",
        30,
        &[&second.record, &apart.record],
        &[label("env", Some("prod")), described("last"), Mark::Deleted(second.record.id(), true)],
    );
    let earlier = marks(
        "s",
        25,
        &[&second.record],
        &[label("env", None), label("team", Some("a")), Mark::Deleted(second.record.id(), false)],
    );
    let arrives = |version: &SealedVersion, with_payload, number| Arrival::Version {
        version: version.clone(),
        with_payload,
        number,
    };
    let arrivals = vec![
        arrives(&second, false, None),
        arrives(&second, true, Some(2)),
        arrives(&apart, true, None),
        Arrival::Destroy(apart.clone()),
        Arrival::Marks(last.clone()),
        Arrival::Marks(earlier),
    ];
    Sample { first, second, apart, last, arrivals }
}

fn begin(store: &Store, first: &SealedVersion) {
    let create = create("s", first.clone(), None);
    assert!(store.write_now(move |txn| txn.apply(&create)).unwrap().outcome.is_ok());
}

#[test]
fn any_order_of_arrival_and_any_repetition_gives_the_same_history() {
    let (_dir, store) = store();
    let sample = sample();
    begin(&store, &sample.first);
    let mut arrivals = sample.arrivals.clone();
    let expected = outcome(&store, arrivals.clone(), 1);
    check_last(&expected, &sample.second, &sample.apart, &sample.last);
    let (mut orders, count) = (0, arrivals.len());
    each_order(&mut arrivals, count, &mut |order| {
        orders += 1;
        assert_eq!(outcome(&store, order.to_vec(), 1 + orders % 2), expected, "{order:?}");
    });
    assert_eq!(orders, 720);
}

/// The same down to the bytes of every row, for a part of the orders.
#[test]
fn any_order_of_arrival_gives_the_same_rows_in_every_table() {
    let sample = sample();
    let committed = |order: &[Arrival]| {
        let (dir, store) = store();
        begin(&store, &sample.first);
        for arrival in order {
            let arrival = arrival.clone();
            store.write_now(move |txn| arrive(txn, &arrival)).unwrap();
        }
        let view = store.view().unwrap();
        assert_eq!(view.rows().counts().unwrap(), Counts { secrets: 1, versions: 3, provisional: 1 });
        assert_eq!(view.rows().clock().unwrap(), Hlc(30));
        drop(view);
        drop(store);
        all_rows(dir.path())
    };
    let mut arrivals = sample.arrivals.clone();
    let expected = committed(&arrivals);
    let (mut orders, count) = (0, arrivals.len());
    each_order(&mut arrivals, count, &mut |order| {
        orders += 1;
        if orders % 29 == 0 {
            assert_eq!(committed(order), expected, "{order:?}");
        }
    });
}

fn check_last(kept: &Kept, second: &SealedVersion, apart: &SealedVersion, last: &Record) {
    let view = kept.view.as_ref().unwrap();
    let stamp = Stamp(Hlc(30), last.id());
    assert_eq!(view.labels[&LabelKey::parse("env").unwrap()].0, stamp);
    assert_eq!(view.labels.len(), 2);
    assert_eq!(view.description, Some(Stamped(stamp, Some(Description::parse("last").unwrap()))));
    assert_eq!(view.versions, 3);
    assert!(view.awaited.is_empty());
    assert_eq!(view.heads.len(), 2, "the two records of marks");
    let (place, current) = view.current.as_ref().unwrap();
    assert_eq!(
        (*place, current.number, current.deleted, current.destroyed),
        (second.place(), Some(2), true, false)
    );
    let (place, row) = &kept.line[1];
    assert_eq!((*place, row.number, row.destroyed), (apart.place(), None, true));
    assert_eq!(kept.payloads.iter().flatten().count(), 2, "all but the destroyed one");
}

#[test]
fn a_version_gets_its_number_later_and_keeps_it() {
    let (_dir, store) = store();
    let first = version("s", 10, &[], b"first");
    store
        .write_now(move |txn| {
            assert!(txn.insert_version(&secret("s"), &first.record, Some(&first.payload), None)?);
            assert!(txn.insert_version(&secret("s"), &first.record, None, Some(1))?);
            assert!(
                !txn.insert_version(&secret("s"), &first.record, None, None)?,
                "no number takes none away"
            );
            assert!(!txn.insert_version(&secret("s"), &first.record, None, Some(1))?);
            let other = txn.insert_version(&secret("s"), &first.record, None, Some(2));
            assert!(matches!(other, Err(StoreError::Inconsistent(_))), "a number never changes its version");
            let kept = kept(txn)?;
            assert_eq!(kept.line[0].1.number, Some(1));
            assert_eq!(kept.view.unwrap().current.unwrap().1.number, Some(1));
            Ok(())
        })
        .unwrap();
    assert_eq!(
        store.view().unwrap().rows().counts().unwrap(),
        Counts { secrets: 0, versions: 1, provisional: 0 }
    );
}

#[test]
fn a_payload_that_comes_after_its_version_is_stored_once() {
    let (_dir, store) = store();
    let first = version("s", 10, &[], b"first");
    store
        .write_now(move |txn| {
            assert!(txn.insert_version(&secret("s"), &first.record, None, None)?);
            let hash = PayloadHash::of(b"first");
            assert_eq!(txn.rows().payload(&secret("s"), &hash)?, None);
            assert!(txn.insert_version(&secret("s"), &first.record, Some(b"first"), None)?);
            assert!(!txn.insert_version(&secret("s"), &first.record, Some(b"first"), None)?);
            assert_eq!(txn.rows().payload(&secret("s"), &hash)?, Some(b"first".as_slice()));
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_payload_that_is_not_the_records_own_is_refused() {
    let (_dir, store) = store();
    let first = version("s", 10, &[], b"first");
    let wrong = store.write_now({
        let record = first.record.clone();
        move |txn| txn.insert_version(&secret("s"), &record, Some(b"other"), None)
    });
    assert!(matches!(wrong, Err(StoreError::Inconsistent(_))));
    let replaced = store.write_now(move |txn| {
        txn.insert_version(&secret("s"), &first.record, Some(&first.payload), None)?;
        txn.insert_version(&secret("s"), &first.record, Some(b"other"), None)
    });
    assert!(matches!(replaced, Err(StoreError::Inconsistent(_))), "nothing inserted is replaced");
}

#[test]
fn a_record_in_the_wrong_place_is_refused() {
    let (_dir, store) = store();
    let first = version("s", 10, &[], b"first");
    let mark = marks("s", 20, &[&first.record], &[described("x")]);
    let (as_marks, as_version) = (first.record.clone(), mark.clone());
    let told = store.write_now(move |txn| txn.insert_marks(&secret("s"), &as_marks));
    assert!(matches!(told, Err(StoreError::Inconsistent(_))));
    let told = store.write_now(move |txn| txn.insert_version(&secret("s"), &as_version, None, None));
    assert!(matches!(told, Err(StoreError::Inconsistent(_))));
}

#[test]
fn a_destroyed_payload_is_refused_when_it_comes_back() {
    let (_dir, store) = store();
    let first = version("s", 10, &[], b"first");
    let second = version("s", 20, &[&first.record], b"second");
    store
        .write_now(move |txn| {
            txn.apply(&create("s", first.clone(), None))?;
            arrive(txn, &Arrival::Destroy(first.clone()))?;
            // Its version was here before; it comes back on its own, and with its version.
            assert!(!txn.insert_version(&secret("s"), &first.record, Some(&first.payload), Some(1))?);
            // This one is destroyed before its version arrives.
            arrive(txn, &Arrival::Destroy(second.clone()))?;
            assert!(txn.insert_version(&secret("s"), &second.record, Some(&second.payload), Some(2))?);
            assert!(!txn.insert_version(&secret("s"), &second.record, Some(&second.payload), Some(2))?);
            let kept = kept(txn)?;
            assert!(kept.line.iter().all(|(_, row)| row.destroyed));
            assert!(kept.view.unwrap().current.unwrap().1.destroyed);
            assert_eq!(kept.payloads, [None, None]);
            for version in [&first, &second] {
                assert!(txn.rows().is_destroyed(&PayloadHash::of(&version.payload))?);
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn destroying_what_another_version_holds_marks_no_version() {
    let (_dir, store) = store();
    let first = version("s", 10, &[], b"first");
    store
        .write_now(move |txn| {
            txn.apply(&create("s", first.clone(), None))?;
            let wrong = (first.place(), PayloadHash::of(b"of nobody"));
            txn.apply(&command(Action::Destroy(secret("s"), vec![wrong])))?;
            let kept = kept(txn)?;
            assert!(!kept.line[0].1.destroyed);
            assert_eq!(kept.payloads, [Some(b"first".to_vec())]);
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_delete_mark_waits_for_its_version_and_the_latest_holds() {
    let (_dir, store) = store();
    let first = version("s", 10, &[], b"first");
    let delete =
        |time, deleted| marks("s", time, &[&first.record], &[Mark::Deleted(first.record.id(), deleted)]);
    let (early, late, latest) = (delete(20, true), delete(30, false), delete(40, true));
    let id = first.record.id();
    store
        .write_now(move |txn| {
            txn.insert_marks(&secret("s"), &late)?;
            assert!(
                txn.rows().secret_view(&secret("s"))?.unwrap().current.is_none(),
                "marks alone are no version"
            );
            txn.insert_marks(&secret("s"), &early)?;
            txn.insert_version(&secret("s"), &first.record, None, None)?;
            let deleted = |txn: &Txn<'_>| kept(txn).map(|kept| kept.line[0].1.deleted);
            assert!(!deleted(txn)?, "brought back later than deleted");
            txn.insert_marks(&secret("s"), &latest)?;
            assert!(deleted(txn)?);
            assert_eq!(
                txn.rows().deleted(&secret("s"), &id)?,
                Some(Stamped(Stamp(Hlc(40), latest.id()), true))
            );
            assert!(kept(txn)?.view.unwrap().current.unwrap().1.deleted);
            Ok(())
        })
        .unwrap();
}

#[test]
fn the_next_records_parents_are_the_heads_rising_by_id() {
    let (_dir, store) = store();
    let first = version("s", 10, &[], b"first");
    let apart: Vec<SealedVersion> =
        (0..3).map(|at| version("s", 20 + at, &[&first.record], format!("apart {at}").as_bytes())).collect();
    store
        .write_now(move |txn| {
            txn.insert_version(&secret("s"), &first.record, None, None)?;
            let view = txn.rows().secret_view(&secret("s"))?.unwrap();
            assert_eq!(view.parents(), (vec![first.record.id()], 2));
            for version in &apart {
                txn.insert_version(&secret("s"), &version.record, None, None)?;
            }
            let mut named: Vec<RecordId> = apart.iter().map(|version| version.record.id()).collect();
            named.sort_unstable();
            assert_eq!(txn.rows().secret_view(&secret("s"))?.unwrap().parents(), (named, 3));
            Ok(())
        })
        .unwrap();
}

#[test]
fn of_more_heads_than_a_record_may_name_the_deepest_are_parents() {
    let (_dir, store) = store();
    let first = version("s", 10, &[], b"first");
    let deep = version("s", 11, &[&first.record], b"deep");
    let deepest = version("s", 12, &[&deep.record], b"deepest");
    store
        .write_now(move |txn| {
            for version in [&first, &deep, &deepest] {
                txn.insert_version(&secret("s"), &version.record, None, None)?;
            }
            for at in 0..20 {
                txn.insert_version(
                    &secret("s"),
                    &version("s", 20 + at, &[&first.record], b"flat").record,
                    None,
                    None,
                )?;
            }
            let view = txn.rows().secret_view(&secret("s"))?.unwrap();
            assert_eq!(view.heads.len(), 21);
            let (parents, depth) = view.parents();
            assert_eq!((parents.len(), depth), (PARENTS_MAX, 4));
            assert!(parents.contains(&deepest.record.id()));
            assert!(parents.is_sorted());
            // A record that names them makes one head of them; the others stay.
            let next = version("s", 50, &[&deepest.record], b"next");
            txn.insert_version(&secret("s"), &next.record, None, None)?;
            assert_eq!(txn.rows().secret_view(&secret("s"))?.unwrap().heads.len(), 21);
            Ok(())
        })
        .unwrap();
}

#[test]
fn the_line_is_read_by_time_from_either_side() {
    let (_dir, store) = store();
    let versions: Vec<SealedVersion> =
        (1..=5).map(|at| version("s", at * 10, &[], format!("{at}").as_bytes())).collect();
    let places: Vec<Place> = versions.iter().map(SealedVersion::place).collect();
    store
        .write_now(move |txn| {
            for version in versions.iter().rev() {
                txn.insert_version(&secret("s"), &version.record, None, None)?;
            }
            let other = version("t", 25, &[], b"another secret's");
            txn.insert_version(&secret("t"), &other.record, None, None)
        })
        .unwrap();
    let view = store.view().unwrap();
    let (rows, id) = (view.rows(), secret("s"));
    let page = |before: Option<&Place>, limit| -> Vec<Place> {
        rows.versions(&id, before, limit).unwrap().into_iter().map(|(place, _)| place).collect()
    };
    assert_eq!(page(None, 2), [places[4], places[3]]);
    assert_eq!(page(Some(&places[3]), 2), [places[2], places[1]]);
    assert_eq!(page(Some(&places[0]), 2), []);
    assert_eq!(page(None, 0), []);
    let at =
        |time| rows.version_at(&id, &Place { time: Hlc(time), ..places[0] }).unwrap().map(|found| found.0);
    assert_eq!((at(9), at(10), at(29), at(1000)), (None, Some(places[0]), Some(places[1]), Some(places[4])));
    assert_eq!(rows.next_place(&id, &places[1]).unwrap(), Some(places[2]));
    assert_eq!(rows.next_place(&id, &places[4]).unwrap(), None);
    assert_eq!(rows.place_of(&id, &places[2].id).unwrap(), Some(places[2]));
    assert_eq!(rows.place_of(&secret("t"), &places[2].id).unwrap(), None, "another secret's id is a miss");
    assert_eq!(rows.record(&id, &places[2].id).unwrap().map(|record| record.id()), Some(places[2].id));
}

#[test]
fn a_head_that_is_too_deep_to_be_followed_is_no_parent() {
    let (_dir, store) = store();
    let first = version("s", 10, &[], b"first");
    let id = first.record.id();
    let inserting = store.write_now(move |txn| {
        txn.insert_version(&secret("s"), &first.record, None, None)?;
        Ok(txn.rows().secret_view(&secret("s"))?.unwrap())
    });
    let mut view = inserting.unwrap();
    let deep = |below: u64| HeadRow { id: RecordId([9; 32]), depth: DEPTH_MAX - below };
    for below in [0, 1] {
        view.heads = vec![HeadRow { id, depth: 1 }, deep(below)];
        assert_eq!(view.parents(), (vec![id], 2));
        view.heads = vec![deep(below)];
        assert_eq!(view.parents(), (Vec::new(), 1));
    }
    view.heads = vec![deep(2)];
    assert_eq!(view.parents(), (vec![RecordId([9; 32])], DEPTH_MAX - 1));
}
