//! Identifiers. Keeps N2: ids are BLAKE3 in derive-key mode, one context string per kind, over
//! length-prefixed parts, so that ids of different kinds or parts never collide.
//! Knows nothing of what the ids stand for.

use alloc::string::String;
use core::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_bytes::ByteArray;

use crate::name::{CallerName, FieldType, NamePrefix, SecretName};

/// A text that is not lowercase hexadecimal of the right length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdError;

impl fmt::Display for IdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("is not lowercase hexadecimal of the right length")
    }
}

impl core::error::Error for IdError {}

macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub [u8; $len]);

        impl $name {
            /// Bytes in an id of this kind.
            pub const LEN: usize = $len;

            /// Reads lowercase hexadecimal.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                let mut bytes = [0; $len];
                from_hex(text, &mut bytes)?;
                Ok(Self(bytes))
            }

            /// The bytes.
            pub fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut text = [0; 2 * $len];
                f.write_str(to_hex(&self.0, &mut text))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_bytes(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                ByteArray::<$len>::deserialize(from).map(|bytes| Self(bytes.into_array()))
            }
        }
    };
}

id_type!(
    /// A cluster, drawn at random when it is founded.
    ClusterId, 16
);
id_type!(
    /// A node: its Ed25519 public key.
    NodeId, 32
);
id_type!(
    /// A secret: a function of its owner and its name.
    SecretId, 32
);
id_type!(
    /// A record: the hash of its canonical header. The id of a version is the id of its record.
    RecordId, 32
);
id_type!(
    /// A sealed payload: the hash of its bytes.
    PayloadHash, 32
);
id_type!(
    /// The change that inserts a record into the history document: that change's own hash.
    ChangeHash, 32
);
id_type!(
    /// A proposal, drawn at random by the node that makes it: what logs and traces know it by.
    CommandId, 16
);
id_type!(
    /// A caller's token, its public half.
    TokenId, 8
);
id_type!(
    /// The hash of a token's secret half.
    TokenHash, 32
);
id_type!(
    /// An invitation, its public half.
    InvitationId, 8
);
id_type!(
    /// The hash of an invitation's secret.
    InvitationHash, 32
);
id_type!(
    /// A grant: a function of all that it says.
    GrantId, 16
);
id_type!(
    /// A mapping among those of its owner and epoch: the token itself, or a function of it and of its field.
    MappingId, 16
);
id_type!(
    /// An issue of mappings: the hash of its canonical header.
    IssueId, 32
);
id_type!(
    /// An idempotency key of one caller, or the request that it came with, under a secret key.
    Digest, 32
);

/// The id of a version is the id of its record.
pub type VersionId = RecordId;

impl SecretId {
    /// The id of `name` in `owner`'s namespace.
    pub fn of(owner: &CallerName, name: &SecretName) -> Self {
        Self(derive("covault 2026-11 secret id", &[owner.as_bytes(), name.as_bytes()]))
    }
}

impl RecordId {
    /// The id of a record with this canonical header.
    pub fn of(header: &[u8]) -> Self {
        Self(derive("covault 2026-11 record id", &[header]))
    }
}

impl PayloadHash {
    /// The hash of these sealed bytes.
    pub fn of(sealed: &[u8]) -> Self {
        Self(derive("covault 2026-11 payload hash", &[sealed]))
    }
}

impl IssueId {
    /// The id of an issue with this canonical header.
    pub fn of(header: &[u8]) -> Self {
        Self(derive("covault 2026-11 issue id", &[header]))
    }
}

impl MappingId {
    /// The mapping of a token that keeps the form of its value, which says neither field nor epoch by itself.
    pub fn of_form(field: &FieldType, format: &str, token: &str) -> Self {
        let parts = [field.as_bytes(), format.as_bytes(), token.as_bytes()];
        let mut id = [0; Self::LEN];
        id.copy_from_slice(&derive("covault 2026-11 mapping id", &parts)[..Self::LEN]);
        Self(id)
    }
}

impl TokenHash {
    /// The hash of a token's secret half.
    pub fn of(secret: &[u8]) -> Self {
        Self(derive("covault 2026-11 token hash", &[secret]))
    }
}

impl InvitationHash {
    /// The hash of an invitation's secret.
    pub fn of(secret: &[u8]) -> Self {
        Self(derive("covault 2026-11 invitation hash", &[secret]))
    }

    /// Whether it is `other`. Takes the same time for every difference.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        let differing = self.0.iter().zip(&other.0).fold(0, |sum, (a, b)| sum | (a ^ b));
        core::hint::black_box(differing) == 0
    }
}

impl GrantId {
    /// The id of the grant of `access` on `prefix` of `owner` to `grantee`.
    pub fn of(owner: &CallerName, prefix: &NamePrefix, grantee: &CallerName, access: &str) -> Self {
        let parts = [owner.as_bytes(), prefix.as_bytes(), grantee.as_bytes(), access.as_bytes()];
        let mut id = [0; Self::LEN];
        id.copy_from_slice(&derive("covault 2026-11 grant id", &parts)[..Self::LEN]);
        Self(id)
    }
}

/// BLAKE3 in derive-key mode over parts, each preceded by its length as eight bytes, little end first.
pub fn derive(context: &str, parts: &[&[u8]]) -> [u8; 32] {
    let mut room = [0; SHORT_BYTES_MAX];
    if let Some(material) = join(parts, &mut room) {
        return blake3::derive_key(context, material);
    }
    let mut hasher = blake3::Hasher::new_derive_key(context);
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    *hasher.finalize().as_bytes()
}

/// What is hashed in one go, in bytes. A hasher that takes in more and more is two kilobytes to set up and move.
const SHORT_BYTES_MAX: usize = 384;

/// The parts and their lengths side by side, where there is room.
fn join<'a>(parts: &[&[u8]], room: &'a mut [u8; SHORT_BYTES_MAX]) -> Option<&'a [u8]> {
    let mut len = 0;
    for part in parts {
        for bytes in [(part.len() as u64).to_le_bytes().as_slice(), part] {
            room.get_mut(len..len + bytes.len())?.copy_from_slice(bytes);
            len += bytes.len();
        }
    }
    Some(&room[..len])
}

/// Lowercase hexadecimal of `bytes`.
pub fn hex(bytes: &[u8]) -> String {
    let mut text = alloc::vec![0; bytes.len() * 2];
    String::from(to_hex(bytes, &mut text))
}

/// Reads lowercase hexadecimal that fills `bytes` exactly.
pub fn from_hex(text: &str, bytes: &mut [u8]) -> Result<(), IdError> {
    if text.len() != bytes.len() * 2 {
        return Err(IdError);
    }
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = (nibble(pair[0])? << 4) | nibble(pair[1])?;
    }
    Ok(())
}

fn nibble(digit: u8) -> Result<u8, IdError> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        _ => Err(IdError),
    }
}

fn to_hex<'a>(bytes: &[u8], text: &'a mut [u8]) -> &'a str {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (byte, pair) in bytes.iter().zip(text.chunks_exact_mut(2)) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    core::str::from_utf8(text).expect("hexadecimal digits are ASCII")
}
