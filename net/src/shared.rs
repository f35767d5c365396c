//! What all tasks of an endpoint share. Knows nothing of the order of things on a connection.

use std::sync::{Arc, Mutex, PoisonError};

use covault_model::id::{ClusterId, NodeId};
use quinn::{Connection, TransportConfig, crypto::rustls::QuicClientConfig};
use tokio::{
    sync::{Semaphore, mpsc},
    time::Instant,
};

use crate::{
    inbox::Incoming,
    lane::Lanes,
    limits::Limits,
    neighbour::{Neighbour, Neighbours},
    quota::LineQuota,
    reason::Reason,
    socket::Chance,
    stats::Refusals,
    stream::Fault,
    tls::ClientKey,
    trust::Trust,
};

/// One endpoint's state.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) quinn: quinn::Endpoint,
    pub(crate) trust: Trust,
    /// None before this node has joined one.
    pub(crate) cluster: Option<ClusterId>,
    pub(crate) limits: Limits,
    pub(crate) chance: Chance,
    pub(crate) client_key: ClientKey,
    pub(crate) dialling: Arc<TransportConfig>,
    pub(crate) neighbours: Neighbours,
    /// What all peers together ask of this node.
    pub(crate) asks: Lanes,
    pub(crate) handshakes: Arc<Semaphore>,
    pub(crate) strangers: Arc<Semaphore>,
    pub(crate) refusals: Refusals,
    pub(crate) lines: LineQuota,
    /// None once the endpoint is closed.
    pub(crate) inbox: Mutex<Option<mpsc::Sender<Incoming>>>,
}

impl Shared {
    pub(crate) fn client_config(&self, expected: NodeId) -> Result<quinn::ClientConfig, rustls::Error> {
        let tls = self.client_key.expecting(expected)?;
        let tls =
            QuicClientConfig::try_from(tls).map_err(|error| rustls::Error::General(error.to_string()))?;
        let mut config = quinn::ClientConfig::new(Arc::new(tls));
        config.transport_config(self.dialling.clone());
        Ok(config)
    }

    pub(crate) fn neighbour(&self, node: NodeId) -> Option<Arc<Neighbour>> {
        self.neighbours.get(node, &self.trust, &self.limits)
    }

    /// Closes a connection, counts why, and says so once if the log has room.
    pub(crate) fn refuse(&self, connection: &Connection, node: Option<NodeId>, reason: Reason) {
        if connection.close_reason().is_some() {
            return;
        }
        connection.close(reason.on_wire(), reason.name().as_bytes());
        self.refusals.count(reason);
        if let Some(left_out) = self.lines.take(Instant::now()) {
            let (addr, node) = (connection.remote_address(), node.map(|node| node.to_string()));
            tracing::warn!(%addr, node, reason = reason.name(), left_out, "a connection was closed");
        }
    }

    /// Hands a request over. Once the endpoint is closed, its connections are gone.
    pub(crate) async fn deliver(&self, incoming: Incoming) -> Result<(), Fault> {
        let inbox = self.inbox.lock().unwrap_or_else(PoisonError::into_inner).clone();
        inbox.ok_or(Fault::Connection)?.send(incoming).await.map_err(|_| Fault::GiveUp(Reason::Unanswered))
    }
}
