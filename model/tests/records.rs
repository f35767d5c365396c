//! Signed records, whole and damaged. Shows V1 (an altered byte makes another record or an invalid one)
//! and V2 (a record counts only when its signature verifies and nothing follows it).
//! Knows nothing of where records are kept.

#![allow(clippy::unwrap_used)]

#[path = "support/samples.rs"]
mod samples;

use covault_model::{
    DecodeError, encode,
    hlc::{Hlc, Millis},
    id::{ChangeHash, Digest, PayloadHash, RecordId, SecretId},
    key::NodeKey,
    limits::{
        DESCRIPTION_BYTES_MAX, LABEL_KEY_BYTES_MAX, LABEL_VALUE_BYTES_MAX, LABELS_MAX, MARKS_MAX,
        PARENTS_MAX, PAYLOAD_BYTES_MAX, RECORD_BYTES_MAX, VERSIONS_PER_REQUEST_MAX,
    },
    marks::Mark,
    name::{ContentType, Description, LabelKey, LabelValue},
    record::{Body, Header, Idempotency, Parent, Record, VersionBody},
};
use proptest::{
    array::uniform32,
    collection::{btree_set, vec},
    option,
    prelude::{Strategy, any, prop_oneof, proptest},
    sample::Index,
};
use serde_bytes::Bytes;

use self::samples::{caller, header, node, sealed};

fn sample() -> Header {
    header("app/db", 10, &node(1), b"sealed")
}

fn parent(number: u8) -> Parent {
    Parent(RecordId([number; 32]), ChangeHash([number; 32]))
}

fn parents(count: u8) -> Vec<Parent> {
    (0..count).map(parent).collect()
}

/// A record of these header bytes with a good signature, however odd the header.
fn signed(header: &[u8], key: &NodeKey) -> Vec<u8> {
    let message = [b"covault 2026-11 record signature".as_slice(), RecordId::of(header).as_bytes()].concat();
    encode(&(Bytes::new(header), Bytes::new(&key.sign(&message))))
}

fn check_header(header: &Header, expected: Result<(), DecodeError>) {
    let bytes = header.to_bytes();
    assert_eq!(Header::from_bytes(&bytes).map(|_| ()), expected);
    let read = Record::from_untrusted_bytes(&signed(&bytes, &node(1)));
    assert_eq!(read.map(|_| ()), expected, "a good signature does not mend a bad header");
}

fn check_bytes(header: &[u8], expected: DecodeError) {
    assert_eq!(Header::from_bytes(header), Err(expected), "{header:02x?}");
    assert_eq!(Record::from_untrusted_bytes(&signed(header, &node(1))), Err(expected), "{header:02x?}");
}

#[test]
fn a_signed_record_reads_back_and_its_id_is_the_hash_of_its_header() {
    let record = sealed("app/db", 10, &node(1), b"sealed").record;
    let read = Record::from_untrusted_bytes(&record.to_bytes()).unwrap();
    assert_eq!(read, record);
    assert_eq!(read.header(), &sample());
    assert_eq!(read.id(), RecordId::of(&sample().to_bytes()));
    assert_eq!(signed(record.header_bytes(), &node(1)), record.to_bytes());
}

#[test]
fn every_flipped_bit_makes_another_record_or_an_invalid_one() {
    let mut header = sample();
    header.parents = parents(2);
    header.depth = 2;
    header.idempotency = Some(Idempotency(Digest([3; 32]), Digest([4; 32])));
    let record = Record::sign(header, &node(1));
    let bytes = record.to_bytes();
    for bit in 0..bytes.len() * 8 {
        let mut altered = bytes.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        assert!(Record::from_untrusted_bytes(&altered).is_err(), "bit {bit} was flipped, and it counts");
        if let Ok(other) = Record::from_trusted_bytes(&altered) {
            let same_header = other.header_bytes() == record.header_bytes();
            assert_eq!(other.id() == record.id(), same_header, "bit {bit}");
            assert!(!other.signature_verifies(), "bit {bit}");
        }
    }
}

#[test]
fn bytes_after_a_record_or_its_header_are_refused() {
    let mut bytes = sealed("app/db", 10, &node(1), b"sealed").record.to_bytes();
    bytes.push(0);
    assert_eq!(Record::from_untrusted_bytes(&bytes), Err(DecodeError::TrailingBytes));
    let mut header = sample().to_bytes();
    header.push(0xf6);
    check_bytes(&header, DecodeError::TrailingBytes);
}

#[test]
fn every_shortened_record_is_refused() {
    let bytes = sealed("app/db", 10, &node(1), b"sealed").record.to_bytes();
    for len in 0..bytes.len() {
        assert!(Record::from_trusted_bytes(&bytes[..len]).is_err(), "the first {len} bytes");
    }
}

#[test]
fn another_nodes_signature_is_refused() {
    let bytes = sample().to_bytes();
    assert!(Record::from_untrusted_bytes(&signed(&bytes, &node(1))).is_ok());
    let by_another = signed(&bytes, &node(2));
    assert_eq!(Record::from_untrusted_bytes(&by_another), Err(DecodeError::BadSignature));
    assert!(Record::from_trusted_bytes(&by_another).is_ok(), "what the disk gives was verified before");
}

#[test]
fn a_signature_over_the_bare_id_or_header_is_refused() {
    let bytes = sample().to_bytes();
    for message in [RecordId::of(&bytes).as_bytes().as_slice(), &bytes] {
        let record = encode(&(Bytes::new(&bytes), Bytes::new(&node(1).sign(message))));
        assert_eq!(Record::from_untrusted_bytes(&record), Err(DecodeError::BadSignature));
    }
}

#[test]
fn an_author_that_is_no_key_is_refused() {
    for author in [[0; 32], [0xff; 32]] {
        let mut header = sample();
        header.author.0 = author;
        let read = Record::from_untrusted_bytes(&signed(&header.to_bytes(), &node(1)));
        assert_eq!(read, Err(DecodeError::BadSignature));
    }
}

#[test]
fn a_weak_key_under_which_anything_verifies_is_refused() {
    // The neutral point as the key and as the commitment, and zero: RFC 8032 alone would take it.
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let mut header = sample();
    header.author.0 = neutral;
    let signature = [neutral, [0; 32]].concat();
    let record = encode(&(Bytes::new(&header.to_bytes()), Bytes::new(&signature)));
    assert_eq!(Record::from_untrusted_bytes(&record), Err(DecodeError::BadSignature));
}

#[test]
#[should_panic(expected = "a node signs what it could read again")]
fn a_node_cannot_sign_what_it_could_not_read() {
    let _ = Record::sign(Header { depth: 0, ..sample() }, &node(1));
}

#[test]
#[should_panic(expected = "a node signs its own records only")]
fn a_node_cannot_sign_for_another() {
    let _ = Record::sign(sample(), &node(2));
}

/// The header's bytes with the one place where `from` stands replaced by `to`.
fn replaced(header: &Header, from: &[u8], to: &[u8]) -> Vec<u8> {
    let bytes = header.to_bytes();
    let mut places = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(from));
    let at = places.next().expect("the bytes to replace are there");
    assert_eq!(places.next(), None, "the bytes to replace stand in one place only");
    [&bytes[..at], to, &bytes[at + from.len()..]].concat()
}

#[test]
fn other_encodings_of_the_same_header_are_refused() {
    // Here stand the parents (0x80, none), the depth (one), the time (ten) and the author's 32 bytes.
    let plain = [0x80, 0x01, 0x0a, 0x58, 0x20];
    for other in [
        // The parents as an open list, and with a longer length.
        [0x9f, 0xff, 0x01, 0x0a, 0x58, 0x20].as_slice(),
        &[0x98, 0x00, 0x01, 0x0a, 0x58, 0x20],
        // The depth in two bytes and in nine; the time in three, under a tag, and as a big number.
        &[0x80, 0x18, 0x01, 0x0a, 0x58, 0x20],
        &[0x80, 0x1b, 0, 0, 0, 0, 0, 0, 0, 1, 0x0a, 0x58, 0x20],
        &[0x80, 0x01, 0x19, 0x00, 0x0a, 0x58, 0x20],
        &[0x80, 0x01, 0xc1, 0x0a, 0x58, 0x20],
        &[0x80, 0x01, 0xc2, 0x41, 0x0a, 0x58, 0x20],
        // The author with a longer length.
        &[0x80, 0x01, 0x0a, 0x59, 0x00, 0x20],
    ] {
        check_bytes(&replaced(&sample(), &plain, other), DecodeError::NotCanonical);
    }
    // The caller's name as an indefinite text of one chunk, and with a longer length.
    for other in [b"\x7f\x63ann\xff".as_slice(), b"\x78\x03ann"] {
        check_bytes(&replaced(&sample(), b"\x63ann", other), DecodeError::NotCanonical);
    }
}

#[test]
fn other_encodings_of_the_same_envelope_are_refused() {
    let bytes = sealed("app/db", 10, &node(1), b"sealed").record.to_bytes();
    let [0x82, 0x58, len, inner @ ..] = bytes.as_slice() else { panic!("a pair that begins with bytes") };
    let longer_length = [&[0x82, 0x59, 0, *len], inner].concat();
    assert_eq!(Record::from_trusted_bytes(&longer_length), Err(DecodeError::NotCanonical));
    let longer_list = [&[0x98, 2, 0x58, *len], inner].concat();
    assert_eq!(Record::from_trusted_bytes(&longer_list), Err(DecodeError::NotCanonical));
    let unclosed_list = [&[0x9f, 0x58, *len], inner].concat();
    assert_eq!(Record::from_trusted_bytes(&unclosed_list), Err(DecodeError::NotCanonical));
    let open_list = [unclosed_list.as_slice(), &[0xff]].concat();
    assert_eq!(Record::from_trusted_bytes(&open_list), Err(DecodeError::TrailingBytes));
}

#[test]
fn an_unknown_format_is_told_from_nonsense() {
    let bytes = sample().to_bytes();
    assert_eq!(bytes[..3], [0x8a, 1, 1], "ten fields, format 1, a version");
    let with = |at: usize, byte: u8| {
        let mut bytes = bytes.clone();
        bytes[at] = byte;
        bytes
    };
    check_bytes(&with(1, 2), DecodeError::UnknownFormat(2));
    check_bytes(&with(1, 0), DecodeError::UnknownFormat(0));
    check_bytes(&with(2, 3), DecodeError::InvalidField("kind"));
    check_bytes(&with(2, 2), DecodeError::Malformed);
    check_bytes(&with(0, 0x89), DecodeError::Malformed);
    check_bytes(&[], DecodeError::Malformed);
    check_bytes(&[0x8a], DecodeError::Malformed);
}

#[test]
fn parents_rise_and_are_at_most_sixteen() {
    let with = |parents: Vec<Parent>| Header { parents, depth: 2, ..sample() };
    let refused = Err(DecodeError::InvalidField("parents"));
    let max = u8::try_from(PARENTS_MAX).unwrap();
    check_header(&with(parents(max)), Ok(()));
    check_header(&with(parents(max + 1)), refused);
    check_header(&with(vec![parent(2), parent(1)]), refused);
    check_header(&with(vec![parent(1), parent(1)]), refused);
    let same_record_twice = vec![parent(1), Parent(RecordId([1; 32]), ChangeHash([9; 32]))];
    check_header(&with(same_record_twice), refused);
}

#[test]
fn a_depth_that_does_not_fit_the_parents_is_refused() {
    let with = |parents: Vec<Parent>, depth: u64| Header { parents, depth, ..sample() };
    let refused = Err(DecodeError::InvalidField("depth"));
    check_header(&with(parents(0), 0), refused);
    check_header(&with(parents(0), 1), Ok(()));
    check_header(&with(parents(0), 2), refused);
    check_header(&with(parents(1), 0), refused);
    check_header(&with(parents(1), 1), refused);
    check_header(&with(parents(1), 2), Ok(()));
    check_header(&with(parents(1), u64::from(u32::MAX)), Ok(()));
    check_header(&with(parents(1), u64::from(u32::MAX) + 1), refused);
}

#[test]
fn bodies_keep_to_their_limits() {
    let version = |payload_len: usize| {
        let Body::Version(version) = sample().body else { panic!("the sample is a version") };
        let payload_len = u32::try_from(payload_len).unwrap();
        Header { body: Body::Version(VersionBody { payload_len, ..version }), ..sample() }
    };
    check_header(&version(PAYLOAD_BYTES_MAX), Ok(()));
    check_header(&version(PAYLOAD_BYTES_MAX + 1), Err(DecodeError::InvalidField("payload_len")));
    let marks = |count: usize| Header { body: Body::Marks(vec![Mark::Description(None); count]), ..sample() };
    check_header(&marks(0), Err(DecodeError::InvalidField("marks")));
    check_header(&marks(1), Ok(()));
    check_header(&marks(MARKS_MAX), Ok(()));
    check_header(&marks(MARKS_MAX + 1), Err(DecodeError::InvalidField("marks")));
}

#[test]
fn a_field_that_breaks_its_own_rule_is_refused() {
    // The caller's name becomes `a n`.
    check_bytes(&replaced(&sample(), b"\x63ann", b"\x63a n"), DecodeError::Malformed);
    // The secret's id becomes one byte shorter.
    let id = sample().secret.0;
    let (long, short) = ([&[0x58, 0x20], id.as_slice()].concat(), [&[0x58, 0x1f], &id[1..]].concat());
    check_bytes(&replaced(&sample(), &long, &short), DecodeError::Malformed);
}

#[test]
fn the_largest_records_that_requests_make_read_back() {
    let parents = parents(u8::try_from(PARENTS_MAX).unwrap());
    let label = |number: usize| {
        let key = format!("{number:0width$}", width = LABEL_KEY_BYTES_MAX);
        let value = LabelValue::parse(&"v".repeat(LABEL_VALUE_BYTES_MAX)).unwrap();
        Mark::Label(LabelKey::parse(&key).unwrap(), Some(value))
    };
    let description = Description::parse(&"d".repeat(DESCRIPTION_BYTES_MAX)).unwrap();
    let update = (0..LABELS_MAX).map(label).chain([Mark::Description(Some(description))]).collect();
    let deleted = |number: usize| Mark::Deleted(RecordId([u8::try_from(number).unwrap(); 32]), true);
    let delete = (0..VERSIONS_PER_REQUEST_MAX).map(deleted).collect();
    for marks in [update, delete] {
        let header = Header { parents: parents.clone(), depth: 2, body: Body::Marks(marks), ..sample() };
        let record = Record::sign(header, &node(1));
        assert_eq!(Record::from_untrusted_bytes(&record.to_bytes()), Ok(record));
    }
}

#[test]
fn huge_and_deeply_nested_bytes_are_refused_at_once() {
    let too_large = vec![0x8a; RECORD_BYTES_MAX + 1];
    assert_eq!(Header::from_bytes(&too_large), Err(DecodeError::TooLarge));
    assert_eq!(Record::from_trusted_bytes(&too_large), Err(DecodeError::TooLarge));
    let nested = [&[0x8a, 1, 2], vec![0x81; RECORD_BYTES_MAX - 3].as_slice()].concat();
    check_bytes(&nested[..RECORD_BYTES_MAX - 200], DecodeError::Malformed);
    // Lengths that are claimed and not there: a list of parents, and a record's header.
    let claims = replaced(&sample(), &[0x80, 0x01, 0x0a], &[0x9b, 255, 255, 255, 255, 255, 255, 255, 255]);
    check_bytes(&claims, DecodeError::Malformed);
    let record = [0x82, 0x5b, 0x7f, 255, 255, 255, 255, 255, 255, 255, 0];
    assert_eq!(Record::from_trusted_bytes(&record), Err(DecodeError::Malformed));
}

fn bytes32() -> impl Strategy<Value = [u8; 32]> {
    uniform32(any::<u8>())
}

fn marks() -> impl Strategy<Value = Vec<Mark>> {
    let label = ("[a-z._/-]{1,64}", option::of("[a-zé世]{0,80}")).prop_map(|(key, value)| {
        Mark::Label(LabelKey::parse(&key).unwrap(), value.map(|value| LabelValue::parse(&value).unwrap()))
    });
    let description = option::of("[ -~\n\t]{0,200}")
        .prop_map(|text| Mark::Description(text.map(|text| Description::parse(&text).unwrap())));
    let deleted = (bytes32(), any::<bool>()).prop_map(|(id, on)| Mark::Deleted(RecordId(id), on));
    vec(prop_oneof![label, description, deleted], 1..20)
}

fn version() -> impl Strategy<Value = VersionBody> {
    let len = 0..=u32::try_from(PAYLOAD_BYTES_MAX).unwrap();
    let fields =
        (bytes32(), len, option::of("[ -~]{1,128}"), option::of(any::<u64>()), option::of(bytes32()));
    fields.prop_map(|(payload, payload_len, content_type, expires_at, restores)| VersionBody {
        payload: PayloadHash(payload),
        payload_len,
        content_type: content_type.map(|text| ContentType::parse(&text).unwrap()),
        expires_at: expires_at.map(Millis),
        restores: restores.map(RecordId),
    })
}

fn any_header() -> impl Strategy<Value = Header> {
    let parents = btree_set(bytes32(), 0..=PARENTS_MAX);
    let idempotency = option::of((bytes32(), bytes32()));
    let body = prop_oneof![version().prop_map(Body::Version), marks().prop_map(Body::Marks)];
    let fields = (bytes32(), parents, 2..=u64::from(u32::MAX), any::<u64>(), "[A-Za-z0-9_-]{1,64}");
    (fields, idempotency, body).prop_map(|((secret, parents, depth, time, by), idempotency, body)| Header {
        secret: SecretId(secret),
        depth: if parents.is_empty() { 1 } else { depth },
        parents: parents.into_iter().map(|id| Parent(RecordId(id), ChangeHash(id))).collect(),
        time: Hlc(time),
        author: node(1).node_id(),
        caller: caller(&by),
        idempotency: idempotency.map(|(key, request)| Idempotency(Digest(key), Digest(request))),
        body,
    })
}

proptest! {
    #[test]
    fn what_is_signed_reads_back_the_same(header in any_header()) {
        let record = Record::sign(header.clone(), &node(1));
        let read = Record::from_untrusted_bytes(&record.to_bytes()).unwrap();
        assert_eq!(read.header(), &header);
        assert_eq!(read, record);
    }

    #[test]
    fn an_altered_byte_never_counts(header in any_header(), at in any::<Index>(), change in 1..=255_u8) {
        let mut bytes = Record::sign(header, &node(1)).to_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= change;
        assert!(Record::from_untrusted_bytes(&bytes).is_err());
    }

    #[test]
    fn random_bytes_never_panic_and_never_count(bytes in vec(any::<u8>(), 0..400)) {
        assert!(Record::from_untrusted_bytes(&bytes).is_err());
        let header = [&[0x8a, 1, 1 + (bytes.len() & 1) as u8], bytes.as_slice()].concat();
        assert!(Header::from_bytes(&header).is_err());
    }
}
