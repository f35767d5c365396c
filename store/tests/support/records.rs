//! Signed records of a secret and the commands that carry them, made from words and small numbers, the same
//! in every run. Knows nothing of the store they go into.

use covault_model::{
    command::{Action, Command, SealedVersion},
    hlc::{Hlc, Millis},
    id::{ChangeHash, CommandId, PayloadHash},
    key::NodeKey,
    marks::Mark,
    name::{CallerName, SecretName, SecretPath},
    record::{Body, Header, Parent, Record, VersionBody},
};

/// The caller of this name.
pub fn caller(name: &str) -> CallerName {
    CallerName::parse(name).expect("the test gives a caller's name")
}

/// The secret's name.
pub fn name(name: &str) -> SecretName {
    SecretName::parse(name).expect("the test gives a secret's name")
}

/// A record of the secret at `path`, made at `time` by one node, after `parents`.
fn record(path: &SecretPath, time: u64, parents: &[&Record], body: Body) -> Record {
    let key = NodeKey::from_seed(&[7; 32]);
    let mut named: Vec<Parent> =
        parents.iter().map(|parent| Parent(parent.id(), change_of(parent))).collect();
    named.sort_unstable();
    let header = Header {
        secret: path.id(),
        depth: 1 + parents.iter().map(|parent| parent.header().depth).max().unwrap_or(0),
        parents: named,
        time: Hlc(time),
        author: key.node_id(),
        caller: caller("ann"),
        idempotency: None,
        body,
    };
    Record::sign(header, &key)
}

/// Stands for the document change that inserts `record`.
fn change_of(record: &Record) -> ChangeHash {
    ChangeHash(record.id().0)
}

/// A version with this payload.
pub fn version(path: &SecretPath, time: u64, parents: &[&Record], payload: &[u8]) -> SealedVersion {
    let body = VersionBody {
        payload: PayloadHash::of(payload),
        payload_len: u32::try_from(payload.len()).expect("tests use small payloads"),
        content_type: None,
        expires_at: None,
        restores: None,
    };
    SealedVersion { record: record(path, time, parents, Body::Version(body)), payload: payload.to_vec() }
}

/// A record of marks.
pub fn marks(path: &SecretPath, time: u64, parents: &[&Record], marks: &[Mark]) -> Record {
    record(path, time, parents, Body::Marks(marks.to_vec()))
}

/// `action`, asked for by `ann`.
pub fn command(action: Action) -> Command {
    Command { id: CommandId([1; 16]), by: caller("ann"), at: Millis(1), idempotency: None, action }
}
