//! What was done to one file since it was synced, with what was there before, so that it can be undone; and what of
//! it a power cut lets through all the same.
//! Knows nothing of names: it is about the bytes of a file, whatever it is called and whether it is called anything.

use std::{
    fs::{File, OpenOptions},
    io,
    ops::Range,
    os::{
        fd::{AsRawFd, BorrowedFd},
        unix::fs::FileExt,
    },
};

use rand::{Rng, RngExt};

/// What a disk writes whole or not at all, in bytes.
pub const SECTOR: u64 = 512;

/// Device and number of a file.
pub(super) type FileId = (u64, u64);

/// One file, with its changes that were not synced.
#[derive(Debug)]
pub(super) struct Unsynced {
    pub id: FileId,
    /// Opened anew, for reading and writing. While it is held the number is not given to another file.
    file: File,
    /// As it is now; only the disk changes it.
    len: u64,
    changes: Vec<Change>,
}

#[derive(Debug)]
struct Change {
    what: What,
    len_before: u64,
    /// The bytes that it replaced or cut off, from its offset on.
    before: Vec<u8>,
    fate: Fate,
}

#[derive(Debug)]
enum What {
    Write { offset: u64, bytes: Vec<u8> },
    SetLen(u64),
}

/// What a power cut does to a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It may be lost.
    Open,
    /// It stays; kept here only because others around it may go.
    Synced,
    /// It goes: a sync of it failed, and no later one brings it back.
    Doomed,
}

/// Which of the open changes of a file have reached the disk by themselves.
enum Reached {
    /// The first so many, and of the next one the first sectors.
    First(usize),
    /// Any, and of each any sectors.
    Some,
    All,
}

impl Unsynced {
    /// A file that is open somewhere, with no changes yet.
    pub fn new(fd: BorrowedFd<'_>, id: FileId) -> io::Result<Self> {
        let file =
            OpenOptions::new().read(true).write(true).open(format!("/proc/self/fd/{}", fd.as_raw_fd()))?;
        Ok(Self { id, len: file.metadata()?.len(), file, changes: Vec::new() })
    }

    pub fn len(&self) -> u64 {
        self.len
    }

    pub fn write(&mut self, offset: u64, bytes: Vec<u8>, fate: Fate) -> io::Result<()> {
        let (len_before, end) = (self.len, offset + bytes.len() as u64);
        let before = self.read(offset..end.min(len_before))?;
        self.file.write_all_at(&bytes, offset)?;
        if !bytes.is_empty() {
            self.len = len_before.max(end);
        }
        self.changes.push(Change { what: What::Write { offset, bytes }, len_before, before, fate });
        Ok(())
    }

    pub fn set_len(&mut self, len: u64, fate: Fate) -> io::Result<()> {
        let len_before = self.len;
        let before = self.read(len..len_before)?;
        self.file.set_len(len)?;
        self.len = len;
        self.changes.push(Change { what: What::SetLen(len), len_before, before, fate });
        Ok(())
    }

    fn read(&self, range: Range<u64>) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; range.end.saturating_sub(range.start) as usize];
        self.file.read_exact_at(&mut bytes, range.start)?;
        Ok(bytes)
    }

    /// A sync went well, or it did not.
    pub fn settle(&mut self, fate: Fate) {
        for change in self.changes.iter_mut().filter(|change| change.fate == Fate::Open) {
            change.fate = fate;
        }
    }

    /// Whether a power cut changes nothing.
    pub fn is_safe(&self) -> bool {
        self.changes.iter().all(|change| change.fate == Fate::Synced)
    }

    /// Forgets what was done, when a power cut changes nothing of it.
    pub fn forget(&mut self) {
        self.changes.clear();
    }

    /// The power is cut: the file is as the last sync left it, but for what got through.
    pub fn lose(self, chance: &mut impl Rng) -> io::Result<()> {
        for change in self.changes.iter().rev() {
            change.undo(&self.file)?;
        }
        let open = self.changes.iter().filter(|change| change.fate == Fate::Open).count();
        let mut reached = match chance.random_range(0..3) {
            0 => Reached::First(chance.random_range(0..=open)),
            1 => Reached::Some,
            _ => Reached::All,
        };
        for change in &self.changes {
            match change.fate {
                Fate::Synced => change.redo(&self.file, |_| true)?,
                Fate::Doomed => {}
                Fate::Open => reached.redo(change, &self.file, chance)?,
            }
        }
        // A file system may note that a file has grown before it has written what it has grown by.
        if matches!(reached, Reached::Some) && chance.random() && self.file.metadata()?.len() < self.len {
            self.file.set_len(self.len)?;
        }
        Ok(())
    }
}

impl Reached {
    fn redo(&mut self, change: &Change, file: &File, chance: &mut impl Rng) -> io::Result<()> {
        match self {
            Self::All => change.redo(file, |_| true),
            Self::Some => change.redo(file, |_| chance.random()),
            Self::First(0) => Ok(()),
            Self::First(1) => {
                *self = Self::First(0);
                let sectors = change.sectors().count();
                let torn = chance.random_range(1..=sectors.max(1));
                change.redo(file, |sector| sector < torn)
            }
            Self::First(left) => {
                *left -= 1;
                change.redo(file, |_| true)
            }
        }
    }
}

impl Change {
    fn undo(&self, file: &File) -> io::Result<()> {
        let offset = match self.what {
            What::Write { offset, .. } => offset,
            What::SetLen(len) => len,
        };
        file.set_len(self.len_before)?;
        file.write_all_at(&self.before, offset)
    }

    /// Does it again, as far as `reached` says of each of its sectors. A new length has no sectors, and is asked for
    /// as one.
    fn redo(&self, file: &File, mut reached: impl FnMut(usize) -> bool) -> io::Result<()> {
        match &self.what {
            What::SetLen(len) => {
                if reached(0) {
                    file.set_len(*len)
                } else {
                    Ok(())
                }
            }
            What::Write { offset, bytes } => {
                for (_, range) in self.sectors().enumerate().filter(|(at, _)| reached(*at)) {
                    file.write_all_at(&bytes[range.clone()], offset + range.start as u64)?;
                }
                Ok(())
            }
        }
    }

    /// The parts of what was written that lie in one sector of the file each.
    fn sectors(&self) -> impl Iterator<Item = Range<usize>> {
        let (offset, len) = match &self.what {
            What::Write { offset, bytes } => (*offset, bytes.len()),
            What::SetLen(_) => (0, 0),
        };
        let end_of = move |begin: usize| (SECTOR - (offset + begin as u64) % SECTOR) as usize + begin;
        let first = (0 < len).then(|| 0..len.min(end_of(0)));
        std::iter::successors(first, move |last| {
            (last.end < len).then(|| last.end..len.min(end_of(last.end)))
        })
    }
}
