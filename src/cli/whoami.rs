//! `covault self`. Knows nothing of other callers.

use clap::Args;

use super::{
    answer::cell, client::Call, connection::ConnectionArgs, failure::Failure, output::Output, table::facts,
};

/// Show whose token this is.
///
/// The caller's name and role, and the ids of its tokens.
#[derive(Args)]
#[command(after_help = "Example:\n  covault self")]
pub struct WhoamiArgs {
    #[command(flatten)]
    connection: ConnectionArgs,
}

impl WhoamiArgs {
    /// Asks and prints.
    ///
    /// # Errors
    /// When the token is not accepted or nobody answers.
    pub fn run(self, output: &Output) -> Result<(), Failure> {
        let reply = self.connection.client()?.send(&Call::get("/v1/self"))?;
        output.answer(&reply.body, || {
            let mut pairs = ["name", "role", "created_at"]
                .map(|name| (name.to_owned(), cell(&reply.body, &format!("/{name}"))))
                .to_vec();
            for token in reply.body["tokens"].as_array().into_iter().flatten() {
                pairs.push((
                    "token".to_owned(),
                    format!("{}, expires {}", cell(token, "/id"), cell(token, "/expires_at")),
                ));
            }
            facts(&pairs)
        })
    }
}
