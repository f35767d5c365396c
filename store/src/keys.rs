//! Key bytes that sort as the domain does. All rows of one secret stand side by side in one table under its
//! path, so that a write touches one or two pages however many secrets there are, and writes of names that
//! sort together share them. Owners, names and kinds never run together: neither has a zero byte.

use covault_model::{
    epoch::Epoch,
    hlc::Hlc,
    id::{PayloadHash, RecordId, VersionId},
    issue::Scope,
    line::Place,
    name::{CallerName, SecretName, SecretPath},
};

/// The kinds of rows in the histories table, in key order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    Entry = 0,
    View = 1,
    Line = 2,
    Number = 3,
    Record = 4,
    Payload = 5,
    Deleted = 6,
}

/// Not after any key there is: LMDB has no empty ones, and refuses to look for one.
pub(crate) const FIRST: &[u8] = &[0];

const PLACE_LEN: usize = 8 + VersionId::LEN;
/// What follows the path in the longest key.
const REST_LEN_MAX: usize = 2 + PLACE_LEN;

/// The beginning of all rows of one kind of one secret.
pub(crate) fn prefix(path: &SecretPath, kind: Kind) -> Vec<u8> {
    below(path, kind as u8)
}

/// A key after all rows of one secret and before those of the next.
pub(crate) fn end(path: &SecretPath) -> Vec<u8> {
    below(path, u8::MAX)
}

fn below(path: &SecretPath, kind: u8) -> Vec<u8> {
    let mut key = Vec::with_capacity(path.owner.len() + 1 + path.name.len() + REST_LEN_MAX);
    key.extend_from_slice(path.owner.as_bytes());
    key.push(0);
    key.extend_from_slice(path.name.as_bytes());
    key.extend_from_slice(&[0, kind]);
    key
}

fn key(path: &SecretPath, kind: Kind, rest: &[u8]) -> Vec<u8> {
    let mut key = prefix(path, kind);
    key.extend_from_slice(rest);
    key
}

/// Of which kind a row of this secret is, by its key.
pub(crate) fn kind_of(path: &SecretPath, key: &[u8]) -> Option<u8> {
    key.get(path.owner.len() + 1 + path.name.len() + 1).copied()
}

/// Whose row a key of the histories table is, and of which kind.
pub(crate) fn read_path(key: &[u8]) -> Option<(SecretPath, u8)> {
    let mut parts = key.splitn(3, |byte| *byte == 0);
    let (owner, name, rest) = (parts.next()?, parts.next()?, parts.next()?);
    let owner = CallerName::parse(std::str::from_utf8(owner).ok()?).ok()?;
    let name = SecretName::parse(std::str::from_utf8(name).ok()?).ok()?;
    Some((SecretPath { owner, name }, *rest.first()?))
}

/// A version in the line of its secret: sorts by (time, id).
pub(crate) fn line(path: &SecretPath, place: &Place) -> Vec<u8> {
    let mut key = key(path, Kind::Line, &place.time.0.to_be_bytes());
    key.extend_from_slice(place.id.as_bytes());
    key
}

/// The place a line key stands for, if it is one of this secret's.
pub(crate) fn read_line(path: &SecretPath, key: &[u8]) -> Option<Place> {
    let rest = key.strip_prefix(prefix(path, Kind::Line).as_slice())?;
    let (time, id) = rest.split_first_chunk::<8>()?;
    Some(Place { time: Hlc(u64::from_be_bytes(*time)), id: RecordId(id.try_into().ok()?) })
}

/// A number of a secret.
pub(crate) fn number(path: &SecretPath, number: u64) -> Vec<u8> {
    key(path, Kind::Number, &number.to_be_bytes())
}

/// A record of a secret.
pub(crate) fn record(path: &SecretPath, id: &RecordId) -> Vec<u8> {
    key(path, Kind::Record, id.as_bytes())
}

/// A payload of a secret.
pub(crate) fn payload(path: &SecretPath, hash: &PayloadHash) -> Vec<u8> {
    key(path, Kind::Payload, hash.as_bytes())
}

/// The delete mark of a version.
pub(crate) fn deleted(path: &SecretPath, version: &VersionId) -> Vec<u8> {
    key(path, Kind::Deleted, version.as_bytes())
}

/// A caller's name and something after it. Caller names have no zero byte, so owners never run together.
pub(crate) fn scoped(caller: &CallerName, rest: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(caller.len() + 1 + rest.len());
    key.extend_from_slice(caller.as_bytes());
    key.push(0);
    key.extend_from_slice(rest);
    key
}

/// What belongs to one epoch of an owner, and something after it.
pub(crate) fn of_epoch(scope: &Scope, rest: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(scope.owner.len() + 1 + EPOCH_LEN + rest.len());
    key.extend_from_slice(scope.owner.as_bytes());
    key.push(0);
    key.extend_from_slice(&scope.epoch.0.to_be_bytes());
    key.extend_from_slice(rest);
    key
}

/// A number within an epoch of an owner.
pub(crate) fn numbered(scope: &Scope, number: u64) -> Vec<u8> {
    of_epoch(scope, &number.to_be_bytes())
}

/// Whose a numbered row is, and its number.
pub(crate) fn read_numbered(key: &[u8]) -> Option<(Scope, u64)> {
    let (scope, number) = read_epoch(key)?;
    Some((scope, u64::from_be_bytes(number.try_into().ok()?)))
}

const EPOCH_LEN: usize = size_of::<u32>();

/// Whose row a key of what belongs to epochs is, and what follows.
pub(crate) fn read_epoch(key: &[u8]) -> Option<(Scope, &[u8])> {
    let end = key.iter().position(|byte| *byte == 0)?;
    let owner = CallerName::parse(std::str::from_utf8(&key[..end]).ok()?).ok()?;
    let (number, rest) = key[end + 1..].split_first_chunk::<EPOCH_LEN>()?;
    Some((Scope { owner, epoch: Epoch(u32::from_be_bytes(*number)) }, rest))
}
