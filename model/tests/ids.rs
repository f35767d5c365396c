//! Ids are hashes in derive-key mode over parts that cannot run together.

#![allow(clippy::unwrap_used)]

use covault_model::id::derive;

const CONTEXT: &str = "covault 2026-11 test of ids";

/// The definition, word for word.
fn defined(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
    }
    *hasher.finalize().as_bytes()
}

#[test]
fn material_of_every_length_gives_the_hash_that_is_defined() {
    let bytes: Vec<u8> = (0..2000u32).map(|n| n as u8).collect();
    for len in (0..800).chain([1023, 1024, 1025, 2000]) {
        let (one, two) = bytes[..len].split_at(len / 3);
        assert_eq!(derive(CONTEXT, &[one, two]), defined(&[one, two]), "{len} bytes in two parts");
        assert_eq!(derive(CONTEXT, &[&bytes[..len]]), defined(&[&bytes[..len]]), "{len} bytes in one part");
    }
}

#[test]
fn parts_do_not_run_together() {
    assert_ne!(derive(CONTEXT, &[b"ab", b"c"]), derive(CONTEXT, &[b"a", b"bc"]));
    assert_ne!(derive(CONTEXT, &[b"abc"]), derive(CONTEXT, &[b"abc", b""]));
}
