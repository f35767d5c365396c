//! Key bytes that sort as the domain does. All rows of one secret stand side by side in one table, so that
//! a write touches one or two pages however many secrets there are.

use covault_model::{
    hlc::Hlc,
    id::{PayloadHash, RecordId, SecretId, VersionId},
    line::Place,
    name::{CallerName, SecretName},
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

const PREFIX_LEN: usize = SecretId::LEN + 1;

/// The beginning of all rows of one kind of one secret.
pub(crate) fn prefix(secret: &SecretId, kind: Kind) -> [u8; PREFIX_LEN] {
    let mut key = [0; PREFIX_LEN];
    key[..SecretId::LEN].copy_from_slice(secret.as_bytes());
    key[SecretId::LEN] = kind as u8;
    key
}

/// A key after all rows of one secret and before those of the next.
pub(crate) fn end(secret: &SecretId) -> [u8; PREFIX_LEN] {
    let mut key = [0xff; PREFIX_LEN];
    key[..SecretId::LEN].copy_from_slice(secret.as_bytes());
    key
}

fn key<const N: usize>(secret: &SecretId, kind: Kind, rest: &[u8]) -> [u8; N] {
    let mut key = [0; N];
    key[..PREFIX_LEN].copy_from_slice(&prefix(secret, kind));
    key[PREFIX_LEN..].copy_from_slice(rest);
    key
}

const PLACE_LEN: usize = 8 + VersionId::LEN;

/// A version in the line of its secret: sorts by (time, id).
pub(crate) fn line(secret: &SecretId, place: &Place) -> [u8; PREFIX_LEN + PLACE_LEN] {
    let mut rest = [0; PLACE_LEN];
    rest[..8].copy_from_slice(&place.time.0.to_be_bytes());
    rest[8..].copy_from_slice(place.id.as_bytes());
    key(secret, Kind::Line, &rest)
}

/// The place a line key stands for, if it is one of `secret`'s.
pub(crate) fn read_line(secret: &SecretId, key: &[u8]) -> Option<Place> {
    let rest = key.strip_prefix(&prefix(secret, Kind::Line))?;
    let (time, id) = rest.split_first_chunk::<8>()?;
    Some(Place { time: Hlc(u64::from_be_bytes(*time)), id: RecordId(id.try_into().ok()?) })
}

/// A number of a secret.
pub(crate) fn number(secret: &SecretId, number: u64) -> [u8; PREFIX_LEN + 8] {
    key(secret, Kind::Number, &number.to_be_bytes())
}

/// A record of a secret.
pub(crate) fn record(secret: &SecretId, id: &RecordId) -> [u8; PREFIX_LEN + RecordId::LEN] {
    key(secret, Kind::Record, id.as_bytes())
}

/// A payload of a secret.
pub(crate) fn payload(secret: &SecretId, hash: &PayloadHash) -> [u8; PREFIX_LEN + PayloadHash::LEN] {
    key(secret, Kind::Payload, hash.as_bytes())
}

/// The delete mark of a version.
pub(crate) fn deleted(secret: &SecretId, version: &VersionId) -> [u8; PREFIX_LEN + VersionId::LEN] {
    key(secret, Kind::Deleted, version.as_bytes())
}

/// A caller's name and something after it. Caller names have no zero byte, so owners never run together.
pub(crate) fn scoped(caller: &CallerName, rest: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(caller.len() + 1 + rest.len());
    key.extend_from_slice(caller.as_bytes());
    key.push(0);
    key.extend_from_slice(rest);
    key
}

/// What follows the owner in a scoped key.
pub(crate) fn after_owner(key: &[u8]) -> Option<&[u8]> {
    let zero = key.iter().position(|byte| *byte == 0)?;
    key.get(zero + 1..)
}

/// The name in a key of the names table.
pub(crate) fn read_name(key: &[u8]) -> Option<SecretName> {
    SecretName::parse(std::str::from_utf8(after_owner(key)?).ok()?).ok()
}
