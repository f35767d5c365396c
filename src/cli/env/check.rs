//! `covault env check`. Keeps S1: what the references stand for is thrown away unseen.
//! Knows nothing of how they are resolved.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::source;
use crate::{
    cli::{client::Client, failure::Failure, output::Output, secret::OwnerArgs},
    envfile::Format,
};

/// Check that every reference in a .env file can be resolved.
///
/// For scripts and CI: prints no value, and ends with 1 if there is a reference that cannot be replaced, or that all
/// three readers would not read alike. The secrets are read for it, and so audited.
#[derive(Args)]
#[command(after_help = "Examples:\n  covault env check .env\n  covault env check - < .env")]
pub struct CheckArgs {
    /// The file; `-` is stdin.
    file: PathBuf,
    #[command(flatten)]
    owner: OwnerArgs,
}

impl CheckArgs {
    /// Tells how many references there are, if all can be resolved.
    pub fn run(self, client: &Client, output: &Output) -> Result<(), Failure> {
        let text = source::read(&self.file)?;
        source::expanded(client, &self.owner, &text, Format::Dotenv)?;
        let references = source::parse(&self.file, text)?.references().count();
        output.answer(&json!({ "references": references }), || match references {
            1 => "the one reference can be resolved".to_owned(),
            count => format!("all {count} references can be resolved"),
        })
    }
}
