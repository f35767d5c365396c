//! CBOR in and out, the one encoding of records, rows and frames. Knows no shape.
//!
//! Decoding is bounded by its input, and bytes left over are an error: what was hashed or signed is
//! all there is.

use alloc::vec::Vec;
use core::fmt;

use serde::{Serialize, de::DeserializeOwned};

/// Why bytes were not what they should be. Carries no content: the bytes may be anybody's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecodeError {
    /// Not CBOR, or not of the expected shape.
    Malformed,
    /// Something follows the value.
    TrailingBytes,
    /// Well formed, but not in the one encoding that is signed and hashed.
    NotCanonical,
    /// A format marker that this release does not know.
    UnknownFormat(u8),
    /// Larger than the limit for its kind.
    TooLarge,
    /// A field holds what its rule forbids.
    InvalidField(&'static str),
    /// The signature does not verify.
    BadSignature,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("not the expected CBOR"),
            Self::TrailingBytes => f.write_str("bytes follow the value"),
            Self::NotCanonical => f.write_str("not in canonical form"),
            Self::UnknownFormat(marker) => write!(f, "format {marker} is newer than this release"),
            Self::TooLarge => f.write_str("larger than its limit"),
            Self::InvalidField(field) => write!(f, "field {field} is not valid"),
            Self::BadSignature => f.write_str("the signature does not verify"),
        }
    }
}

impl core::error::Error for DecodeError {}

/// Writes `value` as CBOR: definite lengths, shortest integers, fields in declaration order.
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    ciborium::into_writer(value, &mut bytes).expect("writing to memory cannot fail");
    bytes
}

/// Reads one value that must take up all of `bytes`.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    let mut rest = bytes;
    let value = ciborium::from_reader(&mut rest).map_err(|_| DecodeError::Malformed)?;
    if rest.is_empty() { Ok(value) } else { Err(DecodeError::TrailingBytes) }
}
