//! `covault epoch list`.

use clap::Args;

use crate::cli::client::Call;

/// List the epochs of your tokens.
///
/// The last one is active: new tokens are of it.
#[derive(Args)]
#[command(after_help = "Example:\n  covault epoch list")]
pub struct ListArgs {}

impl ListArgs {
    /// The request.
    pub fn call(self) -> Call {
        Call::get("/v1/epochs")
    }
}
