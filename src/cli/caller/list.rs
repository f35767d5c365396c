//! `covault caller list`. Knows nothing of tokens' texts: the server has none.

use clap::Args;
use serde_json::Value;

use crate::cli::{
    answer::cell,
    client::{Call, Client},
    failure::Failure,
    output::Output,
    pages::Listing,
};

/// List all callers.
///
/// With their role, when they were made and how many tokens they hold.
#[derive(Args)]
#[command(after_help = "Example:\n  covault caller list")]
pub struct ListArgs {}

impl ListArgs {
    /// Prints the callers.
    pub fn run(self, client: &Client, output: &Output) -> Result<(), Failure> {
        let listing = Listing {
            call: Call::get("/v1/callers"),
            rows: "callers",
            header: &["name", "role", "created", "tokens"],
            row: |caller: &Value| {
                let tokens = caller["tokens"].as_array().map_or(0, Vec::len);
                vec![
                    cell(caller, "/name"),
                    cell(caller, "/role"),
                    cell(caller, "/created_at"),
                    tokens.to_string(),
                ]
            },
        };
        listing.print_whole(client, output)
    }
}
