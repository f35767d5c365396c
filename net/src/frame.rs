//! The bytes around a request and its answer. A stream carries one of each:
//!
//! ```text
//! request   length (4 bytes, big-endian) | channel (1 byte) | so many bytes | end of stream
//! answer    length (4 bytes, big-endian) | status  (1 byte) | so many bytes | end of stream
//! ```
//!
//! A head is judged by itself, so nothing is allocated for a length that its channel does not allow.
//! Knows nothing of streams and of what the bytes mean.

use std::fmt;

use crate::reason::Reason;

/// Bytes of a head.
pub const HEAD_LEN: usize = 5;
/// Bytes of an answer that refuses: the code, big-endian.
pub const REFUSAL_LEN: usize = 2;

const LARGE_BYTES_MAX: usize = 8 << 20;
const CONTROL_BYTES_MAX: usize = 64 << 10;
const JOIN_BYTES_MAX: usize = 4 << 10;

/// The most bytes that a request or an answer may have on any channel.
pub const FRAME_BYTES_MAX: usize = LARGE_BYTES_MAX;

/// What a request is for. Closed: a byte that is not listed here ends the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Channel {
    /// Agreement among vaults; has a lane of its own, so that nothing else can hold it up.
    Raft,
    /// A request that another node must carry out.
    Forward,
    /// Signed records and the search for missing ones.
    Records,
    /// Status and the like, small.
    Control,
    /// A stranger's request to be enrolled; the only channel it has.
    Join,
    /// What an API process asks for its callers; the only channel it has. A lane of its own, so that nothing an
    /// API process does can hold up what nodes ask each other.
    Serve,
}

impl Channel {
    /// Every channel, in the order of their codes.
    pub const ALL: [Self; 6] =
        [Self::Raft, Self::Forward, Self::Records, Self::Control, Self::Join, Self::Serve];

    /// The byte on the wire; never reused.
    pub const fn code(self) -> u8 {
        match self {
            Self::Raft => 1,
            Self::Forward => 2,
            Self::Records => 3,
            Self::Control => 4,
            Self::Join => 5,
            Self::Serve => 6,
        }
    }

    /// The channel with this byte.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|channel| channel.code() == code)
    }

    /// The most bytes that one request, or one answer, may have here.
    pub const fn bytes_max(self) -> usize {
        match self {
            Self::Raft | Self::Forward | Self::Records | Self::Serve => LARGE_BYTES_MAX,
            Self::Control => CONTROL_BYTES_MAX,
            Self::Join => JOIN_BYTES_MAX,
        }
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Raft => "raft",
            Self::Forward => "forward",
            Self::Records => "records",
            Self::Control => "control",
            Self::Join => "join",
            Self::Serve => "serve",
        })
    }
}

/// What is wrong with a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Its length is more than the channel allows.
    #[error("a frame is larger than its channel allows")]
    Oversize,
    /// No channel has this byte.
    #[error("a frame names an unknown channel")]
    UnknownChannel,
    /// No status has this byte, or a refusal has another length than a refusal has.
    #[error("a frame is malformed")]
    Malformed,
}

impl From<FrameError> for Reason {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::Oversize => Self::OversizeFrame,
            FrameError::UnknownChannel => Self::UnknownChannel,
            FrameError::Malformed => Self::MalformedFrame,
        }
    }
}

/// What a request begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestHead {
    /// What it is for.
    pub channel: Channel,
    /// Bytes that follow.
    pub length: usize,
}

impl RequestHead {
    /// The bytes on the wire; none when the length is more than the channel allows.
    pub fn to_bytes(self) -> Option<[u8; HEAD_LEN]> {
        (self.length <= self.channel.bytes_max()).then(|| head(self.length, self.channel.code()))
    }

    /// Reads what [`RequestHead::to_bytes`] writes, and nothing else.
    pub fn from_bytes(bytes: &[u8; HEAD_LEN]) -> Result<Self, FrameError> {
        let (length, code) = split(bytes);
        let channel = Channel::from_code(code).ok_or(FrameError::UnknownChannel)?;
        if channel.bytes_max() < length {
            return Err(FrameError::Oversize);
        }
        Ok(Self { channel, length })
    }
}

/// How a request was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// The bytes are the answer.
    Answered,
    /// The bytes are a code that says why there is none; the channel's users give it a meaning.
    Refused,
}

/// What an answer begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnswerHead {
    /// How the request was answered.
    pub status: Status,
    /// Bytes that follow.
    pub length: usize,
}

impl AnswerHead {
    /// The bytes on the wire; none when the length is more than `channel` allows, or not that of a refusal.
    pub fn to_bytes(self, channel: Channel) -> Option<[u8; HEAD_LEN]> {
        let (code, fits) = match self.status {
            Status::Answered => (0, self.length <= channel.bytes_max()),
            Status::Refused => (1, self.length == REFUSAL_LEN),
        };
        fits.then(|| head(self.length, code))
    }

    /// Reads what [`AnswerHead::to_bytes`] writes for an answer on `channel`, and nothing else.
    pub fn from_bytes(bytes: &[u8; HEAD_LEN], channel: Channel) -> Result<Self, FrameError> {
        let (length, code) = split(bytes);
        match code {
            0 if length <= channel.bytes_max() => Ok(Self { status: Status::Answered, length }),
            0 => Err(FrameError::Oversize),
            1 if length == REFUSAL_LEN => Ok(Self { status: Status::Refused, length }),
            _ => Err(FrameError::Malformed),
        }
    }
}

const _: () = assert!(REFUSAL_LEN <= JOIN_BYTES_MAX, "a refusal fits every channel");
const _: () = assert!(FRAME_BYTES_MAX <= u32::MAX as usize, "a length fits its four bytes");

/// `length` was compared with a channel's bound, which fits four bytes.
fn head(length: usize, code: u8) -> [u8; HEAD_LEN] {
    let [a, b, c, d] = (length as u32).to_be_bytes();
    [a, b, c, d, code]
}

fn split(&[a, b, c, d, code]: &[u8; HEAD_LEN]) -> (usize, u8) {
    (u32::from_be_bytes([a, b, c, d]) as usize, code)
}
