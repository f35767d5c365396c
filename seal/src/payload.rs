//! The bytes of a sealed payload. Keeps S2's form: one encoding per payload, nothing after it.
//!
//! ```text
//! [ format = 1, algorithm = 1, master key name, wrapped data key, wrap nonce, value nonce, ciphertext ]
//!   uint        uint           text (1–64)      bytes (48)        bytes (24)  bytes (24)   bytes (16…)
//! ```
//!
//! That is canonical CBOR (RFC 8949 §4.2.1). It is read by hand rather than through serde because every read
//! of a secret comes this way: no copy is made, and each check stands in plain sight. Tests compare it with
//! ciborium. Knows nothing of keys or of what the ciphertext says.

use covault_model::{
    DecodeError,
    limits::{MASTER_KEY_NAME_BYTES_MAX, PAYLOAD_BYTES_MAX, VALUE_BYTES_MAX},
    name::MasterKeyName,
};

/// The format marker of payloads written by this release.
const FORMAT: u8 = 1;
/// XChaCha20-Poly1305, for the value and for the wrapped data key.
const ALGORITHM: u8 = 1;
/// How many fields follow each other.
const FIELDS: u64 = 7;

/// Bytes in a data key.
pub const DATA_KEY_LEN: usize = 32;
/// Bytes in an authentication tag, which follows what it authenticates.
pub const TAG_LEN: usize = 16;
/// Bytes in a wrapped data key.
pub const WRAPPED_LEN: usize = DATA_KEY_LEN + TAG_LEN;
/// Bytes in a nonce.
pub const NONCE_LEN: usize = 24;

/// The most that all but the ciphertext's own bytes can take up: heads, numbers, name, key and nonces.
const AROUND_MAX: usize = 3 + (2 + MASTER_KEY_NAME_BYTES_MAX) + (2 + WRAPPED_LEN) + 2 * (2 + NONCE_LEN) + 5;

const _: () = assert!(AROUND_MAX + VALUE_BYTES_MAX + TAG_LEN <= PAYLOAD_BYTES_MAX);

// The major types of CBOR that occur.
const UNSIGNED: u8 = 0;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;

/// A payload, its fields still lying in the bytes it was read from.
pub struct Payload<'a> {
    /// The name of the master key that wraps the data key. Not checked to be a name: it is only looked up.
    pub key_name: &'a str,
    /// The data key, encrypted, and its tag.
    pub wrapped_key: &'a [u8; WRAPPED_LEN],
    /// The nonce of the wrapping.
    pub wrap_nonce: &'a [u8; NONCE_LEN],
    /// The nonce of the value.
    pub value_nonce: &'a [u8; NONCE_LEN],
    /// The value, encrypted, and its tag: at least [`TAG_LEN`] bytes.
    pub ciphertext: &'a [u8],
}

/// The name of the master key that `sealed` needs.
pub fn master_key_of(sealed: &[u8]) -> Result<MasterKeyName, DecodeError> {
    Payload::read(sealed)?.master_key_name()
}

impl<'a> Payload<'a> {
    /// Reads a payload that must take up all of `bytes`.
    pub fn read(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        if bytes.len() > PAYLOAD_BYTES_MAX {
            return Err(DecodeError::TooLarge);
        }
        let mut reader = Reader(bytes);
        let fields = reader.head(ARRAY)?;
        reader.marker()?;
        if fields != FIELDS {
            return Err(DecodeError::Malformed);
        }
        let payload = Self {
            key_name: reader.text()?,
            wrapped_key: reader.array("wrapped_key")?,
            wrap_nonce: reader.array("wrap_nonce")?,
            value_nonce: reader.array("value_nonce")?,
            ciphertext: reader.bytes()?,
        };
        if payload.ciphertext.len() < TAG_LEN {
            return Err(DecodeError::InvalidField("ciphertext"));
        }
        if reader.0.is_empty() { Ok(payload) } else { Err(DecodeError::TrailingBytes) }
    }

    /// The master key's name, checked.
    pub fn master_key_name(&self) -> Result<MasterKeyName, DecodeError> {
        MasterKeyName::parse(self.key_name).map_err(|_| DecodeError::InvalidField("master_key"))
    }
}

/// Writes all but the ciphertext of a payload, which must follow and be `ciphertext_len` bytes long.
pub fn begin(
    key_name: &MasterKeyName,
    wrapped_key: &[u8; WRAPPED_LEN],
    wrap_nonce: &[u8; NONCE_LEN],
    value_nonce: &[u8; NONCE_LEN],
    ciphertext_len: usize,
) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(AROUND_MAX + ciphertext_len);
    write_head(&mut bytes, ARRAY, FIELDS);
    write_head(&mut bytes, UNSIGNED, u64::from(FORMAT));
    write_head(&mut bytes, UNSIGNED, u64::from(ALGORITHM));
    write_head(&mut bytes, TEXT, key_name.len() as u64);
    bytes.extend_from_slice(key_name.as_bytes());
    for field in [wrapped_key.as_slice(), wrap_nonce, value_nonce] {
        write_head(&mut bytes, BYTES, field.len() as u64);
        bytes.extend_from_slice(field);
    }
    write_head(&mut bytes, BYTES, ciphertext_len as u64);
    bytes
}

/// The shortest head for `value`, which is what canonical means. Only the low bits of a cast are dropped,
/// and the ranges say that there are none.
fn write_head(bytes: &mut Vec<u8>, major: u8, value: u64) {
    let major = major << 5;
    match value {
        0..=0x17 => bytes.push(major | value as u8),
        0x18..=0xff => bytes.extend_from_slice(&[major | 24, value as u8]),
        0x100..=0xffff => {
            bytes.push(major | 25);
            bytes.extend_from_slice(&(value as u16).to_be_bytes());
        }
        0x1_0000..=0xffff_ffff => {
            bytes.push(major | 26);
            bytes.extend_from_slice(&(value as u32).to_be_bytes());
        }
        _ => {
            bytes.push(major | 27);
            bytes.extend_from_slice(&value.to_be_bytes());
        }
    }
}

/// What has not been read yet.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// The format and algorithm: later ones are told apart from damage.
    fn marker(&mut self) -> Result<(), DecodeError> {
        let format = u8::try_from(self.head(UNSIGNED)?).map_err(|_| DecodeError::Malformed)?;
        if format != FORMAT {
            return Err(DecodeError::UnknownFormat(format));
        }
        match self.head(UNSIGNED)? {
            algorithm if algorithm == u64::from(ALGORITHM) => Ok(()),
            _ => Err(DecodeError::InvalidField("algorithm")),
        }
    }

    fn text(&mut self) -> Result<&'a str, DecodeError> {
        let len = self.head(TEXT)?;
        core::str::from_utf8(self.take(len)?).map_err(|_| DecodeError::Malformed)
    }

    fn bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        let len = self.head(BYTES)?;
        self.take(len)
    }

    fn array<const LEN: usize>(&mut self, field: &'static str) -> Result<&'a [u8; LEN], DecodeError> {
        self.bytes()?.try_into().map_err(|_| DecodeError::InvalidField(field))
    }

    /// The number in a head of this major type. A longer head than needed, or one without a length, is not
    /// canonical.
    fn head(&mut self, major: u8) -> Result<u64, DecodeError> {
        let first = self.take(1)?[0];
        if first >> 5 != major {
            return Err(DecodeError::Malformed);
        }
        let (width, least) = match first & 0x1f {
            small @ 0..=23 => return Ok(u64::from(small)),
            24 => (1, 0x18),
            25 => (2, 0x100),
            26 => (4, 0x1_0000),
            27 => (8, 0x1_0000_0000),
            31 => return Err(DecodeError::NotCanonical),
            _ => return Err(DecodeError::Malformed),
        };
        let value = self.take(width)?.iter().fold(0, |value, byte| (value << 8) | u64::from(*byte));
        if value < least { Err(DecodeError::NotCanonical) } else { Ok(value) }
    }

    fn take(&mut self, len: u64) -> Result<&'a [u8], DecodeError> {
        let len = usize::try_from(len).map_err(|_| DecodeError::Malformed)?;
        let (taken, rest) = self.0.split_at_checked(len).ok_or(DecodeError::Malformed)?;
        self.0 = rest;
        Ok(taken)
    }
}
