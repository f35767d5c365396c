//! `covault epoch destroy`. Knows nothing of what is erased.

use clap::Args;

use crate::cli::{
    client::{Call, WriteArgs},
    failure::Failure,
};

/// Destroy an epoch that is not active, for good.
///
/// Its tokens are found no more, on any node, and what they stood for is erased. Nothing brings it back; backups
/// made before still hold it.
#[derive(Args)]
#[command(after_help = "Example:\n  covault epoch destroy 1 --yes")]
pub struct DestroyArgs {
    /// The epoch's number.
    epoch: u32,
    /// Say that it is meant.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    write: WriteArgs,
}

impl DestroyArgs {
    /// The request.
    ///
    /// # Errors
    /// Without `--yes`.
    pub fn call(self) -> Result<Call, Failure> {
        if !self.yes {
            return Err(Failure::usage("this cannot be undone; say --yes if it is meant"));
        }
        Ok(Call::delete(format!("/v1/epochs/{}", self.epoch), &self.write))
    }
}
