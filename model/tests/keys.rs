//! Node keys as TLS sees them: the DER of RFC 8410, with that page's own example, and nothing else; and what they sign,
//! as in RFC 8032.
//! Knows nothing of TLS.

#![allow(clippy::unwrap_used)]

use covault_model::{
    id::{NodeId, hex},
    key::{NodeKey, node_of_spki, spki_of, verifies},
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
fn a_signature_is_the_first_example_of_rfc_8032() {
    let seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
    let public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    let signature = "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555\
                     fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b";
    let key = NodeKey::from_seed(&NodeId::parse(seed).unwrap().0);
    assert_eq!(
        (hex(key.node_id().as_bytes()), hex(&key.sign(b""))),
        (public.to_owned(), signature.to_owned())
    );
    assert!(verifies(&key.node_id(), b"", &key.sign(b"")));
    assert!(!verifies(&key.node_id(), b"another message", &key.sign(b"")));
}

#[test]
fn what_a_key_derives_depends_on_the_key_and_the_purpose() {
    let one = key().derive("one purpose");
    assert_eq!(one, key().derive("one purpose"));
    assert_ne!(one, key().derive("another purpose"));
    assert_ne!(one, NodeKey::from_seed(&[1; 32]).derive("one purpose"));
}
