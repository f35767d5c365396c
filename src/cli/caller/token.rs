//! `covault caller token …`: the list of its commands. Knows nothing of what they do.

use clap::{Args, Subcommand};

use super::{token_add::TokenAddArgs, token_list::TokenListArgs, token_remove::TokenRemoveArgs};
use crate::cli::{client::Client, failure::Failure, output::Output};

/// Add, list and remove the tokens of a caller.
///
/// A caller may hold several, so that one can be replaced without a gap.
#[derive(Args)]
pub struct TokenArgs {
    #[command(subcommand)]
    command: TokenCommand,
}

#[derive(Subcommand)]
enum TokenCommand {
    Add(TokenAddArgs),
    List(TokenListArgs),
    Remove(TokenRemoveArgs),
}

impl TokenArgs {
    /// Runs the command that was named.
    pub fn run(self, client: &Client, output: &Output) -> Result<(), Failure> {
        match self.command {
            TokenCommand::Add(args) => args.run(client, output),
            TokenCommand::List(args) => args.run(client, output),
            TokenCommand::Remove(args) => args.run(client, output),
        }
    }
}
