//! `covault detokenize`. Knows nothing of how tokens are computed.

use clap::Args;
use covault_model::field::Format;
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use zeroize::Zeroizing;

use super::{
    client::{Call, WriteArgs},
    connection::ConnectionArgs,
    failure::Failure,
    field::{DocumentArgs, document_of},
    output::Output,
};

/// Bring the values behind tokens back.
///
/// Of a document with tokens in its fields, or of tokens alone: all of them or none. Prints the document, or one
/// value a line, in JSON; with --json the whole answer.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  covault detokenize order.json --field /card,digits_last4 --field /buyer/email\n  \
    covault detokenize --tok tok_1_0123456789abcdef0123456789abcdef"
)]
pub struct DetokenizeArgs {
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(flatten)]
    document: DocumentArgs,
    /// A token, in place of a document; may be repeated.
    #[arg(long = "tok", value_name = "TOKEN", conflicts_with_all = ["document", "fields"])]
    tokens: Vec<String>,
    /// The format of the tokens' field, if they keep the form of their values.
    #[arg(long, requires = "tokens", value_parser = read_format)]
    format: Option<Format>,
    /// The type of the tokens' field, with --format.
    #[arg(long = "type", requires = "format", value_name = "TYPE")]
    kind: Option<String>,
    /// The epoch of tokens that do not say theirs; by default all are looked through.
    #[arg(long)]
    epoch: Option<u32>,
}

impl DetokenizeArgs {
    /// Prints the document with its values, or the values.
    pub fn run(self, output: &Output) -> Result<(), Failure> {
        let call = Call::post_text("/v1/detokenize", self.body()?, &WriteArgs::default());
        let reply = self.connection.client()?.send(&call)?;
        if output.is_json() {
            return output.text(&reply.text);
        }
        let answer: Values<'_> = serde_json::from_str(&reply.text)
            .map_err(|_| Failure::unexpected("the answer to detokenize cannot be read"))?;
        match answer.values {
            None => output.text(document_of(&reply.text)?),
            Some(values) => {
                let lines: Vec<&str> = values.iter().map(|value| value.get()).collect();
                output.text(&lines.join("\n"))
            }
        }
    }

    fn body(&self) -> Result<Zeroizing<String>, Failure> {
        let epoch = self.epoch.map(|epoch| ("epoch", json!(epoch)));
        if self.tokens.is_empty() {
            return self.document.body(epoch.as_slice());
        }
        let token = |token: &String| match self.format {
            None => json!(token),
            Some(format) => {
                let kind = self.kind.as_deref().unwrap_or_default();
                json!({ "token": token, "format": format.as_str(), "type": kind })
            }
        };
        let tokens: Vec<Value> = self.tokens.iter().map(token).collect();
        Ok(Zeroizing::new(json!({ "tokens": tokens, "epoch": self.epoch }).to_string()))
    }
}

/// An answer, with its values as they were sent: numbers keep all their digits.
#[derive(Deserialize)]
struct Values<'t> {
    #[serde(borrow)]
    values: Option<Vec<&'t RawValue>>,
}

fn read_format(text: &str) -> Result<Format, String> {
    Format::parse(text)
        .ok_or_else(|| format!("must be one of {}", Format::ALL.map(Format::as_str).join(", ")))
}
