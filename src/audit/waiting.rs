//! Lines that were entered and are not with the system yet. Knows nothing of files.

use std::mem;

use crate::audit::{
    chain::{Anchor, Chain},
    entry::Entry,
    line::{LINE_BYTES_MAX, LineWriter, write_end},
};

/// The lines that wait, and the chain's end, which is theirs.
#[derive(Debug)]
pub(super) struct Waiting {
    bytes: Vec<u8>,
    chain: Chain,
    lines: LineWriter,
    /// The newest line, and where it ends: in an earlier segment while this one is empty.
    head: Anchor,
    segment: u64,
    /// Where the next line of the segment begins.
    end: u64,
}

impl Waiting {
    /// None, after the line `head`; the next comes at an offset of a segment.
    pub fn after(head: Anchor, (segment, end): (u64, u64)) -> Self {
        let chain = Chain::after(head.seq, head.hash);
        let bytes = Vec::with_capacity(LINE_BYTES_MAX);
        Self { bytes, chain, lines: LineWriter::new(), head, segment, end }
    }

    /// Numbers a line and puts it behind the others.
    pub fn append(&mut self, entry: &Entry<'_>) -> u64 {
        let begin = self.bytes.len();
        self.lines.write_hashed(&mut self.bytes, self.chain.seq + 1, entry, &self.chain.hash);
        let hash = self.chain.extend(&self.bytes[begin..]);
        write_end(&mut self.bytes, hash);
        let len = self.bytes.len() - begin;
        debug_assert!(len <= LINE_BYTES_MAX);
        self.end += len as u64;
        let Chain { seq, hash, .. } = self.chain;
        self.head = Anchor { seq, hash, segment: self.segment, end: self.end };
        seq
    }

    /// The newest line.
    pub fn head(&self) -> Anchor {
        self.head
    }

    /// Where the next line of the segment begins.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// How many bytes wait.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Puts what waits behind `bytes`, and waits with nothing.
    pub fn move_to(&mut self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            mem::swap(&mut self.bytes, bytes);
        } else {
            bytes.append(&mut self.bytes);
        }
    }

    /// The next line begins the next segment.
    pub fn begin_segment(&mut self) {
        (self.segment, self.end) = (self.segment + 1, 0);
    }
}
