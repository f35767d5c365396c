//! What the functions of the C library ask a disk. Says at once that a call is none of its business where there are no
//! disks, or where a disk itself makes it. Knows nothing of what becomes of a change.

use std::{
    fs, io,
    os::fd::{AsRawFd, BorrowedFd},
    path::{Component, Path, PathBuf},
    sync::{Arc, Mutex, Weak, atomic::Ordering},
};

use rustix::{
    fs::{FallocateFlags, FileType, Mode, OFlags, Stat, fstat},
    io::Errno,
};

use super::{
    AT_WORK, CAPACITY, SEEN, Space, State, THERE_ARE_DISKS, at_work, disk_of, lock,
    names::Removed,
    unsynced::{Fate, FileId},
};

/// What a disk answers to a call: a count, a descriptor or zero, or why not. `None` when it is none of its business.
pub(crate) type Answer = Option<io::Result<usize>>;
/// A path, and the directory that it begins in where that is not the process's own.
pub(crate) type Place<'a> = (Option<BorrowedFd<'a>>, &'a Path);

/// Writes `parts` one after the other, at an offset or else where the file stands.
pub(crate) fn write(fd: BorrowedFd<'_>, at: Option<u64>, parts: &[&[u8]]) -> Answer {
    on_file(fd, |state, id| state.write(fd, id, at, parts.concat()))
}

pub(crate) fn set_len(fd: BorrowedFd<'_>, len: u64) -> Answer {
    on_file(fd, |state, id| state.set_len(fd, id, len))
}

/// Sets room aside up to `end`; makes the file longer unless `mode` says not to.
pub(crate) fn set_aside(fd: BorrowedFd<'_>, mode: i32, end: u64) -> Answer {
    on_file(fd, |state, id| match FallocateFlags::from_bits_retain(mode.cast_unsigned()) {
        FallocateFlags::KEEP_SIZE => state.set_aside(fd, id, end),
        _ => Err(Errno::OPNOTSUPP.into()),
    })
}

/// Has no way to copy from file to file.
pub(crate) fn refuse_copy(to: BorrowedFd<'_>) -> Answer {
    on_file(to, |_, _| Err(Errno::NOSYS.into()))
}

/// Has a file or the names in a directory on the disk.
pub(crate) fn sync(fd: BorrowedFd<'_>) -> Answer {
    if are_none() {
        return None;
    }
    match FileType::from_raw_mode(fstat(fd).ok()?.st_mode) {
        FileType::Directory => on_path(path_of(fd)?, |state, path| {
            state.change(|state| {
                if state.sync_now()? == Fate::Synced {
                    state.names.synced(path);
                }
                Ok(0)
            })
        }),
        _ => on_file(fd, |state, id| state.sync_file(id)),
    }
}

/// Opens a file where that makes one or empties it.
pub(crate) fn open(dir: Option<BorrowedFd<'_>>, path: &Path, flags: i32, mode: u32) -> Answer {
    let flags = OFlags::from_bits_retain(flags.cast_unsigned());
    if !flags.intersects(OFlags::CREATE | OFlags::TRUNC) || flags.contains(OFlags::TMPFILE) {
        return None;
    }
    on_path(absolute(dir, path)?, |state, path| state.open(path, flags, Mode::from_raw_mode(mode)))
}

pub(crate) fn make_dir(path: &Path, mode: u32) -> Answer {
    on_path(absolute(None, path)?, |state, path| {
        state.change(|state| {
            rustix::fs::mkdir(path, Mode::from_raw_mode(mode))?;
            state.names.made_dir(path.into());
            Ok(0)
        })
    })
}

pub(crate) fn remove(dir: Option<BorrowedFd<'_>>, path: &Path, is_dir: bool) -> Answer {
    on_path(absolute(dir, path)?, |state, path| {
        state.change(|state| {
            if is_dir {
                fs::remove_dir(path)?;
                state.names.removed_dir(path.into());
                return Ok(0);
            }
            let file = Removed::soon(path)?;
            fs::remove_file(path)?;
            lock(&SEEN).clear();
            if let Some(file) = file {
                state.set_aside.remove(&file.id()?);
                state.names.removed(file);
            }
            Ok(0)
        })
    })
}

pub(crate) fn rename(from: &Path, to: &Path) -> Answer {
    let (from, to) = (absolute(None, from)?, absolute(None, to)?);
    on_path(from, |state, from| {
        state.change(|state| {
            let replaced = if to.is_dir() { None } else { Removed::soon(&to)? };
            fs::rename(from, &to)?;
            lock(&SEEN).clear();
            state.names.renamed(from.into(), to, replaced);
            Ok(0)
        })
    })
}

pub(crate) fn link((from_dir, from): Place<'_>, (to_dir, to): Place<'_>) -> Answer {
    let from = absolute(from_dir, from)?;
    on_path(absolute(to_dir, to)?, |state, to| {
        state.change(|state| {
            fs::hard_link(from, to)?;
            state.names.made(to.into());
            Ok(0)
        })
    })
}

/// The room of the disk that a path is on.
pub(crate) fn space(path: &Path) -> Option<Space> {
    on_path(absolute(None, path)?, |state, _| match state.capacity {
        // Asked for before each write, and nobody would see the difference.
        None => Some(Space { capacity: CAPACITY, free: CAPACITY }),
        Some(capacity) => Some(Space { capacity, free: capacity.saturating_sub(state.used().ok()?) }),
    })?
}

/// Whether a call cannot be for a disk: there is none, or one makes it itself. Asked before the kernel is.
fn are_none() -> bool {
    !THERE_ARE_DISKS.load(Ordering::Relaxed) || AT_WORK.get()
}

fn on_file(fd: BorrowedFd<'_>, work: impl FnOnce(&mut State, FileId) -> io::Result<usize>) -> Answer {
    if are_none() {
        return None;
    }
    let stat = fstat(fd).ok()?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return None;
    }
    let disk = disk_with(fd, &stat)?;
    at_work(|| Some(work(&mut lock(&disk), id_of(&stat))))
}

/// The disk that an open file is on.
fn disk_with(fd: BorrowedFd<'_>, stat: &Stat) -> Option<Arc<Mutex<State>>> {
    let seen = lock(&SEEN).get(&id_of(stat)).and_then(Weak::upgrade);
    if stat.st_nlink != 0 && seen.is_some() {
        return seen;
    }
    let disk = disk_of(&path_of(fd)?)?;
    if stat.st_nlink != 0 {
        lock(&SEEN).insert(id_of(stat), Arc::downgrade(&disk));
    }
    Some(disk)
}

fn id_of(stat: &Stat) -> FileId {
    (stat.st_dev, stat.st_ino)
}

fn on_path<T>(path: PathBuf, work: impl FnOnce(&mut State, &Path) -> T) -> Option<T> {
    let disk = disk_of(&path)?;
    at_work(|| Some(work(&mut lock(&disk), &path)))
}

/// Where a descriptor leads; the path of a file that has lost its name goes on with a remark.
fn path_of(fd: BorrowedFd<'_>) -> Option<PathBuf> {
    fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd())).ok()
}

/// A path from the root on, as the disks have theirs; the last part need not be there, nor is it followed. What lies on
/// a disk has no links to directories in it.
fn absolute(dir: Option<BorrowedFd<'_>>, path: &Path) -> Option<PathBuf> {
    if are_none() {
        return None;
    }
    let path = match dir {
        Some(dir) if path.is_relative() => path_of(dir)?.join(path),
        _ => std::path::absolute(path).ok()?,
    };
    // Most are asked for by the paths that the disks have; the kernel need not be asked about each part of those.
    let is_plain = path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    if is_plain && disk_of(&path).is_some() {
        return Some(path);
    }
    Some(path.parent()?.canonicalize().ok()?.join(path.file_name()?))
}
