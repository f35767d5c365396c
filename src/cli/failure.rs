//! Why a command did not do what was asked, as it is told to a person or a script.
//! Keeps S1: a detail is made of names, paths, codes and the server's own words, never of a value or token.
//! Knows nothing of how it is printed.

use std::{io, path::Path};

use super::Exit;

/// Why a command failed.
#[derive(Debug)]
pub enum Failure {
    /// To be told on stderr.
    Told(Told),
    /// Whoever read our output has stopped reading, as `head` does. Not a fault.
    ReaderGone,
    /// Told in the log of a service, so that there is nothing left to say.
    Logged(Exit),
}

/// What is told of a failure.
#[derive(Debug)]
pub struct Told {
    /// How the program ends for it.
    pub exit: Exit,
    /// The stable word for it: the problem's code, or one of the program's own.
    pub code: String,
    /// What happened, in a sentence.
    pub detail: String,
    /// What may help; absent when nothing is known to.
    pub hint: Option<String>,
}

impl Failure {
    /// Something was refused or went wrong.
    pub fn new(code: &str, detail: impl Into<String>) -> Self {
        Self::Told(Told { exit: Exit::Failed, code: code.to_owned(), detail: detail.into(), hint: None })
    }

    /// The command line or what it names cannot be meant.
    pub fn usage(detail: impl Into<String>) -> Self {
        Self::Told(Told { exit: Exit::Usage, code: "usage".to_owned(), detail: detail.into(), hint: None })
    }

    /// A file could not be read or written. `doing` is such as "read" or "write".
    pub fn file(doing: &str, path: &Path, error: &io::Error) -> Self {
        Self::new("file_failed", format!("cannot {doing} {}: {error}", path.display()))
    }

    /// An answer that no vault of this release gives.
    pub fn unexpected(detail: impl Into<String>) -> Self {
        Self::new("unexpected_answer", detail)
    }

    /// The same failure, with what may help.
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        match self {
            Self::Told(told) => Self::Told(Told { hint: Some(hint.into()), ..told }),
            Self::ReaderGone | Self::Logged(_) => self,
        }
    }

    /// What is told of it where a reader that is gone is a fault: what it did not read cannot be had again.
    pub fn told(self) -> Told {
        match self {
            Self::Told(told) => told,
            Self::ReaderGone => Self::new("file_failed", "nobody read it").told(),
            Self::Logged(exit) => Told { exit, ..Self::new("failed", "the log says why").told() },
        }
    }

    /// A token was made that can be had once only, and this came between. `made` says which.
    pub fn token_lost(self, made: &str) -> Self {
        let why = self.told().detail;
        Self::new("token_lost", format!("{made}: made, and could not be handed over: {why}"))
    }

    /// The failure to write to stdout.
    pub fn from_stdout(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::ReaderGone,
            _ => Self::new("file_failed", format!("cannot write to stdout: {error}")),
        }
    }
}
