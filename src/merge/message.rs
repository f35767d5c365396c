//! What nodes ask each other about records, as bytes: a format marker and CBOR, nothing after it. Bounded by the
//! frames it comes in, and by how many things one question may name. Only signed records cross, never
//! documents. Knows nothing of how it travels or what is taken in.

use std::collections::BTreeSet;

use covault_model::{
    DecodeError, decode, encode,
    id::{IssueId, NodeId, RecordId},
    issue::Scope,
    limits::MEMBERS_MAX,
    name::SecretPath,
};
use covault_store::IssueDigest;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_bytes::ByteBuf;

use super::index::ItemId;

const MESSAGE_FORMAT: u8 = 1;

/// Records in one message.
pub const RECORDS_MAX: usize = 256;
/// Bytes of records in one message; one more always fits, since a frame holds 8 MiB.
pub const RECORDS_BYTES_MAX: usize = 6 << 20;
/// Items or secrets that one question may name.
pub const NAMED_MAX: usize = 256;
/// Records of one secret that a question about it may name, of each kind.
pub const KNOWN_MAX: usize = 64;
/// Epochs that one answer tells of.
pub const SCOPES_MAX: usize = 256;
/// Beginnings of ids that one question may be about.
pub const UNDER_MAX: usize = 64;
/// Ids that are listed rather than digested.
pub const LISTED_MAX: usize = 256;
/// Bytes of one message of the search for differences.
pub const SEARCH_BYTES_MAX: usize = 256 << 10;

/// A record on its way: under its secret's path, with its payload if it is a version whose value is not erased.
/// Nothing of it was verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent(pub SecretPath, pub ByteBuf, pub Option<ByteBuf>);

impl Sent {
    /// Bytes that it takes.
    pub fn bytes(&self) -> usize {
        self.1.len() + self.2.as_ref().map_or(0, |payload| payload.len())
    }
}

/// What a node has of a secret's history: enough to tell what it lacks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// The secret.
    pub path: SecretPath,
    /// Some of the records it has, the newest among them.
    pub has: Vec<RecordId>,
    /// All records that those it has name as parents and that it lacks.
    pub awaits: Vec<RecordId>,
}

/// What a node asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ask {
    /// Take these in: they were made just now.
    Push(Vec<Sent>),
    /// Where do our histories differ? Whether this begins a search, and its next message.
    Search(bool, ByteBuf),
    /// Of which secrets are these items?
    Paths(Vec<ItemId>),
    /// What do I lack of these secrets?
    Lacking(Vec<Known>),
    /// These records of this secret.
    Named(SecretPath, Vec<RecordId>),
    /// Take these issues in: they were made just now.
    PushIssues(Vec<ByteBuf>),
    /// Of which epochs, after this one, do you have issues?
    Scopes(Option<Scope>),
    /// What do you have of this epoch's issues whose ids begin so?
    Under(Scope, Vec<ByteBuf>),
    /// These issues of this epoch.
    Issues(Scope, Vec<IssueId>),
    /// Take in all issues that these nodes have. Of which of them do you have all?
    LookThrough(BTreeSet<NodeId>),
}

/// What there is of the issues whose ids begin in one way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Under {
    /// All of their ids, since they are few.
    Ids(Vec<IssueId>),
    /// Digests, by the byte that follows.
    Digests(Vec<(u8, IssueDigest)>),
}

/// What it is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Told {
    /// They were looked at.
    Taken,
    /// The next message of the search.
    Searched(ByteBuf),
    /// The secrets of those items that there still are.
    Paths(Vec<SecretPath>),
    /// Records, parents before children, and whether there are more.
    Records(Vec<Sent>, bool),
    /// So many of the issues that were pushed are kept.
    Kept(u64),
    /// Epochs, rising, and a digest of the issues of each.
    Scopes(Vec<(Scope, IssueDigest)>),
    /// What there is under each beginning, in the order of the question.
    Under(Vec<Under>),
    /// Issues, and whether there are more of those asked for.
    Issues(Vec<ByteBuf>, bool),
    /// The nodes of which there is nothing more to take in.
    LookedThrough(BTreeSet<NodeId>),
}

impl Ask {
    /// Reads what [`write()`] wrote, within its bounds, and nothing after it.
    pub fn read(bytes: &[u8]) -> Result<Self, DecodeError> {
        let ask: Self = read(bytes)?;
        let known_fits = |known: &Known| known.has.len() <= KNOWN_MAX && known.awaits.len() <= KNOWN_MAX;
        let fits = match &ask {
            Self::Push(records) => records.len() <= RECORDS_MAX,
            Self::Search(_, message) => message.len() <= SEARCH_BYTES_MAX,
            Self::Paths(items) => items.len() <= NAMED_MAX,
            Self::Lacking(known) => known.len() <= NAMED_MAX && known.iter().all(known_fits),
            Self::Named(_, records) => records.len() <= KNOWN_MAX,
            Self::PushIssues(issues) => issues.len() <= RECORDS_MAX,
            Self::Scopes(_) => true,
            Self::Under(_, prefixes) => {
                prefixes.len() <= UNDER_MAX && prefixes.iter().all(|prefix| prefix.len() < IssueId::LEN)
            }
            Self::Issues(_, ids) => ids.len() <= NAMED_MAX,
            Self::LookThrough(nodes) => nodes.len() <= MEMBERS_MAX,
        };
        if fits { Ok(ask) } else { Err(DecodeError::TooLarge) }
    }
}

impl Told {
    /// Reads what [`write()`] wrote, within its bounds, and nothing after it.
    pub fn read(bytes: &[u8]) -> Result<Self, DecodeError> {
        let told: Self = read(bytes)?;
        let fits = match &told {
            Self::Taken => true,
            Self::Searched(message) => message.len() <= SEARCH_BYTES_MAX,
            Self::Paths(paths) => paths.len() <= NAMED_MAX,
            Self::Records(records, _) => records.len() <= RECORDS_MAX,
            Self::Kept(_) => true,
            Self::Scopes(scopes) => scopes.len() <= SCOPES_MAX,
            Self::Under(all) => all.len() <= UNDER_MAX && all.iter().all(Under::fits),
            Self::Issues(issues, _) => issues.len() <= NAMED_MAX,
            Self::LookedThrough(nodes) => nodes.len() <= MEMBERS_MAX,
        };
        if fits { Ok(told) } else { Err(DecodeError::TooLarge) }
    }
}

impl Under {
    fn fits(&self) -> bool {
        match self {
            Self::Ids(ids) => ids.len() <= LISTED_MAX,
            Self::Digests(digests) => digests.len() <= 1 + usize::from(u8::MAX),
        }
    }
}

/// Marker and CBOR of `message`.
pub fn write<T: Serialize>(message: &T) -> Vec<u8> {
    encode(&(MESSAGE_FORMAT, message))
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    match bytes {
        [0x82, MESSAGE_FORMAT, ..] => Ok(decode::<(u8, T)>(bytes)?.1),
        [0x82, format @ 0..=23, ..] => Err(DecodeError::UnknownFormat(*format)),
        _ => Err(DecodeError::Malformed),
    }
}
