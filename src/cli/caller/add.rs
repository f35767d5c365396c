//! `covault caller add`. Keeps S1: the new token goes to stdout or a private file, nowhere else.
//! Knows nothing of how it is kept.

use clap::{Args, ValueEnum};
use serde_json::json;

use super::{NameArgs, NewTokenArgs};
use crate::cli::{
    client::{Call, Client, WriteArgs},
    failure::Failure,
    output::Output,
};

/// Add a caller, with its first token.
///
/// The token is shown once: alone on stdout, or in the file that --token-out names. The name of a removed
/// caller is not given again.
#[derive(Args)]
#[command(after_help = "Examples:\n  covault caller add web --token-out web.token\n  \
    covault caller add ops --role admin")]
pub struct AddArgs {
    #[command(flatten)]
    caller: NameArgs,
    /// What the caller may do beyond its own namespace.
    #[arg(long, value_enum, default_value_t = RoleWord::Member)]
    role: RoleWord,
    #[command(flatten)]
    token: NewTokenArgs,
    #[command(flatten)]
    write: WriteArgs,
}

#[derive(Clone, Copy, ValueEnum)]
enum RoleWord {
    /// Nothing.
    Member,
    /// Callers, tokens and the cluster; no right to others' values.
    Admin,
}

impl AddArgs {
    /// Adds the caller and hands its token over.
    pub fn run(self, client: &Client, output: &Output) -> Result<(), Failure> {
        let role = match self.role {
            RoleWord::Member => "member",
            RoleWord::Admin => "admin",
        };
        let mut body = json!({ "name": self.caller.name.as_str(), "role": role });
        if let Some(time) = &self.token.expires_at {
            body["expires_at"] = time.as_str().into();
        }
        self.token.make(&Call::post("/v1/callers", body, &self.write), client, output)
    }
}
