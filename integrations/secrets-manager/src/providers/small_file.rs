//! Files of credentials: read whole, since they are small, and wiped. Knows nothing of what is in them.

use std::path::Path;

use tokio::{fs::File, io::AsyncReadExt};
use zeroize::Zeroizing;

/// The largest file that is read, in bytes.
const LARGEST: u64 = 1 << 20;

/// A file's text; what is wrong if there is none, naming the file.
pub(crate) async fn read(path: &Path) -> Result<Zeroizing<String>, String> {
    let wrong = |why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
    let file = File::open(path).await.map_err(|error| wrong(&error))?;
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(LARGEST + 1).read_to_end(&mut bytes).await.map_err(|error| wrong(&error))?;
    if LARGEST < bytes.len() as u64 {
        return Err(wrong(&format!("larger than {LARGEST} bytes")));
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| wrong(&"not UTF-8"))?;
    Ok(Zeroizing::new(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_that_is_missing_too_large_or_no_text_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        assert!(read(&path).await.unwrap_err().contains("token"));
        std::fs::write(&path, vec![b'a'; (LARGEST + 1) as usize]).unwrap();
        assert!(read(&path).await.unwrap_err().contains("larger than"));
        std::fs::write(&path, [0xff]).unwrap();
        assert!(read(&path).await.unwrap_err().contains("not UTF-8"));
        std::fs::write(&path, "swordfish").unwrap();
        assert_eq!(*read(&path).await.unwrap(), "swordfish");
    }
}
