//! `covault dev`: one node in this process, or several in processes of their own.
//! Knows nothing of how a node is started; `node` does.

mod cluster;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use clap::Args;

use super::{
    failure::Failure,
    output::Output,
    serve::{self, Services, Stop, Told},
    trial::{Tokens, nodes_in},
};
use crate::node::{ConfigFile, HttpConfig, LogConfig, LogFormat, NodeConfig};

/// Start a vault to try.
///
/// Makes keys and data, starts one node or several that are a cluster, prints their addresses, an admin token, a
/// member token and lines to paste, and runs until Ctrl-C. A second start with the same --data finds everything again. The tokens
/// and the master key lie beside the data: not for secrets that matter.
#[derive(Args)]
#[command(after_help = "Examples:\n  covault dev\n  \
    covault dev --nodes 3 --data ./cluster\n  \
    covault dev --data ./vault --listen 127.0.0.1:0 --ready-file ready.json")]
pub struct DevArgs {
    /// How many nodes. By default as many as there are in --data, or one.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=7))]
    pub nodes: Option<u8>,
    /// Where to listen, several nodes on the ports that follow; port 0 takes any free ones.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8400")]
    pub listen: SocketAddr,
    /// Where the data is to be.
    #[arg(long, value_name = "DIR", default_value = "covault-dev")]
    pub data: PathBuf,
    /// Write one JSON object to this file once all nodes serve.
    #[arg(long, value_name = "FILE")]
    pub ready_file: Option<PathBuf>,
}

impl DevArgs {
    /// Runs until it is told to stop.
    ///
    /// # Errors
    /// When the vault cannot be started or fails.
    pub fn run(self, output: &Output) -> Result<(), Failure> {
        let there = nodes_in(&self.data);
        let wanted = self.nodes.map_or(there.max(1), usize::from);
        if wanted == 1 && there == 0 {
            return self.run_alone(output);
        }
        let data = self.data.display();
        if self.data.join("data.mdb").exists() {
            let detail = format!("{data} holds a vault of one node; a cluster to try needs another --data");
            return Err(Failure::new("vault_exists", detail));
        }
        if wanted < there {
            let detail = format!("{data} holds a cluster of {there} nodes");
            return Err(
                Failure::new("vault_exists", detail).with_hint("give as many, more, or another --data")
            );
        }
        cluster::run(&self, wanted, output)
    }

    fn run_alone(self, output: &Output) -> Result<(), Failure> {
        let node = NodeConfig { create: true, ..NodeConfig::at(&self.data) };
        let http = HttpConfig { listen: self.listen, ..HttpConfig::default() };
        let log = LogConfig { format: LogFormat::Text, level: "info,covault::api=debug,openraft=off".into() };
        let config = ConfigFile { node, http, log };
        serve::run(config, Services::VaultAndApi, Stop::Signal, async |mut told: Told| {
            let tokens = Tokens::of(&mut told.node, &self.data).await?;
            let data = std::path::absolute(&self.data).unwrap_or_else(|_| self.data.clone());
            let shown = Some((tokens.admin.as_str(), tokens.member.as_str()));
            serve::write_ready_file(self.ready_file.as_ref(), &told, &data, shown)?;
            output.text(&welcome(told.url.as_deref().unwrap_or_default(), &self.data, &tokens))?;
            Ok(told.node)
        })
    }
}

fn welcome(url: &str, data: &Path, tokens: &Tokens) -> String {
    let Tokens { admin, member } = tokens;
    let data = data.display();
    format!(
        "covault is ready at {url}, its data is in {data}

  admin token   {admin}
  member token  {member}

Paste into another terminal:

  export COVAULT_URL={url} COVAULT_TOKEN={member}

  curl -s $COVAULT_URL/v1/secrets -H \"Authorization: Bearer $COVAULT_TOKEN\" \\
    -H 'Content-Type: application/json' -d '{{\"name\":\"app/db\",\"value\":\"s3cret\"}}'
  curl -s $COVAULT_URL/v1/secrets/app/db -H \"Authorization: Bearer $COVAULT_TOKEN\"
  curl -s -X PUT $COVAULT_URL/v1/secrets/app/db -H \"Authorization: Bearer $COVAULT_TOKEN\" \\
    -H 'Content-Type: application/json' -d '{{\"value\":\"changed\"}}'
  curl -s $COVAULT_URL/v1/history/app/db -H \"Authorization: Bearer $COVAULT_TOKEN\"

or use the program itself: covault secret list, covault secret history app/db, covault --help.
The tokens and the master key lie beside the data: not for secrets that matter. Ctrl-C stops.
"
    )
}
