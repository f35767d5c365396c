//! Serving: a node with the API in front, from start to a stop in order. Shared by `dev` and `node`.
//! Knows nothing of where the configuration came from.

use std::{
    future::Future,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use covault_seal::Plaintext;
use serde_json::json;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tracing_subscriber::EnvFilter;
use zeroize::Zeroizing;

use super::{failure::Failure, private_file::write_private};
use crate::{
    api::{Api, RequestLimits, ServerLimits, serve, tls},
    host::{Host, Machine},
    node::{ConfigFile, HttpConfig, LogConfig, LogFormat, Node, PlainHttp, StartError, TlsFiles},
};

/// How long requests in flight may take to finish once the process is told to stop.
const DRAIN: Duration = Duration::from_secs(10);
/// How long a TLS handshake, or the head of a request, may take.
const HEAD: Duration = Duration::from_secs(10);

/// Starts the node of `config`, tells `announce`, and serves until the process is told to stop.
///
/// # Errors
/// When the node or its listener cannot be started, when `announce` fails, or when the node has failed.
pub fn run<A, F>(config: ConfigFile, stop: Stop, announce: A) -> Result<(), Failure>
where
    A: FnOnce(Told) -> F,
    F: Future<Output = Result<Node, Failure>>,
{
    log_to_stderr(&config.log)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new("cannot_start", error.to_string()))?;
    runtime.block_on(serve_until_stopped(config, stop, announce))
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
    /// Where it listens.
    pub url: String,
}

async fn serve_until_stopped<A, F>(config: ConfigFile, stop: Stop, announce: A) -> Result<(), Failure>
where
    A: FnOnce(Told) -> F,
    F: Future<Output = Result<Node, Failure>>,
{
    let ConfigFile { node, http, .. } = config;
    refuse_open_plain_http(&http)?;
    let tls = http.tls.as_ref().map(read_tls).transpose()?;
    let listener = TcpListener::bind(http.listen).await;
    let listener = listener.map_err(|error| {
        Failure::new("cannot_listen", format!("cannot listen on {}: {error}", http.listen))
    })?;
    let address = listener.local_addr().map_err(|error| Failure::new("cannot_listen", error.to_string()))?;
    let stopping = told_to_stop(stop)?;
    tokio::pin!(stopping);
    let value_bytes_max = node.value_bytes_max;

    let machine: Arc<dyn Host> = Arc::new(Machine);
    // A node that waits for its cluster can still be told to stop.
    let started = tokio::select! {
        started = Node::start(node, machine.clone()) => started.map_err(|error| cannot_start(&error))?,
        () = &mut stopping => return Ok(()),
    };
    let mut prefix = [0; 4];
    machine.fill(&mut prefix);
    let limits = RequestLimits { time: http.request_deadline, value_bytes_max };
    let api = Api::new(started.vault().clone(), limits, u32::from_le_bytes(prefix));
    let scheme = if tls.is_some() { "https" } else { "http" };
    let node = announce(Told { node: started, url: format!("{scheme}://{address}") }).await?;

    let limits =
        ServerLimits { connections_max: http.connections_max, handshake: HEAD, head: HEAD, drain: DRAIN };
    let mut failure = None;
    let stop = async {
        tokio::select! {
            // Requests are taken until another node leads, and go to that one.
            () = &mut stopping => node.hand_over().await,
            why = node.failed() => failure = Some(why),
        }
    };
    let finished = serve(&api, listener, tls, limits, stop).await;
    if !finished {
        tracing::warn!("some requests did not finish in time");
    }
    node.stop().await;
    match failure {
        None => Ok(()),
        Some(why) => Err(Failure::new("storage_failed", format!("the node cannot go on: {why}"))),
    }
}

fn refuse_open_plain_http(http: &HttpConfig) -> Result<(), Failure> {
    let open =
        http.tls.is_none() && http.plain_http == PlainHttp::Loopback && !http.listen.ip().is_loopback();
    if !open {
        return Ok(());
    }
    let detail = format!("plain HTTP on {} would show tokens and values to the network", http.listen);
    let hint = "give a certificate ([tls] in the configuration), or --plain-http-anywhere if something in \
                front of the node encrypts";
    Err(Failure::new("plain_http_refused", detail).with_hint(hint))
}

fn read_tls(files: &TlsFiles) -> Result<Arc<rustls::ServerConfig>, Failure> {
    let read = |path: &Path| std::fs::read(path).map_err(|error| Failure::file("read", path, &error));
    let (certificates, key) = (read(&files.cert)?, Zeroizing::new(read(&files.key)?));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    tls::config(&certificates, &key, provider).map_err(|error| {
        let (cert, key) = (files.cert.display(), files.key.display());
        Failure::new("tls_unusable", format!("{cert} and {key}: {error}"))
    })
}

/// Why a node did not start, with what may help.
pub fn cannot_start(error: &StartError) -> Failure {
    let text = error.to_string();
    match text.split_once('\n') {
        None => Failure::new("cannot_start", text),
        Some((detail, hint)) => Failure::new("cannot_start", detail).with_hint(hint.trim_matches(['(', ')'])),
    }
}

fn told_to_stop(stop: Stop) -> Result<impl Future<Output = ()>, Failure> {
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

fn log_to_stderr(config: &LogConfig) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(&config.level).map_err(|_| {
        Failure::new("config_invalid", "log.level is not a filter such as info or covault=debug")
    })?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match config.format {
        LogFormat::Text => log.with_ansi(false).init(),
        LogFormat::Json => log.json().init(),
    }
    Ok(())
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
