//! What can go wrong with an endpoint and with a call, sorted by who must act. None of it carries a byte of a
//! request, an answer or a key. Knows nothing of what the calls were for.

use covault_model::id::NodeId;

use crate::{frame::Channel, reason::Reason};

/// Why there is no endpoint. The operator, or whoever set the limits, must act.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetError {
    /// The socket cannot be used.
    #[error("the socket for peers cannot be used: {0}")]
    Socket(String),
    /// The cryptographic provider cannot do what the protocol needs.
    #[error("the cryptographic provider cannot serve peers: {0}")]
    Crypto(String),
    /// The limits contradict each other.
    #[error("the limits for peers contradict each other: {0}")]
    Limits(&'static str),
}

/// Why a call has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The caller asked for what cannot be: nothing was sent, and repeating it cannot help.
    #[error("the call cannot be made: {0}")]
    Misuse(Misuse),
    /// The peer was not reached: **nothing was delivered**; repeat it later or elsewhere.
    #[error("the peer is not reached: {0}")]
    Unreachable(Unreachable),
    /// The peer answered that it will not; the code's meaning is that of the channel.
    #[error("the peer refuses with code {0}")]
    Refused(u16),
    /// Sent, at least in part, and no answer came: **whether it was carried out is not known**.
    #[error("no answer came: {0}")]
    Lost(Loss),
    /// The peer answered with what is no answer. Its link was closed; the operator should know.
    #[error("the peer breaks the protocol: {0}")]
    Misbehaved(Reason),
}

/// A call that cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Misuse {
    /// No such peer is enrolled.
    #[error("{0} is not enrolled")]
    NotEnrolled(NodeId),
    /// The request has more bytes than the channel allows.
    #[error("a request of {bytes} bytes is too large for channel {channel}")]
    TooLarge {
        /// The channel it was for.
        channel: Channel,
        /// Bytes it has.
        bytes: usize,
    },
    /// Peers do not use this channel among each other.
    #[error("channel {0} is not for calls between peers")]
    NotForPeers(Channel),
}

/// Why a peer is not reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreachable {
    /// Nothing answers at its address.
    #[error("nothing answers at its address")]
    NoAnswer,
    /// The deadline of the call passed first.
    #[error("the deadline passed before there was a link")]
    Deadline,
    /// What answers does not prove to be this node, or speaks another protocol.
    #[error("what answers at its address is not this node")]
    NotThisNode,
    /// The node, or this one, refused the connection. Mostly for an operator: wrong cluster, wrong version,
    /// key not enrolled there.
    #[error("the connection was refused: {0}")]
    Rejected(Reason),
    /// This machine cannot send to its address.
    #[error("its address cannot be dialled from here")]
    BadAddress,
    /// The link broke before the request was on it.
    #[error("the link broke")]
    Broken,
    /// This endpoint is closed.
    #[error("this endpoint is closed")]
    Closed,
}

/// What happened after a request was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Loss {
    /// The deadline of the call passed.
    #[error("the deadline passed")]
    Deadline,
    /// The link broke.
    #[error("the link broke")]
    Broken,
    /// The peer gave the request up, or closed the link.
    #[error("the peer gave it up: {0}")]
    GivenUp(Reason),
}
