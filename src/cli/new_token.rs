//! A token that was made just now, on its way to whoever asked for it: it is shown once only, so its place is made sure
//! of before it is made. Keeps S1: it goes to stdout or a private file, nowhere else.
//! Knows nothing of what it lets in.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::Value;
use zeroize::Zeroizing;

use super::{failure::Failure, output::Output, private_file::PrivateFile};

/// Where a new token is to go.
#[derive(Args)]
pub struct TokenOutArgs {
    /// Write the token to this file, readable by its owner only, instead of to stdout.
    #[arg(long, value_name = "FILE")]
    token_out: Option<PathBuf>,
}

/// Where a new token goes, for sure.
pub enum TokenPlace<'a> {
    /// To stdout.
    Stdout,
    /// Into a file with this name.
    File(&'a Path, PrivateFile),
}

/// What is said of a new token.
pub struct Words {
    /// Which one it is.
    pub made: String,
    /// What to know of it when it is printed.
    pub once: String,
    /// What to do if nobody got it.
    pub if_lost: String,
}

impl TokenOutArgs {
    /// Begins the file. Done before the token is asked for.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn begin(&self) -> Result<TokenPlace<'_>, Failure> {
        Ok(match &self.token_out {
            Some(path) => TokenPlace::File(path, PrivateFile::begin(path)?),
            None => TokenPlace::Stdout,
        })
    }
}

impl TokenPlace<'_> {
    /// Hands over the token of an answer.
    ///
    /// # Errors
    /// When it is lost, as nobody has it; when what else there is to say cannot be printed.
    pub fn hand_over(self, mut answer: Value, words: Words, output: &Output) -> Result<(), Failure> {
        let Words { made, once, if_lost } = words;
        let token = answer["token"].as_str().map(|token| Zeroizing::new(format!("{token}\n")));
        let Some(token) = token else {
            return if output.is_json() {
                output.document(&answer)
            } else {
                output.note(&format!("{made}: made by an earlier try, and shown only then"));
                Ok(())
            };
        };
        let lost = |failure: Failure| failure.token_lost(&made).with_hint(if_lost);
        match self {
            Self::File(path, file) => {
                file.finish(token.as_bytes()).map_err(lost)?;
                answer["token"] = Value::Null;
                if output.is_json() {
                    return output.document(&answer);
                }
                output.note(&format!("{made}: written to {}", path.display()));
                Ok(())
            }
            Self::Stdout if output.is_json() => output.document(&answer).map_err(lost),
            Self::Stdout => {
                output.note(&format!("{made}: {once}"));
                output.text(&token).map_err(lost)
            }
        }
    }
}
