//! Serving: a node, with HTTP in front or without, from start to a stop in order. Shared by `dev`, `node` and `vault`.
//! Knows nothing of where the configuration came from.

use std::{
    future::Future,
    path::{Path, PathBuf},
    sync::Arc,
};

use covault_seal::Plaintext;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use zeroize::Zeroizing;

use super::{
    failure::Failure,
    front::{self, Front},
    log,
    private_file::write_private,
};
use crate::{
    api::{Behind, attend},
    host::{Host, Machine},
    node::{ConfigFile, LogConfig, LogFormat, Node, StartError},
};

/// Starts the node of `config`, tells `announce`, and serves until the process is told to stop.
///
/// # Errors
/// When the node or its listener cannot be started, when `announce` fails, or when the node has failed.
pub fn run<A, F>(config: ConfigFile, services: Services, stop: Stop, announce: A) -> Result<(), Failure>
where
    A: FnOnce(Told) -> F,
    F: Future<Output = Result<Node, Failure>>,
{
    run_logging(&config.log.clone(), serve_until_stopped(config, services, stop, announce))
}

/// Runs a service to its end, with its log on stderr.
pub fn run_logging(
    config: &LogConfig,
    service: impl Future<Output = Result<(), Failure>>,
) -> Result<(), Failure> {
    log::to_stderr(config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new("cannot_start", error.to_string()))?;
    let ended = runtime.block_on(service);
    match config.format {
        LogFormat::Text => ended,
        LogFormat::Json => ended.map_err(log::failed),
    }
}

/// What a node's process serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Services {
    /// The vault, and HTTP in front of it.
    VaultAndApi,
    /// The vault alone, for API processes.
    Vault,
}

/// What tells a process to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Ctrl-C or a service manager.
    Signal,
    /// These, or the end of standard input.
    SignalOrStdin,
}

/// What is told once a node serves.
pub struct Told {
    /// The node; given back by whoever is told.
    pub node: Node,
    /// Where it listens for HTTP; absent when it does not.
    pub url: Option<String>,
}

async fn serve_until_stopped<A, F>(
    config: ConfigFile,
    services: Services,
    stop: Stop,
    announce: A,
) -> Result<(), Failure>
where
    A: FnOnce(Told) -> F,
    F: Future<Output = Result<Node, Failure>>,
{
    let ConfigFile { node, http, .. } = config;
    let front = match services {
        Services::VaultAndApi => Some(Front::open(&http).await?),
        Services::Vault => None,
    };
    let stopping = told_to_stop(stop)?;
    tokio::pin!(stopping);
    let value_bytes_max = node.value_bytes_max;

    let machine: Arc<dyn Host> = Arc::new(Machine);
    // A node that waits for its cluster can still be told to stop.
    let started = tokio::select! {
        started = Node::start(node, machine.clone()) => started.map_err(|error| cannot_start(&error))?,
        () = &mut stopping => return Ok(()),
    };
    let vault = started.vault().clone();
    let api = front::api(Behind::Here(vault.clone()), &http, value_bytes_max, &*machine);
    started.serve_apis(api.serving(&vault));
    let url = front.as_ref().map(|front| front.url().to_owned());
    let node = announce(Told { node: started, url }).await?;

    let mut failure = None;
    let stop = async {
        tokio::select! {
            // Requests are taken until another node leads, and go to that one.
            () = &mut stopping => node.hand_over().await,
            why = node.failed() => failure = Some(why),
        }
    };
    match front {
        Some(front) => front.serve(&api, stop).await,
        None => attend(&api, stop).await,
    }
    node.stop().await;
    match failure {
        None => Ok(()),
        Some(why) => Err(Failure::new("storage_failed", format!("the node cannot go on: {why}"))),
    }
}

/// Why a node did not start, with what may help.
pub fn cannot_start(error: &StartError) -> Failure {
    let text = error.to_string();
    match text.split_once('\n') {
        None => Failure::new("cannot_start", text),
        Some((detail, hint)) => Failure::new("cannot_start", detail).with_hint(hint.trim_matches(['(', ')'])),
    }
}

/// Ready once what tells the process to stop has done so.
pub fn told_to_stop(stop: Stop) -> Result<impl Future<Output = ()>, Failure> {
    let signalled = stop_signal()?;
    if stop == Stop::SignalOrStdin {
        go_on_when_parent_dies();
    }
    Ok(async move {
        match stop {
            Stop::Signal => signalled.await,
            Stop::SignalOrStdin => tokio::select! {
                () = signalled => {}
                () = stdin_ends() => {}
            },
        }
    })
}

/// Has this process go on, if it is paused, when the one that started it dies: else it could not hear of that.
#[cfg(target_os = "linux")]
fn go_on_when_parent_dies() {
    use rustix::process::{Signal, set_parent_process_death_signal};

    // A machine that refuses it leaves a paused process to whoever paused it.
    let _ = set_parent_process_death_signal(Some(Signal::CONT));
}

#[cfg(not(target_os = "linux"))]
fn go_on_when_parent_dies() {}

/// Ready once standard input has ended. Read in a thread of its own, which nobody waits for: a read cannot be
/// called off.
async fn stdin_ends() {
    let (tell, ended) = tokio::sync::oneshot::channel::<()>();
    std::thread::spawn(move || {
        // However it ends, there is nobody there any more.
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        drop(tell);
    });
    let _ = ended.await;
}

/// Ready once the process is told to stop, by Ctrl-C or by a service manager.
pub fn stop_signal() -> Result<impl Future<Output = ()>, Failure> {
    let listen = |kind| signal(kind).map_err(|error| Failure::new("cannot_start", error.to_string()));
    let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Writes what a script waits for, once the node serves.
pub fn write_ready_file(
    path: Option<&PathBuf>,
    told: &Told,
    data: &Path,
    tokens: Option<(&str, &str)>,
) -> Result<(), Failure> {
    let Some(path) = path else { return Ok(()) };
    let node = json!({
        "id": told.node.vault().node().to_string(),
        "url": told.url,
        "quic": told.node.peer_address().map(|address| address.to_string()),
        "pid": std::process::id(),
        "data": data,
    });
    let ready = json!({
        "admin_token": tokens.map(|(admin, _)| admin),
        "member_token": tokens.map(|(_, member)| member),
        "nodes": [node],
    });
    write_private(path, ready.to_string().as_bytes())
}

/// The text of a token that is to be shown, once.
pub fn token_text(token: &Plaintext) -> Zeroizing<String> {
    Zeroizing::new(String::from_utf8_lossy(token.expose_plaintext()).into_owned())
}
