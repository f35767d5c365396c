//! Taking up a log again at start. Keeps U1 and U2: what was synced must be there, what came after is
//! followed line by line, and an end that a power loss left unfinished is cut off and noted.
//! Knows nothing of lines before the anchor: checking those is `verify`'s, so that starting takes the same
//! time however long the log is.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
    path::Path,
};

use covault_model::hlc::Millis;

use crate::audit::{
    chain::{Anchor, Chain, Finding, Problem},
    entry::{Action, Entry, Outcome, Subject},
    files::Files,
    line::{LINE_BYTES_MAX, ReadLine},
    log::AuditLog,
    segment::{self, LineReader, Piece},
    waiting::Waiting,
};

/// Why a log cannot be taken up.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory or a segment cannot be read or written.
    #[error("the audit log cannot be opened: {0}")]
    Io(#[from] io::Error),
    /// The log was changed or cut since the node last wrote to it.
    #[error("the audit log was changed from outside: {0}")]
    Found(#[from] Finding),
}

impl AuditLog {
    /// Takes up the log in `dir`, or begins one. `anchor` is what [`AuditLog::sync`] gave last, absent when
    /// there was none yet; it must still be there. `now` is the time of the line that notes a cut.
    pub fn open(dir: &Path, anchor: Option<Anchor>, now: Millis) -> Result<Self, OpenError> {
        segment::make_dir(dir)?;
        let numbers = segment::list(dir)?;
        let start = match anchor {
            Some(anchor) if anchor.seq != 0 => check_anchor(dir, &numbers, anchor)?,
            _ => newest_start(dir, &numbers)?,
        };
        let end = follow(dir, &numbers, start)?;
        let cut = end.cut_rest(dir, &numbers)?;
        let synced = anchor.unwrap_or(Anchor { seq: 0, ..start });
        let files = Files::resume(dir, end.head, (end.segment, end.offset), synced)?;
        let log = Self::new(Waiting::after(end.head, (end.segment, end.offset)), files);
        if 0 < cut {
            log.note(&cut_off(cut, now));
        }
        Ok(log)
    }
}

/// What says how much was cut off.
fn cut_off(bytes: u64, now: Millis) -> Entry<'static> {
    Entry {
        at: now,
        request: None,
        caller: None,
        action: Action::AuditRecovered,
        owner: None,
        subject: Subject::Bytes(bytes),
        version: None,
        outcome: Outcome::Done,
    }
}

/// Sees that the anchor's line is where it was, and starts after it.
fn check_anchor(dir: &Path, numbers: &[u64], anchor: Anchor) -> Result<Anchor, OpenError> {
    let found = |problem| Finding { segment: anchor.segment, line: None, seq: anchor.seq, problem };
    if !numbers.contains(&anchor.segment) {
        return Err(found(Problem::SegmentMissing).into());
    }
    let file = File::open(segment::path(dir, anchor.segment))?;
    if file.metadata()?.len() < anchor.end {
        return Err(found(Problem::Cut { anchor: anchor.seq }).into());
    }
    let len = anchor.end.min(LINE_BYTES_MAX as u64);
    let mut bytes = vec![0; len as usize];
    file.read_exact_at(&mut bytes, anchor.end - len)?;
    let line =
        bytes.strip_suffix(b"\n").and_then(|rest| ReadLine::parse(rest.rsplit(|b| *b == b'\n').next()?));
    match line {
        Some(line) if !Chain::after(0, line.prev).is_intact(&line) => Err(found(Problem::Edited).into()),
        Some(line) if line.seq == anchor.seq && line.hash == anchor.hash => Ok(anchor),
        _ => Err(found(Problem::Rewritten).into()),
    }
}

/// Without an anchor: the start of the newest segment that has lines, as its first line states it.
fn newest_start(dir: &Path, numbers: &[u64]) -> Result<Anchor, OpenError> {
    for &number in numbers.iter().rev().filter(|number| **number != Anchor::START.segment) {
        let mut reader = LineReader::open(dir, number, 0)?;
        let line = match reader.next()? {
            Piece::End => continue,
            Piece::Line(line) => ReadLine::parse(line),
            Piece::Unended(_) => None,
        };
        let first = line.filter(|line| line.seq != 0);
        let malformed = Finding { segment: number, line: Some(1), seq: 0, problem: Problem::Malformed };
        let first = first.ok_or(malformed)?;
        return Ok(Anchor { seq: first.seq - 1, hash: first.prev, segment: number, end: 0 });
    }
    Ok(Anchor::START)
}

/// Where the unbroken chain ends.
struct End {
    chain: Chain,
    /// The last good line.
    head: Anchor,
    /// The segment to go on with, and the offset in it.
    segment: u64,
    offset: u64,
}

/// Follows the chain from `start` on, to its end or to where a power loss broke it.
fn follow(dir: &Path, numbers: &[u64], start: Anchor) -> Result<End, OpenError> {
    let chain = Chain::after(start.seq, start.hash);
    let mut end = End { chain, head: start, segment: start.segment, offset: start.end };
    for (due, &number) in (start.segment..).zip(numbers.iter().filter(|number| start.segment <= **number)) {
        let from = if number == start.segment { start.end } else { 0 };
        let problem = if number == due {
            end.follow_segment(dir, number, from)?
        } else {
            Some(Problem::SegmentMissing)
        };
        match problem {
            None => {}
            Some(Problem::SegmentMissing) => return Err(end.finding(due, Problem::SegmentMissing).into()),
            Some(_) if segment::is_torn(dir, number, end.offset)? => return Ok(end),
            Some(problem) => return Err(end.finding(number, problem).into()),
        }
    }
    Ok(end)
}

impl End {
    /// Follows one segment; gives what is wrong after the last good line, if anything is.
    fn follow_segment(&mut self, dir: &Path, number: u64, from: u64) -> io::Result<Option<Problem>> {
        let mut reader = LineReader::open(dir, number, from)?;
        (self.segment, self.offset) = (number, from);
        loop {
            let problem = match reader.next()? {
                Piece::Line(line) => self.chain.follow(line).err(),
                Piece::Unended(_) => Some(Problem::Unended),
                Piece::End => return Ok(None),
            };
            if problem.is_some() {
                return Ok(problem);
            }
            self.offset = reader.end;
            self.head =
                Anchor { seq: self.chain.seq, hash: self.chain.hash, segment: number, end: reader.end };
        }
    }

    fn finding(&self, segment: u64, problem: Problem) -> Finding {
        Finding { segment, line: None, seq: self.chain.seq + 1, problem }
    }

    /// Cuts off what follows: the rest of the segment, and segments after it. Gives how many bytes. It is gone from the
    /// disk before anything is written in its place: else a second power loss could bring it back behind that.
    fn cut_rest(&self, dir: &Path, numbers: &[u64]) -> io::Result<u64> {
        let mut cut = 0;
        for &number in numbers.iter().rev().take_while(|number| self.segment < **number) {
            let path = segment::path(dir, number);
            cut += fs::metadata(&path)?.len();
            fs::remove_file(path)?;
        }
        let file = segment::open(dir, self.segment)?;
        let len = file.metadata()?.len();
        if self.offset < len {
            file.set_len(self.offset)?;
            cut += len - self.offset;
        }
        if 0 < cut {
            file.sync_all()?;
            File::open(dir)?.sync_all()?;
        }
        Ok(cut)
    }
}
