//! `covault env run`: a command with an expanded file as its environment. This process becomes the command, so
//! signals and the exit code need no passing on, and nothing of the values stays but in the command's environment.
//! Keeps S1: nothing is written to a disk.
//! Knows nothing of how the file is expanded.

use std::{
    collections::BTreeMap, ffi::OsString, os::unix::process::CommandExt, path::PathBuf, process::Command,
};

use clap::Args;

use super::source;
use crate::{
    cli::{client::Client, failure::Failure, secret::OwnerArgs},
    envfile::Format,
};

/// Run a command with a .env file as its environment, secrets in place of references.
///
/// What the file has comes before what the environment has already. The command does not get COVAULT_TOKEN. Its
/// exit code and its signals are its own; if it cannot be started, the exit code is 1.
#[derive(Args)]
#[command(after_help = "Examples:\n  covault env run -- ./server --port 80\n  \
    covault env run --file .env.production -- sh -c 'psql \"$DB_URL\"'")]
pub struct RunArgs {
    /// The file; `-` is stdin.
    #[arg(long, default_value = ".env")]
    file: PathBuf,
    #[command(flatten)]
    owner: OwnerArgs,
    /// The command and its arguments.
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<OsString>,
}

impl RunArgs {
    /// Becomes the command.
    ///
    /// # Errors
    /// When the file cannot be expanded or the command not be started.
    pub fn run(self, client: &Client) -> Result<(), Failure> {
        let text = source::expanded(client, &self.owner, &source::read(&self.file)?, Format::Json)?;
        let variables: BTreeMap<String, String> = serde_json::from_str(&text)
            .map_err(|_| Failure::unexpected("the answer has no file that can be read"))?;
        let Some((program, arguments)) = self.command.split_first() else {
            return Err(Failure::usage("no command is given"));
        };
        if let Some((key, _)) = variables.iter().find(|(_, value)| value.contains('\0')) {
            let detail = format!("the value of {key} has a NUL byte, which no environment holds");
            return Err(Failure::new("cannot_run", detail));
        }
        let mut command = Command::new(program);
        command.args(arguments).env_remove("COVAULT_TOKEN");
        command.envs(&variables);
        let error = command.exec();
        Err(Failure::new("cannot_run", format!("cannot run {}: {error}", program.display())))
    }
}
