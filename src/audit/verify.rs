//! Checks a whole audit log. Keeps U2: an edit, a removal, a swap, an insertion or a cut is found, and
//! named by its place.
//! Knows nothing of the node: the log may be another machine's, or in use.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::audit::{
    chain::{Anchor, Chain, Finding, Problem},
    line::{HASH_LEN, LINE_BYTES_MAX},
    segment::{self, LineReader, Piece},
};

/// Bytes between two reports of progress.
const PROGRESS_BYTES: u64 = 1 << 20;

/// What an unbroken log holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// How many lines.
    pub lines: u64,
    /// How many segments.
    pub segments: u64,
    /// The first line; absent when there is none.
    pub first: Option<Stamp>,
    /// The last line; absent when there is none.
    pub last: Option<Stamp>,
    /// Bytes of a line at the very end that is not finished. A node that is writing leaves some for a
    /// moment, a power loss until the node starts again.
    pub unfinished: u64,
}

/// Which line, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// Its number.
    pub seq: u64,
    /// Its time, RFC 3339.
    pub time: String,
    /// Its hash.
    pub hash: [u8; HASH_LEN],
}

/// Why a log did not pass.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// A file could not be read, so nothing is known.
    #[error("{} cannot be read: {error}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system said.
        #[source]
        error: io::Error,
    },
    /// The log is not what was written.
    #[error("{0}")]
    Found(#[from] Finding),
}

/// Reads the whole log in `dir`, with bounded memory. Without an `anchor` a log whose end was cut off at a
/// line's end passes. `progress` is told the bytes read so far.
pub fn verify(
    dir: &Path,
    anchor: Option<Anchor>,
    progress: &mut dyn FnMut(u64),
) -> Result<Report, VerifyError> {
    let numbers = segment::list(dir).map_err(|error| VerifyError::Read { path: dir.to_owned(), error })?;
    let mut check = Check::new(anchor);
    for (due, &number) in (Anchor::START.segment..).zip(&numbers) {
        if number != due {
            return Err(check.finding(due, None, Problem::SegmentMissing).into());
        }
        check.segment(dir, number, numbers.last() == Some(&number), progress)?;
    }
    check.end(numbers.last().copied().unwrap_or(Anchor::START.segment))
}

/// How far a check has come.
struct Check {
    chain: Chain,
    anchor: Anchor,
    bytes: u64,
    report: Report,
}

impl Check {
    fn new(anchor: Option<Anchor>) -> Self {
        Self {
            chain: Chain::after(Anchor::START.seq, Anchor::START.hash),
            anchor: anchor.unwrap_or(Anchor::START),
            bytes: 0,
            report: Report { lines: 0, segments: 0, first: None, last: None, unfinished: 0 },
        }
    }

    /// Reads one segment.
    fn segment(
        &mut self,
        dir: &Path,
        number: u64,
        is_last: bool,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), VerifyError> {
        let unreadable = |error| VerifyError::Read { path: segment::path(dir, number), error };
        let mut reader = LineReader::open(dir, number, 0).map_err(unreadable)?;
        let mut told = 0;
        for line_number in 1.. {
            let outcome = match reader.next().map_err(unreadable)? {
                Piece::Line(line) => self.line(line),
                Piece::Unended(bytes) if is_last && bytes < LINE_BYTES_MAX as u64 => {
                    self.report.unfinished = bytes;
                    break;
                }
                Piece::Unended(_) => Err(Problem::Unended),
                Piece::End => break,
            };
            outcome.map_err(|problem| self.finding(number, Some(line_number), problem))?;
            if told + PROGRESS_BYTES <= reader.end {
                told = reader.end;
                progress(self.bytes + told);
            }
        }
        self.report.segments += 1;
        self.bytes += reader.end + self.report.unfinished;
        progress(self.bytes);
        Ok(())
    }

    fn line(&mut self, line: &[u8]) -> Result<(), Problem> {
        let read = self.chain.follow(line)?;
        if read.seq == self.anchor.seq && read.hash != self.anchor.hash {
            // The chain took the line in; the finding is about this line, not the next.
            self.chain.seq -= 1;
            return Err(Problem::Rewritten);
        }
        let report = &mut self.report;
        report.lines += 1;
        match &mut report.last {
            Some(last) => {
                (last.seq, last.hash) = (read.seq, read.hash);
                last.time.clear();
                last.time.push_str(read.time);
            }
            None => {
                let stamp = Stamp { seq: read.seq, time: read.time.to_owned(), hash: read.hash };
                report.first = Some(stamp.clone());
                report.last = Some(stamp);
            }
        }
        Ok(())
    }

    /// All was read: is the anchor's line among it?
    fn end(self, last_segment: u64) -> Result<Report, VerifyError> {
        if self.chain.seq < self.anchor.seq {
            let problem = Problem::Cut { anchor: self.anchor.seq };
            return Err(self.finding(last_segment, None, problem).into());
        }
        Ok(self.report)
    }

    fn finding(&self, segment: u64, line: Option<u64>, problem: Problem) -> Finding {
        Finding { segment, line, seq: self.chain.seq + 1, problem }
    }
}
