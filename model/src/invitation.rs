//! The text that lets one node in: `cvj_` and hexadecimal of CBOR. It carries all that a joiner needs: which
//! cluster, whom to ask, where, and that node's key to be sure of it. Keeps M1 with `roster`: the secret is
//! shown once, and only its hash is kept.
//! Knows nothing of how a node asks.

use alloc::{format, string::String, vec};

use serde::{Deserialize, Serialize};
use serde_bytes::ByteArray;
use zeroize::Zeroizing;

use crate::{
    cbor::{decode, encode},
    id::{ClusterId, InvitationHash, InvitationId, NodeId, from_hex, hex},
    roster::NodeAddress,
};

/// Bytes of an invitation's secret.
pub const INVITATION_SECRET_LEN: usize = 32;

const PREFIX: &str = "cvj_";
const JOIN_TOKEN_FORMAT: u8 = 1;
/// Longest text of a join token, in bytes: about twice what one with the longest address has.
pub const JOIN_TOKEN_BYTES_MAX: usize = 512;

/// What a join token says. It has no `Debug`, and its secret is wiped on drop.
pub struct JoinToken {
    /// The cluster.
    pub cluster: ClusterId,
    /// The node to ask, which made the invitation.
    pub node: NodeId,
    /// Where it is reached.
    pub address: NodeAddress,
    /// The invitation.
    pub id: InvitationId,
    /// What proves it.
    pub secret: Zeroizing<[u8; INVITATION_SECRET_LEN]>,
}

type Fields = (u8, ClusterId, NodeId, NodeAddress, InvitationId, Secret);

#[derive(Serialize, Deserialize)]
struct Secret(ByteArray<INVITATION_SECRET_LEN>);

impl JoinToken {
    /// Its text. Show it once, keep it nowhere.
    pub fn text(&self) -> Zeroizing<String> {
        let secret = Secret(ByteArray::new(*self.secret));
        let fields: Fields = (JOIN_TOKEN_FORMAT, self.cluster, self.node, self.address, self.id, secret);
        let bytes = Zeroizing::new(encode(&fields));
        let digits = Zeroizing::new(hex(&bytes));
        Zeroizing::new(format!("{PREFIX}{}", *digits))
    }

    /// Reads a token's text; `None` when it is not one of this release.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(PREFIX).filter(|_| text.len() <= JOIN_TOKEN_BYTES_MAX)?;
        let mut bytes = Zeroizing::new(vec![0; digits.len() / 2]);
        from_hex(digits, &mut bytes).ok()?;
        let (format, cluster, node, address, id, secret): Fields = decode(&bytes).ok()?;
        let secret = Zeroizing::new(secret.0.into_array());
        (format == JOIN_TOKEN_FORMAT).then_some(Self { cluster, node, address, id, secret })
    }

    /// The hash of its secret.
    pub fn hash(&self) -> InvitationHash {
        InvitationHash::of(&*self.secret)
    }
}
