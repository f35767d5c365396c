//! A file that is to be replaced: what takes its place is written beside it and put there whole or not at all.
//! It has the mode and owner of what was there. Keeps S1: what was there is never copied.
//! Knows nothing of what is in it.

use std::{
    fs::{self, File, Metadata, Permissions},
    io::{self, Write},
    os::unix::fs::{MetadataExt, PermissionsExt, fchown},
    path::{Path, PathBuf},
};

use crate::cli::{failure::Failure, private_file::begin_beside};

/// The place of a file, held by an empty one beside it until it is filled.
pub struct Place {
    /// The file itself, behind any links to it.
    path: PathBuf,
    /// What was there when the place was taken.
    was: Metadata,
    beside: PathBuf,
    file: File,
}

impl Place {
    /// Takes the place of a file that is there. Done before it is read, so that no change of it is overlooked, and
    /// before the vault is asked, so that what can fail has failed.
    ///
    /// # Errors
    /// When there is none, or nothing can be written beside it.
    pub fn of(path: &Path) -> Result<Self, Failure> {
        let failed = |error: io::Error| Failure::file("replace", path, &error);
        let path = fs::canonicalize(path).map_err(failed)?;
        let was = fs::metadata(&path).map_err(failed)?;
        let (beside, file) = begin_beside(&path).map_err(failed)?;
        let place = Self { path: path.clone(), was, beside, file };
        let made = place.file.metadata().map_err(failed)?;
        let was = &place.was;
        if (made.uid(), made.gid()) != (was.uid(), was.gid()) {
            fchown(&place.file, Some(was.uid()), Some(was.gid())).map_err(failed)?;
        }
        place.file.set_permissions(Permissions::from_mode(was.mode() & 0o7777)).map_err(failed)?;
        Ok(place)
    }

    /// Puts this in place of what was there.
    ///
    /// # Errors
    /// When it cannot be written, or somebody else wrote there meanwhile; then what was there still is.
    pub fn fill(mut self, bytes: &[u8]) -> Result<(), Failure> {
        if self.is_changed() {
            let detail = format!("{} was changed meanwhile, and stays as it is now", self.path.display());
            return Err(Failure::new("file_changed", detail));
        }
        let written = self.write(bytes);
        written.map_err(|error| Failure::file("replace", &self.path, &error))
    }

    /// Whether what is there is not what was, as after an editor has saved.
    fn is_changed(&self) -> bool {
        let known = |file: &Metadata| (file.dev(), file.ino(), file.size(), file.mtime(), file.mtime_nsec());
        fs::metadata(&self.path).is_ok_and(|is| known(&is) != known(&self.was))
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.file.sync_all()?;
        fs::rename(&self.beside, &self.path)?;
        let folder = self.path.parent().unwrap_or(Path::new("/"));
        File::open(folder)?.sync_all()
    }
}

impl Drop for Place {
    /// What was not put in place is in nobody's way; after it was, nothing is there to be removed.
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.beside);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_is_filled_keeps_mode_and_links_and_leaves_nothing_beside() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join(".env"), folder.path().join("link"));
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        Place::of(&link).unwrap().fill(b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o640);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn what_was_saved_meanwhile_stays() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join(".env"), folder.path().join("saved"));
        fs::write(&path, "old").unwrap();
        let place = Place::of(&path).unwrap();
        fs::write(&path, "edited").unwrap();
        assert!(place.fill(b"new").is_err());
        assert_eq!(fs::read(&path).unwrap(), b"edited");
        let place = Place::of(&path).unwrap();
        fs::write(&other, "EDITED").unwrap();
        fs::rename(&other, &path).unwrap();
        assert!(place.fill(b"new").is_err());
        assert_eq!(fs::read(&path).unwrap(), b"EDITED");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_place_that_is_not_filled_leaves_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".env");
        assert!(Place::of(&path).is_err());
        fs::write(&path, "old").unwrap();
        drop(Place::of(&path).unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
