//! `covault secret …`: the commands on secrets, and what they have in common on the command line.
//! Keeps N1: a name is checked before it is put into a path.
//! Knows nothing of how requests are sent.

mod comparison;
mod create;
mod delete;
mod destroy;
mod diff;
mod get;
mod history;
mod label;
mod list;
mod marks;
mod rollback;
mod undelete;
mod update;
mod version;

use clap::{Args, Subcommand};
use covault_model::name::{CallerName, SecretName};

pub use comparison::Comparison;
pub use history::history_table;

use super::{client::Call, connection::ConnectionArgs, failure::Failure, output::Output};

/// Create, read and change secrets.
///
/// Values come from a prompt, a pipe or a file, never from the command line. Every change makes a new
/// version; the older ones stay readable until they are destroyed.
#[derive(Args)]
pub struct SecretArgs {
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(subcommand)]
    command: SecretCommand,
}

#[derive(Subcommand)]
enum SecretCommand {
    Create(create::CreateArgs),
    Get(get::GetArgs),
    Update(update::UpdateArgs),
    List(list::ListArgs),
    History(history::HistoryArgs),
    Delete(delete::DeleteArgs),
    Undelete(undelete::UndeleteArgs),
    Destroy(destroy::DestroyArgs),
    Diff(diff::DiffArgs),
    Rollback(rollback::RollbackArgs),
    Label(label::LabelArgs),
}

impl SecretArgs {
    /// Runs the command that was named.
    ///
    /// # Errors
    /// Whatever it fails for.
    pub fn run(self, output: &Output) -> Result<(), Failure> {
        let client = self.connection.client()?;
        match self.command {
            SecretCommand::Create(args) => args.run(&client, output),
            SecretCommand::Get(args) => args.run(&client, output),
            SecretCommand::Update(args) => args.run(&client, output),
            SecretCommand::List(args) => args.run(&client, output),
            SecretCommand::History(args) => args.run(&client, output),
            SecretCommand::Delete(args) => args.run(&client, output),
            SecretCommand::Undelete(args) => args.run(&client, output),
            SecretCommand::Destroy(args) => args.run(&client, output),
            SecretCommand::Diff(args) => args.run(&client, output),
            SecretCommand::Rollback(args) => args.run(&client, output),
            SecretCommand::Label(args) => args.run(&client, output),
        }
    }
}

/// Which secret is meant.
#[derive(Args)]
pub struct TargetArgs {
    /// The secret's name: segments of letters, digits, '.', '_' and '-', joined by '/'.
    #[arg(value_parser = SecretName::parse)]
    pub name: SecretName,
    #[command(flatten)]
    owner: OwnerArgs,
}

/// In whose namespace a command acts.
#[derive(Args)]
pub struct OwnerArgs {
    /// Act in another caller's namespace, as far as its grants let you.
    #[arg(long, value_name = "CALLER", value_parser = CallerName::parse)]
    owner: Option<CallerName>,
}

impl TargetArgs {
    /// The path of this secret under `/v1/<area>/`. A checked name needs no escaping.
    pub fn path(&self, area: &str) -> String {
        format!("/v1/{area}/{}", self.name)
    }

    /// Says in the query whose namespace is meant, if it is another's.
    pub fn address(&self, call: Call) -> Call {
        self.owner.address(call)
    }

    /// Whose namespace is meant; absent for the caller's own.
    pub fn owner(&self) -> Option<&str> {
        self.owner.owner.as_ref().map(CallerName::as_str)
    }
}

impl OwnerArgs {
    /// Says in the query whose namespace is meant, if it is another's.
    pub fn address(&self, call: Call) -> Call {
        call.query("owner", self.owner.as_ref())
    }
}
