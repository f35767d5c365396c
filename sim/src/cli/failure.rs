//! Why a command could not do what it is for. Whether rules held is no failure of the command. Knows nothing of runs.

use std::{io, path::PathBuf};

/// Why a command ended early.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A file or a folder.
    #[error("{}: {error}", path.display())]
    File { path: PathBuf, error: io::Error },
    /// A file that does not hold what it should.
    #[error("{} cannot be read as {what}: {why}", path.display())]
    Content { path: PathBuf, what: &'static str, why: String },
    /// Something that was asked for by a name that nothing has.
    #[error("{0}")]
    Absent(String),
    /// The system gave no process or no temporary folder.
    #[error("no run could be started: {0}")]
    Start(#[source] io::Error),
}

impl Failure {
    /// One about a file.
    pub fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |error| Self::File { path, error }
    }
}
