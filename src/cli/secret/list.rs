//! `covault secret list`. Knows nothing of values: a listing has none.

use clap::Args;
use covault_model::name::NamePrefix;

use super::{OwnerArgs, marks::Label};
use crate::cli::{
    answer::{cell, labels},
    client::{Call, Client},
    failure::Failure,
    output::Output,
    pages::{Listing, PagingArgs},
};

/// List secrets by name, without their values.
///
/// All of them by default, read page by page.
#[derive(Args)]
#[command(after_help = "Examples:\n  covault secret list\n  \
    covault secret list --prefix db/ --label team=web\n  \
    covault --json secret list --limit 10")]
pub struct ListArgs {
    /// Only names that begin so.
    #[arg(long, value_parser = NamePrefix::parse)]
    prefix: Option<NamePrefix>,
    /// Only secrets with this label.
    #[arg(long, value_name = "KEY=VALUE", value_parser = Label::parse)]
    label: Option<Label>,
    #[command(flatten)]
    owner: OwnerArgs,
    #[command(flatten)]
    paging: PagingArgs,
}

impl ListArgs {
    /// Prints the secrets.
    pub fn run(self, client: &Client, output: &Output) -> Result<(), Failure> {
        let call = Call::get("/v1/secrets")
            .query("prefix", self.prefix)
            .query("label", self.label.map(|label| label.to_query()));
        let listing = Listing {
            call: self.owner.address(call),
            rows: "secrets",
            header: &["name", "version", "state", "since", "by", "labels", "description"],
            row: |secret: &serde_json::Value| {
                vec![
                    cell(secret, "/name"),
                    cell(secret, "/version/number"),
                    cell(secret, "/version/state"),
                    cell(secret, "/version/valid_from"),
                    cell(secret, "/version/caller"),
                    labels(secret, "/labels"),
                    cell(secret, "/description"),
                ]
            },
        };
        listing.print_pages(client, &self.paging, output)
    }
}
