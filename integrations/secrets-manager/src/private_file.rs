//! Files that nobody else may read: written whole or not at all, read within bounds. Knows nothing of what is in them.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::Path,
    process,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use zeroize::Zeroizing;

/// What the names of files begin with that are not written yet.
pub(crate) const UNFINISHED: &str = ".unfinished-";

/// Puts `content` at `path`, in place of what is there. Who reads it meanwhile sees the one or the other. It is not
/// forced to the disk: after a loss of power it may be missing or cut off.
pub(crate) fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Relaxed);
    let unfinished = path.with_file_name(format!("{UNFINISHED}{}-{number}", process::id()));
    let written = create(&unfinished)
        .and_then(|mut file| file.write_all(content))
        .and_then(|()| fs::rename(&unfinished, path));
    if written.is_err() {
        // The first error counts; what is left is cleared away when it can be.
        let _ = fs::remove_file(&unfinished);
    }
    written
}

/// What is in a file, of at most `largest` bytes.
pub(crate) fn read(path: &Path, largest: u64) -> io::Result<Zeroizing<Vec<u8>>> {
    let too_large =
        || io::Error::new(io::ErrorKind::FileTooLarge, format!("it has more than {largest} bytes"));
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    if largest < size {
        return Err(too_large());
    }
    // What grows would leave parts of it behind in memory.
    let mut content = Zeroizing::new(Vec::with_capacity(size as usize + 1));
    file.take(largest + 1).read_to_end(&mut content)?;
    if largest < content.len() as u64 { Err(too_large()) } else { Ok(content) }
}

fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_its_owners_alone_and_replaced_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        write(&path, b"one").unwrap();
        write(&path, b"two").unwrap();
        assert_eq!(**read(&path, 3).unwrap(), *b"two");
        assert!(read(&path, 2).is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }
}
