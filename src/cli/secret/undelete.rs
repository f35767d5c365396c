//! `covault secret undelete`. Knows nothing of destroyed versions but that the server refuses them.

use clap::Args;
use serde_json::{Value, json};

use super::{TargetArgs, version::VersionRef};
use crate::cli::{
    client::{Call, Client, WriteArgs},
    failure::Failure,
    output::Output,
};

/// Bring deleted versions back.
///
/// The current version unless others are named. What was destroyed cannot be brought back.
#[derive(Args)]
#[command(after_help = "Examples:\n  covault secret undelete db/password\n  \
    covault secret undelete db/password 3 4")]
pub struct UndeleteArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Versions by number or id instead of the current one.
    #[arg(value_name = "VERSION", value_parser = VersionRef::parse)]
    versions: Vec<VersionRef>,
    #[command(flatten)]
    write: WriteArgs,
}

impl UndeleteArgs {
    /// Takes the marks back and says so.
    pub fn run(self, client: &Client, output: &Output) -> Result<(), Failure> {
        let versions: Vec<Value> = self.versions.iter().map(|version| version.to_json()).collect();
        let body = if versions.is_empty() { json!({}) } else { json!({ "versions": versions }) };
        let call = Call::post(self.target.path("undelete"), body, &self.write);
        let reply = client.send(&self.target.address(call))?;
        output.answer(&reply.body, || format!("{} is readable again", self.target.name))
    }
}
