//! `covault caller …`: who may call, and with which tokens. Knows nothing of how requests are sent.

mod add;
mod list;
mod remove;
mod token;
mod token_add;
mod token_list;
mod token_remove;

use clap::{Args, Subcommand};
use covault_model::name::CallerName;

use super::{
    answer::cell,
    client::{Call, Client},
    connection::ConnectionArgs,
    failure::Failure,
    new_token::{TokenOutArgs, Words},
    output::Output,
};

/// Add, list and remove callers and their tokens. It takes the role admin.
///
/// A caller owns a namespace of secrets and shows who it is by a token. An admin has no right to the
/// values of others.
#[derive(Args)]
pub struct CallerArgs {
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(subcommand)]
    command: CallerCommand,
}

#[derive(Subcommand)]
enum CallerCommand {
    List(list::ListArgs),
    Add(add::AddArgs),
    Remove(remove::RemoveArgs),
    Token(token::TokenArgs),
}

impl CallerArgs {
    /// Runs the command that was named.
    ///
    /// # Errors
    /// Whatever it fails for.
    pub fn run(self, output: &Output) -> Result<(), Failure> {
        let client = self.connection.client()?;
        match self.command {
            CallerCommand::List(args) => args.run(&client, output),
            CallerCommand::Add(args) => args.run(&client, output),
            CallerCommand::Remove(args) => args.run(&client, output),
            CallerCommand::Token(args) => args.run(&client, output),
        }
    }
}

/// Which caller is meant.
#[derive(Args)]
pub struct NameArgs {
    /// The caller's name: letters, digits, '.', '_' and '-'.
    #[arg(value_parser = CallerName::parse)]
    name: CallerName,
}

/// What becomes of a token that is shown once.
#[derive(Args)]
pub struct NewTokenArgs {
    /// The token is not accepted after this time, such as 2030-01-31T00:00:00Z.
    #[arg(long, value_name = "TIME")]
    expires_at: Option<String>,
    #[command(flatten)]
    out: TokenOutArgs,
}

impl NewTokenArgs {
    /// Has the token made by this call, and prints it alone on stdout, or writes it to the file that was named.
    fn make(&self, call: &Call, client: &Client, output: &Output) -> Result<(), Failure> {
        let place = self.out.begin()?;
        let answer = client.send(call)?.body;
        let (caller, id) = (cell(&answer, "/caller"), cell(&answer, "/id"));
        let words = Words {
            made: format!("{caller} ({}), token {id}", cell(&answer, "/role")),
            once: "keep it, it is not shown again".into(),
            if_lost: format!(
                "make another with `covault caller token add {caller}`, and take this one away with `covault caller token \
                 remove {caller} {id}`"
            ),
        };
        place.hand_over(answer, words, output)
    }
}
