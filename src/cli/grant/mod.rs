//! `covault grant …`: who else may at one's secrets. Knows nothing of how requests are sent.

mod add;
mod list;
mod remove;

use clap::{Args, Subcommand};

use super::{connection::ConnectionArgs, failure::Failure, output::Output};

/// Let other callers at your secrets, and take it back.
///
/// A grant covers the names under a prefix, to read or to write. The other caller names you with --owner.
#[derive(Args)]
pub struct GrantArgs {
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(subcommand)]
    command: GrantCommand,
}

#[derive(Subcommand)]
enum GrantCommand {
    Add(add::AddArgs),
    List(list::ListArgs),
    Remove(remove::RemoveArgs),
}

impl GrantArgs {
    /// Runs the command that was named.
    ///
    /// # Errors
    /// Whatever it fails for.
    pub fn run(self, output: &Output) -> Result<(), Failure> {
        let client = self.connection.client()?;
        match self.command {
            GrantCommand::Add(args) => args.run(&client, output),
            GrantCommand::List(args) => args.run(&client, output),
            GrantCommand::Remove(args) => args.run(&client, output),
        }
    }
}
