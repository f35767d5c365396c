//! The chain of hashes, the anchor that shows its end, and what can be wrong with it. Keeps U2.
//! Knows nothing of files: it is given one line after the other.

use std::fmt;

use blake3::Hasher;
use covault_model::{DecodeError, decode, encode, id::hex};
use serde_bytes::ByteArray;

use crate::audit::{
    line::{HASH_LEN, ReadLine},
    segment,
};

/// The derive-key context of a line's hash.
pub(super) const LINE_CONTEXT: &str = "covault 2026-11 audit line";
/// The format marker of anchors written by this release.
const ANCHOR_FORMAT: u8 = 1;

/// A line that is known to be on disk, and where it ends. Kept outside the log, it shows a cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anchor {
    /// The line's number; 0 for the beginning of an empty log.
    pub seq: u64,
    /// The line's hash; zeros for the beginning of an empty log.
    pub hash: [u8; HASH_LEN],
    /// The number of the segment it stands in.
    pub segment: u64,
    /// The offset in that segment, in bytes, at which the line has ended.
    pub end: u64,
}

impl Anchor {
    /// The beginning of an empty log.
    pub const START: Self = Self { seq: 0, hash: [0; HASH_LEN], segment: 1, end: 0 };

    /// The anchor as it is stored: CBOR of a format marker and the fields in order.
    pub fn to_bytes(&self) -> Vec<u8> {
        encode(&(ANCHOR_FORMAT, self.seq, ByteArray::new(self.hash), self.segment, self.end))
    }

    /// Reads a stored anchor.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (format, seq, hash, segment, end): (u8, u64, ByteArray<HASH_LEN>, u64, u64) = decode(bytes)?;
        if format != ANCHOR_FORMAT {
            return Err(DecodeError::UnknownFormat(format));
        }
        Ok(Self { seq, hash: hash.into_array(), segment, end })
    }
}

/// The end of a chain, ready for the next line.
#[derive(Debug, Clone)]
pub(super) struct Chain {
    pub(super) seq: u64,
    pub(super) hash: [u8; HASH_LEN],
    hasher: Hasher,
}

impl Chain {
    /// A chain whose last line has this number and hash.
    pub(super) fn after(seq: u64, hash: [u8; HASH_LEN]) -> Self {
        Self { seq, hash, hasher: Hasher::new_derive_key(LINE_CONTEXT) }
    }

    /// Takes in the next line's bytes that are hashed, and gives its hash.
    pub(super) fn extend(&mut self, hashed: &[u8]) -> &[u8; HASH_LEN] {
        let prev = self.hash;
        self.hash = self.hash_of(&prev, hashed);
        self.seq += 1;
        &self.hash
    }

    /// Takes in the next line as it was read, if it is the next line.
    pub(super) fn follow<'a>(&mut self, line: &'a [u8]) -> Result<ReadLine<'a>, Problem> {
        let read = ReadLine::parse(line).ok_or(Problem::Malformed)?;
        let due = self.seq + 1;
        if !self.is_intact(&read) {
            Err(Problem::Edited)
        } else if read.seq > due {
            Err(Problem::Missing { from: due, to: read.seq - 1 })
        } else if read.seq < due {
            Err(Problem::OutOfPlace { due })
        } else if read.prev != self.hash {
            Err(Problem::Detached)
        } else {
            (self.seq, self.hash) = (read.seq, read.hash);
            Ok(read)
        }
    }

    /// Whether a line has the hash of what stands in it.
    pub(super) fn is_intact(&mut self, line: &ReadLine<'_>) -> bool {
        self.hash_of(&line.prev, line.hashed) == line.hash
    }

    /// The same as `covault_model::id::derive` of the two parts, without setting up the context each time.
    fn hash_of(&mut self, prev: &[u8; HASH_LEN], hashed: &[u8]) -> [u8; HASH_LEN] {
        self.hasher.reset();
        for part in [prev.as_slice(), hashed] {
            self.hasher.update(&(part.len() as u64).to_le_bytes());
            self.hasher.update(part);
        }
        *self.hasher.finalize().as_bytes()
    }
}

/// Where the chain is broken, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The number of the segment.
    pub segment: u64,
    /// The line within the segment, the first being 1; absent when they were not counted from there.
    pub line: Option<u64>,
    /// The number in the whole log that was due there, or that the log should reach.
    pub seq: u64,
    /// What is wrong.
    pub problem: Problem,
}

/// What can be wrong at a place of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// Not the form of an audit line.
    Malformed,
    /// A line that has no end, or none within the longest line.
    Unended,
    /// A line whose bytes do not give its hash.
    Edited,
    /// Lines between the one before and this are not there.
    Missing {
        /// The first that is missing.
        from: u64,
        /// The last that is missing.
        to: u64,
    },
    /// A line that was added, repeated or moved here.
    OutOfPlace {
        /// The number that was due.
        due: u64,
    },
    /// A line that names another line before it than the one that stands there.
    Detached,
    /// The log ends before a line that was synced.
    Cut {
        /// That line.
        anchor: u64,
    },
    /// The line with the anchor's number is another one.
    Rewritten,
    /// A segment is not there.
    SegmentMissing,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", segment::file_name(self.segment))?;
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        write!(f, " (seq {}): {}", self.seq, self.problem)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("this is not an audit line"),
            Self::Unended => f.write_str("this line has no end"),
            Self::Edited => f.write_str("this line was changed after it was written"),
            Self::Missing { from, to } if from == to => write!(f, "line {from} is missing before this one"),
            Self::Missing { from, to } => write!(f, "lines {from} to {to} are missing before this one"),
            Self::OutOfPlace { due } => {
                write!(f, "this line was added, repeated or moved here, where line {due} was due")
            }
            Self::Detached => f.write_str("this line does not continue the one before it"),
            Self::Cut { anchor } => write!(f, "the log ends here, but was synced up to line {anchor}"),
            Self::Rewritten => f.write_str("this is not the line that was synced under this number"),
            Self::SegmentMissing => f.write_str("this segment is missing"),
        }
    }
}

impl std::error::Error for Finding {}

/// A hash or its beginning, for people.
impl fmt::Display for Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} ({})", self.seq, hex(&self.hash))
    }
}
