//! `covault secret destroy`. Keeps E7 from the client's side: a person is asked before a value is erased
//! for good. Knows nothing of undoing it.

use std::io::{self, BufRead, IsTerminal, Write};

use clap::Args;
use serde_json::{Value, json};

use super::{TargetArgs, version::VersionRef};
use crate::cli::{
    client::{Call, Client, WriteArgs},
    failure::Failure,
    output::Output,
};

/// Erase the values of versions for good.
///
/// Their place in history stays, their values are gone on every node and cannot be brought back. At a
/// terminal the command asks first.
#[derive(Args)]
#[command(after_help = "Example:\n  covault secret destroy db/password 1 2")]
pub struct DestroyArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Versions by number or id.
    #[arg(value_name = "VERSION", required = true, value_parser = VersionRef::parse)]
    versions: Vec<VersionRef>,
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    write: WriteArgs,
}

impl DestroyArgs {
    /// Destroys the versions and says so.
    pub fn run(self, client: &Client, output: &Output) -> Result<(), Failure> {
        let names = self.versions.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        if !self.yes && io::stdin().is_terminal() {
            confirm(&format!("Destroy version {names} of {} for good? [y/N] ", self.target.name))?;
        }
        let versions: Vec<Value> = self.versions.iter().map(|version| version.to_json()).collect();
        let call = Call::post(self.target.path("destroy"), json!({ "versions": versions }), &self.write);
        let reply = client.send(&self.target.address(call))?;
        output.answer(&reply.body, || format!("destroyed version {names} of {}", self.target.name))
    }
}

fn confirm(question: &str) -> Result<(), Failure> {
    let mut stderr = io::stderr().lock();
    let mut answer = String::new();
    let asked = write!(stderr, "{question}").and_then(|()| stderr.flush());
    let read = asked.and_then(|()| io::stdin().lock().read_line(&mut answer));
    match read {
        Ok(_) if matches!(answer.trim(), "y" | "Y" | "yes") => Ok(()),
        _ => Err(Failure::new("not_confirmed", "not confirmed; nothing was destroyed")),
    }
}
