//! Files that hold secrets: written so that only their owner can read them, read only if that is so.
//! Knows nothing of what is in them.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    process,
};

use zeroize::Zeroizing;

use super::failure::Failure;

/// Bits of a mode that let somebody else than the owner in.
const OTHERS: u32 = 0o077;

/// Reads a small file that only its owner can read.
///
/// # Errors
/// When it cannot be read, is larger than `bytes_max`, or is open to group or others.
pub fn read_private(path: &Path, bytes_max: u64) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let failed = |error: io::Error| Failure::file("read", path, &error);
    let file = File::open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.mode();
    if mode & OTHERS != 0 {
        let detail = format!("{} can be read by others than its owner", path.display());
        return Err(
            Failure::new("file_not_private", detail).with_hint(format!("chmod 600 {}", path.display()))
        );
    }
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(bytes_max + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > bytes_max {
        return Err(Failure::new("file_failed", format!("{} is too large to be meant", path.display())));
    }
    Ok(bytes)
}

/// Writes a file that only its owner can read. It appears whole or not at all, in place of an older one.
///
/// # Errors
/// When it cannot be written.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    PrivateFile::begin(path)?.finish(bytes)
}

/// A file that only its owner can read, begun before there is anything to write: whoever can have what is to be in it
/// only once makes sure of its place first. It is in place once it is finished, and gone when it is dropped before.
pub struct PrivateFile {
    path: PathBuf,
    unfinished: PathBuf,
    file: File,
}

impl PrivateFile {
    /// Begins one beside `path`.
    ///
    /// # Errors
    /// When no file can be made there.
    pub fn begin(path: &Path) -> Result<Self, Failure> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let unfinished = path.with_file_name(format!(".{name}.{}", process::id()));
        let begin = || {
            if path.is_dir() {
                return Err(io::ErrorKind::IsADirectory.into());
            }
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)
        };
        let file = begin().map_err(|error| Failure::file("write", path, &error))?;
        Ok(Self { path: path.into(), unfinished, file })
    }

    /// Writes all of it, and puts it in its place.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(mut self, bytes: &[u8]) -> Result<(), Failure> {
        let written = self.file.write_all(bytes).and_then(|()| self.file.sync_all());
        let placed = written.and_then(|()| fs::rename(&self.unfinished, &self.path));
        placed.map_err(|error| Failure::file("write", &self.path, &error))
    }
}

impl Drop for PrivateFile {
    fn drop(&mut self) {
        // It is not there any more if it is finished, and else in the way of nothing.
        let _ = fs::remove_file(&self.unfinished);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_is_written_can_be_read_by_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("value");
        fs::write(&path, b"older").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        write_private(&path, b"newer").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(read_private(&path, 16).unwrap().as_slice(), b"newer");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing unfinished is left");
    }

    #[test]
    fn a_file_open_to_others_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        fs::write(&path, b"text").unwrap();
        for mode in [0o640, 0o604, 0o620] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert!(read_private(&path, 16).is_err(), "mode {mode:o}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(read_private(&path, 16).is_ok());
        assert!(read_private(&path, 3).is_err(), "longer than the bound");
    }
}
