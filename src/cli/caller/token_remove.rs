//! `covault caller token remove`. Knows nothing of the token's secret half.

use clap::Args;
use covault_model::id::TokenId;

use super::NameArgs;
use crate::cli::{
    client::{Call, Client, WriteArgs},
    failure::Failure,
    output::Output,
};

/// Take a token away from a caller.
///
/// It is not accepted from then on. The last token of the last admin is refused.
#[derive(Args)]
#[command(after_help = "Example:\n  covault caller token remove web 0123456789abcdef")]
pub struct TokenRemoveArgs {
    #[command(flatten)]
    caller: NameArgs,
    /// The token's id, as the list shows it.
    #[arg(value_parser = TokenId::parse)]
    id: TokenId,
    #[command(flatten)]
    write: WriteArgs,
}

impl TokenRemoveArgs {
    /// Removes the token and says so.
    pub fn run(self, client: &Client, output: &Output) -> Result<(), Failure> {
        let Self { caller, id, write } = self;
        let reply = client.send(&Call::delete(format!("/v1/callers/{}/tokens/{id}", caller.name), &write))?;
        output.answer(&reply.body, || format!("removed token {id} of {}", caller.name))
    }
}
