//! Files that hold secrets: written so that only their owner can read them, read only if that is so. What is there and
//! is no file, such as a device, is never replaced by one.
//! Knows nothing of what is in them.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::{
        fd::AsFd,
        unix::fs::{MetadataExt, OpenOptionsExt},
    },
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
///
/// A link is followed. What is no file, such as a device or a pipe, is written into and stays what it is.
pub struct PrivateFile {
    named: PathBuf,
    file: File,
    /// Absent for what is written into.
    beside: Option<Beside>,
}

/// An unfinished file beside the one whose place it takes.
struct Beside {
    path: PathBuf,
    unfinished: PathBuf,
}

impl PrivateFile {
    /// Begins one beside `path`, or opens what is there and is no file.
    ///
    /// # Errors
    /// When no file can be made there, or what is there cannot be opened.
    pub fn begin(path: &Path) -> Result<Self, Failure> {
        let begun = match open_to_write_into(path) {
            Ok(Some(file)) => Ok((file, None)),
            Ok(None) => Beside::begin(path).map(|(file, beside)| (file, Some(beside))),
            Err(error) => Err(error),
        };
        let (file, beside) = begun.map_err(|error| Failure::file("write", path, &error))?;
        Ok(Self { named: path.into(), file, beside })
    }

    /// Writes all of it, and puts it in its place.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(mut self, bytes: &[u8]) -> Result<(), Failure> {
        let written = self.file.write_all(bytes);
        let placed = written.and_then(|()| match &self.beside {
            Some(Beside { path, unfinished }) => {
                self.file.sync_all()?;
                fs::rename(unfinished, path)
            }
            None => Ok(()),
        });
        placed.map_err(|error| Failure::file("write", &self.named, &error))
    }
}

impl Beside {
    fn begin(path: &Path) -> io::Result<(File, Self)> {
        let path = match fs::canonicalize(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && !path.is_symlink() => path.to_owned(),
            found => found?,
        };
        let (unfinished, file) = begin_beside(&path)?;
        Ok((file, Self { path, unfinished }))
    }
}

/// Makes an unfinished file beside the one at `path`, which only its owner can read. Gives where it is.
///
/// # Errors
/// When none can be made there.
pub fn begin_beside(path: &Path) -> io::Result<(PathBuf, File)> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let unfinished = path.with_file_name(format!(".{name}.{}", process::id()));
    let open = || OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished);
    let file = match open() {
        // A process with this number was killed and left it; in a container all have the same.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::remove_file(&unfinished)?;
            open()?
        }
        opened => opened?,
    };
    Ok((unfinished, file))
}

impl Drop for Beside {
    fn drop(&mut self) {
        // It is not there any more if it is finished, and else in the way of nothing.
        let _ = fs::remove_file(&self.unfinished);
    }
}

/// What is there, if a file in its place would take it from others: a device, a pipe, this program's own stdout.
fn open_to_write_into(path: &Path) -> io::Result<Option<File>> {
    let there = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        there => there?,
    };
    if there.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    // As it is open already: opened again, a file would be written from its beginning, and a socket not at all.
    for stream in [io::stdout().as_fd(), io::stderr().as_fd()] {
        let open = File::from(stream.try_clone_to_owned()?);
        let open_is = open.metadata()?;
        if (open_is.dev(), open_is.ino()) == (there.dev(), there.ino()) {
            return Ok(Some(open));
        }
    }
    if there.is_file() { Ok(None) } else { OpenOptions::new().write(true).open(path).map(Some) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};

    use super::*;

    #[test]
    fn what_a_killed_process_of_the_same_number_left_is_in_nobodys_way() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        fs::write(dir.path().join(format!(".secret.{}", process::id())), "left").unwrap();
        write_private(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

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
    fn a_link_is_followed_and_stays_one() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("value"), folder.path().join("link"));
        fs::write(&path, b"older").unwrap();
        symlink("value", &link).unwrap();
        write_private(&link, b"newer").unwrap();
        assert!(link.is_symlink());
        assert_eq!(read_private(&path, 16).unwrap().as_slice(), b"newer");
        fs::remove_file(&path).unwrap();
        assert!(write_private(&link, b"newer").is_err(), "it leads nowhere");
        assert!(link.is_symlink());
    }

    #[test]
    fn a_pipe_or_device_is_written_into_and_stays_what_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let (pipe, null) = (folder.path().join("pipe"), folder.path().join("null"));
        assert!(process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        // Open for both, so that neither end waits for the other.
        let mut reader = OpenOptions::new().read(true).write(true).open(&pipe).unwrap();
        write_private(&pipe, b"value").unwrap();
        assert!(fs::metadata(&pipe).unwrap().file_type().is_fifo());
        let mut bytes = [0; 5];
        reader.read_exact(&mut bytes).unwrap();
        assert_eq!(&bytes, b"value");
        symlink("/dev/null", &null).unwrap();
        write_private(&null, b"value").unwrap();
        assert!(fs::metadata(&null).unwrap().file_type().is_char_device());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing unfinished is left");
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
