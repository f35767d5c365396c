//! `covault backup`. Knows nothing of what a copy holds; `store` does.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::{failure::Failure, output::Output, progress::Progress};
use crate::node::{back_up, back_up_with_log};

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
    /// Take in what only the log of a stopped node has, agreed or not: for the last node of a cluster whose
    /// majority is lost.
    #[arg(long)]
    pub with_log: bool,
}

impl BackupArgs {
    /// Makes the copy.
    ///
    /// # Errors
    /// When the data cannot be read or the copy cannot be written.
    pub fn run(self, output: &Output) -> Result<(), Failure> {
        let progress = Progress::counting("copying and checking");
        let made = match self.with_log {
            true => back_up_with_log(&self.data, &self.to),
            false => back_up(&self.data, &self.to).map(|made| (made, 0)),
        };
        drop(progress);
        let (made, from_log) = made.map_err(|error| Failure::new("backup_failed", error.to_string()))?;
        let document = json!({
            "bytes": made.bytes, "secrets": made.secrets, "versions": made.versions,
            "without_number": made.provisional, "lacking": made.lacking, "entries_from_log": from_log,
        });
        output.answer(&document, || {
            let to = self.to.display();
            let (secrets, versions, bytes) = (made.secrets, made.versions, made.bytes);
            let mut told = format!("{to}: {secrets} secrets, {versions} versions, {bytes} bytes, checked");
            if 0 < from_log {
                told += &format!("\n{from_log} log entries were taken in that this node had not carried out");
            }
            if 0 < made.lacking {
                told += &format!("\n{} versions have not reached this node and are not in it", made.lacking);
            }
            told
        })
    }
}
