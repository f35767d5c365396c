//! What can go wrong with the disk, sorted by who must act. Carries no stored content.

use std::{path::PathBuf, sync::Arc};

use covault_model::DecodeError;

/// Why a read or write failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The map or the file system has no room; nothing was written.
    #[error("the store has no room left")]
    Full,
    /// A row is not what was written.
    #[error("the row in {table} is damaged: {why}")]
    Corrupt {
        /// The table it stands in.
        table: &'static str,
        /// What is wrong with it.
        why: DecodeError,
    },
    /// Two rows that belong together do not agree.
    #[error("the store contradicts itself: {0}")]
    Inconsistent(&'static str),
    /// LMDB or the operating system refused.
    #[error("the disk refused: {0}")]
    Failed(Arc<heed::Error>),
    /// The writer has stopped.
    #[error("the store is closed")]
    Closed,
}

impl From<heed::Error> for StoreError {
    fn from(error: heed::Error) -> Self {
        match error {
            heed::Error::Mdb(heed::MdbError::MapFull) => Self::Full,
            heed::Error::Io(io) if io.raw_os_error() == Some(rustix::io::Errno::NOSPC.raw_os_error()) => {
                Self::Full
            }
            heed::Error::Io(io) if io.raw_os_error() == Some(rustix::io::Errno::DQUOT.raw_os_error()) => {
                Self::Full
            }
            other => Self::Failed(Arc::new(other)),
        }
    }
}

impl From<std::io::Error> for StoreError {
    fn from(error: std::io::Error) -> Self {
        heed::Error::Io(error).into()
    }
}

/// Why a data directory cannot be opened. Every text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("{0} is in use by another covault process; stop that one first")]
    InUse(PathBuf),
    /// There is nothing there.
    #[error("{0} holds no vault; make one with `covault init --data`")]
    Absent(PathBuf),
    /// There is a database, but not one of ours.
    #[error("{0} holds a database that covault did not make; name another directory")]
    Foreign(PathBuf),
    /// An earlier release wrote it, and it can only be looked at here.
    #[error("{0} was written by an earlier release; start its node once with this one")]
    Older(PathBuf),
    /// A later release wrote it.
    #[error(
        "{path} was written by a later release (format {found}, this one reads {known}); upgrade covault"
    )]
    Newer {
        /// The directory.
        path: PathBuf,
        /// Its format.
        found: u8,
        /// The newest this release reads.
        known: u8,
    },
    /// The file is shorter than its own header says.
    #[error("{0} is damaged: data.mdb is shorter than it should be; restore a backup with `covault restore`")]
    Truncated(PathBuf),
    /// The file is not what was written.
    #[error("{path} is damaged ({why}); restore a backup with `covault restore`")]
    Damaged {
        /// The directory.
        path: PathBuf,
        /// What was found.
        why: String,
    },
    /// The operating system refused.
    #[error("cannot open {path}: {why}")]
    Io {
        /// The directory.
        path: PathBuf,
        /// What it said.
        why: std::io::Error,
    },
}
