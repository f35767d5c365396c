//! `covault backup`. Knows nothing of what a copy holds; `store` does.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::{failure::Failure, output::Output, progress::Progress};
use crate::node::back_up;

/// Copy the data of a node, running or not, into one file.
///
/// The copy is of one moment, compact, and checked. It holds values only sealed: keep the master keyring
/// too, but elsewhere.
#[derive(Args)]
#[command(after_help = "Example:\n  covault backup --data /var/lib/covault --to covault.backup")]
pub struct BackupArgs {
    /// Where the node's data is.
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// The file to write; it must not exist.
    #[arg(long, value_name = "FILE")]
    pub to: PathBuf,
}

impl BackupArgs {
    /// Makes the copy.
    ///
    /// # Errors
    /// When the data cannot be read or the copy cannot be written.
    pub fn run(self, output: &Output) -> Result<(), Failure> {
        let progress = Progress::counting("copying and checking");
        let made = back_up(&self.data, &self.to);
        drop(progress);
        let made = made.map_err(|error| Failure::new("backup_failed", error.to_string()))?;
        let document = json!({ "bytes": made.bytes, "secrets": made.secrets, "versions": made.versions });
        output.answer(&document, || {
            let to = self.to.display();
            format!(
                "{to}: {} secrets, {} versions, {} bytes, checked",
                made.secrets, made.versions, made.bytes
            )
        })
    }
}
