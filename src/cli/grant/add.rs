//! `covault grant add`. Keeps N3 from the owner's side: one gives rights to one's own names only.
//! Knows nothing of whether the names exist.

use clap::{Args, ValueEnum};
use covault_model::name::{CallerName, NamePrefix};
use serde_json::json;

use crate::cli::{
    answer::cell,
    client::{Call, Client, WriteArgs},
    failure::Failure,
    output::Output,
};

/// Let another caller at your names under a prefix.
///
/// To read values, versions and lists, or also to write. The prefix covers names that are made later, too.
#[derive(Args)]
#[command(after_help = "Examples:\n  covault grant add web --prefix db/\n  \
    covault grant add deploy --prefix web/ --access write")]
pub struct AddArgs {
    /// Who may.
    #[arg(value_parser = CallerName::parse)]
    grantee: CallerName,
    /// The beginning of the names; empty for all of them.
    #[arg(long, value_parser = NamePrefix::parse)]
    prefix: NamePrefix,
    /// Do what.
    #[arg(long, value_enum, default_value_t = AccessWord::Read)]
    access: AccessWord,
    #[command(flatten)]
    write: WriteArgs,
}

#[derive(Clone, Copy, ValueEnum)]
enum AccessWord {
    /// Read values, versions and lists.
    Read,
    /// Read, and also create, update, label, delete and destroy.
    Write,
}

impl AddArgs {
    /// Gives the grant and tells its id.
    pub fn run(self, client: &Client, output: &Output) -> Result<(), Failure> {
        let access = match self.access {
            AccessWord::Read => "read",
            AccessWord::Write => "write",
        };
        let body = json!({
            "prefix": self.prefix.as_str(),
            "grantee": self.grantee.as_str(),
            "access": access,
        });
        let reply = client.send(&Call::post("/v1/grants", body, &self.write))?;
        output.answer(&reply.body, || {
            let id = cell(&reply.body, "/id");
            format!("{} may {access} names that begin with '{}' (grant {id})", self.grantee, self.prefix)
        })
    }
}
