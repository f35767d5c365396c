//! Shows H1, H2 and H3 for whole documents, and that stored ones can be read for ever.
//! The golden files are never made anew: a difference breaks every document there is.

#![allow(clippy::unwrap_used)]

use automerge::{Automerge, Change};
use covault_model::{
    decode, encode,
    history::{SecretState, derive},
    hlc::{Hlc, Millis},
    id::{ChangeHash, PayloadHash, RecordId, SecretId, from_hex, hex},
    key::NodeKey,
    marks::{Mark, Stamp, Stamped},
    name::{CallerName, Description, LabelKey, LabelValue, SecretName},
    record::{Body, Header, Parent, Record, VersionBody},
};
use proptest::{prelude::*, sample::Index};
use serde_bytes::ByteBuf;
use sha2::{Digest, Sha256};

use crate::merge::{
    DOCUMENT_BYTES_MAX, Document, Inserted, LoadError, Unfit, change_hash_of, change_of, first_change_hash,
};

const CHANGE_GOLDEN: &str = include_str!("../golden/change.hex");
const DOCUMENT_GOLDEN: &str = include_str!("../golden/document.hex");
const FIRST_CHANGE_GOLDEN: &str = "16f310ed8823df8c2be4ff2420c623527855de3b6beeb2d38cdf2e6b7ee68b35";

fn caller() -> CallerName {
    CallerName::parse("alice").unwrap()
}

fn secret() -> SecretId {
    SecretId::of(&caller(), &SecretName::parse("db/password").unwrap())
}

fn version(n: u8) -> Body {
    Body::Version(VersionBody {
        payload: PayloadHash::of(&[n]),
        payload_len: 300,
        content_type: None,
        expires_at: None,
        restores: None,
    })
}

fn label(key: &str, value: &str) -> Mark {
    Mark::Label(LabelKey::parse(key).unwrap(), Some(LabelValue::parse(value).unwrap()))
}

fn description(text: &str) -> Mark {
    Mark::Description(Some(Description::parse(text).unwrap()))
}

fn header(parents: &[&Record], millis: u64, body: Body) -> Header {
    let mut stated: Vec<_> =
        parents.iter().map(|record| Parent(record.id(), change_hash_of(record))).collect();
    stated.sort_unstable();
    // Two plans of a drawn history may have come out as the same record.
    stated.dedup();
    Header {
        secret: secret(),
        parents: stated,
        depth: 1 + parents.iter().map(|record| record.header().depth).max().unwrap_or(0),
        time: Hlc::start_of(Millis(1_795_000_000_000 + millis)),
        author: node().node_id(),
        caller: caller(),
        idempotency: None,
        body,
    }
}

fn node() -> NodeKey {
    NodeKey::from_seed(&[1; 32])
}

fn record(parents: &[&Record], millis: u64, body: Body) -> Record {
    Record::sign(header(parents, millis, body), &node())
}

/// A first version, two branches, their join, and one more branch.
fn five() -> Vec<Record> {
    let first = record(&[], 0, version(1));
    let left = record(&[&first], 1000, version(2));
    let right = record(&[&first], 1000, Body::Marks(vec![label("env", "prod"), description("the database")]));
    let join = record(&[&left, &right], 2000, Body::Marks(vec![Mark::Deleted(left.id(), true)]));
    let branch = record(&[&left], 1500, Body::Marks(vec![label("env", "test"), label("team", "core")]));
    vec![first, left, right, join, branch]
}

/// All that must be equal when the same records were inserted.
fn outcome(document: &Document) -> (Vec<ChangeHash>, [u8; 32], Vec<Record>, SecretState) {
    (document.heads(), document.fingerprint(), document.records(), document.state())
}

fn inserted<'a>(records: impl IntoIterator<Item = &'a Record>) -> Document {
    let mut document = Document::new(secret());
    for record in records {
        document.insert(record).unwrap();
    }
    document
}

fn permutations(len: usize) -> Vec<Vec<usize>> {
    let Some(last) = len.checked_sub(1) else { return vec![vec![]] };
    let shorter = permutations(last);
    let with_last_at = |at: usize| {
        shorter.iter().cloned().map(move |mut order| {
            order.insert(at, last);
            order
        })
    };
    (0..len).flat_map(with_last_at).collect()
}

fn golden(text: &str) -> Vec<u8> {
    let mut bytes = vec![0; text.trim().len() / 2];
    from_hex(text.trim(), &mut bytes).unwrap();
    bytes
}

/// The automerge document inside a saved one.
fn automerge_bytes(document: &Document) -> Vec<u8> {
    let (_, _, bytes, _): (u8, SecretId, ByteBuf, Vec<Record>) = decode(&document.save()).unwrap();
    bytes.into_vec()
}

#[test]
fn a_record_gives_the_golden_change_bytes() {
    let join = &five()[3];
    let (bytes, hash) = change_of(join);
    assert_eq!(hex(&bytes), CHANGE_GOLDEN.trim());
    assert_eq!(hash, change_hash_of(join));
    let from_elsewhere = Record::from_untrusted_bytes(&join.to_bytes()).unwrap();
    assert_eq!(change_of(&from_elsewhere), (bytes, hash));
    assert_eq!(first_change_hash(&secret()).to_string(), FIRST_CHANGE_GOLDEN);
}

#[test]
fn a_stored_document_can_be_read_for_ever() {
    let mut records = five();
    let join = records.remove(3);
    let waiting = record(&[&join], 3000, version(9));
    let mut stored = Document::load(&golden(DOCUMENT_GOLDEN)).unwrap();
    assert_eq!(outcome(&stored), outcome(&inserted(&records)));
    assert_eq!(stored.waiting(), 1);
    assert_eq!(stored.insert(&join), Ok(Inserted::New));
    records.extend([waiting, join]);
    assert_eq!(outcome(&stored), outcome(&inserted(&records)));
}

#[test]
fn every_order_of_five_records_gives_one_document_and_one_state() {
    let records = five();
    let expected = outcome(&Document::of(secret(), &records).unwrap());
    assert_eq!(expected.2.len(), records.len());
    let orders = permutations(records.len());
    assert_eq!(orders.len(), 120);
    for order in orders {
        let shuffled: Vec<_> = order.iter().map(|&at| &records[at]).collect();
        let document = inserted(shuffled.iter().copied());
        assert_eq!(outcome(&document), expected);
        assert_eq!(derive(shuffled.iter().copied()), expected.3);
        assert_eq!(outcome(&Document::load(&document.save()).unwrap()), expected);
    }
}

/// Up to twelve records: for each, which earlier ones are its parents, its time, and what it does.
fn histories() -> impl Strategy<Value = Vec<Record>> {
    let one = (prop::collection::vec(any::<Index>(), 0..4), 0u64..4, 0u8..6);
    prop::collection::vec(one, 1..12).prop_map(|plans| {
        let mut records: Vec<Record> = Vec::new();
        for (n, (parents, millis, kind)) in plans.into_iter().enumerate() {
            let mut ats: Vec<_> = parents.iter().filter(|_| n > 0).map(|parent| parent.index(n)).collect();
            ats.sort_unstable();
            ats.dedup();
            let parents: Vec<_> = ats.into_iter().map(|at| &records[at]).collect();
            let target = records.first().map_or(RecordId([9; 32]), Record::id);
            let body = match kind {
                0 => Body::Marks(vec![label("a", &n.to_string())]),
                1 => Body::Marks(vec![label("b", &n.to_string()), description(&n.to_string())]),
                2 => Body::Marks(vec![Mark::Label(LabelKey::parse("a").unwrap(), None)]),
                3 => Body::Marks(vec![Mark::Deleted(target, n % 2 == 0)]),
                _ => version(u8::try_from(n).unwrap()),
            };
            let made = record(&parents, millis, body);
            records.push(made);
        }
        records
    })
}

fn shuffled_with_repeats() -> impl Strategy<Value = (Vec<Record>, Vec<Record>)> {
    (histories(), prop::collection::vec(any::<Index>(), 0..8)).prop_flat_map(|(records, again)| {
        let mut all = records.clone();
        all.extend(again.iter().map(|at| at.get(&records).clone()));
        (Just(records), Just(all).prop_shuffle())
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn order_and_repetition_change_nothing((records, shuffled) in shuffled_with_repeats()) {
        let document = inserted(&shuffled);
        prop_assert_eq!(document.waiting(), 0);
        prop_assert_eq!(outcome(&document), outcome(&inserted(&records)));
        prop_assert_eq!(outcome(&document), outcome(&Document::of(secret(), &shuffled).unwrap()));
        prop_assert_eq!(outcome(&document), outcome(&Document::load(&document.save()).unwrap()));
        let state = derive(&shuffled);
        prop_assert_eq!(&state, &document.state());
        let record_of = |id: &RecordId| records.iter().find(|record| record.id() == *id).unwrap();
        let mut heads: Vec<_> = state.heads.keys().map(|id| change_hash_of(record_of(id))).collect();
        heads.sort_unstable();
        prop_assert_eq!(heads, document.heads());
    }
}

#[test]
fn inserting_twice_is_inserting_once() {
    let records = five();
    let mut document = inserted(&records);
    let saved = document.save();
    for record in &records {
        assert_eq!(document.insert(record), Ok(Inserted::Known));
    }
    assert_eq!(document.save(), saved);
    let mut state = document.state();
    assert!(!state.insert(&records[0]));
    assert_eq!(state, document.state());
}

#[test]
fn children_wait_for_their_parents_and_then_count() {
    let records = five();
    let mut document = Document::new(secret());
    for child in records[1..].iter().rev() {
        assert_eq!(document.insert(child), Ok(Inserted::Waiting));
        assert_eq!(document.insert(child), Ok(Inserted::Waiting));
    }
    assert_eq!(document.heads(), [first_change_hash(&secret())]);
    assert!(document.records().is_empty());
    let mut document = Document::load(&document.save()).unwrap();
    assert_eq!(document.waiting(), 4);
    assert_eq!(document.insert(&records[0]), Ok(Inserted::New));
    assert_eq!(document.waiting(), 0);
    assert_eq!(outcome(&document), outcome(&inserted(&records)));
}

#[test]
fn automerge_itself_accepts_each_others_changes() {
    let records = five();
    let (one, other) = (inserted(&records[..4]), inserted(records[..3].iter().chain([&records[4]])));
    let mut one = Automerge::load(&automerge_bytes(&one)).unwrap();
    let mut other = Automerge::load(&automerge_bytes(&other)).unwrap();
    one.apply_changes(other.get_changes(&[])).unwrap();
    let made: Vec<_> =
        records.iter().map(|record| Change::from_bytes(change_of(record).0).unwrap()).collect();
    other.apply_changes(made).unwrap();
    let heads: Vec<_> = one.get_heads().iter().map(|hash| ChangeHash(hash.0)).collect();
    assert_eq!(one.get_heads(), other.get_heads());
    assert_eq!(heads, inserted(&records).heads());
}

#[test]
fn a_record_of_another_secret_is_refused() {
    let mut elsewhere = header(&[], 0, version(1));
    elsewhere.secret = SecretId([3; 32]);
    let elsewhere = Record::sign(elsewhere, &node());
    assert_eq!(Document::new(secret()).insert(&elsewhere), Err(Unfit::OtherSecret));
    assert_eq!(Document::of(secret(), [&elsewhere]).err(), Some(Unfit::OtherSecret));
}

/// `forged` is refused after its parents, and dropped when it came before them.
fn check_never_counts(parents: &[Record], forged: &Record, why: Unfit) {
    let expected = outcome(&inserted(parents));
    let mut document = inserted(parents);
    assert_eq!(document.insert(forged), Err(why));
    assert_eq!(outcome(&document), expected);
    let mut document = Document::new(secret());
    assert_eq!(document.insert(forged), Ok(Inserted::Waiting));
    for parent in parents {
        document.insert(parent).unwrap();
    }
    assert_eq!((document.waiting(), outcome(&document)), (0, expected));
    assert_eq!(Document::of(secret(), parents.iter().chain([forged])).err(), Some(why));
}

#[test]
fn a_forged_parent_change_never_counts() {
    let records = five();
    for change in [ChangeHash([5; 32]), change_hash_of(&records[0]), first_change_hash(&secret())] {
        let mut forged = header(&[&records[1]], 9000, version(7));
        forged.parents[0].1 = change;
        let why = Unfit::ParentChange(records[1].id());
        check_never_counts(&records[..2], &Record::sign(forged, &node()), why);
    }
}

#[test]
fn a_depth_that_does_not_follow_from_the_parents_never_counts() {
    let records = five();
    for depth in [2, 4, u64::from(u32::MAX)] {
        let mut forged = header(&[&records[1]], 9000, version(7));
        forged.depth = depth;
        check_never_counts(&records[..2], &Record::sign(forged, &node()), Unfit::Depth);
    }
}

#[test]
fn what_is_inserted_cannot_be_replaced_under_another_signature() {
    let records = five();
    let mut bytes = records[0].to_bytes();
    *bytes.last_mut().unwrap() ^= 1;
    let resigned = Record::from_trusted_bytes(&bytes).unwrap();
    assert_eq!(resigned.id(), records[0].id());
    let mut document = inserted(&records);
    assert_eq!(document.insert(&resigned), Err(Unfit::OtherSignature));
    assert_eq!(outcome(&document), outcome(&inserted(&records)));
}

#[test]
fn marks_merge_key_by_key() {
    let records = five();
    let state = inserted(&records).state();
    let [_, left, right, join, branch] = records.as_slice() else { unreachable!("there are five") };
    let stamp = |record: &Record| Stamp(record.header().time, record.id());
    let value = |text| Some(LabelValue::parse(text).unwrap());
    let labels: Vec<_> = state.labels.iter().map(|(key, held)| (key.as_str(), held.clone())).collect();
    assert_eq!(
        labels,
        [("env", Stamped(stamp(branch), value("test"))), ("team", Stamped(stamp(branch), value("core"))),]
    );
    let text = Some(Description::parse("the database").unwrap());
    assert_eq!(state.description, Some(Stamped(stamp(right), text)));
    assert_eq!(state.deleted.into_iter().collect::<Vec<_>>(), [(left.id(), Stamped(stamp(join), true))]);
    let line: Vec<_> = state.line.keys().map(|place| place.id).collect();
    assert_eq!(line, [records[0].id(), left.id()]);
}

#[test]
fn of_two_marks_made_at_once_the_greater_id_holds() {
    let one = record(&[], 0, Body::Marks(vec![label("env", "one")]));
    let other = record(&[], 0, Body::Marks(vec![label("env", "other")]));
    let greater = if one.id() < other.id() { &other } else { &one };
    for order in [[&one, &other], [&other, &one]] {
        let state = inserted(order).state();
        assert_eq!(state.labels.values().next().unwrap().0, Stamp(greater.header().time, greater.id()));
        assert_eq!(state.heads.len(), 2);
    }
}

#[test]
fn a_document_of_a_later_release_or_without_bound_is_refused() {
    let mut saved = inserted(&five()).save();
    saved[1] = 2;
    assert_eq!(Document::load(&saved).err(), Some(LoadError::UnknownFormat(2)));
    assert_eq!(Document::load(&vec![0; DOCUMENT_BYTES_MAX + 1]).err(), Some(LoadError::TooLarge));
    assert_eq!(Document::load(&[]).err(), Some(LoadError::Damaged));
}

#[test]
fn a_sound_document_with_other_changes_is_refused() {
    let records = five();
    let mut strange = Automerge::load(&automerge_bytes(&inserted(&records))).unwrap();
    let mut writing = strange.transaction();
    automerge::transaction::Transactable::put(&mut writing, automerge::ROOT, "more", 1).unwrap();
    writing.commit();
    let saved = encode(&(1u8, secret(), ByteBuf::from(strange.save()), Vec::<Record>::new()));
    assert_eq!(Document::load(&saved).err(), Some(LoadError::Damaged));
    let of_another = encode(&(
        1u8,
        SecretId([3; 32]),
        ByteBuf::from(automerge_bytes(&inserted(&records))),
        Vec::<Record>::new(),
    ));
    assert_eq!(Document::load(&of_another).err(), Some(LoadError::Damaged));
}

#[test]
fn a_waiting_record_that_is_damaged_is_an_error() {
    let mut saved = golden(DOCUMENT_GOLDEN);
    *saved.last_mut().unwrap() ^= 1;
    assert_eq!(Document::load(&saved).err(), Some(LoadError::Damaged));
}

/// Bytes that load all the same must say the same, as when the unused bits of a compressed column differ.
fn check_damaged(saved: &[u8]) {
    if let Ok(document) = Document::load(saved) {
        assert_eq!(outcome(&document), outcome(&Document::load(&golden(DOCUMENT_GOLDEN)).unwrap()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_bytes_are_an_error_and_never_a_panic(
        hits in prop::collection::vec((any::<Index>(), any::<u8>()), 1..5),
        cut in prop::option::weighted(0.1, any::<Index>()),
    ) {
        let sound = golden(DOCUMENT_GOLDEN);
        let (_, _, inner, _): (u8, SecretId, ByteBuf, Vec<Record>) = decode(&sound).unwrap();
        let mut inner = inner.into_vec();
        let mut saved = sound;
        for (at, byte) in hits {
            let (outer, within) = (at.index(saved.len()), 8 + at.index(inner.len() - 8));
            saved[outer] ^= byte;
            inner[within] ^= byte;
        }
        saved.truncate(cut.map_or(saved.len(), |at| at.index(saved.len())));
        check_damaged(&saved);
        // With its checksum put right, the damage reaches automerge's decoder.
        let checksum = Sha256::digest(&inner[8..]);
        inner[4..8].copy_from_slice(&checksum[..4]);
        check_damaged(&encode(&(1u8, secret(), ByteBuf::from(inner), Vec::<Record>::new())));
    }
}
