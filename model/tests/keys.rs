//! Node keys as TLS sees them: the DER of RFC 8410, with that page's own example, and nothing else.
//! Knows nothing of TLS.

#![allow(clippy::unwrap_used)]

use covault_model::{
    id::{NodeId, hex},
    key::{NodeKey, node_of_spki, spki_of},
};

const SEED: &str = "d4ee72dbf913584ad5b6d8f1f769f8ad3afe7c28cbf1d4fbe097a88f44755842";
const PUBLIC: &str = "19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1";

fn key() -> NodeKey {
    NodeKey::from_seed(&NodeId::parse(SEED).unwrap().0)
}

#[test]
fn a_private_key_is_the_example_of_rfc_8410() {
    let golden = format!("302e020100300506032b657004220420{SEED}");
    assert_eq!(hex(key().to_pkcs8().as_slice()), golden);
}

#[test]
fn a_public_key_is_the_example_of_rfc_8410_and_reads_back() {
    let node = key().node_id();
    let spki = spki_of(&node);
    assert_eq!(hex(&spki), format!("302a300506032b6570032100{PUBLIC}"));
    assert_eq!(node_of_spki(&spki), Some(node));
}

#[test]
fn nothing_else_is_read_as_a_public_key() {
    let spki = spki_of(&key().node_id());
    assert_eq!(node_of_spki(&[]), None);
    assert_eq!(node_of_spki(&spki[..43]), None);
    assert_eq!(node_of_spki(&[spki.as_slice(), &[0]].concat()), None);
    for at in 0..12 {
        let mut other = spki;
        other[at] ^= 1;
        assert_eq!(node_of_spki(&other), None, "byte {at}");
    }
}

#[test]
fn what_a_key_derives_depends_on_the_key_and_the_purpose() {
    let one = key().derive("one purpose");
    assert_eq!(one, key().derive("one purpose"));
    assert_ne!(one, key().derive("another purpose"));
    assert_ne!(one, NodeKey::from_seed(&[1; 32]).derive("one purpose"));
}
