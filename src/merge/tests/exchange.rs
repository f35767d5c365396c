//! The bytes that records travel in, what a search for differences costs, and what a node is told it lacks.
//! The golden file is never made anew: nodes of two releases speak to each other.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use covault_model::{
    DecodeError, encode,
    hlc::Hlc,
    id::{ChangeHash, RecordId, SecretId, hex},
    key::NodeKey,
    marks::Mark,
    name::{CallerName, SecretName, SecretPath},
    record::{Body, Header, Parent, Record},
};
use covault_store::{Change, Newest};
use proptest::prelude::*;
use serde_bytes::ByteBuf;

use crate::merge::{
    index::{Index, ItemId, Search},
    lacking::lacked,
    message::{Ask, KNOWN_MAX, Known, NAMED_MAX, RECORDS_MAX, SEARCH_BYTES_MAX, Sent, Told, write},
    stretches::Span,
};

fn path(name: &str) -> SecretPath {
    SecretPath { owner: CallerName::parse("ann").unwrap(), name: SecretName::parse(name).unwrap() }
}

fn newest(heads: &[u8], awaited: &[u8]) -> Newest {
    let ids = |bytes: &[u8]| bytes.iter().map(|byte| RecordId([*byte; 32])).collect();
    Newest { heads: ids(heads), awaited: ids(awaited) }
}

fn item(name: &str, heads: &[u8]) -> ItemId {
    ItemId::new(&path(name).id(), &newest(heads, &[]))
}

#[test]
fn messages_are_written_as_ever() {
    let sent = Sent(path("a"), ByteBuf::from([1, 2]), Some(ByteBuf::from([3])));
    let known = Known { path: path("a"), has: vec![RecordId([4; 32])], awaits: vec![RecordId([5; 32])] };
    let lines = [
        ("push", hex(&write(&Ask::Push(vec![sent.clone()])))),
        ("search", hex(&write(&Ask::Search(true, ByteBuf::from([0x61]))))),
        ("paths", hex(&write(&Ask::Paths(vec![item("a", &[6])])))),
        ("lacking", hex(&write(&Ask::Lacking(vec![known])))),
        ("named", hex(&write(&Ask::Named(path("a"), vec![RecordId([7; 32])])))),
        ("taken", hex(&write(&Told::Taken))),
        ("searched", hex(&write(&Told::Searched(ByteBuf::from([0x61]))))),
        ("these paths", hex(&write(&Told::Paths(vec![path("a")])))),
        ("records", hex(&write(&Told::Records(vec![sent], true)))),
    ];
    let text: String = lines.iter().map(|(name, bytes)| format!("{name}: {bytes}\n")).collect();
    assert_eq!(text, include_str!("../golden/messages.txt"));
}

#[test]
fn what_is_no_message_of_this_release_is_refused() {
    let whole = write(&Ask::Named(path("a"), vec![RecordId([7; 32])]));
    assert!(Ask::read(&whole).is_ok());
    for at in 0..whole.len() {
        assert!(Ask::read(&whole[..at]).is_err(), "{at} bytes of it");
    }
    assert_eq!(Ask::read(&[whole.as_slice(), &[0]].concat()), Err(DecodeError::TrailingBytes));
    assert_eq!(Ask::read(&encode(&(2, Ask::Paths(Vec::new())))), Err(DecodeError::UnknownFormat(2)));
    assert_eq!(Told::read(&encode(&(2, Told::Taken))), Err(DecodeError::UnknownFormat(2)));
    assert_eq!(Ask::read(&write(&Told::Taken)), Err(DecodeError::Malformed));
}

#[test]
fn what_names_more_than_one_message_may_is_refused() {
    let sent = Sent(path("a"), ByteBuf::new(), None);
    let ids = vec![RecordId([1; 32]); KNOWN_MAX + 1];
    let known = |has: &[RecordId], awaits: &[RecordId]| Known {
        path: path("a"),
        has: has.to_vec(),
        awaits: awaits.to_vec(),
    };
    let long = ByteBuf::from(vec![0; SEARCH_BYTES_MAX + 1]);
    for ask in [
        Ask::Push(vec![sent.clone(); RECORDS_MAX + 1]),
        Ask::Search(true, long.clone()),
        Ask::Paths(vec![item("a", &[1]); NAMED_MAX + 1]),
        Ask::Lacking(vec![known(&[], &[]); NAMED_MAX + 1]),
        Ask::Lacking(vec![known(&ids, &[])]),
        Ask::Lacking(vec![known(&[], &ids)]),
        Ask::Named(path("a"), ids.clone()),
    ] {
        assert_eq!(Ask::read(&write(&ask)), Err(DecodeError::TooLarge));
    }
    for told in [
        Told::Searched(long),
        Told::Paths(vec![path("a"); NAMED_MAX + 1]),
        Told::Records(vec![sent; RECORDS_MAX + 1], false),
    ] {
        assert_eq!(Told::read(&write(&told)), Err(DecodeError::TooLarge));
    }
}

#[test]
fn an_item_says_which_secret_and_which_records() {
    let items = [
        item("a", &[1]),
        item("b", &[1]),
        item("a", &[2]),
        item("a", &[1, 2]),
        ItemId::new(&path("a").id(), &newest(&[1], &[2])),
        ItemId::new(&path("a").id(), &newest(&[], &[1])),
    ];
    assert_eq!(BTreeSet::from(items).len(), items.len());
    assert_eq!(item("a", &[1]), items[0]);
}

/// What one finds that the other has, in how many bytes of frames.
pub fn search(searching: &Index, other: &Index) -> (BTreeSet<ItemId>, usize) {
    let (mut search, mut message) = Search::begin(searching);
    let (mut bytes, mut begins) = (0, true);
    loop {
        let ask = write(&Ask::Search(begins, message.into()));
        let told = write(&Told::Searched(other.answer(&message_of(&ask)).unwrap().into()));
        bytes += ask.len() + told.len() + 2 * covault_net::frame::HEAD_LEN;
        let Told::Searched(answer) = Told::read(&told).unwrap() else { unreachable!("it was written so") };
        match search.take_in(searching, &answer).unwrap() {
            Some(next) => (message, begins) = (next, false),
            None => return (search.found().into_iter().collect(), bytes),
        }
    }
}

fn message_of(ask: &[u8]) -> ByteBuf {
    let Ask::Search(_, message) = Ask::read(ask).unwrap() else { unreachable!("it was written so") };
    message
}

/// Of these names, which rise.
fn index(names: &[String], heads: impl Fn(usize) -> u8) -> Index {
    let mut index = Index::default();
    for (at, name) in names.iter().enumerate() {
        index.append(&path(name), item(name, &[heads(at)]));
    }
    index
}

/// So many names that rise.
fn names(many: usize) -> Vec<String> {
    (0..many).map(|number| format!("s/{number:06}")).collect()
}

/// Those of these secrets that a look where the index says would find.
fn looked_up(index: &Index, items: &[ItemId], secrets: &[SecretPath]) -> Vec<SecretPath> {
    let whereabouts = index.whereabouts(items);
    let within = |path: &SecretPath| {
        whereabouts.spans.iter().any(|Span { from, until }| {
            from.as_ref().is_none_or(|from| from <= path) && until.as_ref().is_none_or(|until| path < until)
        })
    };
    secrets.iter().filter(|path| within(path) && whereabouts.has(path)).cloned().collect()
}

#[test]
fn the_secrets_of_items_are_found_where_they_stand() {
    let names = names(1000);
    let paths: Vec<SecretPath> = names.iter().map(|name| path(name)).collect();
    let index = index(&names, |_| 1);
    for wanted in [vec![0], vec![999], vec![15, 16, 17], (0..1000).step_by(7).collect(), Vec::new()] {
        let mut items: Vec<ItemId> = wanted.iter().map(|at| item(&names[*at], &[1])).collect();
        items.sort_unstable();
        let expected: Vec<SecretPath> = wanted.iter().map(|at| paths[*at].clone()).collect();
        assert_eq!(looked_up(&index, &items, &paths), expected);
    }
    assert_eq!(looked_up(&index, &[item(&names[3], &[2])], &paths), [], "no item of this index");
}

#[test]
fn secrets_that_came_or_changed_since_the_index_was_made_hide_none() {
    let names = names(100);
    let known: Vec<String> = names.iter().step_by(2).cloned().collect();
    let index = index(&known, |_| 1);
    let paths: Vec<SecretPath> = names.iter().map(|name| path(name)).collect();
    let items: Vec<ItemId> = known.iter().map(|name| item(name, &[1])).collect();
    let expected: Vec<SecretPath> = known.iter().map(|name| path(name)).collect();
    assert_eq!(looked_up(&index, &items, &paths), expected);
}

#[test]
fn an_item_is_looked_for_among_few_secrets() {
    let names = names(1000);
    let index = index(&names, |_| 1);
    let Span { from, until } = index.whereabouts(&[item(&names[500], &[1])]).spans.pop_first().unwrap();
    let within = names.iter().map(|name| path(name)).filter(|path| from.as_ref() <= Some(path));
    assert!(within.filter(|path| Some(path) < until.as_ref()).count() <= 32);
}

#[test]
fn two_secrets_that_look_the_same_are_both_found() {
    // Found by trying: the ids of these begin with the same six bytes.
    let twins = ["t/8387514", "t/13729538"];
    assert_eq!(path(twins[0]).id().0[..6], path(twins[1]).id().0[..6]);
    let mut all: Vec<SecretPath> = names(80).iter().map(String::as_str).chain(twins).map(path).collect();
    all.sort_unstable();
    let mut index = Index::default();
    for path in &all {
        index.follow(&[Change {
            path: path.clone(),
            secret: path.id(),
            before: None,
            now: newest(&[1], &[]),
        }]);
    }
    let (mut cut, span) = index.begin_cut().unwrap();
    let all_of_them = Span { from: Some(all[0].clone()), until: None };
    assert_eq!(span, all_of_them, "they are in one stretch, which is too long");
    let all_laid = all.iter().all(|path| index.lay(&mut cut, path.clone()));
    index.end_cut(cut, all_laid);
    for path in &all {
        let item = ItemId::new(&path.id(), &newest(&[1], &[]));
        assert!(looked_up(&index, &[item], &all).contains(path));
    }
}

/// Has an index follow these as they come, 64 at a time and cutting some stretches in between, while the store has all of
/// them already. Gives it with how many names were read at most for one cut, and for all of them.
fn followed(coming: &[SecretPath]) -> (Index, usize, usize) {
    let store: BTreeSet<&SecretPath> = coming.iter().collect();
    let (mut index, mut most, mut all) = (Index::default(), 0, 0);
    for turn in coming.chunks(64) {
        for path in turn {
            let now = newest(&[1], &[]);
            index.follow(&[Change { path: path.clone(), secret: path.id(), before: None, now }]);
        }
        for _ in 0..8 {
            let Some((mut cut, Span { from, until })) = index.begin_cut() else { break };
            let within = store.range::<SecretPath, _>(from.as_ref().unwrap()..);
            let mut within = within.take_while(|path| until.as_ref().is_none_or(|until| **path < until));
            let mut read = 0;
            let all_laid = within.all(|path| {
                read += 1;
                index.lay(&mut cut, (*path).clone())
            });
            index.end_cut(cut, all_laid);
            (most, all) = (most.max(read), all + read);
        }
    }
    (index, most, all)
}

#[test]
fn stretches_are_cut_bit_by_bit_in_whatever_order_secrets_come() {
    let rising: Vec<SecretPath> = names(6400).iter().map(|name| path(name)).collect();
    let falling: Vec<SecretPath> = rising.iter().rev().cloned().collect();
    let mut mixed = rising.clone();
    mixed.sort_by_key(SecretPath::id);
    for (coming, most_read, read_for_each) in [(&rising, 49, 2), (&falling, 65, 2), (&mixed, 6400, 8)] {
        let (index, most, all) = followed(coming);
        assert!(most <= most_read && all <= read_for_each * 6400, "{most} at once, {all} in all");
        for path in coming.iter().step_by(97) {
            let spans = index.whereabouts(&[ItemId::new(&path.id(), &newest(&[1], &[]))]).spans;
            let Some(Span { from, until }) = spans.first() else { panic!("it is somewhere") };
            let within = rising.iter().filter(|other| from.as_ref().is_none_or(|from| from <= other));
            let within = within.filter(|other| until.as_ref().is_none_or(|until| *other < until));
            assert!(within.clone().any(|other| other == path), "it is where it is said to be");
            assert!(within.count() <= 64, "and among few");
        }
    }
}

#[test]
fn ten_differences_among_a_hundred_thousand_secrets_cost_less_than_64_kib() {
    let names = names(100_000);
    let differs = |at: usize| at % 10_000 == 3;
    let (ours, theirs) = (index(&names, |_| 1), index(&names, |at| if differs(at) { 2 } else { 1 }));
    let (found, bytes) = search(&ours, &theirs);
    let expected: BTreeSet<ItemId> =
        names.iter().enumerate().filter(|(at, _)| differs(*at)).map(|(_, name)| item(name, &[2])).collect();
    assert_eq!(found, expected);
    assert!(bytes < 32 << 10, "the search took {bytes} bytes");
    // With the records themselves, one of marks for each, as the questions that follow carry them.
    let all: Vec<SecretPath> = names.iter().map(|name| path(name)).collect();
    let items: Vec<ItemId> = found.iter().copied().collect();
    let paths = looked_up(&theirs, &items, &all);
    assert_eq!(paths.len(), 10);
    let known = |path: &SecretPath| Known {
        path: path.clone(),
        has: vec![RecordId([1; 32]); 12],
        awaits: Vec::new(),
    };
    let sent: Vec<Sent> =
        paths.iter().map(|path| Sent(path.clone(), marks(&[], 1).to_bytes().into(), None)).collect();
    let rest = [
        write(&Ask::Paths(items)),
        write(&Told::Paths(paths.clone())),
        write(&Ask::Lacking(paths.iter().map(known).collect())),
        write(&Told::Records(sent, false)),
    ];
    let bytes = bytes + rest.iter().map(|frame| frame.len() + covault_net::frame::HEAD_LEN).sum::<usize>();
    println!("ten differences among 100,000 secrets: {bytes} bytes");
    assert!(bytes < 64 << 10, "all of it took {bytes} bytes");
}

#[test]
fn nothing_is_found_where_nothing_differs() {
    let names = names(1000);
    let (found, bytes) = search(&index(&names, |_| 1), &index(&names, |_| 1));
    assert_eq!(found.len(), 0);
    assert!(bytes < 1024, "it took {bytes} bytes");
    let (found, _) = search(&index(&[], |_| 1), &index(&names, |_| 1));
    assert_eq!(found.len(), 1000, "a node that has nothing lacks all");
}

fn marks(parents: &[&Record], time: u64) -> Record {
    let mut stated: Vec<_> = parents.iter().map(|parent| Parent(parent.id(), ChangeHash([1; 32]))).collect();
    stated.sort_unstable();
    stated.dedup();
    let header = Header {
        secret: SecretId([2; 32]),
        parents: stated,
        depth: 1 + parents.iter().map(|parent| parent.header().depth).max().unwrap_or(0),
        time: Hlc(time),
        author: NodeKey::from_seed(&[1; 32]).node_id(),
        caller: path("a").owner,
        idempotency: None,
        body: Body::Marks(vec![Mark::Description(None)]),
    };
    Record::sign(header, &NodeKey::from_seed(&[1; 32]))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Of any history and any part of it: all that is missing is sent, parents before children, and of what is
    /// there only what the part does not vouch for.
    #[test]
    fn what_is_lacked_is_sent_whatever_is_there(
        plans in prop::collection::vec(prop::collection::vec(any::<prop::sample::Index>(), 0..3), 1..12),
        held in prop::collection::vec(any::<bool>(), 12),
        names in prop::collection::vec(any::<bool>(), 12),
    ) {
        let mut records: Vec<Record> = Vec::new();
        for (time, parents) in plans.into_iter().enumerate() {
            let parents: Vec<&Record> =
                parents.iter().filter(|_| 0 < time).map(|at| at.get(&records)).collect();
            let record = marks(&parents, time as u64);
            records.push(record);
        }
        let here: BTreeSet<RecordId> =
            records.iter().zip(&held).filter(|(_, held)| **held).map(|(record, _)| record.id()).collect();
        let parents = |record: &Record| record.header().parents.iter().map(|parent| parent.0).collect::<Vec<_>>();
        let named: BTreeSet<RecordId> =
            records.iter().filter(|record| here.contains(&record.id())).flat_map(parents).collect();
        let known = Known {
            path: path("a"),
            has: here.iter().zip(&names).filter(|(_, names)| **names).map(|(id, _)| *id).collect(),
            awaits: named.difference(&here).copied().collect(),
        };
        let sent = lacked(records.clone(), &known);
        let order: Vec<RecordId> = sent.iter().map(Record::id).collect();
        let missing = records.iter().map(Record::id).filter(|id| !here.contains(id));
        for id in missing {
            prop_assert!(order.contains(&id), "a missing record is sent");
        }
        prop_assert!(known.has.iter().all(|id| !order.contains(id)), "what is named is not sent");
        for (at, record) in sent.iter().enumerate() {
            let first = parents(record).into_iter().filter_map(|id| order.iter().position(|other| *other == id));
            prop_assert!(first.max().is_none_or(|parent| parent < at), "parents come first");
        }
    }

    #[test]
    fn any_bytes_are_a_message_of_a_search_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let index = index(&names(100), |_| 1);
        let message = [&[0x61], bytes.as_slice()].concat();
        let _ = index.answer(&message);
        let _ = Search::begin(&index).0.take_in(&index, &message);
        let _ = (Ask::read(&bytes), Told::read(&bytes));
    }
}
