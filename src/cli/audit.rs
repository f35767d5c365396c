//! `covault audit …`. Knows nothing of how lines are chained; the room `audit` does.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;

use super::{failure::Failure, output::Output, progress::Progress};
use crate::{audit::Stamp, node::verify_audit};

/// Check the record of every operation.
///
/// Each line of the audit log carries the hash of the line before it.
#[derive(Args)]
pub struct AuditArgs {
    #[command(subcommand)]
    command: AuditCommand,
}

#[derive(Subcommand)]
enum AuditCommand {
    Verify(VerifyArgs),
}

/// Find any edit of the audit log, and any cut.
///
/// Reads all lines and compares the end with what the store remembers of it.
#[derive(Args)]
#[command(after_help = "Example:\n  covault audit verify --data /var/lib/covault")]
pub struct VerifyArgs {
    /// Where the node's data is.
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
}

impl AuditArgs {
    /// Runs the command that was named.
    ///
    /// # Errors
    /// When the log cannot be read or is not whole.
    pub fn run(self, output: &Output) -> Result<(), Failure> {
        match self.command {
            AuditCommand::Verify(args) => args.run(output),
        }
    }
}

impl VerifyArgs {
    /// Checks the log.
    ///
    /// # Errors
    /// When the log cannot be read or is not whole.
    pub fn run(self, output: &Output) -> Result<(), Failure> {
        let progress = Progress::counting("checking the audit log, bytes:");
        let mut seen = 0;
        let report = verify_audit(&self.data, &mut |bytes| {
            progress.add(bytes - seen);
            seen = bytes;
        });
        drop(progress);
        let report = report.map_err(|error| Failure::new(error.code(), error.to_string()))?;
        let stamp =
            |stamp: &Option<Stamp>| stamp.as_ref().map(|at| json!({ "seq": at.seq, "time": at.time }));
        let document = json!({
            "lines": report.lines,
            "segments": report.segments,
            "first": stamp(&report.first),
            "last": stamp(&report.last),
        });
        output.answer(&document, || {
            let last =
                report.last.as_ref().map_or(String::new(), |last| format!(", the last of {}", last.time));
            format!("the audit log is whole: {} lines in {} segments{last}", report.lines, report.segments)
        })
    }
}
