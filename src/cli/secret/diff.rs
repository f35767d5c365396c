//! `covault secret diff`. Keeps S1: shows values only when told to.
//! Knows nothing of how two values are compared; `comparison` does.

use clap::Args;
use serde_json::{Value, json};

use super::{TargetArgs, comparison::Comparison, version::VersionRef};
use crate::cli::{
    answer::{cell, version_name},
    client::{Call, Client},
    failure::Failure,
    output::Output,
    table::visible,
    value::SecretBytes,
};

/// Say how two versions of a secret differ, without showing them.
///
/// Tells whether they are equal and how long they are; of JSON objects which keys differ, of other text
/// how many lines. --show-values shows the lines themselves. Both versions are read, and so audited.
#[derive(Args)]
#[command(after_help = "Examples:\n  covault secret diff app/config 3 4\n  \
    covault secret diff app/config 3 4 --show-values")]
pub struct DiffArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// The version to compare from, by number or id.
    #[arg(value_parser = VersionRef::parse)]
    from: VersionRef,
    /// The version to compare to.
    #[arg(value_parser = VersionRef::parse)]
    to: VersionRef,
    /// Show the lines that differ, and so parts of the values.
    #[arg(long)]
    show_values: bool,
}

impl DiffArgs {
    /// Reads both versions and tells how they differ.
    pub fn run(self, client: &Client, output: &Output) -> Result<(), Failure> {
        let (from, from_value) = self.read(client, self.from)?;
        let (to, to_value) = self.read(client, self.to)?;
        let comparison = Comparison::of(from_value.bytes(), to_value.bytes());
        let lines = if self.show_values { comparison.lines() } else { None };
        if output.is_json() {
            let mut document = comparison.to_json();
            document["name"] = Value::from(self.target.name.as_str());
            document["from"] = json!({ "number": from["number"], "id": from["id"] });
            document["to"] = json!({ "number": to["number"], "id": to["id"] });
            if let Some(lines) = lines {
                document["diff"] = Value::from(lines);
            }
            return output.document(&document);
        }
        for version in [&from, &to] {
            let (since, by) = (cell(version, "/valid_from"), cell(version, "/caller"));
            output.text(&format!("{} of {since} by {by}", version_name(version)))?;
        }
        output.text(&visible(&comparison.to_text()))?;
        output.text(&lines.as_deref().map(visible).unwrap_or_default())
    }

    fn read(&self, client: &Client, version: VersionRef) -> Result<(Value, SecretBytes), Failure> {
        let call = Call::get(self.target.path("secrets")).query("version", Some(version));
        let mut body = client.send(&self.target.address(call))?.body;
        let value = SecretBytes::from_answer(&body)?;
        Ok((body["version"].take(), value))
    }
}
