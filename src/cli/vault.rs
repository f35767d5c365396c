//! `covault vault`. Knows nothing of how a node is started; the room `node` does.

use std::path::PathBuf;

use clap::Args;

use super::{
    failure::Failure,
    log,
    output::Output,
    serve::{self, Services, Stop, Told},
};
use crate::node::ConfigFile;

/// Run one node without HTTP, until it is told to stop.
///
/// It is a node as `covault node` runs it, with the same configuration file; what that says of HTTP is not used. API
/// processes (`covault api`) bring it what clients ask, so its configuration must have [quic]. SIGTERM and Ctrl-C stop
/// it.
#[derive(Args)]
#[command(after_help = "Example:\n  covault vault --config /etc/covault/node.toml")]
pub struct VaultArgs {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Start although the master keyring is missing or wrong; what needs the key answers 503.
    #[arg(long)]
    without_key: bool,
    /// Stop when standard input ends too, as a program that starts this node and may die wants it.
    #[arg(long)]
    stop_with_stdin: bool,
    /// Write one JSON object to this file once the node serves.
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
}

impl VaultArgs {
    /// Runs until it is told to stop.
    ///
    /// # Errors
    /// When the node cannot be started or fails, or nobody could reach it.
    pub fn run(self, output: &Output) -> Result<(), Failure> {
        let mut config = ConfigFile::read(&self.config)
            .map_err(|error| Failure::new("config_invalid", error.to_string()))?;
        if config.node.quic.is_none() {
            let detail = format!("{} has no [quic], so nobody could reach this node", self.config.display());
            return Err(Failure::new("config_invalid", detail));
        }
        config.node.without_key = self.without_key;
        let (data, format) = (config.node.data.clone(), config.log.format);
        let stop = if self.stop_with_stdin { Stop::SignalOrStdin } else { Stop::Signal };
        serve::run(config, Services::Vault, stop, async |told: Told| {
            serve::write_ready_file(self.ready_file.as_ref(), &told, &data, None)?;
            let address = told.node.peer_address().map_or(String::new(), |address| address.to_string());
            let text = format!("covault {} serves API processes at {address}", env!("CARGO_PKG_VERSION"));
            log::announce(output, format, &text);
            Ok(told.node)
        })
    }
}
