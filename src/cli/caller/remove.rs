//! `covault caller remove`. Knows nothing of the caller's secrets: they stay.

use clap::Args;

use super::NameArgs;
use crate::cli::{
    client::{Call, Client, WriteArgs},
    failure::Failure,
    output::Output,
};

/// Remove a caller for good.
///
/// Its tokens and the grants given to it are gone at once. Its secrets stay, and its name is not given to
/// another.
#[derive(Args)]
#[command(after_help = "Example:\n  covault caller remove web")]
pub struct RemoveArgs {
    #[command(flatten)]
    caller: NameArgs,
    #[command(flatten)]
    write: WriteArgs,
}

impl RemoveArgs {
    /// Removes the caller and says so.
    pub fn run(self, client: &Client, output: &Output) -> Result<(), Failure> {
        let name = &self.caller.name;
        let reply = client.send(&Call::delete(format!("/v1/callers/{name}"), &self.write))?;
        output.answer(&reply.body, || format!("removed {name}"))
    }
}
