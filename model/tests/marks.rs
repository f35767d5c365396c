//! Marks merge the same in every order and however often they come, and with them the whole state of a
//! secret. Shows H3. Knows nothing of documents.

#![allow(clippy::unwrap_used)]

#[path = "support/samples.rs"]
mod samples;

use covault_model::{
    history::derive,
    hlc::Hlc,
    id::{ChangeHash, RecordId},
    line::Place,
    marks::{Mark, Stamp, Stamped},
    name::{LabelKey, LabelValue},
    record::{Body, Header, Parent, Record},
};
use proptest::{
    collection::vec,
    option,
    prelude::{Just, Strategy, any, prop_oneof, proptest},
    sample::{Index, subsequence},
};

use self::samples::{header, node, sealed};

fn stamp(time: u64, record: u8) -> Stamp {
    Stamp(Hlc(time), RecordId([record; 32]))
}

fn merged(marks: &[(Stamp, char)]) -> Option<Stamped<char>> {
    let mut held = None;
    for (stamp, value) in marks {
        Stamped::merge(&mut held, *stamp, *value);
    }
    held
}

#[test]
fn the_later_mark_holds_and_the_greater_record_of_one_time() {
    let (early, late, tied) = ((stamp(1, 9), 'e'), (stamp(2, 1), 'l'), (stamp(2, 2), 't'));
    assert_eq!(merged(&[early, late]), Some(Stamped(late.0, late.1)));
    assert_eq!(merged(&[late, early]), Some(Stamped(late.0, late.1)));
    assert_eq!(merged(&[late, tied]), Some(Stamped(tied.0, tied.1)));
    assert_eq!(merged(&[tied, late]), Some(Stamped(tied.0, tied.1)));
    assert_eq!(merged(&[]), None);
}

#[test]
fn merging_commutes_associates_and_repeats_on_every_small_world() {
    let marks: Vec<(Stamp, char)> =
        (1..=2).flat_map(|time| (1..=2).map(move |id| stamp(time, id))).zip(['a', 'b', 'c', 'd']).collect();
    for one in &marks {
        assert_eq!(merged(&[*one]), merged(&[*one, *one]), "idempotent");
        for two in &marks {
            assert_eq!(merged(&[*one, *two]), merged(&[*two, *one]), "commutative");
            for three in &marks {
                // (one + two) + three, against one + (two + three): the right side is merged first.
                let Stamped(at, value) = merged(&[*two, *three]).unwrap();
                let right = merged(&[*one, (at, value)]);
                assert_eq!(merged(&[*one, *two, *three]), right, "associative");
            }
        }
    }
}

fn label(value: Option<&str>) -> Mark {
    Mark::Label(LabelKey::parse("team").unwrap(), value.map(|value| LabelValue::parse(value).unwrap()))
}

/// Stands for the document change that inserts `record`.
fn change(record: &Record) -> ChangeHash {
    ChangeHash(record.id().0)
}

fn marked(time: u64, parents: &[&Record], marks: Vec<Mark>) -> Record {
    let body = Body::Marks(marks);
    child(Header { body, ..header("a", time, &node(1), b"") }, parents)
}

/// Signs `header` as a record that has seen `parents`.
fn child(mut header: Header, parents: &[&Record]) -> Record {
    header.parents = parents.iter().map(|parent| Parent(parent.id(), change(parent))).collect();
    header.parents.sort();
    header.depth = 1 + parents.iter().map(|parent| parent.header().depth).max().unwrap_or(0);
    Record::sign(header, &node(1))
}

/// In both orders the state's label of `team` is this, and these records are its heads.
fn check_both_orders(one: &Record, two: &Record, expected: Option<&str>, heads: &[&Record]) {
    let state_of = derive([one, two]);
    assert_eq!(state_of, derive([two, one]));
    let held = &state_of.labels[&LabelKey::parse("team").unwrap()];
    assert_eq!(held.1.as_deref(), expected);
    let ids: Vec<RecordId> = state_of.heads.keys().copied().collect();
    let mut heads: Vec<RecordId> = heads.iter().map(|record| record.id()).collect();
    heads.sort();
    assert_eq!(ids, heads);
}

#[test]
fn a_label_set_later_holds_and_so_does_one_taken_away_later() {
    let (set, taken) = (marked(1, &[], vec![label(Some("blue"))]), marked(2, &[], vec![label(None)]));
    check_both_orders(&set, &taken, None, &[&set, &taken]);
    let set_again = marked(3, &[&taken], vec![label(Some("red"))]);
    check_both_orders(&taken, &set_again, Some("red"), &[&set_again]);
}

#[test]
fn a_delete_mark_holds_before_and_after_its_version_is_known() {
    let version = sealed("a", 10, &node(1), b"first").record;
    let delete = marked(11, &[&version], vec![Mark::Deleted(version.id(), true)]);
    let undelete = marked(12, &[&delete], vec![Mark::Deleted(version.id(), false)]);
    let known = |records: &[&Record]| {
        let state = derive(records.iter().copied());
        let deleted = state.deleted.get(&version.id()).map(|held| held.1);
        (deleted, state.line.contains_key(&Place { time: Hlc(10), id: version.id() }))
    };
    assert_eq!(known(&[&version]), (None, true));
    assert_eq!(known(&[&delete]), (Some(true), false));
    assert_eq!(known(&[&delete, &version]), (Some(true), true));
    assert_eq!(known(&[&undelete, &version, &delete]), (Some(false), true));
}

#[test]
fn a_record_that_was_seen_changes_nothing_when_it_comes_after_its_child() {
    let parent = marked(1, &[], vec![label(Some("blue"))]);
    let child = marked(2, &[&parent], vec![label(Some("red"))]);
    let mut whole = derive([&parent, &child]);
    let before = whole.clone();
    assert!(!whole.insert(&parent));
    assert_eq!(whole, before);
    assert_eq!(Vec::from_iter(whole.heads), [(child.id(), child.header().depth)]);
}

fn mark() -> impl Strategy<Value = Mark> {
    let label = ("[ab]", option::of("[xyz]")).prop_map(|(key, value)| {
        Mark::Label(LabelKey::parse(&key).unwrap(), value.map(|value| LabelValue::parse(&value).unwrap()))
    });
    let description = option::of("[xyz]");
    let description =
        description.prop_map(|text| Mark::Description(text.map(|text| text.try_into().unwrap())));
    let deleted = (0..3_u8, any::<bool>()).prop_map(|(id, on)| Mark::Deleted(RecordId([id; 32]), on));
    prop_oneof![label, description, deleted]
}

/// Records of one secret at few times, so that many tie; each has seen some of those before it.
fn records() -> impl Strategy<Value = Vec<Record>> {
    let drawn = (0..4_u64, vec(mark(), 0..4), vec(any::<Index>(), 0..3));
    vec(drawn, 1..12).prop_map(|draws| {
        let mut records: Vec<Record> = Vec::new();
        for (number, (time, marks, seen)) in (0_u8..).zip(draws) {
            let mut header = header("a", time, &node(1), &[number]);
            if !marks.is_empty() {
                header.body = Body::Marks(marks);
            }
            let seen = if records.is_empty() { Vec::new() } else { seen };
            let mut parents: Vec<&Record> = seen.iter().map(|at| &records[at.index(records.len())]).collect();
            parents.sort_by_key(|parent| parent.id());
            parents.dedup();
            let record = child(header, &parents);
            records.push(record);
        }
        records
    })
}

proptest! {
    #[test]
    fn shuffled_and_repeated_records_come_to_the_same(
        (records, shuffled) in records().prop_flat_map(|records| {
            let shuffled = Just(records.clone()).prop_shuffle();
            (Just(records), shuffled)
        }),
        repeats in vec((any::<Index>(), any::<Index>()), 0..8),
    ) {
        let mut sent = shuffled;
        for (what, to) in repeats {
            let again = sent[what.index(sent.len())].clone();
            sent.insert(to.index(sent.len()), again);
        }
        assert_eq!(derive(&sent), derive(&records));
    }

    #[test]
    fn a_part_of_the_records_and_then_all_of_them_come_to_the_whole(
        (records, part) in records().prop_flat_map(|records| {
            let part = subsequence(records.clone(), 0..=records.len());
            (Just(records), part)
        }),
    ) {
        assert_eq!(derive(part.iter().chain(&records)), derive(&records));
    }

    #[test]
    fn for_each_key_the_mark_with_the_greatest_stamp_holds(records in records()) {
        let state = derive(&records);
        for (key, held) in &state.labels {
            let sets = |mark: &Mark| matches!(mark, Mark::Label(set, _) if set == key);
            let of_key = records.iter().filter(|record| {
                matches!(&record.header().body, Body::Marks(marks) if marks.iter().any(sets))
            });
            let greatest = of_key.map(|record| Stamp(record.header().time, record.id())).max();
            assert_eq!(Some(held.0), greatest, "{key}");
        }
        for id in state.heads.keys() {
            let named = |record: &Record| record.header().parents.iter().any(|parent| parent.0 == *id);
            assert!(!records.iter().any(named), "a head is no one's parent");
        }
    }
}
