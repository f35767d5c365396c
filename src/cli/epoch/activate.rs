//! `covault epoch activate`. Keeps T2 from the client's side: the epoch is named, so that two who activate one at
//! the same time do not activate two.

use clap::Args;
use serde_json::json;

use crate::cli::client::{Call, WriteArgs};

/// Activate the next epoch.
///
/// Its number is one more than that of the active one. Of several who activate it one does; the others are told.
#[derive(Args)]
#[command(after_help = "Example:\n  covault epoch activate 2")]
pub struct ActivateArgs {
    /// The epoch's number.
    epoch: u32,
    #[command(flatten)]
    write: WriteArgs,
}

impl ActivateArgs {
    /// The request.
    pub fn call(self) -> Call {
        Call::post("/v1/epochs", json!({ "activate": self.epoch }), &self.write)
    }
}
