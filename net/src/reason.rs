//! Why a connection was closed, or a request given up, by one of its ends: the codes on the wire. A code is
//! never reused for another meaning. Knows nothing of who closes what.

use std::fmt;

use quinn::VarInt;

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $text:literal;)*) => {
        /// Why a connection was closed or a request given up.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Reason {
            $($(#[$doc])* $name = $code,)*
        }

        impl Reason {
            /// Every reason, in the order of their codes, which count up from 0.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// What it is called in logs and metrics.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

reasons! {
    /// Whoever waited does so no more. Not a fault; never counted.
    Abandoned = 0, "abandoned";
    /// The node stops. Not a fault; never counted.
    Closing = 1, "closing";
    /// A stranger's one request has been answered. Not a fault; never counted.
    Served = 2, "served";
    /// The protocol version is another one.
    WrongVersion = 3, "wrong_version";
    /// The cluster is another one, or this node is in none.
    WrongCluster = 4, "wrong_cluster";
    /// The key says that it is a peer's, and is not enrolled.
    UnknownKey = 5, "unknown_key";
    /// The key is not enrolled any more.
    Removed = 6, "removed";
    /// The same key has dialled again; the newer connection holds.
    Superseded = 7, "superseded";
    /// As many strangers as are let in at a time are there already.
    TooManyStrangers = 8, "too_many_strangers";
    /// As many connections as are judged at a time are being judged already.
    TooManyHandshakes = 9, "too_many_handshakes";
    /// The handshake failed: no key, no common protocol, no proof of the key, another node than was dialled,
    /// or silence.
    Handshake = 10, "handshake";
    /// The hello is none, or more than one.
    MalformedHello = 11, "malformed_hello";
    /// A frame is shorter or longer than it says, or says what no frame says.
    MalformedFrame = 12, "malformed_frame";
    /// A frame is larger than its channel allows.
    OversizeFrame = 13, "oversize_frame";
    /// No channel has this code.
    UnknownChannel = 14, "unknown_channel";
    /// The channel is not for this key.
    ForbiddenChannel = 15, "forbidden_channel";
    /// A hello, a frame or the taking of an answer lasted too long.
    Slow = 16, "slow";
    /// The peer has asked for more answers than it takes.
    Busy = 17, "busy";
    /// The request was handed over and let go without an answer.
    Unanswered = 18, "unanswered";
    /// A record in a frame is none, is forged, or is not what the frame says of it.
    BadRecord = 19, "bad_record";
    /// No request on the connection was answered for too long. It is dialled anew.
    Silent = 20, "silent";
}

impl Reason {
    /// The reason with this code; none for a code of another release.
    pub fn from_code(code: u64) -> Option<Self> {
        Self::ALL.get(usize::try_from(code).ok()?).copied()
    }

    /// The code on the wire.
    pub fn code(self) -> u32 {
        self as u32
    }

    pub(crate) fn on_wire(self) -> VarInt {
        VarInt::from_u32(self.code())
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
