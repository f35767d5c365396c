//! `covault fields`. Knows nothing of documents.

use clap::Args;
use serde_json::{Value, json};

use super::{
    answer::cell,
    client::{Call, WriteArgs},
    connection::ConnectionArgs,
    failure::Failure,
    field::FieldArg,
    output::Output,
    pages::Listing,
};

/// Show or configure which fields of your documents become tokens.
///
/// Without options it shows them. With --set they take the place of those that were configured; with --clear
/// there are none.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  covault fields\n  covault fields --set /card,digits_last4,card --set '/people/*/email'"
)]
pub struct FieldsArgs {
    #[command(flatten)]
    connection: ConnectionArgs,
    /// A field: POINTER, POINTER,FORMAT or POINTER,FORMAT,TYPE; may be repeated.
    #[arg(long, value_name = "FIELD", value_parser = FieldArg::parse)]
    set: Vec<FieldArg>,
    /// Configure no fields.
    #[arg(long, conflicts_with = "set")]
    clear: bool,
    #[command(flatten)]
    write: WriteArgs,
}

impl FieldsArgs {
    /// Shows the fields, or configures them and shows what came of it.
    pub fn run(self, output: &Output) -> Result<(), Failure> {
        let client = self.connection.client()?;
        let call = if self.set.is_empty() && !self.clear {
            Call::get("/v1/tokenization")
        } else {
            let fields: Vec<Value> = self.set.iter().map(FieldArg::to_rule).collect();
            Call::put("/v1/tokenization", json!({ "fields": fields }), &self.write)
        };
        let columns = ["/pointer", "/format", "/type"];
        let listing = Listing {
            call,
            rows: "fields",
            header: &["pointer", "format", "type"],
            row: |field: &Value| columns.map(|pointer| cell(field, pointer)).to_vec(),
        };
        listing.print_whole(&client, output)
    }
}
