//! `covault api`. Knows nothing of how vault nodes are found and asked; the room `relay` does.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use clap::Args;
use serde_json::json;

use super::{
    failure::Failure,
    front::{self, Front},
    log,
    output::Output,
    private_file::write_private,
    serve::{self, Stop},
};
use crate::{
    api::{Behind, Relay},
    host::{Host, Machine},
    node::{ApiConfigFile, PlainHttp},
    relay::Vaults,
};

/// Serve HTTP in front of vault nodes, until it is told to stop.
///
/// It holds no secrets and keeps none: what clients ask it brings to a node, with their tokens, and to another when that
/// one does not answer. `covault join --api` makes its directory. SIGTERM and Ctrl-C finish what is in flight and stop.
#[derive(Args)]
#[command(after_help = "Example:\n  covault api --config /etc/covault/api.toml")]
pub struct ApiArgs {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Where to listen, instead of what the file says; port 0 takes any free one.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Serve unencrypted HTTP to other machines too. Tokens and values then cross the network in plain.
    #[arg(long)]
    plain_http_anywhere: bool,
    /// Stop when standard input ends too, as a program that starts this process and may die wants it.
    #[arg(long)]
    stop_with_stdin: bool,
    /// Write one JSON object to this file once the process serves.
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
}

impl ApiArgs {
    /// Runs until it is told to stop.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn run(self, output: &Output) -> Result<(), Failure> {
        let mut config = ApiConfigFile::read(&self.config)
            .map_err(|error| Failure::new("config_invalid", error.to_string()))?;
        if let Some(listen) = self.listen {
            config.http.listen = listen;
        }
        if self.plain_http_anywhere {
            config.http.plain_http = PlainHttp::Anywhere;
        }
        let log = config.log.clone();
        serve::run_logging(&log, self.serve(config, output))
    }

    async fn serve(self, config: ApiConfigFile, output: &Output) -> Result<(), Failure> {
        let stop = if self.stop_with_stdin { Stop::SignalOrStdin } else { Stop::Signal };
        let (front, stopping) = (Front::open(&config.http).await?, serve::told_to_stop(stop)?);
        let machine: Arc<dyn Host> = Arc::new(Machine);
        let vaults = Vaults::start(&config.data, machine.clone());
        let vaults = vaults.map_err(|error| Failure::new("cannot_start", error.to_string()))?;
        let behind = Behind::Away(Relay::to(vaults.clone()));
        let api = front::api(behind, &config.http, config.value_bytes_max, &*machine);
        if let Some(path) = &self.ready_file {
            let (id, url, pid) = (vaults.id().to_string(), front.url(), std::process::id());
            let ready = json!({ "api": { "id": id, "url": url, "pid": pid, "data": config.data } });
            write_private(path, ready.to_string().as_bytes())?;
        }
        let text = format!("covault {} serves at {}", env!("CARGO_PKG_VERSION"), front.url());
        log::announce(output, config.log.format, &text);
        front.serve(&api, stopping).await;
        vaults.stop().await;
        Ok(())
    }
}
