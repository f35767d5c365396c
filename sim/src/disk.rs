//! The disk of one simulated machine: a directory, and what a power cut leaves of it. What is done to files below it
//! happens really, and is remembered with what was there before until it is synced; a sync reaches no real disk. When
//! the power is cut, what was not synced is undone, but for what chance lets through: of each file all of it, the
//! first changes with the last of them torn between two sectors, or any sectors of any. Of what was done to names the
//! last part is undone. To fill it, to break it and to lose it are other things a disk can do.
//!
//! Stricter than Linux file systems mostly are: a sync brings only that file to the disk and not its name, or only the
//! names in that directory, and a new name may be there without what was written under it. Milder than POSIX: of
//! the names that were not synced those that were given last are lost. Not seen: a mode that is changed, extended
//! attributes, and what is written through a map.
//!
//! Which disk a call is for goes by the path of the file, so all threads write to it, and no node needs to know. A
//! crashed node must be gone, with every file and map it had, before its disk is started again.

pub(crate) mod calls;
mod names;
mod unsynced;

use std::{
    cell::Cell,
    collections::BTreeMap,
    fs, io,
    os::{
        fd::{AsFd, BorrowedFd, IntoRawFd},
        unix::fs::MetadataExt,
    },
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use rand::Rng;
use rustix::{
    fs::{Mode, OFlags, SeekFrom, fcntl_getfl, fstat, seek},
    io::Errno,
};

use self::{
    names::Names,
    unsynced::{Fate, FileId, Unsynced},
};

pub use unsynced::SECTOR;

/// In what room on a disk is counted, in bytes.
pub const PAGE: u64 = 4096;
/// What a disk says it holds in all, in bytes; none of the nodes writes as much.
pub const CAPACITY: u64 = 1 << 40;

/// Files without open changes that are held open, so that the next change need not open them.
const HELD_OPEN_MAX: usize = 32;

/// The disk of one machine. Those who have a clone have the same disk.
#[derive(Debug, Clone)]
pub struct Disk(Arc<Mutex<State>>);

/// The room of a disk, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// What it holds in all.
    pub capacity: u64,
    /// What is left of that.
    pub free: u64,
}

#[derive(Debug)]
struct State {
    root: PathBuf,
    files: Vec<Unsynced>,
    names: Names,
    /// Calls that changed something or synced, so far.
    changes: u64,
    /// With which of them the power goes.
    crash_at: Option<u64>,
    is_crashed: bool,
    breaks_syncs: bool,
    /// Absent while nobody asked for less than there is.
    capacity: Option<u64>,
    /// Up to where a file's room was set aside, when that is beyond its end.
    set_aside: BTreeMap<FileId, u64>,
}

/// The disks there are, whichever thread made them; a path says which of them is meant.
static DISKS: Mutex<Vec<(PathBuf, Weak<Mutex<State>>)>> = Mutex::new(Vec::new());
/// Of files that were seen on a disk, on which; none once a name is gone from any, since a number may come again then.
/// The kernel takes longer to say where a descriptor leads than to do most of what it is asked.
static SEEN: Mutex<BTreeMap<FileId, Weak<Mutex<State>>>> = Mutex::new(BTreeMap::new());
static THERE_ARE_DISKS: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// Whether this thread is working on a disk, so that its own calls go to the kernel.
    static AT_WORK: Cell<bool> = const { Cell::new(false) };
}

impl Disk {
    /// Makes a disk of a directory that is there, with all in it as synced. A directory is of one disk at a time.
    pub fn at(dir: &Path) -> io::Result<Self> {
        let root = dir.canonicalize()?;
        if disk_of(&root).is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let disk = Self(Arc::new(Mutex::new(State {
            root: root.clone(),
            files: Vec::new(),
            names: Names::default(),
            changes: 0,
            crash_at: None,
            is_crashed: false,
            breaks_syncs: false,
            capacity: None,
            set_aside: BTreeMap::new(),
        })));
        let mut disks = lock(&DISKS);
        disks.retain(|(_, disk)| disk.strong_count() != 0);
        disks.push((root, Arc::downgrade(&disk.0)));
        THERE_ARE_DISKS.store(true, Ordering::Relaxed);
        Ok(disk)
    }

    /// Cuts the power: from now on nothing changes on this disk any more, whatever a node that is being dropped still
    /// wants to save.
    pub fn crash(&self) {
        self.state().is_crashed = true;
    }

    /// Cuts the power at the so-manieth change from now, one or more, in the middle of it: it may have happened or
    /// not, and is not answered well. What the node says from then on nobody may hear.
    pub fn crash_at(&self, change: u64) {
        let mut state = self.state();
        state.crash_at = Some(state.changes + change);
    }

    /// Whether the power is cut.
    pub fn is_crashed(&self) -> bool {
        self.state().is_crashed
    }

    /// Calls so far that changed something or synced.
    pub fn changes(&self) -> u64 {
        self.state().changes
    }

    /// Starts again after a power cut, with what was synced and what `chance` let through. Whoever had files open must
    /// be gone.
    pub fn restart(&self, chance: &mut impl Rng) -> io::Result<()> {
        at_work(|| {
            let mut state = self.state();
            state.forgive();
            lock(&SEEN).clear();
            for file in std::mem::take(&mut state.files).into_iter().filter(|file| !file.is_safe()) {
                file.lose(chance)?;
            }
            state.names.lose(chance)
        })
    }

    /// Starts again after a crash of the process alone, which loses nothing that the system had been given.
    pub fn restart_with_all(&self) {
        self.state().forgive();
    }

    /// Leaves nothing: a new disk in place of this one. Whoever had files open must be gone.
    pub fn wipe(&self) -> io::Result<()> {
        at_work(|| {
            let mut state = self.state();
            state.forgive();
            (state.files, state.names) = Default::default();
            lock(&SEEN).clear();
            for entry in fs::read_dir(&state.root)? {
                let path = entry?.path();
                if path.is_dir() { fs::remove_dir_all(path)? } else { fs::remove_file(path)? }
            }
            Ok(())
        })
    }

    /// Leaves room for so many bytes from now on.
    pub fn fill(&self, left: u64) -> io::Result<()> {
        at_work(|| {
            let mut state = self.state();
            state.capacity = Some(state.used()? + left);
            Ok(())
        })
    }

    /// Gives room again after [`Self::fill`].
    pub fn free(&self) {
        self.state().capacity = None;
    }

    /// From now on a sync fails, and what it was to save will be lost: as Linux has it, a later sync says nothing of
    /// it.
    pub fn break_syncs(&self) {
        self.state().breaks_syncs = true;
    }

    /// Has syncs work again after [`Self::break_syncs`].
    pub fn mend_syncs(&self) {
        self.state().breaks_syncs = false;
    }

    /// All files and what they hold, by path. For whoever looks for what must never be on a disk.
    pub fn files(&self) -> io::Result<Vec<(PathBuf, Vec<u8>)>> {
        let mut files = Vec::new();
        walk(&self.state().root, &mut |path, _| {
            files.push((path.into(), fs::read(path)?));
            Ok(())
        })?;
        files.sort();
        Ok(files)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0)
    }
}

fn disk_of(path: &Path) -> Option<Arc<Mutex<State>>> {
    let disks = lock(&DISKS);
    disks.iter().filter(|(root, _)| path.starts_with(root)).find_map(|(_, disk)| disk.upgrade())
}

/// Runs `work` with the calls it makes going to the kernel.
fn at_work<T>(work: impl FnOnce() -> T) -> T {
    struct Done;
    impl Drop for Done {
        fn drop(&mut self) {
            AT_WORK.set(false);
        }
    }
    AT_WORK.set(true);
    let _done = Done;
    work()
}

fn walk(dir: &Path, see: &mut impl FnMut(&Path, &fs::Metadata) -> io::Result<()>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let (path, metadata) = (entry.path(), entry.metadata()?);
        if metadata.is_dir() { walk(&path, see)? } else { see(&path, &metadata)? }
    }
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

// ---- what a disk does ----------------------------------------------------------------------------

impl State {
    /// Every change goes through here: there may be no power for it, or it may go in the middle.
    fn change(&mut self, work: impl FnOnce(&mut Self) -> io::Result<usize>) -> io::Result<usize> {
        if self.is_crashed {
            return Err(Errno::IO.into());
        }
        self.changes += 1;
        self.is_crashed = self.crash_at.is_some_and(|at| at <= self.changes);
        let done = work(self)?;
        if self.is_crashed { Err(Errno::IO.into()) } else { Ok(done) }
    }

    fn forgive(&mut self) {
        (self.is_crashed, self.crash_at) = (false, None);
        self.set_aside.clear();
    }

    /// What was changed in a file since it was synced.
    fn unsynced(&mut self, fd: BorrowedFd<'_>, id: FileId) -> io::Result<&mut Unsynced> {
        let at = match self.files.iter().position(|file| file.id == id) {
            Some(at) => at,
            None => {
                self.files.push(Unsynced::new(fd, id)?);
                self.files.len() - 1
            }
        };
        Ok(&mut self.files[at])
    }

    fn write(
        &mut self,
        fd: BorrowedFd<'_>,
        id: FileId,
        at: Option<u64>,
        mut bytes: Vec<u8>,
    ) -> io::Result<usize> {
        self.change(|state| {
            let flags = fcntl_getfl(fd)?;
            let synced = if flags.intersects(OFlags::DSYNC | OFlags::SYNC) {
                state.sync_now()
            } else {
                Ok(Fate::Open)
            };
            let len = state.unsynced(fd, id)?.len();
            let offset = match at {
                Some(at) => at,
                None if flags.contains(OFlags::APPEND) => len,
                None => seek(fd, SeekFrom::Current(0))?,
            };
            bytes.truncate(state.fitting(id, len, offset, bytes.len())?);
            let written = bytes.len();
            let fate = *synced.as_ref().unwrap_or(&Fate::Doomed);
            state.unsynced(fd, id)?.write(offset, bytes, fate)?;
            if at.is_none() {
                seek(fd, SeekFrom::Start(offset + written as u64))?;
            }
            state.forget_what_is_safe();
            synced.map(|_| written)
        })
    }

    /// Lets go of what a power cut cannot change any more. The files stay open for what comes next, if they are few.
    fn forget_what_is_safe(&mut self) {
        self.files.iter_mut().filter(|file| file.is_safe()).for_each(Unsynced::forget);
        if HELD_OPEN_MAX < self.files.len() {
            self.files.retain(|file| !file.is_safe());
        }
    }

    fn set_len(&mut self, fd: BorrowedFd<'_>, id: FileId, len: u64) -> io::Result<usize> {
        self.change(|state| state.unsynced(fd, id)?.set_len(len, Fate::Open).map(|()| 0))
    }

    fn set_aside(&mut self, fd: BorrowedFd<'_>, id: FileId, end: u64) -> io::Result<usize> {
        self.change(|state| {
            let len = fstat(fd)?.st_size.cast_unsigned();
            if state.fitting(id, len, 0, end as usize)? < end as usize {
                return Err(Errno::NOSPC.into());
            }
            state.set_aside.insert(id, end);
            Ok(0)
        })
    }

    fn sync_file(&mut self, id: FileId) -> io::Result<usize> {
        self.change(|state| {
            let synced = state.sync_now();
            if let Some(file) = state.files.iter_mut().find(|file| file.id == id) {
                file.settle(*synced.as_ref().unwrap_or(&Fate::Doomed));
            }
            state.forget_what_is_safe();
            synced.map(|_| 0)
        })
    }

    /// What a sync makes of open changes: they stay open if the power goes in the middle of it.
    fn sync_now(&self) -> io::Result<Fate> {
        match (self.breaks_syncs, self.is_crashed) {
            (true, _) => Err(Errno::IO.into()),
            (false, true) => Ok(Fate::Open),
            (false, false) => Ok(Fate::Synced),
        }
    }

    fn open(&mut self, path: &Path, flags: OFlags, mode: Mode) -> io::Result<usize> {
        let open = || rustix::fs::open(path, flags.difference(OFlags::TRUNC), mode);
        let is_there = path.symlink_metadata().is_ok();
        if is_there && (!flags.contains(OFlags::TRUNC) || flags.contains(OFlags::EXCL)) {
            return Ok(open()?.into_raw_fd() as usize);
        }
        self.change(|state| {
            let fd = open()?;
            if is_there {
                let stat = fstat(&fd)?;
                state.unsynced(fd.as_fd(), (stat.st_dev, stat.st_ino))?.set_len(0, Fate::Open)?;
            } else {
                state.names.made(path.into());
            }
            // When the power goes with this call its caller gets no descriptor, and this one is closed.
            if state.is_crashed { Ok(0) } else { Ok(fd.into_raw_fd() as usize) }
        })
    }

    /// How many of `wanted` bytes from `offset` on a file has room for: all, or where the disk is nearly full, as many
    /// as whole pages take.
    fn fitting(&mut self, id: FileId, len: u64, offset: u64, wanted: usize) -> io::Result<usize> {
        let held = len.max(self.set_aside.get(&id).copied().unwrap_or(0));
        let Some(capacity) = self.capacity else { return Ok(wanted) };
        let end = offset + wanted as u64;
        if end <= held {
            return Ok(wanted);
        }
        let free = capacity.saturating_sub(self.used()?);
        if end - held <= free {
            return Ok(wanted);
        }
        let fits = ((held + free) / PAGE * PAGE).saturating_sub(offset);
        if fits == 0 { Err(Errno::NOSPC.into()) } else { Ok(wanted.min(fits as usize)) }
    }

    /// Bytes that are taken.
    fn used(&self) -> io::Result<u64> {
        let mut used = 0;
        walk(&self.root, &mut |_, file| {
            let set_aside = self.set_aside.get(&(file.dev(), file.ino())).copied().unwrap_or(0);
            used += set_aside.max(file.len());
            Ok(())
        })?;
        Ok(used)
    }
}
