//! Signed records of one secret and the commands that carry them, made from words and small numbers, the
//! same in every run. Knows nothing of the store they go into.

use covault_model::{
    command::{Action, Command, NewSecret, SealedVersion},
    hlc::{Hlc, Millis},
    id::{CommandId, PayloadHash, SecretId},
    key::NodeKey,
    marks::Mark,
    name::{CallerName, SecretName},
    record::{Body, Header, Parent, Record, VersionBody},
};

use super::scratch::change_of;

/// The caller of this name.
pub fn caller(name: &str) -> CallerName {
    CallerName::parse(name).expect("the test gives a caller's name")
}

/// The secret's name.
pub fn name(name: &str) -> SecretName {
    SecretName::parse(name).expect("the test gives a secret's name")
}

/// The id of `ann`'s secret of this name.
pub fn secret(secret: &str) -> SecretId {
    SecretId::of(&caller("ann"), &name(secret))
}

/// A record of `ann`'s secret, made at `time` by one node, after `parents`.
pub fn record(of: &str, time: u64, parents: &[&Record], body: Body) -> Record {
    let key = NodeKey::from_seed(&[7; 32]);
    let mut named: Vec<Parent> =
        parents.iter().map(|parent| Parent(parent.id(), change_of(parent))).collect();
    named.sort_unstable();
    let header = Header {
        secret: secret(of),
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

/// A version with this payload.
pub fn version(of: &str, time: u64, parents: &[&Record], payload: &[u8]) -> SealedVersion {
    let body = VersionBody {
        payload: PayloadHash::of(payload),
        payload_len: u32::try_from(payload.len()).expect("tests use small payloads"),
        content_type: None,
        expires_at: None,
        restores: None,
    };
    SealedVersion { record: record(of, time, parents, Body::Version(body)), payload: payload.to_vec() }
}

/// A record of marks.
pub fn marks(of: &str, time: u64, parents: &[&Record], marks: &[Mark]) -> Record {
    record(of, time, parents, Body::Marks(marks.to_vec()))
}

/// `action`, asked for by `ann`.
pub fn command(action: Action) -> Command {
    Command { id: CommandId([1; 16]), by: caller("ann"), at: Millis(1), idempotency: None, action }
}

/// The creation of `ann`'s secret with this first version.
pub fn create(of: &str, version: SealedVersion, marks: Option<Record>) -> Command {
    command(Action::Create(vec![NewSecret { owner: caller("ann"), name: name(of), version, marks }]))
}
