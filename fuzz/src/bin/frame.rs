//! What a peer sends before anything else of it is looked at: hellos and the heads of frames. There is one
//! encoding of each, no head lets through more than its channel allows, and nothing panics.
//! Knows nothing of what the bytes of a frame mean.

#![no_main]

use covault_net::{
    Reason,
    frame::{AnswerHead, Channel, FRAME_BYTES_MAX, HEAD_LEN, REFUSAL_LEN, RequestHead, Status},
    hello::{HELLO_LEN, Hello},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Some(bytes) = bytes.first_chunk::<HELLO_LEN>() {
        match Hello::from_bytes(bytes) {
            Ok(hello) => assert_eq!(hello.to_bytes(), *bytes, "a hello has one encoding"),
            Err(reason) => assert!(matches!(reason, Reason::MalformedHello | Reason::WrongVersion)),
        }
    }
    let Some(bytes) = bytes.first_chunk::<HEAD_LEN>() else { return };
    if let Ok(head) = RequestHead::from_bytes(bytes) {
        assert!(head.length <= head.channel.bytes_max() && head.length <= FRAME_BYTES_MAX);
        assert_eq!(head.to_bytes(), Some(*bytes), "a request's head has one encoding");
    }
    for channel in Channel::ALL {
        let Ok(head) = AnswerHead::from_bytes(bytes, channel) else { continue };
        assert!(head.length <= channel.bytes_max());
        assert!(head.status == Status::Answered || head.length == REFUSAL_LEN);
        assert_eq!(head.to_bytes(channel), Some(*bytes), "an answer's head has one encoding");
    }
});
