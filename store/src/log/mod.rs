//! The Raft log: entries as bytes by index, in files of their own beside LMDB. An append is one write in one
//! place and one sync, where a commit of the tree is a dozen writes in a dozen places and two. What the
//! entries do can then be committed later, many at a time (`docs/decisions/0003-one-sync-per-write.md`).
//! Keeps D1 for what is agreed, and R5 with whoever appends. Knows nothing of terms, votes or what an entry holds.
//!
//! Appending at an index that is there takes away everything from it on; a process killed in between finds
//! either. One append may run ahead of the disk, while others are sent it; what was appended before it is synced
//! first. So only the last one can be unfinished. It is then cut away at the next opening, since nobody was told
//! that it counts; anything else that does not read is damage, and refuses to open.

mod frame;
mod segment;

use std::{
    collections::VecDeque,
    fs::File,
    io,
    ops::RangeInclusive,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use covault_model::mutant::Mutant;

use self::{
    frame::{FrameAt, Rest, Scan},
    segment::{Removed, Segment},
};
use crate::error::{OpenError, StoreError};

pub use frame::{Rest as LogRest, Scan as LogScan, scan as scan_log};
pub(crate) use segment::SET_ASIDE;

/// The folder of the log in a data directory.
pub(crate) const FOLDER: &str = "raft";
/// How long others have the disk between two bits of a removed file.
const GIVES_BACK_EVERY: Duration = Duration::from_millis(10);

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// Its index.
    pub index: u64,
    /// What consensus wrote there.
    pub bytes: Vec<u8>,
}

/// The log of one node.
#[derive(Debug)]
pub struct RaftLog {
    dir: PathBuf,
    sync: bool,
    /// Whether a thread of its own takes back the room of removed files. Not in a simulation, which has one thread.
    threaded: bool,
    /// Rising by number; the last one takes the next frame, unless it is full.
    segments: VecDeque<Segment>,
    /// Index of the first entry of `places`.
    first: u64,
    /// Where each entry lies, without gaps.
    places: VecDeque<Place>,
    /// Index of the first entry of the last append, while that is not known to be on the disk.
    ahead: Option<u64>,
    /// The number of the next file.
    next_number: u64,
    /// Set when a write or a sync failed: nobody knows then what is on the disk, and nothing is appended any more.
    failed: bool,
}

/// Where the bytes of one entry lie.
#[derive(Debug, Clone, Copy)]
struct Place {
    segment: u64,
    offset: u64,
    len: usize,
}

impl RaftLog {
    /// Makes the folder of an empty log in a data directory, unless it is there.
    pub(crate) fn make(data: &Path) -> io::Result<()> {
        match std::fs::DirBuilder::new().mode(0o700).create(data.join(FOLDER)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => File::open(data)?.sync_all(),
        }
    }

    /// Opens the log in a data directory. `sync` is whether an append waits for the disk, `threaded` whether it may have a
    /// thread.
    pub(crate) fn open(data: &Path, sync: bool, threaded: bool) -> Result<Self, OpenError> {
        let mut log = Self::look(data)?;
        (log.sync, log.threaded, log.failed) = (sync, threaded, false);
        if let Some(last) = log.segments.back_mut() {
            // A process that was killed, or whose sync failed, may have left an append whole and not synced. It counts
            // from now on.
            let settled = last.cut_what_is_torn().and_then(|()| last.write_last_again());
            settled
                .and_then(|()| last.sync_all())
                .map_err(|why| OpenError::Io { path: log.dir.clone(), why })?;
        }
        Ok(log)
    }

    /// The log in a data directory as it lies there. It takes no appends.
    pub(crate) fn look(data: &Path) -> Result<Self, OpenError> {
        let dir = data.join(FOLDER);
        let io = |why| OpenError::Io { path: dir.clone(), why };
        let numbers = segment::list(&dir).map_err(io)?;
        let next_number = numbers.last().map_or(1, |last| last + 1);
        let (segments, places) = (VecDeque::new(), VecDeque::new());
        let (dir_of_log, ahead) = (dir.clone(), None);
        let (sync, threaded, failed) = (false, false, true);
        let mut log =
            Self { dir: dir_of_log, sync, threaded, segments, first: 0, places, ahead, next_number, failed };
        for number in &numbers {
            let (mut segment, bytes) = Segment::open(&dir, *number).map_err(io)?;
            let Scan { frames, rest } = frame::scan(&bytes);
            let end_of = |frame: &FrameAt| frame.end as u64;
            let begin = frames.iter().rev().nth(1).map_or(0, end_of);
            segment.resume_after(begin..frames.last().map_or(0, end_of), rest);
            if rest == Rest::Damaged || (rest == Rest::Torn && Some(number) != numbers.last()) {
                return Err(damaged(data, *number, "bytes of it were changed"));
            }
            log.segments.push_back(segment);
            for frame in frames {
                let takes = log.take_in(&frame, 0);
                takes.ok_or_else(|| damaged(data, *number, "entries before it are missing"))?;
            }
        }
        Ok(log)
    }

    /// Notes a frame that begins at `offset` in the last file. `None` when it does not follow on what is there.
    fn take_in(&mut self, frame: &FrameAt, offset: u64) -> Option<()> {
        if frame.first < self.first || self.places.is_empty() {
            // What came before the first one was purged with the file that held it.
            (self.first, self.places) = (frame.first, VecDeque::new());
        }
        if self.next_index() < frame.first {
            return None;
        }
        self.cut_from(frame.first);
        let segment = self.segments.back_mut()?;
        segment.last = Some(frame.first + frame.entries.len() as u64 - 1);
        let number = segment.number;
        let place = |range: &std::ops::Range<usize>| Place {
            segment: number,
            offset: offset + range.start as u64,
            len: range.len(),
        };
        self.places.extend(frame.entries.iter().map(place));
        Some(())
    }

    /// Appends `entries`, which follow on each other, in place of all that is there from the first of them
    /// on. They are on the disk when this returns. [`StoreError::Full`] means that nothing was changed.
    pub fn append(&mut self, entries: &[LogEntry]) -> Result<(), StoreError> {
        self.append_ahead(entries)?;
        self.sync()
    }

    /// As [`Self::append`], ahead of the disk: they are there after the next [`Self::sync`], and until then a power
    /// cut may take them away, all of them.
    pub fn append_ahead(&mut self, entries: &[LogEntry]) -> Result<(), StoreError> {
        self.sync()?;
        let Some(first) = entries.first().map(|entry| entry.index) else { return Ok(()) };
        let follows = (first..).zip(entries).all(|(index, entry)| entry.index == index);
        if !follows || !(self.places.is_empty() || (self.first..=self.next_index()).contains(&first)) {
            return Err(StoreError::Inconsistent("entries of the log do not follow on each other"));
        }
        let too_large = StoreError::Inconsistent("an append is too large");
        let (bytes, frame) = frame::write(entries).ok_or(too_large)?;
        if self.segments.back().is_none_or(Segment::is_full) {
            self.begin_segment()?;
        }
        let segment = self.segments.back_mut().ok_or(StoreError::Closed)?;
        segment.make_room(bytes.len())?;
        let offset = segment.append(&bytes).inspect_err(|_| self.failed = true)?;
        self.ahead = Some(first);
        self.take_in(&frame, offset).ok_or(StoreError::Closed)
    }

    /// Has everything that was appended on the disk.
    pub fn sync(&mut self) -> Result<(), StoreError> {
        if self.failed {
            return Err(StoreError::Closed);
        }
        if self.ahead.is_some() {
            let sync = self.sync && !Mutant::UnsyncedLog.is_on();
            if let (true, Some(segment)) = (sync, self.segments.back()) {
                segment.sync().inspect_err(|_| self.failed = true)?;
            }
            self.ahead = None;
        }
        Ok(())
    }

    /// Whether what was appended at `index`, if anything, is on the disk.
    pub fn is_synced(&self, index: u64) -> bool {
        self.ahead.is_none_or(|first| index < first)
    }

    /// The entries of `range` that are there, in order.
    pub fn read(&self, range: RangeInclusive<u64>) -> Result<Vec<LogEntry>, StoreError> {
        let (from, to) =
            (self.first.max(*range.start()), self.next_index().min(range.end().saturating_add(1)));
        (from..to).map(|index| self.read_one(index)).collect()
    }

    fn read_one(&self, index: u64) -> Result<LogEntry, StoreError> {
        let place = self.places[(index - self.first) as usize];
        let segment = self.segments.iter().find(|segment| segment.number == place.segment);
        let segment = segment.ok_or(StoreError::Inconsistent("a file of the log is gone"))?;
        let mut bytes = vec![0; place.len];
        segment.read_at(&mut bytes, place.offset)?;
        Ok(LogEntry { index, bytes })
    }

    /// The last entry.
    pub fn last(&self) -> Result<Option<LogEntry>, StoreError> {
        if self.places.is_empty() { Ok(None) } else { self.read_one(self.next_index() - 1).map(Some) }
    }

    /// The index of the first entry and the one after the last; equal when there is none.
    pub fn bounds(&self) -> (u64, u64) {
        (self.first, self.next_index())
    }

    /// Bytes on the disk.
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(Segment::len).sum()
    }

    fn next_index(&self) -> u64 {
        self.first + self.places.len() as u64
    }

    /// Lets go of the entries from `index` on. They are back after a restart, unless something was appended
    /// in their place.
    pub fn cut_from(&mut self, index: u64) {
        let kept = index.saturating_sub(self.first);
        self.places.truncate(usize::try_from(kept).unwrap_or(usize::MAX));
        for segment in &mut self.segments {
            segment.last = segment.last.and_then(|last| index.checked_sub(1).map(|before| last.min(before)));
        }
    }

    /// Lets go of the entries below `index`, and takes away the files that hold no others.
    pub fn purge_below(&mut self, index: u64) -> Result<(), StoreError> {
        let gone = index.saturating_sub(self.first).min(self.places.len() as u64);
        self.places.drain(..gone as usize);
        self.first += gone;
        let mut removed = Vec::new();
        while self.segments.front().is_some_and(|segment| segment.last.is_none_or(|last| last < index)) {
            if let Some(segment) = self.segments.pop_front() {
                removed.push(segment.remove()?);
            }
        }
        if self.sync && !removed.is_empty() {
            File::open(&self.dir)?.sync_all()?;
        }
        if self.threaded && !removed.is_empty() {
            give_back(removed);
        }
        Ok(())
    }

    /// Begins a new file with the next append, so that purging up to the index that this returns takes away
    /// everything that is there now. `None` when nothing is.
    pub fn turn_over(&mut self) -> Result<Option<u64>, StoreError> {
        if self.segments.is_empty() {
            return Ok(None);
        }
        self.sync()?;
        self.begin_segment()?;
        Ok(self.next_index().checked_sub(1))
    }

    fn begin_segment(&mut self) -> io::Result<()> {
        self.segments.push_back(Segment::create(&self.dir, self.next_number)?);
        self.next_number += 1;
        Ok(())
    }
}

/// Has the file system take back the room of files that were removed. For several megabytes that can keep the disk for
/// milliseconds, in which nothing would be agreed: so whoever appends does not wait for it, and it goes bit by bit.
fn give_back(removed: Vec<Removed>) {
    let bit_by_bit = move || removed.into_iter().for_each(|file| file.give_back(GIVES_BACK_EVERY));
    // If there can be no thread they are closed here.
    let _ = thread::Builder::new().name("covault-log".into()).spawn(bit_by_bit);
}

fn damaged(data: &Path, number: u64, why: &str) -> OpenError {
    let file = segment::file_name(number);
    OpenError::Damaged { path: data.into(), why: format!("the raft log, {FOLDER}/{file}: {why}") }
}
