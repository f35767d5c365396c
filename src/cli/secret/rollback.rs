//! `covault secret rollback`. Knows nothing of values: the server copies the old one.

use clap::Args;
use serde_json::json;

use super::{TargetArgs, version::VersionRef};
use crate::cli::{
    answer::written,
    client::{Call, Client, WriteArgs},
    failure::Failure,
    output::Output,
};

/// Bring an old value back, as a new version.
///
/// Nothing is undone: history shows the old version, what came after it, and the new one.
#[derive(Args)]
#[command(after_help = "Example:\n  covault secret rollback db/password 3")]
pub struct RollbackArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// The version to bring back, by number or id.
    #[arg(value_parser = VersionRef::parse)]
    version: VersionRef,
    #[command(flatten)]
    write: WriteArgs,
}

impl RollbackArgs {
    /// Writes the new version and tells what it came to.
    pub fn run(self, client: &Client, output: &Output) -> Result<(), Failure> {
        let body = json!({ "version": self.version.to_json() });
        let call = Call::post(self.target.path("rollback"), body, &self.write);
        let reply = client.send(&self.target.address(call))?;
        output.answer(&reply.body, || {
            format!("{}, with the value of {}", written("rolled back", &reply.body), self.version)
        })
    }
}
