//! Names, keys and signed records made from small numbers and words, the same in every run.
//! Knows nothing of what a test wants to show with them.

use covault_model::{
    command::SealedVersion,
    hlc::Hlc,
    id::PayloadHash,
    key::NodeKey,
    name::{CallerName, SecretName, SecretPath},
    record::{Body, Header, Record, VersionBody},
};

/// The caller of this name.
pub fn caller(name: &str) -> CallerName {
    CallerName::parse(name).expect("the test gives a caller's name")
}

/// The secret's name.
pub fn name(name: &str) -> SecretName {
    SecretName::parse(name).expect("the test gives a secret's name")
}

/// `ann`'s secret of this name.
pub fn path(secret: &str) -> SecretPath {
    SecretPath { owner: caller("ann"), name: name(secret) }
}

/// The key of the node with this number.
pub fn node(number: u8) -> NodeKey {
    NodeKey::from_seed(&[number; 32])
}

/// The header of a first version of `ann`'s secret `name` with this payload, made at `time` by `author`.
pub fn header(secret: &str, time: u64, author: &NodeKey, payload: &[u8]) -> Header {
    Header {
        secret: path(secret).id(),
        parents: Vec::new(),
        depth: 1,
        time: Hlc(time),
        author: author.node_id(),
        caller: caller("ann"),
        idempotency: None,
        body: Body::Version(VersionBody {
            payload: PayloadHash::of(payload),
            payload_len: u32::try_from(payload.len()).expect("tests use small payloads"),
            content_type: None,
            expires_at: None,
            restores: None,
        }),
    }
}

/// That version, signed, with its payload.
pub fn sealed(secret: &str, time: u64, author: &NodeKey, payload: &[u8]) -> SealedVersion {
    SealedVersion {
        record: Record::sign(header(secret, time, author, payload), author),
        payload: payload.to_vec(),
    }
}
