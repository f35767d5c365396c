//! `covault caller …`: who may call, and with which tokens. Knows nothing of how requests are sent.

mod add;
mod list;
mod remove;
mod token;
mod token_add;
mod token_list;
mod token_remove;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use covault_model::name::CallerName;
use serde_json::Value;

use super::{
    answer::cell, connection::ConnectionArgs, failure::Failure, output::Output, private_file::write_private,
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
    /// Write the token to this file, readable by its owner only, instead of to stdout.
    #[arg(long, value_name = "FILE")]
    token_out: Option<PathBuf>,
}

impl NewTokenArgs {
    /// Prints the token of an answer alone on stdout, or writes it to the file that was named.
    fn hand_over(&self, answer: &mut Value, output: &Output) -> Result<(), Failure> {
        let note =
            format!("{} ({}), token {}", cell(answer, "/caller"), cell(answer, "/role"), cell(answer, "/id"));
        let token = answer.get("token").and_then(Value::as_str).map(str::to_owned);
        if let (Some(path), Some(token)) = (&self.token_out, &token) {
            write_private(path, format!("{token}\n").as_bytes())?;
            answer["token"] = Value::Null;
        }
        if output.is_json() {
            return output.document(answer);
        }
        match (token, &self.token_out) {
            (None, _) => output.note(&format!("{note}: made by an earlier try, and shown only then")),
            (Some(_), Some(path)) => output.note(&format!("{note}: written to {}", path.display())),
            (Some(token), None) => {
                output.note(&format!("{note}: keep it, it is not shown again"));
                return output.text(&token);
            }
        }
        Ok(())
    }
}
