//! Records as they come from peers. Keeps V1 and V2: there is one encoding of each, whatever counts was
//! signed, and nothing panics. Knows nothing of how records travel.

#![no_main]

use covault_model::{
    history::derive,
    id::RecordId,
    record::{Header, Record},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(header) = Header::from_bytes(bytes) {
        assert_eq!(header.to_bytes(), bytes, "a header has one encoding");
    }
    let Ok(record) = Record::from_trusted_bytes(bytes) else {
        assert!(Record::from_untrusted_bytes(bytes).is_err());
        return;
    };
    assert_eq!(record.to_bytes(), bytes, "a record has one encoding");
    assert_eq!(record.id(), RecordId::of(record.header_bytes()));
    assert_eq!(Record::from_untrusted_bytes(bytes).is_ok(), record.signature_verifies());
    let once = derive([&record]);
    let twice = derive([&record, &record]);
    assert_eq!(once, twice, "a record that comes again changes nothing");
});
