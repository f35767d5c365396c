//! What makes tokens exist: an issue, one signed record for all mappings that one request made. Keeps T3: a
//! mapping is inserted once, and of two for one token every node keeps the same one, whatever their order; and
//! T5: an issue counts only if its signature verifies over the bytes as received.
//! Knows nothing of values, keys or where issues are kept. `docs/records.md` gives every byte.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::{
    cbor::{DecodeError, decode, encode},
    epoch::Epoch,
    hlc::Hlc,
    id::{IssueId, MappingId, NodeId},
    key::NodeKey,
    limits::{ISSUE_MAPPINGS_MAX, TOKEN_SEAL_BYTES, TOKEN_VALUE_BYTES_MAX},
    name::CallerName,
    record::Idempotency,
    signed::Signed,
};

/// The format marker of issues written by this release.
pub const ISSUE_FORMAT: u8 = 1;

/// An issue's signature is over this and its id, so that no other signature of a node fits.
const SIGNATURE_CONTEXT: &[u8] = b"covault 2026-11 issue signature";

/// The tokens of one owner in one epoch.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Scope {
    /// Whose tokens.
    pub owner: CallerName,
    /// Of which epoch.
    pub epoch: Epoch,
}

/// A token's mapping to its value, sealed. Both are functions of owner, epoch, field and value, so that two
/// honest ones for one token are the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mapping(pub MappingId, #[serde(with = "serde_bytes")] pub Vec<u8>);

impl Mapping {
    /// Of two sealed values for one token, the one that holds: the lesser.
    pub fn holding<'a>(one: &'a [u8], other: &'a [u8]) -> &'a [u8] {
        one.min(other)
    }
}

/// All that an issue says. Every field is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssueHeader {
    /// Whose tokens, and of which epoch.
    pub scope: Scope,
    /// When it was made, in the author's hybrid time.
    pub time: Hlc,
    /// The node that made and signed it.
    pub author: NodeId,
    /// What lets a retry find it; absent when the request had no idempotency key.
    pub idempotency: Option<Idempotency>,
    /// The mappings, rising by id.
    pub mappings: Vec<Mapping>,
}

/// A header in the bytes that were signed, with its signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    id: IssueId,
    header: IssueHeader,
    signed: Signed,
}

type WireHeader = (u8, CallerName, Epoch, Hlc, NodeId, Option<Idempotency>, Vec<Mapping>);

impl IssueHeader {
    /// The one encoding of this header, which is hashed and signed.
    pub fn to_bytes(&self) -> Vec<u8> {
        let Scope { owner, epoch } = &self.scope;
        let Self { time, author, idempotency, mappings, .. } = self;
        encode(&(ISSUE_FORMAT, owner, epoch, time, author, idempotency, mappings))
    }

    /// Reads a header: bounded, canonical, every field within its rule.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        match bytes {
            [0x87, ISSUE_FORMAT, ..] => {}
            [0x87, format, ..] => return Err(DecodeError::UnknownFormat(*format)),
            _ => return Err(DecodeError::Malformed),
        }
        let (_, owner, epoch, time, author, idempotency, mappings) = decode::<WireHeader>(bytes)?;
        let header = Self { scope: Scope { owner, epoch }, time, author, idempotency, mappings };
        header.check()?;
        if header.to_bytes() == bytes { Ok(header) } else { Err(DecodeError::NotCanonical) }
    }

    fn check(&self) -> Result<(), DecodeError> {
        let rising = self.mappings.windows(2).all(|pair| pair[0].0 < pair[1].0);
        let sealed = TOKEN_SEAL_BYTES..=TOKEN_SEAL_BYTES + TOKEN_VALUE_BYTES_MAX;
        let fit = self.mappings.iter().all(|mapping| sealed.contains(&mapping.1.len()));
        if !rising || !fit || self.mappings.is_empty() || ISSUE_MAPPINGS_MAX < self.mappings.len() {
            return Err(DecodeError::InvalidField("mappings"));
        }
        if self.scope.epoch < Epoch::FIRST { Err(DecodeError::InvalidField("epoch")) } else { Ok(()) }
    }
}

impl Issue {
    /// Signs `header` as its author.
    ///
    /// # Panics
    /// If `key` is not the author's, or the header breaks a rule of its fields: a node signs its own issues
    /// only, and none that it could not read again.
    pub fn sign(header: IssueHeader, key: &NodeKey) -> Self {
        assert_eq!(header.author, key.node_id(), "a node signs its own issues only");
        assert_eq!(header.check(), Ok(()), "a node signs what it could read again");
        let bytes = header.to_bytes();
        let id = IssueId::of(&bytes);
        Self { id, signed: Signed::sign(bytes, SIGNATURE_CONTEXT, id.as_bytes(), key), header }
    }

    /// The issue as it is stored and sent: `[header, signature]`.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.signed.to_bytes()
    }

    /// Reads an issue whose signature was verified when it first came in.
    pub fn from_trusted_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let signed = Signed::from_bytes(bytes)?;
        let header = IssueHeader::from_bytes(signed.header())?;
        Ok(Self { id: IssueId::of(signed.header()), header, signed })
    }

    /// Reads an issue from outside: its signature must verify.
    pub fn from_untrusted_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let issue = Self::from_trusted_bytes(bytes)?;
        let verifies = issue.signed.verifies(SIGNATURE_CONTEXT, issue.id.as_bytes(), &issue.header.author);
        if verifies { Ok(issue) } else { Err(DecodeError::BadSignature) }
    }

    /// Its id.
    pub fn id(&self) -> IssueId {
        self.id
    }

    /// What it says.
    pub fn header(&self) -> &IssueHeader {
        &self.header
    }
}
