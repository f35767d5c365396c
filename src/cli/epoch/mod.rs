//! `covault epoch …`: the epochs of one's tokens. Knows nothing of how requests are sent.

mod activate;
mod destroy;
mod list;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::{
    answer::cell, client::Call, connection::ConnectionArgs, failure::Failure, output::Output, pages::Listing,
};

/// See, activate and destroy epochs of your tokens.
///
/// A new epoch gives every value another token. Tokens of older epochs still stand for their values, until their
/// epoch is destroyed.
#[derive(Args)]
pub struct EpochArgs {
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(subcommand)]
    command: EpochCommand,
}

#[derive(Subcommand)]
enum EpochCommand {
    List(list::ListArgs),
    Activate(activate::ActivateArgs),
    Destroy(destroy::DestroyArgs),
}

impl EpochArgs {
    /// Runs the command that was named.
    ///
    /// # Errors
    /// Whatever it fails for.
    pub fn run(self, output: &Output) -> Result<(), Failure> {
        let client = self.connection.client()?;
        let call = match self.command {
            EpochCommand::List(args) => args.call(),
            EpochCommand::Activate(args) => args.call(),
            EpochCommand::Destroy(args) => args.call()?,
        };
        listing(call).print_whole(&client, output)
    }
}

/// What every one of these commands tells: the epochs there are then; the last one is active.
fn listing(call: Call) -> Listing<impl Fn(&Value) -> Vec<String>> {
    let columns = ["/epoch", "/since", "/destroyed_at", "/key"];
    Listing {
        call,
        rows: "epochs",
        header: &["epoch", "active since", "destroyed", "master key"],
        row: move |epoch: &Value| columns.map(|pointer| cell(epoch, pointer)).to_vec(),
    }
}
