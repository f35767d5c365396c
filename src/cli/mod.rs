//! Commands for people: the list of them, and the way from the command line to an exit code.
//! A command is one file. Those that talk to a vault speak HTTP and nothing else.
//! Knows nothing of tables, records or keys.

mod answer;
mod client;
mod connection;
mod failure;
mod field;
mod front;
mod log;
mod new_token;
mod output;
mod pages;
mod private_file;
mod progress;
mod serve;
mod table;
mod terminal;
mod trial;
mod value;

mod api;
mod audit;
mod backup;
mod caller;
mod check;
mod completions;
mod demo;
mod detokenize;
mod dev;
mod env;
mod epoch;
mod fields;
mod grant;
mod init;
mod invite;
mod join;
mod members;
mod node;
mod remove;
mod restore;
mod secret;
mod status;
mod tokenize;
mod vault;
mod whoami;

use clap::{Parser, Subcommand};

use failure::Failure;
use output::Output;

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done as asked.
    Done = 0,
    /// Refused, or failed on the way.
    Failed = 1,
    /// The command line cannot be meant.
    Usage = 2,
}

/// A secrets vault for programs and people.
///
/// `covault dev` starts one to try, `covault demo` shows what three nodes do. The commands `secret`, `env`, `caller`, `grant`, `tokenize`, `detokenize`, `epoch`, `fields`, `self` and `status` talk to
/// a running vault over HTTP, and so do `invite`, `members` and `remove`; `init`, `join`, `node`, `vault`, `api`, `backup`, `restore`, `check` and `audit` run one.
#[derive(Parser)]
#[command(name = "covault", version, arg_required_else_help = true)]
#[command(after_help = "Exit codes: 0 done, 1 refused or failed (the code is on stderr), 2 usage.")]
struct Cli {
    /// Print one JSON document instead of text and tables.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Dev(dev::DevArgs),
    Demo(demo::DemoArgs),
    Init(init::InitArgs),
    Join(join::JoinArgs),
    Node(node::NodeArgs),
    Vault(vault::VaultArgs),
    Api(api::ApiArgs),
    Secret(secret::SecretArgs),
    Env(env::EnvArgs),
    Caller(caller::CallerArgs),
    Grant(grant::GrantArgs),
    Tokenize(tokenize::TokenizeArgs),
    Detokenize(detokenize::DetokenizeArgs),
    Epoch(epoch::EpochArgs),
    Fields(fields::FieldsArgs),
    #[command(name = "self")]
    Whoami(whoami::WhoamiArgs),
    Status(status::StatusArgs),
    Invite(invite::InviteArgs),
    Members(members::MembersArgs),
    Remove(remove::RemoveArgs),
    Audit(audit::AuditArgs),
    Check(check::CheckArgs),
    Backup(backup::BackupArgs),
    Restore(restore::RestoreArgs),
    Completions(completions::CompletionsArgs),
}

/// Runs the command that the process was started with, and tells its failure on stderr.
pub fn main() -> Exit {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return output::help_or_usage(&error),
    };
    let output = Output::new(cli.json);
    match cli.command.run(&output) {
        Ok(()) => Exit::Done,
        Err(failure) => output.failure(&failure),
    }
}

impl Command {
    fn run(self, output: &Output) -> Result<(), Failure> {
        match self {
            Self::Dev(args) => args.run(output),
            Self::Demo(args) => args.run(output),
            Self::Init(args) => args.run(output),
            Self::Join(args) => args.run(output),
            Self::Node(args) => args.run(output),
            Self::Vault(args) => args.run(output),
            Self::Api(args) => args.run(output),
            Self::Secret(args) => args.run(output),
            Self::Env(args) => args.run(output),
            Self::Caller(args) => args.run(output),
            Self::Grant(args) => args.run(output),
            Self::Tokenize(args) => args.run(output),
            Self::Detokenize(args) => args.run(output),
            Self::Epoch(args) => args.run(output),
            Self::Fields(args) => args.run(output),
            Self::Whoami(args) => args.run(output),
            Self::Status(args) => args.run(output),
            Self::Invite(args) => args.run(output),
            Self::Members(args) => args.run(output),
            Self::Remove(args) => args.run(output),
            Self::Audit(args) => args.run(output),
            Self::Check(args) => args.run(output),
            Self::Backup(args) => args.run(output),
            Self::Restore(args) => args.run(output),
            Self::Completions(args) => args.run(output),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Cli;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_says_what_it_does_and_shows_an_example() {
        fn check(command: &clap::Command, path: &str) {
            let path = format!("{path} {}", command.get_name());
            assert!(command.get_about().is_some(), "{path} has no line about it");
            assert!(command.get_long_about().is_some(), "{path} has no fuller text");
            if !command.has_subcommands() {
                let example = command.get_after_help().map(ToString::to_string).unwrap_or_default();
                assert!(example.contains("Example"), "{path} has no example");
            }
            command.get_subcommands().for_each(|sub| check(sub, &path));
        }
        Cli::command().get_subcommands().for_each(|sub| check(sub, "covault"));
    }
}
