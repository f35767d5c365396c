//! What another node sent, judged by itself before anything looks at what is kept here.
//! Keeps X1: a record counts only if its bytes are one, its signature verifies, it is of the secret under
//! whose path it came, and the payload beside it is the one that it names.
//! Knows nothing of who sent it, of the registry or of what arrived before.

use alloc::vec::Vec;
use core::fmt;

use crate::{
    cbor::DecodeError,
    id::PayloadHash,
    limits::{PAYLOAD_BYTES_MAX, RECORD_BYTES_MAX},
    name::SecretPath,
    record::{Body, Record},
};

/// A record as it came from another node: whole, signed, of this secret, with its own payload or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    path: SecretPath,
    record: Record,
    payload: Option<Vec<u8>>,
}

macro_rules! faults {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        /// Why a record that came from another node does not count.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Fault {
            $($(#[$doc])* $name,)*
        }

        impl Fault {
            /// Every fault, in the order of their declaration.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The stable code that logs and metrics know it by.
            pub fn code(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

faults! {
    /// The bytes are no record, or no frame of records.
    Malformed = "malformed_record";
    /// The record or its payload is larger than any may be.
    Oversized = "oversized_record";
    /// Its author did not sign it.
    Forged = "forged_record";
    /// It is of another secret than the path says.
    OtherSecret = "other_secret";
    /// The payload beside it is not the one it names.
    OtherPayload = "other_payload";
    /// What it states of its parents is not true.
    FalseParents = "false_parents";
    /// Its author was never a member, as far as this node knows.
    UnknownAuthor = "unknown_author";
    /// Its payload was destroyed; the record itself may count.
    Destroyed = "destroyed_payload";
    /// It waited as long as this node holds records back, and does not count yet.
    Early = "early_record";
}

impl Fault {
    /// Whether a node that keeps to the rules never sends such a record. The others come of knowing less,
    /// or later, than the receiver does.
    pub fn is_misbehaviour(self) -> bool {
        match self {
            Self::Malformed
            | Self::Oversized
            | Self::Forged
            | Self::OtherSecret
            | Self::OtherPayload
            | Self::FalseParents => true,
            Self::UnknownAuthor | Self::Destroyed | Self::Early => false,
        }
    }
}

/// What it is that bytes from another node cannot be read.
impl From<DecodeError> for Fault {
    fn from(why: DecodeError) -> Self {
        match why {
            DecodeError::TooLarge => Self::Oversized,
            DecodeError::BadSignature => Self::Forged,
            _ => Self::Malformed,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl Arrival {
    /// Judges what came. Bounded by its input: sizes are looked at first, the signature last.
    pub fn judge(path: SecretPath, record: &[u8], payload: Option<Vec<u8>>) -> Result<Self, Fault> {
        let payload_len = payload.as_ref().map_or(0, Vec::len);
        if RECORD_BYTES_MAX < record.len() || PAYLOAD_BYTES_MAX < payload_len {
            return Err(Fault::Oversized);
        }
        let record = Record::from_untrusted_bytes(record)?;
        if record.header().secret != path.id() {
            return Err(Fault::OtherSecret);
        }
        let fits = match (&record.header().body, &payload) {
            (_, None) => true,
            (Body::Marks(_), Some(_)) => false,
            (Body::Version(body), Some(bytes)) => {
                body.payload_len as usize == bytes.len() && body.payload == PayloadHash::of(bytes)
            }
        };
        if fits { Ok(Self { path, record, payload }) } else { Err(Fault::OtherPayload) }
    }

    /// The secret it belongs to.
    pub fn path(&self) -> &SecretPath {
        &self.path
    }

    /// The record.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Its sealed payload, if one came.
    pub fn payload(&self) -> Option<&[u8]> {
        self.payload.as_deref()
    }

    /// Bytes that it takes.
    pub fn bytes(&self) -> usize {
        self.record.header_bytes().len() + self.payload.as_ref().map_or(0, Vec::len)
    }
}
