//! What a node that joined must know until the log has reached it: its cluster, and which nodes there were. A
//! file of its data directory, gone once the node finds itself among the members.
//! Knows nothing of how a node asks to be taken in.

use std::{fs, io, path::Path};

use super::error::StartError;
use crate::relay::Known;

const FILE: &str = "joining.json";

/// What is kept in `data`; none for a node that did not join, or has arrived.
pub(super) fn read(data: &Path) -> Result<Option<Known>, StartError> {
    let path = data.join(FILE);
    Known::read(&path).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => StartError::Joining(path),
        _ => error.into(),
    })
}

/// Keeps it in `data`, synced.
pub(super) fn write(data: &Path, known: &Known) -> io::Result<()> {
    known.write(data, FILE)
}

/// Lets go of what is kept in `data`.
pub(super) fn remove(data: &Path) -> io::Result<()> {
    match fs::remove_file(data.join(FILE)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeMap;

    use covault_model::id::ClusterId;

    use super::*;

    #[test]
    fn what_is_kept_reads_back_until_it_is_let_go_of() {
        let folder = tempfile::tempdir().unwrap();
        let known = Known { cluster: ClusterId([7; 16]), members: BTreeMap::new() };
        write(folder.path(), &known).unwrap();
        assert_eq!(read(folder.path()).unwrap(), Some(known));
        remove(folder.path()).unwrap();
        remove(folder.path()).unwrap();
        assert_eq!(read(folder.path()).unwrap(), None);
    }

    #[test]
    fn anything_else_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE), "{}").unwrap();
        assert!(read(folder.path()).unwrap_err().to_string().contains(FILE));
    }
}
