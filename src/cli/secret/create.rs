//! `covault secret create`. Keeps E1 from the client's side: a name is created once, or the command says
//! that it is taken. Knows nothing of where the value comes from.

use clap::Args;
use serde_json::json;

use super::{TargetArgs, marks::MarkArgs};
use crate::cli::{
    answer::written,
    client::{Call, Client, WriteArgs},
    failure::Failure,
    output::Output,
    value::ValueArgs,
};

/// Create a secret.
///
/// A name is created once, in the whole cluster, and stays taken after a delete. The value comes from
/// --value-file, else from stdin when that is not a terminal, else from a prompt.
#[derive(Args)]
#[command(after_help = "Examples:\n  covault secret create db/password\n  \
    openssl rand -hex 32 | covault secret create api/key --trim --label team=web\n  \
    covault secret create tls/key --value-file key.pem --content-type application/x-pem-file")]
pub struct CreateArgs {
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    marks: MarkArgs,
    #[command(flatten)]
    write: WriteArgs,
    #[command(flatten)]
    value: ValueArgs,
}

impl CreateArgs {
    /// Creates the secret and tells its first version.
    pub fn run(self, client: &Client, output: &Output) -> Result<(), Failure> {
        let mut body = json!({ "name": self.target.name.as_str() });
        if let Some(owner) = self.target.owner() {
            body["owner"] = owner.into();
        }
        self.marks.put_into(&mut body);
        self.value.read()?.put_into(&mut body);
        let reply = client.send(&Call::post("/v1/secrets", body, &self.write))?;
        output.answer(&reply.body, || written("created", &reply.body))
    }
}
