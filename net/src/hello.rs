//! What the two ends of a connection say first, on its first stream, each once. Only when the other's hello
//! has come back is a connection one: in TLS 1.3 the dialling side is done before the other has judged its
//! key.
//!
//! ```text
//! "cvhi" (4 bytes) | protocol version (2 bytes, big-endian) | kind (1 byte: 0 stranger, 1 peer)
//! | 0 (1 byte) | cluster id (16 bytes; zeros from a stranger)
//! ```
//!
//! Every version of the protocol begins with these 24 bytes, so that versions can tell each other apart.
//! Knows nothing of streams and keys.

use covault_model::id::ClusterId;

use crate::reason::Reason;

/// Bytes of a hello.
pub const HELLO_LEN: usize = 24;
/// The version of the protocol that this release speaks.
pub const PROTOCOL_VERSION: u16 = 1;

const MARKER: [u8; 4] = *b"cvhi";

/// What one end of a connection says first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hello {
    /// Of one who asks to be enrolled, and of one who answers that.
    Stranger,
    /// Of a member of this cluster.
    Peer(ClusterId),
}

impl Hello {
    /// The bytes on the wire.
    pub fn to_bytes(self) -> [u8; HELLO_LEN] {
        let (kind, cluster) = match self {
            Self::Stranger => (0, ClusterId::default()),
            Self::Peer(cluster) => (1, cluster),
        };
        let mut bytes = [0; HELLO_LEN];
        bytes[..4].copy_from_slice(&MARKER);
        bytes[4..6].copy_from_slice(&PROTOCOL_VERSION.to_be_bytes());
        bytes[6] = kind;
        bytes[8..].copy_from_slice(cluster.as_bytes());
        bytes
    }

    /// Reads what [`Hello::to_bytes`] writes, and nothing else. The error is why the connection is closed:
    /// [`Reason::MalformedHello`] or [`Reason::WrongVersion`].
    pub fn from_bytes(bytes: &[u8; HELLO_LEN]) -> Result<Self, Reason> {
        let (marker, rest) = bytes.split_at(MARKER.len());
        if marker != MARKER {
            return Err(Reason::MalformedHello);
        }
        if rest[..2] != PROTOCOL_VERSION.to_be_bytes() {
            return Err(Reason::WrongVersion);
        }
        let mut cluster = ClusterId::default();
        cluster.0.copy_from_slice(&rest[4..]);
        match (rest[2], rest[3]) {
            (0, 0) if cluster == ClusterId::default() => Ok(Self::Stranger),
            (1, 0) => Ok(Self::Peer(cluster)),
            _ => Err(Reason::MalformedHello),
        }
    }
}
