//! The log as it is written. Keeps U1: a line's space is held before its operation begins, its bytes are
//! with the operating system before the operation is answered, and a line that could not be written is
//! kept and written first.
//! Knows nothing of what was recorded before: `open` takes that up.
//!
//! ```text
//! reserve ──► space for one more line is allocated, or the operation is refused
//!    │        (a new segment begins here, never between an operation and its line)
//!    ▼
//! enter   ──► number and hash, under one lock; the line waits in memory
//!    │        (other operations may enter theirs meanwhile)
//!    ▼
//! write   ──► one write(2) of all that wait, unless another's has taken this line along
//!
//! record  ──► enter and write at once
//!
//! sync    ──► fdatasync outside the lock; gives the anchor to keep
//! ```
//!
//! A channel to a writing thread was rejected: handing over a line costs more than writing it to the
//! page cache, and a line would still be on its way when the process is killed.

use std::{
    fs::File,
    io, mem,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::audit::{
    chain::{Anchor, Chain},
    entry::Entry,
    line::{LINE_BYTES_MAX, LineWriter, write_end},
    segment::{self, SEGMENT_BYTES_MAX},
};

/// Bytes of disk allocated at once (1 MiB).
const ALLOCATE_BYTES: u64 = 1 << 20;
/// Bytes of lines that wait at most; the line that reaches them is written as it is entered.
pub(super) const WAITING_BYTES_MAX: usize = 1 << 16;

const _: () = assert!(LINE_BYTES_MAX as u64 <= ALLOCATE_BYTES && ALLOCATE_BYTES <= SEGMENT_BYTES_MAX);

/// Why the log takes no line now. The operation must not be done, or if it was a read, not be answered.
#[derive(Debug, thiserror::Error)]
pub enum AuditUnavailable {
    /// Space could not be had, or writing failed. It is tried again at the next operation.
    #[error("the audit log cannot take another line: {0}")]
    Io(#[from] io::Error),
    /// More operations are under way than a segment has lines.
    #[error("the audit log cannot hold lines for more operations at once")]
    Crowded,
    /// A sync failed. The system may have dropped what it could not write and report success the next
    /// time, so nothing but opening the log again can tell what is there.
    #[error("an earlier sync of the audit log failed; check the disk, then restart the node")]
    SyncFailed,
}

/// The audit log of one node. Shared by all threads.
#[derive(Debug)]
pub struct AuditLog {
    writer: Mutex<Writer>,
    /// Held through a sync: one that overtook another would vouch for what the other has still to sync.
    syncing: Mutex<()>,
}

/// A line that is promised: its space is held until it is recorded or the ticket is dropped.
#[derive(Debug)]
#[must_use = "an operation that was begun has to be recorded"]
pub struct Ticket<'a> {
    log: &'a AuditLog,
}

impl AuditLog {
    /// Holds space for one line. To be called before the operation begins.
    pub fn reserve(&self) -> Result<Ticket<'_>, AuditUnavailable> {
        let mut writer = self.writer();
        writer.make_room()?;
        writer.reserved += 1;
        Ok(Ticket { log: self })
    }

    /// The newest line, which may not be on disk yet.
    pub fn head(&self) -> Anchor {
        self.writer().head
    }

    /// Brings all lines to the disk and gives the newest of them, to be kept outside the log. Does nothing
    /// when nothing was added since the last time. Lines can be recorded meanwhile.
    pub fn sync(&self) -> Result<Anchor, AuditUnavailable> {
        let _alone = self.syncing.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(unsynced) = self.writer().take_unsynced()? else { return Ok(self.writer().synced) };
        let outcome = unsynced.sync();
        let mut writer = self.writer();
        match outcome {
            Ok(()) => writer.synced = unsynced.head,
            Err(_) => writer.sync_failed = true,
        }
        outcome?;
        Ok(unsynced.head)
    }

    /// Writes the lines that wait, if the one with this number is among them.
    fn write_up_to(&self, seq: u64) -> io::Result<()> {
        let mut writer = self.writer();
        if writer.written < seq { writer.flush() } else { Ok(()) }
    }

    pub(super) fn new(writer: Writer) -> Self {
        Self { writer: Mutex::new(writer), syncing: Mutex::new(()) }
    }

    /// A panic while the lock was held would be a bug of ours; every step leaves the writer in order.
    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A line that is in the chain and may not be written yet. Dropped, it is written too, but nobody learns
/// whether that failed.
#[derive(Debug)]
#[must_use = "an operation must not be answered before its line is written"]
pub struct Line<'a> {
    log: &'a AuditLog,
    seq: u64,
}

impl<'a> Ticket<'a> {
    /// Enters the line and writes it.
    pub fn record(self, entry: &Entry<'_>) -> Result<(), AuditUnavailable> {
        self.enter(entry).write()
    }

    /// Gives the line its number and its place in the chain.
    pub fn enter(self, entry: &Entry<'_>) -> Line<'a> {
        let log = self.log;
        let mut writer = log.writer();
        writer.reserved -= 1;
        // The space was used; dropping the ticket would give it back a second time.
        mem::forget(self);
        Line { log, seq: writer.append(entry) }
    }
}

impl Line<'_> {
    /// Sees that the line is with the operating system: writes all that wait, unless it was taken along
    /// already. When that fails they are kept and written before any other, and no operation begins until
    /// they are; what this operation read must not be given out.
    pub fn write(self) -> Result<(), AuditUnavailable> {
        let outcome = self.log.write_up_to(self.seq);
        // It was tried; dropping the line would try again.
        mem::forget(self);
        Ok(outcome?)
    }
}

impl Drop for Line<'_> {
    /// An operation that was cut off leaves its line behind. A failure is told to the next one.
    fn drop(&mut self) {
        let _ = self.log.write_up_to(self.seq);
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.log.writer().reserved -= 1;
    }
}

/// The state behind the lock. Always true: the bytes written, those waiting and the longest line for
/// each ticket fit into what is allocated and into the segment.
#[derive(Debug)]
pub(super) struct Writer {
    dir: PathBuf,
    file: Arc<File>,
    segment: u64,
    /// Bytes written to the segment.
    size: u64,
    /// Bytes of the segment that the file system holds for us.
    allocated: u64,
    /// Tickets given out.
    reserved: u64,
    /// Lines that are numbered but not written.
    waiting: Vec<u8>,
    /// The number of the last line that is written.
    written: u64,
    /// Whether the last attempt to write failed. No operation begins before another succeeds.
    failing: bool,
    /// The chain, waiting lines included.
    chain: Chain,
    lines: LineWriter,
    /// The newest line, waiting ones included, and where it ends: in an earlier segment while this one is
    /// empty.
    head: Anchor,
    /// Segments written before this one since the last sync, with their final sizes.
    finished: Vec<(Arc<File>, u64)>,
    synced: Anchor,
    sync_failed: bool,
}

impl Writer {
    /// Goes on after the line `head`, at an offset of a segment: the head's, or the beginning of a later
    /// one that is empty. Of what is later than `synced` it is not known whether it is on disk, nor whether a sync
    /// would bring it there, so it is written again.
    pub(super) fn resume(
        dir: &Path,
        head: Anchor,
        (segment, size): (u64, u64),
        synced: Anchor,
    ) -> io::Result<Self> {
        let from = |number| if number == synced.segment { synced.end } else { 0 };
        let mut finished = Vec::new();
        for number in synced.segment..segment {
            let file = segment::open(dir, number)?;
            let size = file.metadata()?.len();
            segment::write_again(&file, from(number)..size)?;
            finished.push((Arc::new(file), size));
        }
        let file = segment::open(dir, segment)?;
        segment::write_again(&file, from(segment)..size)?;
        Ok(Self {
            dir: dir.to_owned(),
            file: Arc::new(file),
            segment,
            size,
            allocated: size,
            reserved: 0,
            waiting: Vec::with_capacity(LINE_BYTES_MAX),
            written: head.seq,
            failing: false,
            chain: Chain::after(head.seq, head.hash),
            lines: LineWriter::new(),
            head,
            finished,
            synced,
            sync_failed: false,
        })
    }

    /// Numbers a line and puts it behind those that wait.
    pub(super) fn append(&mut self, entry: &Entry<'_>) -> u64 {
        let begin = self.waiting.len();
        self.lines.write_hashed(&mut self.waiting, self.chain.seq + 1, entry, &self.chain.hash);
        let hash = self.chain.extend(&self.waiting[begin..]);
        write_end(&mut self.waiting, hash);
        self.head = Anchor {
            seq: self.chain.seq,
            hash: self.chain.hash,
            segment: self.segment,
            end: self.size + self.waiting.len() as u64,
        };
        debug_assert!(self.waiting.len() - begin <= LINE_BYTES_MAX);
        if WAITING_BYTES_MAX <= self.waiting.len() {
            // If this fails, whoever waits for a line learns it when it tries again.
            let _ = self.flush();
        }
        self.chain.seq
    }

    /// Writes what waits, at the offset where it belongs, so that a part written earlier does no harm.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        if !self.waiting.is_empty() {
            self.failing = true;
            self.file.write_all_at(&self.waiting, self.size)?;
            self.failing = false;
            self.size += self.waiting.len() as u64;
            self.written = self.chain.seq;
            self.waiting.clear();
        }
        Ok(())
    }

    /// Sees to it that one line more than was promised can be written.
    pub(super) fn make_room(&mut self) -> Result<(), AuditUnavailable> {
        if self.sync_failed {
            return Err(AuditUnavailable::SyncFailed);
        }
        if self.failing {
            self.flush()?;
        }
        let promised = (self.reserved + 1) * LINE_BYTES_MAX as u64;
        if SEGMENT_BYTES_MAX < promised {
            return Err(AuditUnavailable::Crowded);
        }
        let end = self.size + self.waiting.len() as u64 + promised;
        if SEGMENT_BYTES_MAX < end {
            self.flush()?;
            self.begin_segment(promised)?;
        } else if self.allocated < end {
            self.allocated = allocate(&self.file, self.allocated, end)?;
        }
        Ok(())
    }

    /// Turns to the next segment, once all that was promised has its space there. A segment that was made
    /// in an attempt that failed is empty, and taken again.
    fn begin_segment(&mut self, promised: u64) -> io::Result<()> {
        let next = segment::open(&self.dir, self.segment + 1)?;
        if next.metadata()?.len() != 0 {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "the next segment is there already"));
        }
        let allocated = allocate(&next, 0, promised)?;
        let last = mem::replace(&mut self.file, Arc::new(next));
        self.finished.push((last, self.size));
        (self.segment, self.size, self.allocated) = (self.segment + 1, 0, allocated);
        Ok(())
    }

    /// What a sync has to do; `None` when there is nothing.
    fn take_unsynced(&mut self) -> Result<Option<Unsynced>, AuditUnavailable> {
        if self.sync_failed {
            return Err(AuditUnavailable::SyncFailed);
        }
        self.flush()?;
        if self.head == self.synced {
            return Ok(None);
        }
        let has_new_files = self.segment != self.synced.segment || self.synced.seq == 0;
        Ok(Some(Unsynced {
            finished: mem::take(&mut self.finished),
            file: self.file.clone(),
            dir: has_new_files.then(|| self.dir.clone()),
            head: self.head,
        }))
    }
}

/// Allocates to the end of a whole number of chunks, and says how far.
fn allocate(file: &File, from: u64, to: u64) -> io::Result<u64> {
    let end = to.next_multiple_of(ALLOCATE_BYTES).min(SEGMENT_BYTES_MAX);
    segment::allocate(file, from..end)?;
    Ok(end)
}

/// Files that hold lines which may not be on disk.
#[derive(Debug)]
struct Unsynced {
    finished: Vec<(Arc<File>, u64)>,
    file: Arc<File>,
    /// The directory, when it has new segments.
    dir: Option<PathBuf>,
    head: Anchor,
}

impl Unsynced {
    fn sync(&self) -> io::Result<()> {
        for (file, size) in &self.finished {
            // Gives back what was allocated and not used.
            file.set_len(*size)?;
            file.sync_data()?;
        }
        self.file.sync_data()?;
        self.dir.as_ref().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
    }
}
