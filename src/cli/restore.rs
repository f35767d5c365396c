//! `covault restore`. Knows nothing of what a copy holds; `store` does.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::{failure::Failure, output::Output, progress::Progress};
use crate::{host::Machine, node::restore};

/// Make the data of a node from a backup.
///
/// The backup is checked first. The folder must be empty or not exist; it needs the same master keys as
/// before.
#[derive(Args)]
#[command(after_help = "Example:\n  covault restore covault.backup --data /var/lib/covault")]
pub struct RestoreArgs {
    /// The file that `covault backup` wrote.
    pub file: PathBuf,
    /// Where the data is to be.
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
}

impl RestoreArgs {
    /// Makes the data.
    ///
    /// # Errors
    /// When the backup is not whole or the data cannot be written.
    pub fn run(self, output: &Output) -> Result<(), Failure> {
        let progress = Progress::counting("checking and copying");
        let made = restore(&self.file, &self.data, &Machine);
        drop(progress);
        let made = made.map_err(|error| Failure::new("restore_failed", error.to_string()))?;
        let document = json!({ "secrets": made.secrets, "versions": made.versions });
        output.answer(&document, || {
            let data = self.data.display();
            format!(
                "{data}: {} secrets, {} versions; put the master keyring there before you start it",
                made.secrets, made.versions
            )
        })
    }
}
