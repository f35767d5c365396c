//! The log as it is written. Keeps U1: a line's space is held before its operation begins, its bytes are
//! with the operating system before the operation is answered, and a line that could not be written is
//! kept and written first.
//! Knows nothing of what was recorded before: `open` takes that up.
//!
//! ```text
//! reserve ──► space for one more line is allocated, or the operation is refused
//!    │        (a new segment begins here, never between an operation and its line)
//!    ▼
//! enter   ──► number and hash, one line at a time; the line waits in memory
//!    │        (other operations may enter theirs meanwhile)
//!    ▼
//! write   ──► one write(2) of all that wait, unless another's has taken this line along
//!             (lines are entered meanwhile)
//!
//! record  ──► enter and write at once
//!
//! sync    ──► fdatasync while lines are written; gives the anchor to keep
//! ```
//!
//! A channel to a writing thread was rejected: handing over a line costs more than writing it to the
//! page cache, and a line would still be on its way when the process is killed.

use std::{
    io, mem,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::audit::{
    chain::Anchor, entry::Entry, files::Files, line::LINE_BYTES_MAX, promises::Promises,
    segment::SEGMENT_BYTES_MAX, waiting::Waiting,
};

/// Bytes of lines that wait at most; the line that reaches them is written as it is entered.
pub(super) const WAITING_BYTES_MAX: usize = 1 << 16;

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
///
/// Always true: the bytes written, those waiting and the longest line for each promise fit into what is allocated and
/// into the segment. Who needs both locks takes that of the files first.
#[derive(Debug)]
pub struct AuditLog {
    promises: Promises,
    waiting: Mutex<Waiting>,
    files: Mutex<Files>,
    /// The number of the last line that is written.
    written: AtomicU64,
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
    pub(super) fn new(waiting: Waiting, files: Files) -> Self {
        Self {
            promises: Promises::default(),
            written: AtomicU64::new(waiting.head().seq),
            waiting: Mutex::new(waiting),
            files: Mutex::new(files),
            syncing: Mutex::new(()),
        }
    }

    /// Holds space for one line. To be called before the operation begins.
    pub fn reserve(&self) -> Result<Ticket<'_>, AuditUnavailable> {
        let has_room = self.promises.give();
        let ticket = Ticket { log: self };
        if !has_room {
            self.make_room()?;
        }
        Ok(ticket)
    }

    /// Adds a line, whether there is room for it or not. If that fails it waits, and no operation begins before it is
    /// written.
    pub(super) fn note(&self, entry: &Entry<'_>) {
        let _ = self.promises.give();
        let ticket = Ticket { log: self };
        // These fail only as they would for the next operation, which is then refused and told why.
        let _ = self.make_room();
        let _ = ticket.record(entry);
    }

    /// The newest line, which may not be on disk yet.
    pub fn head(&self) -> Anchor {
        self.waiting().head()
    }

    /// Brings all lines to the disk and gives the newest of them, to be kept outside the log. Does nothing
    /// when nothing was added since the last time. Lines can be recorded meanwhile.
    pub fn sync(&self) -> Result<Anchor, AuditUnavailable> {
        let _alone = self.syncing.lock().unwrap_or_else(PoisonError::into_inner);
        let unsynced = {
            let mut files = self.files();
            if files.sync_failed() {
                return Err(AuditUnavailable::SyncFailed);
            }
            self.flush(&mut files)?;
            match files.take_unsynced() {
                Some(unsynced) => unsynced,
                None => return Ok(files.synced()),
            }
        };
        let outcome = unsynced.sync();
        let mut files = self.files();
        files.was_synced(&unsynced, outcome.is_ok());
        if outcome.is_err() {
            self.promises.stop();
        }
        outcome?;
        Ok(files.synced())
    }

    /// Sees to it that every line that was promised can be written, and some more.
    fn make_room(&self) -> Result<(), AuditUnavailable> {
        let mut files = self.files();
        self.promises.stop();
        if files.sync_failed() {
            return Err(AuditUnavailable::SyncFailed);
        }
        if files.is_behind() {
            self.flush(&mut files)?;
        }
        // Before it is asked what was entered: a line may be counted twice, but not be missed.
        let promised = self.promises.count() * LINE_BYTES_MAX as u64;
        if SEGMENT_BYTES_MAX < promised {
            return Err(AuditUnavailable::Crowded);
        }
        let mut end = self.waiting().end() + promised;
        if SEGMENT_BYTES_MAX < end {
            self.begin_segment(&mut files, promised)?;
            end = promised;
        }
        let room = files.allocate(end)? / LINE_BYTES_MAX as u64;
        self.promises.go_on(room);
        Ok(())
    }

    /// Turns to the next segment, once all that was promised has its space there. Nobody enters a line meanwhile.
    fn begin_segment(&self, files: &mut Files, promised: u64) -> io::Result<()> {
        let mut waiting = self.waiting();
        let last = files.take(&mut waiting);
        self.write(files, last)?;
        files.begin_segment(promised)?;
        waiting.begin_segment();
        Ok(())
    }

    /// Writes the lines that wait, if the one with this number is among them.
    fn write_up_to(&self, seq: u64) -> io::Result<()> {
        let is_written = || seq <= self.written.load(Ordering::Acquire);
        if is_written() {
            return Ok(());
        }
        let mut files = self.files();
        if is_written() { Ok(()) } else { self.flush(&mut files) }
    }

    /// Writes the lines that wait.
    fn flush(&self, files: &mut Files) -> io::Result<()> {
        let last = files.take(&mut self.waiting());
        self.write(files, last)
    }

    fn write(&self, files: &mut Files, last: u64) -> io::Result<()> {
        let outcome = files.write();
        match outcome {
            Ok(()) => self.written.store(last, Ordering::Release),
            Err(_) => self.promises.stop(),
        }
        outcome
    }

    /// A panic while a lock was held would be a bug of ours; every step leaves what it guards in order.
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn files(&self) -> MutexGuard<'_, Files> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
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
        let (seq, waiting_bytes) = {
            let mut waiting = log.waiting();
            (waiting.append(entry), waiting.len())
        };
        if WAITING_BYTES_MAX <= waiting_bytes {
            // If this fails, whoever waits for a line learns it when it tries again.
            let _ = log.write_up_to(seq);
        }
        Line { log, seq }
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
    /// Its line was entered, or there is none.
    fn drop(&mut self) {
        self.log.promises.end();
    }
}
