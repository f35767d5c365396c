//! S2: a data key per version, wrapped by a master key, everything bound to its context; and the one form of
//! the bytes.

#![allow(clippy::unwrap_used)]

use ciborium::Value;
use covault_model::{
    DecodeError,
    hlc::Hlc,
    id::{ClusterId, NodeId, SecretId, hex},
    limits::{PAYLOAD_BYTES_MAX, VALUE_BYTES_MAX},
    name::MasterKeyName,
};
use covault_seal::{Context, Keyring, Plaintext, SealError, master_key_of, open, seal};
use proptest::{collection::vec, prelude::any, prop_assert, prop_assert_eq, proptest};

/// Base64 of 32 bytes 0x01, of 32 bytes 0x02.
const ONES: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
const TWOS: &str = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";

fn ring(active: &str, keys: &[(&str, &str)]) -> Keyring {
    let lines: String = keys.iter().map(|(name, key)| format!("{name} = \"{key}\"\n")).collect();
    Keyring::parse(format!("active = \"{active}\"\n[keys]\n{lines}").as_bytes(), "a test").unwrap()
}

fn ones() -> Keyring {
    ring("first", &[("first", ONES)])
}

/// Chance that is not: bytes that count up from zero.
fn counting() -> impl FnMut(&mut [u8]) {
    let mut next = 0_u8;
    move |bytes| {
        for byte in bytes {
            *byte = next;
            next = next.wrapping_add(1);
        }
    }
}

fn context() -> Context {
    Context {
        cluster: ClusterId([0xc1; 16]),
        secret: SecretId([0x5e; 32]),
        time: Hlc(0x0102_0304_0506_0708),
        author: NodeId([0xa0; 32]),
    }
}

fn sealed(keyring: &Keyring, value: &[u8]) -> Vec<u8> {
    seal(keyring, &context(), &Plaintext::new(value.to_vec()), &mut counting()).unwrap()
}

fn opened(keyring: &Keyring, bytes: &[u8]) -> Result<Vec<u8>, SealError> {
    open(keyring, &context(), bytes).map(|value| value.expose_plaintext().to_vec())
}

fn name(text: &str) -> MasterKeyName {
    MasterKeyName::parse(text).unwrap()
}

#[test]
fn the_bytes_of_a_payload_are_these() {
    let bytes = sealed(&ones(), b"hello");
    assert_eq!(hex(&bytes), GOLDEN);
    assert_eq!(opened(&ones(), &bytes).unwrap(), b"hello");
}

/// Format, algorithm and name; wrapped key; its nonce; the value's nonce; ciphertext. Recomputed once by an
/// implementation of the ciphers that shares no code with this one.
const GOLDEN: &str = concat!(
    "870101656669727374",
    "5830119239bd624b5d5265e08fea9149f855a2dc85ae68f77e6c1dcd1b9a35924af9c67ce6c68d36c848dc6587dd39f1cc17",
    "5818202122232425262728292a2b2c2d2e2f3031323334353637",
    "581838393a3b3c3d3e3f404142434445464748494a4b4c4d4e4f",
    "5566c388c952e218babf64e92190abfe203cfaa059cd",
);

#[test]
fn the_bytes_are_what_a_general_encoder_writes() {
    for len in [0, 1, 7, 8, 239, 240, 65_519, 65_520, VALUE_BYTES_MAX] {
        let bytes = sealed(&ones(), &vec![7; len]);
        let value: Value = ciborium::from_reader(bytes.as_slice()).unwrap();
        let fields = value.as_array().unwrap();
        assert_eq!(fields[..2], [Value::from(1), Value::from(1)]);
        assert_eq!(fields[2], Value::from("first"));
        let lengths: Vec<usize> = fields[3..].iter().map(|field| field.as_bytes().unwrap().len()).collect();
        assert_eq!(lengths, [48, 24, 24, len + 16]);
        let mut again = Vec::new();
        ciborium::into_writer(&value, &mut again).unwrap();
        assert!(again == bytes, "a value of {len} bytes");
        assert!(bytes.len() <= PAYLOAD_BYTES_MAX);
        assert!(opened(&ones(), &bytes).unwrap() == vec![7; len], "a value of {len} bytes");
    }
}

#[test]
fn a_value_above_the_limit_is_refused() {
    let value = Plaintext::new(vec![0; VALUE_BYTES_MAX + 1]);
    assert_eq!(seal(&ones(), &context(), &value, &mut counting()), Err(SealError::TooLarge));
}

#[test]
fn a_ciphertext_cannot_be_moved_to_another_context() {
    let bytes = sealed(&ones(), b"hello");
    let elsewhere = [
        Context { cluster: ClusterId([0xc2; 16]), ..context() },
        Context { secret: SecretId([0x5f; 32]), ..context() },
        Context { time: Hlc(0x0102_0304_0506_0709), ..context() },
        Context { author: NodeId([0xa1; 32]), ..context() },
    ];
    for other in elsewhere {
        let refused = open(&ones(), &other, &bytes).err();
        assert_eq!(refused, Some(SealError::NotAuthentic), "{other:?}");
    }
}

#[test]
fn no_bit_of_a_payload_can_be_flipped() {
    // Two names that differ in one bit hold the same key, so that only the binding tells them apart.
    let keyring = ring("a", &[("a", ONES), ("c", ONES), ("q", ONES), ("aa", ONES)]);
    for value in [b"".as_slice(), b"hello", &[7; 256]] {
        let bytes = sealed(&keyring, value);
        for at in 0..bytes.len() * 8 {
            let mut altered = bytes.clone();
            altered[at / 8] ^= 1 << (at % 8);
            assert!(opened(&keyring, &altered).is_err(), "bit {at}");
        }
    }
}

#[test]
fn no_part_of_a_payload_passes_for_one() {
    let bytes = sealed(&ones(), b"hello");
    for len in 0..bytes.len() {
        assert!(opened(&ones(), &bytes[..len]).is_err(), "the first {len} bytes");
    }
    let longer = [bytes.as_slice(), &[0]].concat();
    assert_eq!(opened(&ones(), &longer), Err(SealError::Payload(DecodeError::TrailingBytes)));
}

#[test]
fn each_fault_of_the_form_has_its_name() {
    let bytes = sealed(&ones(), b"hello");
    let with = |at: usize, byte: u8| {
        let mut altered = bytes.clone();
        altered[at] = byte;
        master_key_of(&altered)
    };
    assert_eq!(with(0, 0x86), Err(DecodeError::Malformed), "six fields");
    assert_eq!(with(0, 0x9f), Err(DecodeError::NotCanonical), "no length");
    assert_eq!(with(1, 0x02), Err(DecodeError::UnknownFormat(2)));
    assert_eq!(with(2, 0x02), Err(DecodeError::InvalidField("algorithm")));
    assert_eq!(with(3, 0x45), Err(DecodeError::Malformed), "a name of bytes");
    assert_eq!(with(4, b' '), Err(DecodeError::InvalidField("master_key")));
    assert_eq!(with(4, 0xff), Err(DecodeError::Malformed), "not UTF-8");
    assert_eq!(with(10, 47), Err(DecodeError::InvalidField("wrapped_key")));
    assert_eq!(master_key_of(&vec![0; PAYLOAD_BYTES_MAX + 1]), Err(DecodeError::TooLarge));
}

#[test]
fn a_head_longer_than_needed_is_not_canonical() {
    let bytes = sealed(&ones(), b"hello");
    // The head of the name, `0x65`, once with its length in a byte of its own and once in eight.
    for head in [[0x78, 5].as_slice(), &[0x7b, 0, 0, 0, 0, 0, 0, 0, 5]] {
        let longer = [&bytes[..3], head, &bytes[4..]].concat();
        assert_eq!(master_key_of(&longer), Err(DecodeError::NotCanonical));
    }
}

#[test]
fn a_length_that_lies_costs_nothing() {
    // An array whose name is said to have 2^64 - 1 bytes.
    let lie = [&[0x87, 1, 1, 0x7b], [0xff; 8].as_slice()].concat();
    assert_eq!(master_key_of(&lie), Err(DecodeError::Malformed));
}

#[test]
fn a_payload_tells_which_key_it_needs() {
    assert_eq!(master_key_of(&sealed(&ones(), b"hello")), Ok(name("first")));
}

#[test]
fn a_new_active_key_reads_old_values_and_seals_new_ones() {
    let old = sealed(&ones(), b"old");
    let rotated = ring("second", &[("first", ONES), ("second", TWOS)]);
    assert_eq!(opened(&rotated, &old).unwrap(), b"old");
    let new = sealed(&rotated, b"new");
    assert_eq!(master_key_of(&new), Ok(name("second")));
    assert_eq!(opened(&rotated, &new).unwrap(), b"new");
    assert_eq!(opened(&ones(), &new), Err(SealError::MasterKeyUnavailable(name("second"))));
}

#[test]
fn another_key_under_the_same_name_opens_nothing() {
    let bytes = sealed(&ones(), b"hello");
    let impostor = ring("first", &[("first", TWOS)]);
    assert_eq!(opened(&impostor, &bytes), Err(SealError::NotAuthentic));
}

#[test]
fn a_key_taken_out_of_the_ring_neither_seals_nor_opens() {
    let bytes = sealed(&ones(), b"hello");
    let empty = ones().without(&[name("first")]);
    let unavailable = SealError::MasterKeyUnavailable(name("first"));
    assert_eq!(opened(&empty, &bytes), Err(unavailable.clone()));
    let refused = seal(&empty, &context(), &Plaintext::new(b"x".to_vec()), &mut counting());
    assert_eq!(refused, Err(unavailable));
}

#[test]
fn every_sealing_draws_a_data_key_and_nonces_of_its_own() {
    let keyring = ones();
    let mut chance = counting();
    let mut drawn: Vec<Vec<u8>> = Vec::new();
    let mut recording = |bytes: &mut [u8]| {
        chance(bytes);
        drawn.push(bytes.to_vec());
    };
    let value = Plaintext::new(b"the same value".to_vec());
    let first = seal(&keyring, &context(), &value, &mut recording).unwrap();
    let second = seal(&keyring, &context(), &value, &mut recording).unwrap();
    assert_eq!(drawn.iter().map(Vec::len).collect::<Vec<_>>(), [32 + 24 + 24; 2]);
    assert_ne!(drawn[0], drawn[1]);
    assert_ne!(first, second);
    assert_eq!(opened(&keyring, &first), opened(&keyring, &second));
    let holds = |part: &[u8]| first.windows(part.len()).any(|window| window == part);
    let (data_key, nonces) = drawn[0].split_at(32);
    assert!(!holds(data_key), "the data key is not in the payload as it is");
    assert!(holds(&nonces[..24]) && holds(&nonces[24..]), "the nonces are");
    assert!(!holds(b"the same value"));
}

proptest! {
    #[test]
    fn any_value_comes_back(value in vec(any::<u8>(), 0..2000), key in vec(any::<u8>(), 80)) {
        let mut rest = key.as_slice();
        let mut chance = |bytes: &mut [u8]| {
            let (now, later) = rest.split_at(bytes.len());
            bytes.copy_from_slice(now);
            rest = later;
        };
        let bytes = seal(&ones(), &context(), &Plaintext::new(value.clone()), &mut chance).unwrap();
        prop_assert_eq!(opened(&ones(), &bytes).unwrap(), value);
    }

    #[test]
    fn random_bytes_are_refused(bytes in vec(any::<u8>(), 0..400)) {
        prop_assert!(opened(&ones(), &bytes).is_err());
    }

    #[test]
    fn altered_stretches_are_refused(at in 0_usize..200, patch in vec(any::<u8>(), 1..40)) {
        let bytes = sealed(&ones(), &[7; 64]);
        let mut altered = bytes.clone();
        for (byte, new) in altered.iter_mut().skip(at).zip(patch) {
            *byte = new;
        }
        prop_assert!(altered == bytes || opened(&ones(), &altered).is_err());
    }
}
