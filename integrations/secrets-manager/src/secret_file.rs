//! Files with secrets in them: read whole and within bounds, leaving nothing behind in memory; written whole or not at all,
//! and for their owner alone. Knows nothing of what is in them.

use std::{
    fmt::Display,
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::Path,
    process, str,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use zeroize::Zeroizing;

use crate::types::SecretString;

/// What the names of files begin with that are not written yet.
pub(crate) const UNFINISHED: &str = ".unfinished-";

/// The largest text that is read, in bytes.
const LARGEST_TEXT: u64 = 1 << 20;

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

/// A file's text; what is wrong if there is none, naming the file.
pub(crate) fn text(path: &Path) -> Result<Zeroizing<String>, String> {
    let wrong = |why: &dyn Display| format!("{}: {why}", path.display());
    let content = read(path, LARGEST_TEXT).map_err(|error| wrong(&error))?;
    let text = str::from_utf8(&content).map_err(|_| wrong(&"not UTF-8"))?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// A file's text, read where it keeps no other task waiting.
pub(crate) async fn text_aside(path: &Path) -> Result<Zeroizing<String>, String> {
    let owned = path.to_owned();
    let done = tokio::task::spawn_blocking(move || text(&owned)).await;
    done.unwrap_or_else(|_| Err(format!("{}: reading it was broken off", path.display())))
}

/// The token that is in a file now, without the space around it. A file without one is wrong: somebody may be writing it.
pub(crate) async fn token_aside(path: &Path) -> Result<SecretString, String> {
    let text = text_aside(path).await?;
    match text.trim() {
        "" => Err(format!("{}: it is empty", path.display())),
        token => Ok(token.into()),
    }
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
    use secrecy::ExposeSecret;

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
    #[test]
    fn what_cannot_be_put_in_its_place_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("in the way"), "").unwrap();
        assert!(write(&path, b"swordfish").is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(write(&folder.path().join("none/f"), b"swordfish").is_err());
    }

    #[tokio::test]
    async fn a_text_that_is_missing_too_large_or_none_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let said = async || text_aside(&path).await.unwrap_err();
        assert!(said().await.contains("token: "));
        fs::write(&path, vec![b'a'; (LARGEST_TEXT + 1) as usize]).unwrap();
        assert!(said().await.contains("token: it has more than"));
        fs::write(&path, [0xff]).unwrap();
        assert!(said().await.contains("token: not UTF-8"));
        fs::write(&path, "swordfish").unwrap();
        assert_eq!(*text_aside(&path).await.unwrap(), "swordfish");
        assert_eq!(*text(&path).unwrap(), "swordfish");
    }

    #[tokio::test]
    async fn a_file_with_nothing_but_space_has_no_token() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        for nothing in ["", " \n"] {
            fs::write(&path, nothing).unwrap();
            assert!(token_aside(&path).await.unwrap_err().ends_with("token: it is empty"));
        }
        fs::write(&path, " swordfish\n").unwrap();
        assert_eq!(token_aside(&path).await.unwrap().expose_secret(), "swordfish");
    }
}
