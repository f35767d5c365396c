//! The accept loop. warp's own takes neither TLS nor a listener of ours, so this one does what it left
//! out: a bound on connections, time limits on handshake and head, TLS, and a stop that lets whatever is
//! in flight finish. Generic over the listener, so that a simulated network can stand in for sockets.
//! Knows nothing of requests.

use std::{io, net, sync::Arc, time::Duration};

use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{
        conn::auto,
        graceful::{GracefulShutdown, Watcher},
    },
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::{interval, sleep, timeout},
};
use tokio_rustls::TlsAcceptor;

use crate::api::{alarm::Alarm, joined::Joined, metrics::Metrics, service::Api, workers::Workers};

/// How often recorded times are folded into the histograms.
const METRICS_UPKEEP: Duration = Duration::from_secs(5);
/// How long to wait after a failed accept; it fails mostly for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long the server goes on once it is to stop. A client may have connected or asked just before: its connection is
/// still in the listener's queue, or nobody has looked at it yet, and it would be closed with what came on it unread.
const LAST_WORDS: Duration = Duration::from_millis(100);
/// What one HTTP/1 connection may buffer, in bytes. Larger heads are cut off with a bare 431.
const BUFFER_BYTES_MAX: usize = 64 * 1024;
/// Requests that one HTTP/2 connection may have in flight.
const STREAMS_MAX: u32 = 128;
const PING_INTERVAL: Duration = Duration::from_secs(20);

/// Where connections come from. Sockets, or a simulated network.
pub trait Listener: Send {
    /// One connection, not yet of any runtime.
    type Accepted: Send + 'static;
    /// One connection.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Waits for the next connection. Dropping the future loses none.
    fn accept(&mut self) -> impl Future<Output = io::Result<Self::Accepted>> + Send;

    /// Makes it one of the runtime that this is called in.
    fn open(accepted: Self::Accepted) -> io::Result<Self::Stream>;
}

impl Listener for TcpListener {
    type Accepted = net::TcpStream;
    type Stream = TcpStream;

    async fn accept(&mut self) -> io::Result<net::TcpStream> {
        let (stream, _) = TcpListener::accept(self).await?;
        // Answers are written whole, so waiting to fill a packet only costs time.
        stream.set_nodelay(true)?;
        stream.into_std()
    }

    fn open(accepted: net::TcpStream) -> io::Result<TcpStream> {
        TcpStream::from_std(accepted)
    }
}

/// The bounds of one server.
#[derive(Debug, Clone)]
pub struct ServerLimits {
    /// Connections at a time; more wait in the listener's queue.
    pub connections_max: usize,
    /// How long a TLS handshake may take.
    pub handshake: Duration,
    /// How long the head of a request may take, and how long a connection may idle.
    pub head: Duration,
    /// How long requests in flight may take to finish once the server stops.
    pub drain: Duration,
}

/// Serves `api` on `listener`, connections on `workers`, until `stop` is ready and what is in flight has finished, or the
/// time for that is up. Returns whether everything finished.
pub async fn serve<L: Listener>(
    api: &Api,
    mut listener: L,
    tls: Option<Arc<rustls::ServerConfig>>,
    limits: ServerLimits,
    workers: Workers,
    stop: impl Future<Output = ()>,
) -> bool {
    let slots = Arc::new(Semaphore::new(limits.connections_max));
    let acceptor = tls.map(TlsAcceptor::from);
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    let mut upkeep = interval(METRICS_UPKEEP);
    let mut stop = std::pin::pin!(async {
        stop.await;
        sleep(LAST_WORDS).await;
    });
    loop {
        let next = async {
            let slot = slots.clone().acquire_owned().await;
            (slot, accepted(&mut listener).await)
        };
        let (slot, accepted) = tokio::select! {
            // In this order, so that a simulated run has one course.
            biased;
            () = &mut stop => break,
            Some(_) = connections.join_next() => continue,
            _ = upkeep.tick() => {
                api.metrics().upkeep();
                continue;
            }
            next = next => next,
        };
        let (api, acceptor, limits) = (api.clone(), acceptor.clone(), limits.clone());
        let (watcher, place) = (graceful.watcher(), workers.place());
        let worker = place.handle().clone();
        let conversation = async move {
            let _held = (slot, place);
            let _counted = Counted::new(api.metrics());
            match L::open(accepted) {
                Ok(stream) => converse(&api, stream, acceptor, &limits, watcher).await,
                Err(error) => tracing::warn!(%error, "a connection could not be opened"),
            }
        };
        connections.spawn_on(conversation, &worker);
    }
    drop(listener);
    tracing::info!(connections = graceful.count(), "stopping: finishing what is in flight");
    timeout(limits.drain, graceful.shutdown()).await.is_ok()
}

/// Keeps `api` going without a listener until `stop` is ready: other processes bring its requests.
pub async fn attend(api: &Api, stop: impl Future<Output = ()>) {
    let mut upkeep = interval(METRICS_UPKEEP);
    let mut stop = std::pin::pin!(stop);
    loop {
        tokio::select! {
            biased;
            () = &mut stop => return,
            _ = upkeep.tick() => api.metrics().upkeep(),
        }
    }
}

async fn accepted<L: Listener>(listener: &mut L) -> L::Accepted {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Counts a connection for as long as it lives.
struct Counted<'a>(&'a Metrics);

impl<'a> Counted<'a> {
    fn new(metrics: &'a Metrics) -> Self {
        metrics.connected();
        Self(metrics)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.disconnected();
    }
}

async fn converse<S>(
    api: &Api,
    stream: S,
    acceptor: Option<TlsAcceptor>,
    limits: &ServerLimits,
    watcher: Watcher,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Some(acceptor) = acceptor else { return speak_http(api, stream, limits, watcher).await };
    match timeout(limits.handshake, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => speak_http(api, stream, limits, watcher).await,
        Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
        Err(_) => tracing::debug!("a TLS handshake took too long"),
    }
}

async fn speak_http<S>(api: &Api, stream: S, limits: &ServerLimits, watcher: Watcher)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(Alarm::default())
        .header_read_timeout(limits.head)
        .max_buf_size(BUFFER_BYTES_MAX)
        // A client may close its side once it has asked. Looking out for that while a request is answered
        // would also cost each of them a buffer of its own, since its head still lies in the one before.
        .half_close(true);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_INTERVAL)
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(BUFFER_BYTES_MAX as u32);
    let service = TowerToHyperService::new(api.service());
    let connection = builder.serve_connection(TokioIo::new(Joined::new(stream)), service).into_owned();
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%error, "a connection ended early");
    }
}
