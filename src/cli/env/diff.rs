//! `covault env diff`. Keeps S1: shows values only when told to.
//! Knows nothing of how they are compared.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::Value;
use zeroize::Zeroizing;

use super::source;
use crate::{
    cli::{
        client::Client,
        failure::Failure,
        output::Output,
        secret::{Comparison, OwnerArgs},
        table::visible,
    },
    envfile::Format,
};

/// Say how two .env files differ once expanded, without showing values.
///
/// Tells which keys were added, removed or changed: between two files, or between a file with plain values and the
/// one made of it by encrypt. --show-values shows the lines themselves. All secrets are read, and so audited.
#[derive(Args)]
#[command(after_help = "Examples:\n  covault env diff .env.staging .env.production\n  \
    git show HEAD~1:.env | covault env diff - .env --show-values")]
pub struct DiffArgs {
    /// The file to compare from; `-` is stdin.
    from: PathBuf,
    /// The file to compare to.
    to: PathBuf,
    /// Show the lines that differ, and so values.
    #[arg(long)]
    show_values: bool,
    #[command(flatten)]
    owner: OwnerArgs,
}

impl DiffArgs {
    /// Expands both files and tells how they differ.
    pub fn run(self, client: &Client, output: &Output) -> Result<(), Failure> {
        let (from, to) = (self.expanded(client, &self.from)?, self.expanded(client, &self.to)?);
        let comparison = Comparison::of(from.as_bytes(), to.as_bytes());
        let lines = if self.show_values { comparison.lines() } else { None };
        if output.is_json() {
            let mut document = comparison.to_json();
            document["diff"] = lines.map_or(Value::Null, Value::from);
            return output.document(&document);
        }
        output.text(&visible(&comparison.to_text()))?;
        output.text(&lines.as_deref().map(visible).unwrap_or_default())
    }

    fn expanded(&self, client: &Client, path: &Path) -> Result<Zeroizing<String>, Failure> {
        source::expanded(client, &self.owner, &source::read(path)?, Format::Json)
    }
}
