//! The folder that a demo works in: new, private, and removed at the end unless it is to be kept.
//! Knows nothing of what is in it.

use std::{
    fs::{self, DirBuilder},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use crate::{
    cli::failure::Failure,
    host::{Host, Machine},
};

/// A folder of the system's place for temporary files.
pub struct Folder {
    path: PathBuf,
    keep: bool,
}

impl Folder {
    /// Makes one that only its owner can enter.
    ///
    /// # Errors
    /// When the place for temporary files takes none.
    pub fn new(keep: bool) -> Result<Self, Failure> {
        let mut bytes = [0; 8];
        Machine.fill(&mut bytes);
        let name = format!("covault-demo-{:016x}", u64::from_ne_bytes(bytes));
        let path = std::env::temp_dir().join(name);
        let made = DirBuilder::new().mode(0o700).create(&path);
        made.map_err(|error| Failure::file("make", &path, &error))?;
        Ok(Self { path, keep })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.keep {
            // What cannot be removed is left to whoever empties that place.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn it_is_private_and_goes_with_everything_in_it_unless_it_is_kept() {
        for keep in [false, true] {
            let folder = Folder::new(keep).unwrap();
            let path = folder.path().to_owned();
            assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
            fs::write(path.join("a"), "b").unwrap();
            drop(folder);
            assert_eq!(path.exists(), keep);
            let _ = fs::remove_dir_all(&path);
        }
    }
}
