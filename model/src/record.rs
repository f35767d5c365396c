//! What is written: immutable records, signed by the node that made them.
//! Keeps V1 (a record is its canonical header) and V2 (it counts only when its signature verifies over
//! the bytes as received). `docs/records.md` gives every byte.
//! Knows nothing of where records are kept or which of them were agreed.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    cbor::{DecodeError, decode, encode},
    hlc::{Hlc, Millis},
    id::{ChangeHash, Digest, NodeId, PayloadHash, RecordId, SecretId, derive},
    key::NodeKey,
    limits::{DEPTH_MAX, MARKS_MAX, PARENTS_MAX, PAYLOAD_BYTES_MAX, RECORD_BYTES_MAX},
    marks::Mark,
    mutant::Mutant,
    name::{CallerName, ContentType},
    signed::Signed,
};

/// The format marker of headers written by this release.
pub const HEADER_FORMAT: u8 = 1;

/// A record's signature is over this and its id, so that no other signature of a node fits.
const SIGNATURE_CONTEXT: &[u8] = b"covault 2026-11 record signature";
const KEY_APART_CONTEXT: &str = "covault 2026-11 idempotency key apart";

const KIND_VERSION: u8 = 1;
const KIND_MARKS: u8 = 2;

/// A record that the author had seen, and the document change that inserted it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Parent(pub RecordId, pub ChangeHash);

/// All that a record says. Every field is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The secret it belongs to.
    pub secret: SecretId,
    /// The newest records of this secret that the author knew, rising by id; none for the first.
    pub parents: Vec<Parent>,
    /// One more than the greatest depth among the parents; 1 without parents.
    pub depth: u64,
    /// When it was made, in the author's hybrid time.
    pub time: Hlc,
    /// The node that made and signed it.
    pub author: NodeId,
    /// The caller on whose behalf.
    pub caller: CallerName,
    /// What lets a retry find this record; absent when the request had no idempotency key.
    pub idempotency: Option<Idempotency>,
    /// What it does.
    pub body: Body,
}

/// A caller's idempotency key and the request it came with, both as digests under a secret key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Idempotency(pub Digest, pub Digest);

impl Idempotency {
    /// The digest of the key: what a retry is found by.
    pub fn key(&self) -> &Digest {
        &self.0
    }

    /// The digest of the request: what a retry must equal.
    pub fn request(&self) -> &Digest {
        &self.1
    }
}

/// What a retry of a request that needed no agreement is found by, given the digest of its key. One node may know
/// of such a request and another not; what the registry remembers is the same on every node, and stands apart.
pub fn key_apart(key: &Digest) -> Digest {
    Digest(derive(KEY_APART_CONTEXT, &[key.as_bytes()]))
}

/// What a record does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// Gives the secret a new value.
    Version(VersionBody),
    /// Changes labels, description or delete marks; never empty, at most [`MARKS_MAX`].
    Marks(Vec<Mark>),
}

/// A new value, by reference to its sealed payload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionBody {
    /// The hash of the sealed payload.
    pub payload: PayloadHash,
    /// The length of the sealed payload, in bytes.
    pub payload_len: u32,
    /// The media type the caller gave; absent when none was given.
    pub content_type: Option<ContentType>,
    /// When the caller wants the value to stop being served; absent for never.
    pub expires_at: Option<Millis>,
    /// The version this one brought back; absent unless it is a rollback.
    pub restores: Option<RecordId>,
}

/// A header in the bytes that were signed, with its signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    id: RecordId,
    header: Header,
    signed: Signed,
}

type WireHeader<B> = (u8, u8, SecretId, Vec<Parent>, u64, Hlc, NodeId, CallerName, Option<Idempotency>, B);
type WireVersion = (PayloadHash, u32, Option<ContentType>, Option<Millis>, Option<RecordId>);

impl Header {
    /// The one encoding of this header, which is hashed and signed.
    pub fn to_bytes(&self) -> Vec<u8> {
        match &self.body {
            Body::Version(version) => self.wire(KIND_VERSION, version.wire()),
            Body::Marks(marks) => self.wire(KIND_MARKS, marks),
        }
    }

    fn wire<B: Serialize>(&self, kind: u8, body: B) -> Vec<u8> {
        encode(&(
            HEADER_FORMAT,
            kind,
            &self.secret,
            &self.parents,
            self.depth,
            self.time,
            &self.author,
            &self.caller,
            &self.idempotency,
            body,
        ))
    }

    /// Reads a header: bounded, canonical, every field within its rule.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() > RECORD_BYTES_MAX {
            return Err(DecodeError::TooLarge);
        }
        let header = match bytes {
            [0x8a, HEADER_FORMAT, KIND_VERSION, ..] => {
                Self::read(bytes, |wire: WireVersion| Body::Version(VersionBody::from_wire(wire)))?
            }
            [0x8a, HEADER_FORMAT, KIND_MARKS, ..] => Self::read(bytes, Body::Marks)?,
            [0x8a, HEADER_FORMAT, ..] => return Err(DecodeError::InvalidField("kind")),
            [0x8a, format, ..] => return Err(DecodeError::UnknownFormat(*format)),
            _ => return Err(DecodeError::Malformed),
        };
        header.check()?;
        if header.to_bytes() == bytes { Ok(header) } else { Err(DecodeError::NotCanonical) }
    }

    fn read<B: DeserializeOwned>(bytes: &[u8], body: impl FnOnce(B) -> Body) -> Result<Self, DecodeError> {
        let (_, _, secret, parents, depth, time, author, caller, idempotency, wire) =
            decode::<WireHeader<B>>(bytes)?;
        Ok(Self { secret, parents, depth, time, author, caller, idempotency, body: body(wire) })
    }

    fn check(&self) -> Result<(), DecodeError> {
        let rising = self.parents.windows(2).all(|pair| pair[0].0 < pair[1].0);
        if !rising || self.parents.len() > PARENTS_MAX {
            return Err(DecodeError::InvalidField("parents"));
        }
        let depth_fits = if self.parents.is_empty() { self.depth == 1 } else { 1 < self.depth };
        if !depth_fits || self.depth > DEPTH_MAX {
            return Err(DecodeError::InvalidField("depth"));
        }
        match &self.body {
            Body::Version(version) if version.payload_len as usize > PAYLOAD_BYTES_MAX => {
                Err(DecodeError::InvalidField("payload_len"))
            }
            Body::Marks(marks) if marks.is_empty() || marks.len() > MARKS_MAX => {
                Err(DecodeError::InvalidField("marks"))
            }
            _ => Ok(()),
        }
    }
}

impl VersionBody {
    fn wire(&self) -> WireVersion {
        (self.payload, self.payload_len, self.content_type.clone(), self.expires_at, self.restores)
    }

    fn from_wire((payload, payload_len, content_type, expires_at, restores): WireVersion) -> Self {
        Self { payload, payload_len, content_type, expires_at, restores }
    }
}

impl Record {
    /// Signs `header` as its author.
    ///
    /// # Panics
    /// If `key` is not the author's, or the header breaks a rule of its fields: a node signs its own
    /// records only, and none that it could not read again.
    pub fn sign(header: Header, key: &NodeKey) -> Self {
        assert_eq!(header.author, key.node_id(), "a node signs its own records only");
        assert_eq!(header.check(), Ok(()), "a node signs what it could read again");
        let bytes = header.to_bytes();
        let id = RecordId::of(&bytes);
        Self { id, signed: Signed::sign(bytes, SIGNATURE_CONTEXT, id.as_bytes(), key), header }
    }

    /// The record as it is stored and sent: `[header, signature]`.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.signed.to_bytes()
    }

    /// Reads a record whose signature was verified when it first came in.
    pub fn from_trusted_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let signed = Signed::from_bytes(bytes)?;
        let header = Header::from_bytes(signed.header())?;
        Ok(Self { id: RecordId::of(signed.header()), header, signed })
    }

    /// Reads a record from outside: its signature must verify.
    pub fn from_untrusted_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let record = Self::from_trusted_bytes(bytes)?;
        if record.signature_verifies() { Ok(record) } else { Err(DecodeError::BadSignature) }
    }

    /// Whether the author made this record.
    #[must_use]
    pub fn signature_verifies(&self) -> bool {
        Mutant::ForgedRecords.is_on()
            || self.signed.verifies(SIGNATURE_CONTEXT, self.id.as_bytes(), &self.header.author)
    }

    /// Its id.
    pub fn id(&self) -> RecordId {
        self.id
    }

    /// What it says.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The bytes its id is the hash of.
    pub fn header_bytes(&self) -> &[u8] {
        self.signed.header()
    }

    /// The version it carries, if it is one.
    pub fn version(&self) -> Option<&VersionBody> {
        match &self.header.body {
            Body::Version(version) => Some(version),
            Body::Marks(_) => None,
        }
    }
}

impl Serialize for Record {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(&self.to_bytes())
    }
}

/// Reads a record out of a command that was checked before it was agreed.
impl<'de> Deserialize<'de> for Record {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let bytes = serde_bytes::ByteBuf::deserialize(from)?;
        Self::from_trusted_bytes(&bytes).map_err(serde::de::Error::custom)
    }
}
