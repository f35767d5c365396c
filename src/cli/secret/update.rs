//! `covault secret update`. Keeps E4 from the client's side: with --if-match, of several updates of one
//! version one is made and the others are told so. Knows nothing of where the value comes from.

use clap::Args;
use covault_model::{id::VersionId, name::LabelKey};
use serde_json::json;

use super::{
    TargetArgs,
    marks::{MarkArgs, label_object},
};
use crate::cli::{
    answer::written,
    client::{Call, Client, WriteArgs},
    failure::Failure,
    output::Output,
    value::ValueArgs,
};

/// Write a new version of a secret.
///
/// Where no majority can be reached, the version is kept as provisional and offered later; --agreed
/// refuses that. Labels that are not named stay as they are.
#[derive(Args)]
#[command(after_help = "Examples:\n  covault secret update db/password\n  \
    covault secret update api/key --value-file key --agreed\n  \
    covault secret update db/password --if-match \
    \"$(covault --json secret get db/password | jq -r .version.id)\"")]
pub struct UpdateArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Only if the last agreed version is the one with this id.
    #[arg(long, value_name = "ID", value_parser = VersionId::parse)]
    if_match: Option<VersionId>,
    /// Refuse rather than keep a version that no majority agreed to.
    #[arg(long)]
    agreed: bool,
    /// Take a label away, in a second request after the value is written. May be given again.
    #[arg(long, value_name = "KEY", value_parser = LabelKey::parse)]
    remove_label: Vec<LabelKey>,
    #[command(flatten)]
    marks: MarkArgs,
    #[command(flatten)]
    write: WriteArgs,
    #[command(flatten)]
    value: ValueArgs,
}

impl UpdateArgs {
    /// Writes the version and tells what it came to.
    pub fn run(self, client: &Client, output: &Output) -> Result<(), Failure> {
        let mut body = json!({});
        self.marks.put_into(&mut body);
        self.value.read()?.put_into(&mut body);
        let call = Call::put(self.target.path("secrets"), body, &self.write)
            .header("If-Match", self.if_match.map(|id| format!("\"{id}\"")))
            .header("Prefer", self.agreed.then_some("agreed"));
        let reply = client.send(&self.target.address(call))?;
        self.remove_labels(client)?;
        output.answer(&reply.body, || written("updated", &reply.body))
    }

    fn remove_labels(&self, client: &Client) -> Result<(), Failure> {
        if self.remove_label.is_empty() {
            return Ok(());
        }
        let body = json!({ "labels": label_object(&[], &self.remove_label) });
        let call = Call::patch(self.target.path("secrets"), body, &self.write.for_second_request());
        let removed = client.send(&self.target.address(call)).map(|_| ());
        removed
            .map_err(|failure| failure.with_hint("the new value is written; only the labels are not removed"))
    }
}
