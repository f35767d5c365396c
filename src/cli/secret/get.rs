//! `covault secret get`. Keeps S1: the value goes to stdout or to a file that only its owner can read.
//! Knows nothing of how a value looks.

use std::path::PathBuf;

use clap::Args;

use super::{TargetArgs, version::VersionRef};
use crate::cli::{
    client::{Call, Client},
    failure::Failure,
    output::Output,
    private_file::write_private,
    value::SecretBytes,
};

/// Print the value of a secret, and nothing else.
///
/// The bytes go to stdout as they are; only a terminal gets a line break after them. With --json the whole
/// answer is printed: value, version, labels and description.
#[derive(Args)]
#[command(after_help = "Examples:\n  covault secret get db/password\n  \
    covault secret get db/password --version 3\n  \
    covault secret get db/password --at 2026-01-31T12:00:00Z\n  \
    covault secret get tls/key --out key.pem")]
pub struct GetArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// The version with this number or id instead of the current one.
    #[arg(long, value_name = "VERSION", value_parser = VersionRef::parse)]
    version: Option<VersionRef>,
    /// The version that was in force at this time.
    #[arg(long, value_name = "TIME", conflicts_with = "version")]
    at: Option<String>,
    /// Have a majority confirm that it is the latest, rather than trust what this node knows.
    #[arg(long)]
    quorum: bool,
    /// Write the value to this file, readable by its owner only, instead of to stdout. A link is followed, and a
    /// device or a pipe written into.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl GetArgs {
    /// Reads the secret and prints its value.
    pub fn run(self, client: &Client, output: &Output) -> Result<(), Failure> {
        if self.out.is_some() && output.is_json() {
            return Err(Failure::usage("--out writes the bare value; it cannot go with --json"));
        }
        let call = Call::get(self.target.path("secrets"))
            .query("version", self.version)
            .query("at", self.at)
            .query("consistency", self.quorum.then_some("quorum"));
        let reply = client.send(&self.target.address(call))?;
        if reply.cut_off {
            output.note("warning: this node is cut off from its majority; a newer value may exist");
        }
        if output.is_json() {
            return output.document(&reply.body);
        }
        let value = SecretBytes::from_answer(&reply.body)?;
        match self.out {
            Some(path) => write_private(&path, value.bytes()),
            None => output.value(value.bytes()),
        }
    }
}
