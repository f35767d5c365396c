//! `covault remove`. Knows nothing of how nodes talk.

use clap::Args;

use super::{
    client::{Call, WriteArgs},
    connection::ConnectionArgs,
    failure::Failure,
    members,
    output::Output,
};

/// Take a node, or an API process, away from the cluster for good.
///
/// The others close their connections to it and let it in no more; its id is not given again. Its data stays
/// where it is. It takes the role admin, and a majority of the nodes there are, the one to be removed among
/// them.
#[derive(Args)]
#[command(after_help = "Example:\n  covault remove 3f9a6c2e11d0")]
pub struct RemoveArgs {
    #[command(flatten)]
    connection: ConnectionArgs,
    /// The node's id, or as much of its beginning as no other has; `covault members` lists them.
    #[arg(value_name = "NODE", value_parser = beginning)]
    node: String,
    #[command(flatten)]
    write: WriteArgs,
}

impl RemoveArgs {
    /// Removes the node and says so.
    ///
    /// # Errors
    /// When there is no such node, it is refused, or nobody answers.
    pub fn run(self, output: &Output) -> Result<(), Failure> {
        let client = self.connection.client()?;
        let node = members::named(&client, &self.node)?;
        let reply = client.send(&Call::delete(format!("/v1/members/{node}"), &self.write))?;
        output.answer(&reply.body, || format!("removed {node}"))
    }
}

fn beginning(text: &str) -> Result<String, &'static str> {
    let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    if text.len() < 4 || 64 < text.len() || !text.chars().all(hex) {
        return Err("4 to 64 digits of a node's id, lowercase hexadecimal");
    }
    Ok(text.to_owned())
}
