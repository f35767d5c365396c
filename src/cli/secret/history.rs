//! `covault secret history`. Shows V3 to a person: each version with the time it was in force.
//! Knows nothing of values: a history has none.

use clap::Args;
use serde_json::Value;

use super::TargetArgs;
use crate::cli::{
    answer::{cell, short_id},
    client::{Call, Client},
    failure::Failure,
    output::Output,
    pages::{Listing, PagingArgs},
    table::Table,
};

const HEADER: &[&str] = &["number", "state", "valid from", "valid to", "by", "id"];
const WIDE_HEADER: &[&str] =
    &["number", "state", "valid from", "valid to", "by", "id", "node", "created", "expires", "type"];

/// Show who changed a secret and when, newest first.
///
/// Each version was in force from its `valid from` until its `valid to`. A provisional or superseded
/// version has no number; --wide shows the whole id to name it by.
#[derive(Args)]
#[command(after_help = "Examples:\n  covault secret history db/password\n  \
    covault secret history db/password --limit 5 --wide")]
pub struct HistoryArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Show whole ids, and also the node, the time of making, the expiry and the media type.
    #[arg(long)]
    wide: bool,
    #[command(flatten)]
    paging: PagingArgs,
}

impl HistoryArgs {
    /// Prints the versions.
    pub fn run(self, client: &Client, output: &Output) -> Result<(), Failure> {
        let listing = Listing {
            call: self.target.address(Call::get(self.target.path("history"))),
            rows: "versions",
            header: if self.wide { WIDE_HEADER } else { HEADER },
            row: if self.wide { wide_row } else { row },
        };
        listing.print_pages(client, &self.paging, output)
    }
}

/// The versions of an answer as this command shows them.
pub fn history_table(answer: &Value) -> String {
    let versions = answer["versions"].as_array().map(Vec::as_slice).unwrap_or_default();
    Table::new(HEADER).lay_out(&versions.iter().map(row).collect::<Vec<_>>())
}

fn row(version: &Value) -> Vec<String> {
    vec![
        cell(version, "/number"),
        cell(version, "/state"),
        cell(version, "/valid_from"),
        cell(version, "/valid_to"),
        cell(version, "/caller"),
        short_id(version, "/id"),
    ]
}

fn wide_row(version: &Value) -> Vec<String> {
    let mut cells = row(version);
    cells.pop();
    let rest = ["/id", "/author", "/created_at", "/expires_at", "/content_type"];
    cells.extend(rest.map(|pointer| cell(version, pointer)));
    cells
}
