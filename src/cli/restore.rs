//! `covault restore`. Knows nothing of what a copy holds; `store` does.

use std::path::{Path, PathBuf};

use clap::Args;
use covault_model::hlc::Hlc;
use serde_json::{Value, json};

use super::{answer::cell, failure::Failure, output::Output, progress::Progress};
use crate::{
    api::time::Time,
    host::Machine,
    node::{Restored, restore},
};

/// Make the data of a node from a backup.
///
/// The backup is checked first. The folder must be empty or not exist; it needs the same master keys as
/// before. The node is a new one, and the only one of its cluster: those that were in it must never be
/// started again, and are let in no more.
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
        let document = document(&made);
        output.answer(&document, || in_words(&self.data, &document))
    }
}

fn document(made: &Restored) -> Value {
    let (manifest, legacy) = (&made.manifest, made.legacy.as_ref());
    let replaced = legacy.iter().flat_map(|legacy| &legacy.members).map(ToString::to_string);
    json!({
        "node": made.node.to_string(),
        "secrets": manifest.secrets,
        "versions": manifest.versions,
        "without_number": manifest.provisional,
        "lacking": manifest.lacking,
        "newest_record_at": (manifest.newest != Hlc::default()).then(|| Time(manifest.newest.millis())),
        "last_log_index": legacy.map(|legacy| legacy.last_log),
        "replaces": replaced.collect::<Vec<_>>(),
    })
}

fn in_words(data: &Path, made: &Value) -> String {
    let fact = |name: &str| cell(made, &format!("/{name}"));
    let mut lines =
        vec![format!("{}: {} secrets, {} versions", data.display(), fact("secrets"), fact("versions"))];
    if made["last_log_index"].is_u64() {
        let (entry, newest) = (fact("last_log_index"), fact("newest_record_at"));
        lines.push(format!(
            "it has what was agreed up to log entry {entry}; the newest record is of {newest}"
        ));
        lines.push(
            "lost is what was written later, or agreed without the node backed up hearing of it".into(),
        );
        lines.push(
            "never start a node of that cluster again: it is let in no more, and would go its own way".into(),
        );
    }
    if made["lacking"] != 0 {
        lines.push(format!("{} versions had not reached that node: they cannot be read", fact("lacking")));
    }
    lines.push("put the master keyring there before you start it".into());
    lines.join("\n")
}
