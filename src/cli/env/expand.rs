//! `covault env expand`. Knows nothing of how references are replaced; the vault does it.

use std::path::PathBuf;

use clap::{Args, builder::PossibleValuesParser};
use serde_json::json;

use super::source;
use crate::{
    cli::{client::Client, failure::Failure, output::Output, secret::OwnerArgs},
    envfile::Format,
};

/// Print a .env file with its references replaced by the secrets.
///
/// As a .env file, only lines with references are written anew, so that motdotla/dotenv, python-dotenv and dotenvy
/// all read exactly the secret. Nothing is printed unless everything can be resolved.
#[derive(Args)]
#[command(after_help = "Examples:\n  covault env expand .env > /run/app/env\n  \
    covault env expand .env --format json | jq -r .DB_PASSWORD\n  \
    eval \"$(covault env expand - --format shell < .env)\"")]
pub struct ExpandArgs {
    /// The file; `-` is stdin.
    file: PathBuf,
    /// The form in which it comes out.
    #[arg(long, default_value = "dotenv", value_parser = PossibleValuesParser::new(Format::ALL.map(Format::as_str)))]
    format: String,
    #[command(flatten)]
    owner: OwnerArgs,
}

impl ExpandArgs {
    /// Prints the expanded file.
    pub fn run(self, client: &Client, output: &Output) -> Result<(), Failure> {
        let format = Format::parse(&self.format).unwrap_or_default();
        let text = source::expanded(client, &self.owner, &source::read(&self.file)?, format)?;
        if output.is_json() {
            return output.document(&json!({ "content": text.as_str(), "format": format.as_str() }));
        }
        output.value(text.as_bytes())
    }
}
