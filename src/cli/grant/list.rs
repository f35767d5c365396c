//! `covault grant list`. Knows nothing of grants that others gave.

use clap::Args;
use serde_json::Value;

use crate::cli::{
    answer::cell,
    client::{Call, Client},
    failure::Failure,
    output::Output,
    pages::Listing,
};

/// List the grants you gave.
///
/// An empty prefix covers all your names.
#[derive(Args)]
#[command(after_help = "Example:\n  covault grant list")]
pub struct ListArgs {}

impl ListArgs {
    /// Prints the grants.
    pub fn run(self, client: &Client, output: &Output) -> Result<(), Failure> {
        let columns = ["/grantee", "/access", "/prefix", "/created_at", "/id"];
        let listing = Listing {
            call: Call::get("/v1/grants"),
            rows: "grants",
            header: &["grantee", "access", "prefix", "created", "id"],
            row: |grant: &Value| columns.map(|pointer| cell(grant, pointer)).to_vec(),
        };
        listing.print_whole(client, output)
    }
}
