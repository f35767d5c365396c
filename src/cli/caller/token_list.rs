//! `covault caller token list`. Knows nothing of tokens' texts: the server has none.

use clap::Args;
use serde_json::Value;

use super::NameArgs;
use crate::cli::{
    answer::cell,
    client::{Call, Client},
    failure::Failure,
    output::Output,
    pages::Listing,
};

/// List the tokens of a caller.
///
/// By their ids, the part between the two underscores; the rest is never shown again.
#[derive(Args)]
#[command(after_help = "Example:\n  covault caller token list web")]
pub struct TokenListArgs {
    #[command(flatten)]
    caller: NameArgs,
}

impl TokenListArgs {
    /// Prints the tokens.
    pub fn run(self, client: &Client, output: &Output) -> Result<(), Failure> {
        let listing = Listing {
            call: Call::get(format!("/v1/callers/{}/tokens", self.caller.name)),
            rows: "tokens",
            header: &["id", "created", "expires"],
            row: |token: &Value| {
                vec![cell(token, "/id"), cell(token, "/created_at"), cell(token, "/expires_at")]
            },
        };
        listing.print_whole(client, output)
    }
}
