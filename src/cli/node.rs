//! `covault node`. Knows nothing of how a node is started; the room `node` does.

use std::{net::SocketAddr, path::PathBuf};

use clap::Args;

use super::{
    failure::Failure,
    log,
    output::Output,
    serve::{self, Services, Stop, Told},
};
use crate::node::{ConfigFile, PlainHttp};

/// Run one node, until it is told to stop.
///
/// The configuration file says where the data and the keys are and where to listen; the options given here
/// say it instead. SIGTERM and Ctrl-C finish what is in flight and stop.
#[derive(Args)]
#[command(after_help = "Examples:\n  covault node --config /etc/covault/node.toml\n  \
    covault node --config node.toml --listen 127.0.0.1:0 --ready-file ready.json")]
pub struct NodeArgs {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Where to listen, instead of what the file says; port 0 takes any free one.
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    /// Serve unencrypted HTTP to other machines too. Tokens and values then cross the network in plain.
    #[arg(long)]
    pub plain_http_anywhere: bool,
    /// Start although the master keyring is missing or wrong; what needs the key answers 503.
    #[arg(long)]
    pub without_key: bool,
    /// Stop when standard input ends too, as a program that starts this node and may die wants it.
    #[arg(long)]
    pub stop_with_stdin: bool,
    /// Write one JSON object to this file once the node serves.
    #[arg(long, value_name = "FILE")]
    pub ready_file: Option<PathBuf>,
}

impl NodeArgs {
    /// Runs until it is told to stop.
    ///
    /// # Errors
    /// When the node cannot be started or fails.
    pub fn run(self, output: &Output) -> Result<(), Failure> {
        let mut config = ConfigFile::read(&self.config)
            .map_err(|error| Failure::new("config_invalid", error.to_string()))?;
        config.node.without_key = self.without_key;
        if let Some(listen) = self.listen {
            config.http.listen = listen;
        }
        if self.plain_http_anywhere {
            config.http.plain_http = PlainHttp::Anywhere;
        }
        let (data, format) = (config.node.data.clone(), config.log.format);
        let stop = if self.stop_with_stdin { Stop::SignalOrStdin } else { Stop::Signal };
        serve::run(config, Services::VaultAndApi, stop, async |told: Told| {
            serve::write_ready_file(self.ready_file.as_ref(), &told, &data, None)?;
            let url = told.url.as_deref().unwrap_or_default();
            let text = format!("covault {} serves at {url}", env!("CARGO_PKG_VERSION"));
            log::announce(output, format, &text);
            Ok(told.node)
        })
    }
}
