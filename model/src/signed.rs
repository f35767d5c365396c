//! What a node wrote and signed, in bytes: `[header, signature]`. Records and issues are this with a header that
//! can be read. Keeps V2 and T5: a signature is over the id of the header as received, behind a context that no
//! other kind of signature has. Knows nothing of what headers say.

use alloc::vec::Vec;

use serde_bytes::{ByteArray, ByteBuf, Bytes};

use crate::{
    cbor::{DecodeError, decode, encode},
    id::NodeId,
    key::{self, NodeKey, SIGNATURE_LEN},
    limits::RECORD_BYTES_MAX,
};

/// A header in the bytes that were signed, with its signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Signed {
    header: Vec<u8>,
    signature: [u8; SIGNATURE_LEN],
}

impl Signed {
    /// Signs a header by its id.
    pub fn sign(header: Vec<u8>, context: &[u8], id: &[u8], key: &NodeKey) -> Self {
        Self { header, signature: key.sign(&[context, id].concat()) }
    }

    /// Reads what [`Self::to_bytes`] wrote, within its bound and nothing after it. The signature is not verified.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() > RECORD_BYTES_MAX {
            return Err(DecodeError::TooLarge);
        }
        let (header, signature) = decode::<(ByteBuf, ByteArray<SIGNATURE_LEN>)>(bytes)?;
        let signed = Self { header: header.into_vec(), signature: signature.into_array() };
        if signed.to_bytes() == bytes { Ok(signed) } else { Err(DecodeError::NotCanonical) }
    }

    /// As it is stored and sent: `[header, signature]`.
    pub fn to_bytes(&self) -> Vec<u8> {
        encode(&(Bytes::new(&self.header), Bytes::new(&self.signature)))
    }

    /// Whether `author` signed this header, which has this id.
    #[must_use]
    pub fn verifies(&self, context: &[u8], id: &[u8], author: &NodeId) -> bool {
        key::verifies(author, &[context, id].concat(), &self.signature)
    }

    /// The bytes that were signed.
    pub fn header(&self) -> &[u8] {
        &self.header
    }
}
