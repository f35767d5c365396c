//! The bytes of hellos and heads. They are not mended: other bytes are another version of the protocol.

#![allow(clippy::unwrap_used)]

use covault_model::id::{ClusterId, hex};
use covault_net::{
    Channel, Reason,
    frame::{AnswerHead, FrameError, RequestHead, Status},
    hello::Hello,
};

#[test]
fn hellos_have_these_bytes() {
    let cluster = ClusterId([0xc1; 16]);
    let peer = format!("63766869{}{}{}", "0001", "0100", "c1".repeat(16));
    let stranger = format!("63766869{}{}{}", "0001", "0000", "00".repeat(16));
    for (hello, golden) in [(Hello::Peer(cluster), peer), (Hello::Stranger, stranger)] {
        assert_eq!(hex(&hello.to_bytes()), golden);
        assert_eq!(Hello::from_bytes(&hello.to_bytes()), Ok(hello));
    }
}

#[test]
fn every_other_hello_is_refused_for_its_reason() {
    let good = Hello::Peer(ClusterId([0xc1; 16])).to_bytes();
    let with = |at: usize, byte: u8| {
        let mut bytes = good;
        bytes[at] = byte;
        Hello::from_bytes(&bytes)
    };
    for at in 0..4 {
        assert_eq!(with(at, 0), Err(Reason::MalformedHello));
    }
    assert_eq!(with(4, 1), Err(Reason::WrongVersion));
    assert_eq!(with(5, 2), Err(Reason::WrongVersion));
    assert_eq!(with(6, 2), Err(Reason::MalformedHello));
    assert_eq!(with(6, 0), Err(Reason::MalformedHello), "a stranger names no cluster");
    assert_eq!(with(7, 1), Err(Reason::MalformedHello));
}

#[test]
fn heads_of_requests_have_these_bytes() {
    let golden = [
        (Channel::Raft, "0080000001"),
        (Channel::Forward, "0080000002"),
        (Channel::Records, "0080000003"),
        (Channel::Control, "0001000004"),
        (Channel::Join, "0000100005"),
        (Channel::Serve, "0080000006"),
    ];
    for (channel, golden) in golden {
        let head = RequestHead { channel, length: channel.bytes_max() };
        let bytes = head.to_bytes().unwrap();
        assert_eq!(hex(&bytes), golden);
        assert_eq!(RequestHead::from_bytes(&bytes), Ok(head));
        let larger = RequestHead { channel, length: channel.bytes_max() + 1 };
        assert_eq!(larger.to_bytes(), None);
        let [a, b, c, d] = (larger.length as u32).to_be_bytes();
        assert_eq!(RequestHead::from_bytes(&[a, b, c, d, channel.code()]), Err(FrameError::Oversize));
    }
    for code in (0..=u8::MAX).filter(|code| !(1..=6).contains(code)) {
        assert_eq!(RequestHead::from_bytes(&[0, 0, 0, 0, code]), Err(FrameError::UnknownChannel));
    }
}

#[test]
fn heads_of_answers_have_these_bytes() {
    let golden = [(Status::Answered, 300, "0000012c00"), (Status::Refused, 2, "0000000201")];
    for (status, length, golden) in golden {
        let head = AnswerHead { status, length };
        let bytes = head.to_bytes(Channel::Control).unwrap();
        assert_eq!(hex(&bytes), golden);
        assert_eq!(AnswerHead::from_bytes(&bytes, Channel::Control), Ok(head));
    }
    let check = |bytes, expected| assert_eq!(AnswerHead::from_bytes(bytes, Channel::Join), Err(expected));
    check(&[0, 0, 16, 1, 0], FrameError::Oversize);
    check(&[255, 255, 255, 255, 0], FrameError::Oversize);
    check(&[0, 0, 0, 3, 1], FrameError::Malformed);
    check(&[0, 0, 0, 0, 2], FrameError::Malformed);
}

#[test]
fn a_reason_keeps_its_code_and_its_name() {
    let names = "abandoned closing served wrong_version wrong_cluster unknown_key removed superseded \
        too_many_strangers too_many_handshakes handshake malformed_hello malformed_frame oversize_frame \
        unknown_channel forbidden_channel slow busy unanswered bad_record silent";
    let named: Vec<_> = names.split_whitespace().collect();
    assert_eq!(Reason::ALL.len(), named.len());
    for (code, reason) in Reason::ALL.iter().enumerate() {
        assert_eq!((reason.code() as usize, reason.name()), (code, named[code]));
        assert_eq!(Reason::from_code(code as u64), Some(*reason));
    }
    assert_eq!(Reason::from_code(Reason::ALL.len() as u64), None);
}
