//! `covault secret label`: labels and description, without a new version. Knows nothing of values.

use clap::Args;
use covault_model::name::{Description, LabelKey};
use serde_json::{Value, json};

use super::{
    TargetArgs,
    marks::{Label, label_object},
};
use crate::cli::{
    answer::{cell, labels},
    client::{Call, Client, WriteArgs},
    failure::Failure,
    output::Output,
    table::facts,
};

/// Change the labels and the description of a secret.
///
/// What is not named stays as it is. No new version is made.
#[derive(Args)]
#[command(after_help = "Examples:\n  covault secret label db/password team=web env=prod\n  \
    covault secret label db/password --remove env --description 'the main database'")]
pub struct LabelArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Labels to set.
    #[arg(value_name = "KEY=VALUE", value_parser = Label::parse)]
    set: Vec<Label>,
    /// Take a label away. May be given again.
    #[arg(long, alias = "remove-label", value_name = "KEY", value_parser = LabelKey::parse)]
    remove: Vec<LabelKey>,
    /// Say what the secret is for.
    #[arg(long, value_name = "TEXT", value_parser = Description::parse)]
    description: Option<Description>,
    /// Take the description away.
    #[arg(long, conflicts_with = "description")]
    remove_description: bool,
    #[command(flatten)]
    write: WriteArgs,
}

impl LabelArgs {
    /// Changes the marks and tells how they are now.
    pub fn run(self, client: &Client, output: &Output) -> Result<(), Failure> {
        let mut body = json!({});
        if !self.set.is_empty() || !self.remove.is_empty() {
            body["labels"] = label_object(&self.set, &self.remove);
        }
        if let Some(text) = &self.description {
            body["description"] = Value::from(text.as_str());
        } else if self.remove_description {
            body["description"] = Value::Null;
        }
        if body == json!({}) {
            return Err(Failure::usage("nothing to change: give KEY=VALUE, --remove, or --description"));
        }
        let call = Call::patch(self.target.path("secrets"), body, &self.write);
        let reply = client.send(&self.target.address(call))?;
        output.answer(&reply.body, || {
            facts(&[
                ("name".to_owned(), self.target.name.to_string()),
                ("labels".to_owned(), labels(&reply.body, "/labels")),
                ("description".to_owned(), cell(&reply.body, "/description")),
            ])
        })
    }
}
