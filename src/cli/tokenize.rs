//! `covault tokenize`. Knows nothing of how tokens are computed.

use clap::Args;

use super::{
    client::{Call, WriteArgs},
    connection::ConnectionArgs,
    failure::Failure,
    field::{DocumentArgs, document_of},
    output::Output,
};

/// Replace fields of a JSON document by tokens.
///
/// The same value of a field gets the same token every time, until another epoch is activated. What is not a
/// field keeps its bytes. Prints the document; with --json the whole answer.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  covault tokenize order.json --field /card,digits_last4 --field /buyer/email\n  \
    covault tokenize < order.json"
)]
pub struct TokenizeArgs {
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(flatten)]
    document: DocumentArgs,
    #[command(flatten)]
    write: WriteArgs,
}

impl TokenizeArgs {
    /// Prints the document with its tokens.
    pub fn run(self, output: &Output) -> Result<(), Failure> {
        let body = self.document.body(&[])?;
        let reply = self.connection.client()?.send(&Call::post_text("/v1/tokenize", body, &self.write))?;
        if reply.cut_off {
            output.note("this node is cut off from its majority; the tokens are kept here and merge later");
        } else if reply.is_kept {
            output.note("no majority has taken the tokens yet; they are kept on this node and merge later");
        }
        output.text(if output.is_json() { &reply.text } else { document_of(&reply.text)? })
    }
}
