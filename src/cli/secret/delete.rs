//! `covault secret delete`. Knows nothing of destroying: what is deleted here can be brought back.

use clap::Args;

use super::{TargetArgs, version::VersionRef};
use crate::cli::{
    client::{Call, Client, WriteArgs},
    failure::Failure,
    output::Output,
};

/// Mark a version deleted, so that it is not served any more.
///
/// The current version unless told otherwise. History stays, the name stays taken, and undelete brings the
/// version back; so does an update bring the secret back. To erase a value for good, use destroy.
#[derive(Args)]
#[command(after_help = "Examples:\n  covault secret delete db/password\n  \
    covault secret delete db/password --version 3")]
pub struct DeleteArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// The version with this number or id instead of the current one.
    #[arg(long, value_name = "VERSION", value_parser = VersionRef::parse)]
    version: Option<VersionRef>,
    #[command(flatten)]
    write: WriteArgs,
}

impl DeleteArgs {
    /// Marks the version and says so.
    pub fn run(self, client: &Client, output: &Output) -> Result<(), Failure> {
        let call = Call::delete(self.target.path("secrets"), &self.write).query("version", self.version);
        let reply = client.send(&self.target.address(call))?;
        output.answer(&reply.body, || match self.version {
            Some(version) => format!("deleted version {version} of {}", self.target.name),
            None => format!("deleted {}; undelete brings it back", self.target.name),
        })
    }
}
