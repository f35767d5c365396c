//! `covault check`. Knows nothing of views or documents; `node` does.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::{failure::Failure, output::Output, progress::Progress};
use crate::node::check;

/// Check that the data of a node agrees with itself.
///
/// Reads every record, verifies its signature, derives every history document and every view again from
/// the records, and compares them with what is kept. Works beside a running node. Values stay sealed.
#[derive(Args)]
#[command(after_help = "Example:\n  covault check --data /var/lib/covault")]
pub struct CheckArgs {
    /// Where the node's data is.
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
}

impl CheckArgs {
    /// Checks the data.
    ///
    /// # Errors
    /// When it cannot be read, or something in it does not agree.
    pub fn run(self, output: &Output) -> Result<(), Failure> {
        let progress = Progress::counting("secrets checked:");
        let report = check(&self.data, &mut |secrets| progress.add(secrets));
        drop(progress);
        let report = report.map_err(|error| Failure::new("check_failed", error.to_string()))?;
        if let Some(first) = report.differences.first() {
            let detail = format!("{} things do not agree; the first: {first}", report.differences.len());
            return Err(Failure::new("check_failed", detail).with_hint(
                "restore a backup with `covault restore`, and keep this directory to be looked at",
            ));
        }
        let document = json!({ "secrets": report.secrets, "versions": report.versions });
        output.answer(&document, || {
            format!("everything agrees: {} secrets, {} versions", report.secrets, report.versions)
        })
    }
}
