//! What came from another node is a record of this secret, signed, with its own payload, or it is nothing.
//! Shows X1.

#![allow(clippy::unwrap_used)]

#[path = "support/samples.rs"]
mod samples;

use covault_model::{
    arrival::{Arrival, Fault},
    limits::{PAYLOAD_BYTES_MAX, RECORD_BYTES_MAX},
    marks::Mark,
    record::{Body, Record},
};
use proptest::prelude::*;
use samples::{header, node, path, sealed};

fn judge(secret: &str, record: &[u8], payload: Option<&[u8]>) -> Result<Arrival, Fault> {
    Arrival::judge(path(secret), record, payload.map(<[u8]>::to_vec))
}

fn marks() -> Record {
    let mut header = header("app/db", 20, &node(1), b"");
    header.body = Body::Marks(vec![Mark::Description(None)]);
    Record::sign(header, &node(1))
}

#[test]
fn a_record_of_its_secret_arrives_with_its_payload_or_without() {
    let version = sealed("app/db", 10, &node(1), b"sealed");
    let bytes = version.record.to_bytes();
    let whole = judge("app/db", &bytes, Some(b"sealed")).unwrap();
    assert_eq!((whole.path(), whole.record()), (&path("app/db"), &version.record));
    assert_eq!(whole.payload(), Some(b"sealed".as_slice()));
    assert_eq!(judge("app/db", &bytes, None).unwrap().payload(), None);
    assert!(judge("app/db", &marks().to_bytes(), None).is_ok());
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let bytes = sealed("app/db", 10, &node(1), b"sealed").record.to_bytes();
    let mut forged = bytes.clone();
    *forged.last_mut().unwrap() ^= 1;
    let long = [bytes.as_slice(), &[0]].concat();
    let check = |secret: &str, record: &[u8], payload: Option<&[u8]>, fault: Fault| {
        assert_eq!(judge(secret, record, payload).err(), Some(fault));
        assert!(fault.is_misbehaviour());
    };
    check("app/db", &forged, None, Fault::Forged);
    check("app/db", &long, None, Fault::Malformed);
    check("app/db", &[], None, Fault::Malformed);
    check("app/other", &bytes, Some(b"sealed"), Fault::OtherSecret);
    check("app/db", &bytes, Some(b"Sealed"), Fault::OtherPayload);
    check("app/db", &bytes, Some(b""), Fault::OtherPayload);
    check("app/db", &marks().to_bytes(), Some(b"sealed"), Fault::OtherPayload);
    check("app/db", &[0; RECORD_BYTES_MAX + 1], None, Fault::Oversized);
    check("app/db", &bytes, Some(&[0; PAYLOAD_BYTES_MAX + 1]), Fault::Oversized);
}

#[test]
fn a_fault_keeps_its_code() {
    let codes: Vec<_> = Fault::ALL.iter().map(|fault| fault.code()).collect();
    let expected = "malformed_record oversized_record forged_record other_secret other_payload \
        false_parents unknown_author destroyed_payload early_record";
    assert_eq!(codes, expected.split_whitespace().collect::<Vec<_>>());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_altered_byte_never_arrives(at in any::<prop::sample::Index>(), bit in 0..8u32) {
        let mut bytes = sealed("app/db", 10, &node(1), b"sealed").record.to_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= 1u8 << bit;
        prop_assert!(judge("app/db", &bytes, Some(b"sealed")).is_err());
    }
}
