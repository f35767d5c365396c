//! The HTTP front of a process: its listener, its certificate, its bounds. Knows nothing of what is behind it.

use std::{path::Path, sync::Arc, time::Duration};

use tokio::net::TcpListener;
use zeroize::Zeroizing;

use super::failure::Failure;
use crate::{
    api::{Api, Behind, RequestLimits, ServerLimits, Workers, serve, tls},
    host::Host,
    node::{HttpConfig, PlainHttp, TlsFiles},
};

/// How long requests in flight may take to finish once the process is told to stop.
const DRAIN: Duration = Duration::from_secs(10);
/// How long a TLS handshake, or the head of a request, may take.
const HEAD: Duration = Duration::from_secs(10);

/// A listener, and what it is to be served with.
pub struct Front {
    listener: TcpListener,
    workers: Workers,
    tls: Option<Arc<rustls::ServerConfig>>,
    connections_max: usize,
    url: String,
}

impl Front {
    /// Listens. Nobody is answered before [`Front::serve`].
    pub async fn open(http: &HttpConfig) -> Result<Self, Failure> {
        refuse_open_plain_http(http)?;
        let tls = http.tls.as_ref().map(read_tls).transpose()?;
        let listener = TcpListener::bind(http.listen).await;
        let listener = listener.map_err(|error| {
            Failure::new("cannot_listen", format!("cannot listen on {}: {error}", http.listen))
        })?;
        let workers = Workers::start();
        let workers = workers.map_err(|error| Failure::new("cannot_start", error.to_string()))?;
        let address =
            listener.local_addr().map_err(|error| Failure::new("cannot_listen", error.to_string()))?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{address}");
        Ok(Self { listener, workers, tls, connections_max: http.connections_max, url })
    }

    /// Where it listens.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Serves `api` until `stop` is ready, and then finishes what is in flight.
    pub async fn serve(self, api: &Api, stop: impl Future<Output = ()>) {
        let limits =
            ServerLimits { connections_max: self.connections_max, handshake: HEAD, head: HEAD, drain: DRAIN };
        if !serve(api, self.listener, self.tls, limits, self.workers, stop).await {
            tracing::warn!("some requests did not finish in time");
        }
    }
}

/// An API with the bounds that the configuration says.
pub fn api(behind: Behind, http: &HttpConfig, value_bytes_max: usize, host: &dyn Host) -> Api {
    let mut prefix = [0; 4];
    host.fill(&mut prefix);
    let limits = RequestLimits { time: http.request_deadline, value_bytes_max };
    Api::new(behind, limits, u32::from_le_bytes(prefix))
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
