//! `covault env …`: the commands on `.env` files, and what they have in common on the command line.
//! Knows nothing of how files are read or requests sent.

mod check;
mod diff;
mod encrypt;
mod expand;
mod place;
mod run;
mod source;

use clap::{Args, Subcommand};

use super::{connection::ConnectionArgs, failure::Failure, output::Output};

/// Encrypt and expand .env files.
///
/// In a file, `secret(NAME)` stands for a secret, `secret(NAME@VERSION)` for one of its versions and
/// `secret(NAME#KEY)` for a key of a JSON object; `enc(NAME)` asks for a value to be stored. All or nothing: what
/// cannot be done is listed with line and column. FILE may be `-` for stdin.
#[derive(Args)]
pub struct EnvArgs {
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(subcommand)]
    command: EnvCommand,
}

#[derive(Subcommand)]
enum EnvCommand {
    Encrypt(encrypt::EncryptArgs),
    Expand(expand::ExpandArgs),
    Run(run::RunArgs),
    Check(check::CheckArgs),
    Diff(diff::DiffArgs),
}

impl EnvArgs {
    /// Runs the command that was named.
    ///
    /// # Errors
    /// Whatever it fails for.
    pub fn run(self, output: &Output) -> Result<(), Failure> {
        let client = self.connection.client()?;
        match self.command {
            EnvCommand::Encrypt(args) => args.run(&client, output),
            EnvCommand::Expand(args) => args.run(&client, output),
            EnvCommand::Run(args) => args.run(&client),
            EnvCommand::Check(args) => args.run(&client, output),
            EnvCommand::Diff(args) => args.run(&client, output),
        }
    }
}
