//! What an API process asks a node, and what it is told: bounded, refused or read as it was written, and nothing
//! panics. A process that has been taken over chooses every byte of the first.
//! Knows nothing of how a request is carried out.

#![no_main]

use covault::relay::message::{Ask, TEXT_BYTES_MAX, Told};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(ask) = Ask::from_bytes(bytes) {
        assert!(Ask::from_bytes(&ask.to_bytes()).is_ok_and(|again| again == ask));
        if let Ask::CarryOut(asked) = ask {
            assert!(asked.query.len() + asked.captures.concat().len() <= TEXT_BYTES_MAX);
        }
    }
    if let Ok(told) = Told::from_bytes(bytes) {
        assert!(Told::from_bytes(&told.to_bytes()).is_ok_and(|again| again == told));
    }
});
