//! `covault grant remove`. Knows nothing of what the grant said.

use clap::Args;
use covault_model::id::GrantId;

use crate::cli::{
    client::{Call, Client, WriteArgs},
    failure::Failure,
    output::Output,
};

/// Take a grant back.
///
/// It stops to count at once. What was read before cannot be unread: change the values if need be.
#[derive(Args)]
#[command(after_help = "Example:\n  covault grant remove ID")]
pub struct RemoveArgs {
    /// The grant's id, as the list shows it.
    #[arg(value_parser = GrantId::parse)]
    id: GrantId,
    #[command(flatten)]
    write: WriteArgs,
}

impl RemoveArgs {
    /// Takes the grant back and says so.
    pub fn run(self, client: &Client, output: &Output) -> Result<(), Failure> {
        let reply = client.send(&Call::delete(format!("/v1/grants/{}", self.id), &self.write))?;
        output.answer(&reply.body, || format!("removed grant {}", self.id))
    }
}
