//! The segments that lines are written to: what is in them, what is set aside in them, and what of them is synced.
//! Keeps U1: what could not be written is kept and written first.
//! Knows nothing of what lines say.

use std::{
    fs::File,
    io, mem,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::audit::{
    chain::Anchor,
    line::LINE_BYTES_MAX,
    segment::{self, SEGMENT_BYTES_MAX},
    waiting::Waiting,
};

/// Bytes of disk allocated at once (1 MiB).
const ALLOCATE_BYTES: u64 = 1 << 20;
/// Bytes that are sent on their way to the disk at once (128 KiB). Those of a busy second together kept it busy for
/// milliseconds, in which no other sync of this machine went on.
const SEND_OFF_BYTES: u64 = 128 << 10;

const _: () = assert!(LINE_BYTES_MAX as u64 <= ALLOCATE_BYTES && ALLOCATE_BYTES <= SEGMENT_BYTES_MAX);

/// The files of one log.
#[derive(Debug)]
pub(super) struct Files {
    dir: PathBuf,
    file: Arc<File>,
    segment: u64,
    /// Bytes written to the segment.
    size: u64,
    /// Bytes of the segment that are on their way to the disk, or there.
    sent_off: u64,
    /// Bytes of the segment that the file system holds for us.
    allocated: u64,
    /// What is to be written next; empty unless that has failed.
    bytes: Vec<u8>,
    /// The newest line that is written or among those bytes.
    head: Anchor,
    /// Segments written before this one since the last sync, with their final sizes.
    finished: Vec<(Arc<File>, u64)>,
    synced: Anchor,
    sync_failed: bool,
}

impl Files {
    /// Goes on after the line `head`, at an offset of a segment: the head's, or the beginning of a later
    /// one that is empty. Of what is later than `synced` it is not known whether it is on disk, nor whether a sync
    /// would bring it there, so it is written again.
    pub fn resume(dir: &Path, head: Anchor, (segment, size): (u64, u64), synced: Anchor) -> io::Result<Self> {
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
            sent_off: size,
            allocated: size,
            bytes: Vec::with_capacity(LINE_BYTES_MAX),
            head,
            finished,
            synced,
            sync_failed: false,
        })
    }

    /// Takes over what waits, to be written next. Gives the number of the last line.
    pub fn take(&mut self, waiting: &mut Waiting) -> u64 {
        waiting.move_to(&mut self.bytes);
        self.head = waiting.head();
        self.head.seq
    }

    /// Writes what was taken over, at the offset where it belongs, so that a part written earlier does no harm.
    pub fn write(&mut self) -> io::Result<()> {
        if !self.bytes.is_empty() {
            self.file.write_all_at(&self.bytes, self.size)?;
            self.size += self.bytes.len() as u64;
            self.bytes.clear();
            self.send_off();
        }
        Ok(())
    }

    fn send_off(&mut self) {
        let whole = self.size - self.size % SEND_OFF_BYTES;
        if self.sent_off < whole {
            segment::send_off(&self.file, self.sent_off..whole);
            self.sent_off = whole;
        }
    }

    /// Whether the last attempt to write failed.
    pub fn is_behind(&self) -> bool {
        !self.bytes.is_empty()
    }

    /// Has the file system hold the segment up to `end`. Gives how many bytes it holds beyond.
    pub fn allocate(&mut self, end: u64) -> io::Result<u64> {
        if self.allocated < end {
            self.allocated = allocate(&self.file, self.allocated, end)?;
        }
        Ok(self.allocated - end)
    }

    /// Turns to the next segment, once it holds `room` bytes. One that was made in an attempt that failed is empty, and
    /// taken again.
    pub fn begin_segment(&mut self, room: u64) -> io::Result<()> {
        let next = segment::open(&self.dir, self.segment + 1)?;
        if next.metadata()?.len() != 0 {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "the next segment is there already"));
        }
        let allocated = allocate(&next, 0, room)?;
        let last = mem::replace(&mut self.file, Arc::new(next));
        self.finished.push((last, self.size));
        (self.segment, self.size, self.sent_off, self.allocated) = (self.segment + 1, 0, 0, allocated);
        Ok(())
    }

    /// What a sync has to do, once everything is written; `None` when there is nothing.
    pub fn take_unsynced(&mut self) -> Option<Unsynced> {
        if self.head == self.synced {
            return None;
        }
        let has_new_files = self.segment != self.synced.segment || self.synced.seq == 0;
        Some(Unsynced {
            finished: mem::take(&mut self.finished),
            file: self.file.clone(),
            dir: has_new_files.then(|| self.dir.clone()),
            head: self.head,
        })
    }

    /// What came of it.
    pub fn was_synced(&mut self, unsynced: &Unsynced, succeeded: bool) {
        if succeeded {
            self.synced = unsynced.head;
        } else {
            self.sync_failed = true;
        }
    }

    /// The newest line that is on the disk.
    pub fn synced(&self) -> Anchor {
        self.synced
    }

    /// Whether nobody knows any more what is on the disk.
    pub fn sync_failed(&self) -> bool {
        self.sync_failed
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
pub(super) struct Unsynced {
    finished: Vec<(Arc<File>, u64)>,
    file: Arc<File>,
    /// The directory, when it has new segments.
    dir: Option<PathBuf>,
    head: Anchor,
}

impl Unsynced {
    /// Brings them to the disk.
    pub fn sync(&self) -> io::Result<()> {
        for (file, size) in &self.finished {
            // Gives back what was allocated and not used.
            file.set_len(*size)?;
            file.sync_data()?;
        }
        self.file.sync_data()?;
        self.dir.as_ref().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
    }
}
