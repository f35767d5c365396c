//! `covault env encrypt`. Keeps S1: with --in-place, what is written beside the file has references only where it had
//! values. Knows nothing of how secrets are made; the vault makes all or none.

use std::path::{Path, PathBuf};

use clap::Args;
use covault_model::name::NamePrefix;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{place::Place, source};
use crate::{
    cli::{
        answer::cell,
        client::{Call, Client, WriteArgs},
        failure::Failure,
        output::Output,
        secret::OwnerArgs,
    },
    envfile::Values,
};

/// Store the values of a .env file as secrets and put references in their place.
///
/// What is stored is what the file asks for: `KEY=enc(NAME)` with a line `NAME=value`, or `KEY=enc(NAME=value)`. With
/// --all, every plain value that is not empty, under the prefix and its key. All are made or none: a name that is
/// taken refuses all of them.
#[derive(Args)]
#[command(after_help = "Examples:\n  covault env encrypt .env --all --prefix app/ --in-place\n  \
    covault env encrypt - < .env.plain > .env")]
pub struct EncryptArgs {
    /// The file; `-` is stdin.
    file: PathBuf,
    /// Store every plain value of the file.
    #[arg(long)]
    all: bool,
    /// What the names begin with that --all makes, such as `app/`.
    #[arg(long, requires = "all", default_value = "", hide_default_value = true, value_parser = NamePrefix::parse)]
    prefix: NamePrefix,
    /// Write the result in place of the file instead of printing it.
    #[arg(long)]
    in_place: bool,
    #[command(flatten)]
    owner: OwnerArgs,
    #[command(flatten)]
    write: WriteArgs,
}

impl EncryptArgs {
    /// Has the secrets made, and prints the file or writes it in place.
    pub fn run(self, client: &Client, output: &Output) -> Result<(), Failure> {
        let is_stdin = self.file == Path::new("-");
        if self.in_place && is_stdin {
            return Err(Failure::usage("--in-place needs a file, and - is none"));
        }
        let place = self.in_place.then(|| Place::of(&self.file)).transpose()?;
        let call = self.owner.address(Call::post("/v1/env/encrypt", self.body()?, &self.write));
        let answer = client.send(&call)?.body;
        let content = answer["content"].as_str();
        let content = content.ok_or_else(|| Failure::unexpected("the answer has no content"))?;
        let handed_over = match place {
            None if output.is_json() => output.document(&answer),
            None => {
                output.note(&told(&answer));
                output.value(content.as_bytes())
            }
            Some(place) => {
                place.fill(content.as_bytes()).map_err(|failure| {
                    output.note(&told(&answer));
                    not_had(failure, &call)
                })?;
                return output.answer(&json!({ "created": answer["created"] }), || told(&answer));
            }
        };
        handed_over.map_err(|failure| not_had(failure, &call))
    }

    fn body(&self) -> Result<Value, Failure> {
        let text = source::read(&self.file)?;
        let (content, values) = match self.all {
            false => (text, Values::new()),
            true => {
                let asked = source::parse(&self.file, text)?.ask_for_all(&self.prefix);
                let asked = asked.map_err(|mistake| source::mistaken(&self.file, &mistake))?;
                (asked.content, asked.values)
            }
        };
        Ok(body_of(&content, &values))
    }
}

/// The secrets are made, and the references to them were not handed over: says how to have those.
fn not_had(failure: Failure, call: &Call) -> Failure {
    let key = call.key().unwrap_or_default();
    Failure::Told(failure.told()).with_hint(format!(
        "the secrets are made; the same command, for the file as it was, with --idempotency-key {key} gives the references to them"
    ))
}

fn body_of(content: &Zeroizing<String>, values: &Values) -> Value {
    let values: serde_json::Map<String, Value> =
        values.iter().map(|(name, value)| (name.to_string(), Value::from(value.as_str()))).collect();
    json!({ "content": content.as_str(), "values": values })
}

fn told(answer: &Value) -> String {
    match answer["created"].as_array().map_or(0, Vec::len) {
        0 => "nothing was to be created".to_owned(),
        count => format!("created {count}: {}", cell(answer, "/created")),
    }
}
