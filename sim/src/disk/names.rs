//! What was done to the names of a disk since their directories were synced, so that it can be undone: files and
//! directories made, given another name, taken away. A file that goes from one directory to another is on the disk
//! there once either of them is synced.
//! Knows nothing of what files hold.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use rand::{Rng, RngExt};

use super::unsynced::FileId;

#[derive(Debug, Default)]
pub(super) struct Names {
    done: Vec<Done>,
}

#[derive(Debug)]
enum Done {
    Made(PathBuf),
    MadeDir(PathBuf),
    Renamed { from: PathBuf, to: PathBuf, replaced: Option<Removed> },
    Removed(Removed),
    RemovedDir(PathBuf),
}

/// A file that has lost a name. It is held open, so its bytes are there as long as they may be wanted.
#[derive(Debug)]
pub(super) struct Removed {
    path: PathBuf,
    file: File,
}

impl Removed {
    /// A file that is about to lose this name, if there is one.
    pub fn soon(path: &Path) -> io::Result<Option<Self>> {
        match File::open(path) {
            Ok(file) => Ok(Some(Self { path: path.into(), file })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub fn id(&self) -> io::Result<FileId> {
        let metadata = self.file.metadata()?;
        Ok((metadata.dev(), metadata.ino()))
    }

    /// Gives its bytes the name again. Whoever held the file open is gone, so it may be another one.
    fn put_back(mut self) -> io::Result<()> {
        let mode = self.file.metadata()?.mode();
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&self.path)?;
        io::copy(&mut self.file, &mut file).map(drop)
    }
}

impl Names {
    pub fn made(&mut self, path: PathBuf) {
        self.done.push(Done::Made(path));
    }

    pub fn made_dir(&mut self, path: PathBuf) {
        self.done.push(Done::MadeDir(path));
    }

    pub fn renamed(&mut self, from: PathBuf, to: PathBuf, replaced: Option<Removed>) {
        self.done.push(Done::Renamed { from, to, replaced });
    }

    pub fn removed(&mut self, file: Removed) {
        self.done.push(Done::Removed(file));
    }

    pub fn removed_dir(&mut self, path: PathBuf) {
        self.done.push(Done::RemovedDir(path));
    }

    /// A directory was synced: with it what was done to the names in it, and to no others.
    pub fn synced(&mut self, dir: &Path) {
        self.done.retain(|done| !done.is_in(dir));
    }

    /// The power is cut: what was done last is undone, as far back as chance will have it.
    pub fn lose(&mut self, chance: &mut impl Rng) -> io::Result<()> {
        let reached = chance.random_range(0..=self.done.len());
        let lost = self.done.split_off(reached);
        self.done.clear();
        lost.into_iter().rev().try_for_each(|done| match done.undo() {
            // What was done there later was synced: the name, or the directory it was in, is gone for good.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            undone => undone,
        })
    }
}

impl Done {
    fn is_in(&self, dir: &Path) -> bool {
        let is_in = |path: &PathBuf| path.parent() == Some(dir);
        match self {
            Self::Made(path) | Self::MadeDir(path) | Self::RemovedDir(path) => is_in(path),
            Self::Removed(file) => is_in(&file.path),
            Self::Renamed { from, to, .. } => is_in(from) || is_in(to),
        }
    }

    fn undo(self) -> io::Result<()> {
        match self {
            Self::Made(path) => fs::remove_file(path),
            // With all that was synced in it: nothing leads there.
            Self::MadeDir(path) => fs::remove_dir_all(path),
            Self::Removed(file) => file.put_back(),
            Self::RemovedDir(path) => DirBuilder::new().mode(0o700).create(path),
            Self::Renamed { from, to, replaced } => {
                fs::rename(to, from)?;
                replaced.map_or(Ok(()), Removed::put_back)
            }
        }
    }
}
