//! `covault caller token add`. Keeps S1: the new token goes to stdout or a private file, nowhere else.
//! Knows nothing of how it is kept.

use clap::Args;
use serde_json::json;

use super::{NameArgs, NewTokenArgs};
use crate::cli::{
    client::{Call, Client, WriteArgs},
    failure::Failure,
    output::Output,
};

/// Give a caller another token.
///
/// It is shown once: alone on stdout, or in the file that --token-out names.
#[derive(Args)]
#[command(after_help = "Example:\n  covault caller token add web --expires-at 2030-01-31T00:00:00Z")]
pub struct TokenAddArgs {
    #[command(flatten)]
    caller: NameArgs,
    #[command(flatten)]
    token: NewTokenArgs,
    #[command(flatten)]
    write: WriteArgs,
}

impl TokenAddArgs {
    /// Makes the token and hands it over.
    pub fn run(self, client: &Client, output: &Output) -> Result<(), Failure> {
        let mut body = json!({});
        if let Some(time) = &self.token.expires_at {
            body["expires_at"] = time.as_str().into();
        }
        let path = format!("/v1/callers/{}/tokens", self.caller.name);
        self.token.make(&Call::post(path, body, &self.write), client, output)
    }
}
