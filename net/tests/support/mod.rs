//! What the suites between peers share: nodes on loopback, a dialler that keeps to no rule, waiting.
//! Each suite uses a part of it.

#![allow(dead_code)]

use std::{
    collections::BTreeMap,
    future::Future,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use covault_model::{
    id::{ClusterId, NodeId},
    key::NodeKey,
};
use covault_net::{
    Channel, Doors, Draw, Endpoint, Inbox, Incoming, Limits, Peer, Reason, Role, Setup, Socket, Trust,
    frame::RequestHead,
    hello::{HELLO_LEN, Hello},
    tls,
};
use quinn::{ConnectionError, TransportConfig, crypto::rustls::QuicClientConfig};
use tokio::time::{sleep, timeout};

/// The longest that anything may take on a slow, busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// How long nothing may happen before it counts as standing still.
pub const STILL: Duration = Duration::from_millis(300);
pub const CLUSTER: ClusterId = ClusterId([7; 16]);

/// Polls until `look` holds.
pub async fn eventually(what: &str, mut look: impl FnMut() -> bool) {
    let polled = async {
        while !look() {
            sleep(Duration::from_millis(2)).await;
        }
    };
    assert!(timeout(PATIENCE, polled).await.is_ok(), "waited {PATIENCE:?} for: {what}");
}

/// Waits for what must come.
pub async fn soon<T>(what: &str, step: impl Future<Output = T>) -> T {
    timeout(PATIENCE, step).await.unwrap_or_else(|_| panic!("waited {PATIENCE:?} for: {what}"))
}

pub fn key(number: u8) -> NodeKey {
    NodeKey::from_seed(&[number; 32])
}

pub fn id(number: u8) -> NodeId {
    key(number).node_id()
}

/// Bytes that differ each time.
pub fn draw() -> Draw {
    static DRAWN: AtomicU64 = AtomicU64::new(0);
    Box::new(|bytes| {
        for part in bytes.chunks_mut(8) {
            // Splitmix64: every count gives another number.
            let mut z = DRAWN.fetch_add(0x9e37_79b9_7f4a_7c15, Relaxed);
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            part.copy_from_slice(&(z ^ (z >> 31)).to_be_bytes()[..part.len()]);
        }
    })
}

/// A socket on a free port.
pub fn loopback() -> UdpSocket {
    UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap()
}

/// Limits under which rests and deadlines are short enough for a test.
pub fn quick() -> Limits {
    Limits { rest_min: Duration::from_millis(1), rest_max: Duration::from_millis(20), ..Limits::default() }
}

/// One node with its door open.
pub struct Node {
    pub id: NodeId,
    pub addr: SocketAddr,
    pub endpoint: Endpoint,
    pub trust: Trust,
    pub inbox: Option<Inbox>,
}

impl Node {
    pub fn start(number: u8) -> Self {
        Self::start_with(number, quick())
    }

    pub fn start_with(number: u8, limits: Limits) -> Self {
        Self::start_on(number, loopback(), Some(CLUSTER), limits)
    }

    pub fn start_on(number: u8, bound: UdpSocket, cluster: Option<ClusterId>, limits: Limits) -> Self {
        let (chance, doors) = (draw(), Doors::Open);
        Self::start_as(number, bound, Setup { cluster, limits, chance, doors })
    }

    /// One that only dials.
    pub fn start_shut(number: u8) -> Self {
        let (chance, doors) = (draw(), Doors::Shut);
        let setup = Setup { cluster: Some(CLUSTER), limits: quick(), chance, doors };
        Self::start_as(number, loopback(), setup)
    }

    fn start_as(number: u8, bound: UdpSocket, setup: Setup) -> Self {
        let trust = Trust::new(BTreeMap::new());
        let socket = Socket::real(bound).unwrap();
        let (endpoint, inbox) = Endpoint::start(&key(number), socket, trust.clone(), setup).unwrap();
        let addr = endpoint.local_addr().unwrap();
        Self { id: id(number), addr, endpoint, trust, inbox: Some(inbox) }
    }

    pub fn enrol(&self, peer: NodeId, addr: SocketAddr, role: Role) {
        let mut peers = self.trust.peers();
        peers.insert(peer, Peer { addr: Some(addr), role });
        self.trust.replace(peers);
    }

    pub fn remove(&self, peer: &NodeId) {
        let mut peers = self.trust.peers();
        peers.remove(peer);
        self.trust.replace(peers);
    }

    /// Answers every request with its own bytes backwards.
    pub fn answering(mut self) -> Self {
        let mut inbox = self.inbox.take().unwrap();
        tokio::spawn(async move {
            while let Some(incoming) = inbox.next().await {
                let backwards = incoming.request.iter().rev().copied().collect();
                incoming.reply.send(backwards);
            }
        });
        self
    }

    pub async fn next(&mut self) -> Incoming {
        soon("a request", self.inbox.as_mut().unwrap().next()).await.unwrap()
    }

    pub fn refused(&self, reason: Reason) -> u64 {
        self.endpoint.stats().refused.get(&reason).copied().unwrap_or(0)
    }

    /// Asks `to` for `text` backwards.
    pub async fn asks(&self, to: &Node, text: &'static str) {
        let request = Bytes::from_static(text.as_bytes());
        let answer = self.endpoint.call(to.id, Channel::Forward, request, PATIENCE).await.unwrap();
        assert_eq!(answer, text.bytes().rev().collect::<Bytes>());
    }
}

/// Two vaults that are enrolled with each other and answer.
pub fn pair() -> (Node, Node) {
    let (a, b) = (Node::start(1).answering(), Node::start(2).answering());
    introduce(&a, &b);
    (a, b)
}

pub fn introduce(a: &Node, b: &Node) {
    a.enrol(b.id, b.addr, Role::Vault);
    b.enrol(a.id, a.addr, Role::Vault);
}

/// A dialler that keeps to no rule but QUIC's.
pub struct Raw {
    pub endpoint: quinn::Endpoint,
    pub connection: quinn::Connection,
}

impl Raw {
    pub fn config(number: u8, to: &Node) -> rustls::ClientConfig {
        tls::client_config(&key(number), to.id, &tls::default_provider()).unwrap()
    }

    pub async fn dial(config: rustls::ClientConfig, to: &Node) -> Result<Self, ConnectionError> {
        Self::dial_with(config, to, TransportConfig::default()).await
    }

    pub async fn dial_with(
        config: rustls::ClientConfig,
        to: &Node,
        transport: TransportConfig,
    ) -> Result<Self, ConnectionError> {
        let endpoint = quinn::Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let mut config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(config).unwrap()));
        config.transport_config(Arc::new(transport));
        let connection = endpoint.connect_with(config, to.addr, tls::SERVER_NAME).unwrap().await?;
        Ok(Self { endpoint, connection })
    }

    /// Connected with this key, nothing said yet.
    pub async fn silent(number: u8, to: &Node) -> Self {
        Self::dial(Self::config(number, to), to).await.unwrap()
    }

    /// Connected and let in.
    pub async fn greeted(number: u8, to: &Node, hello: Hello) -> Self {
        let raw = Self::silent(number, to).await;
        assert_eq!(raw.greet(&hello.to_bytes()).await, Ok(hello));
        raw
    }

    pub async fn peer(number: u8, to: &Node) -> Self {
        Self::greeted(number, to, Hello::Peer(CLUSTER)).await
    }

    /// Says these bytes as its hello; the other's hello, or why it was refused.
    pub async fn greet(&self, bytes: &[u8]) -> Result<Hello, Reason> {
        let said = async {
            let (mut send, mut recv) = self.connection.open_bi().await.ok()?;
            send.write_all(bytes).await.ok()?;
            send.finish().ok()?;
            let mut answer = [0; HELLO_LEN];
            recv.read_exact(&mut answer).await.ok()?;
            Hello::from_bytes(&answer).ok()
        };
        match soon("an answer to hello", said).await {
            Some(hello) => Ok(hello),
            None => Err(self.closed().await),
        }
    }

    /// Sends these bytes on a stream of their own and keeps it open.
    pub async fn send(&self, bytes: &[u8]) -> (quinn::SendStream, quinn::RecvStream) {
        let (mut send, recv) = self.connection.open_bi().await.unwrap();
        send.write_all(bytes).await.unwrap();
        (send, recv)
    }

    /// Sends these bytes as all of a stream.
    pub async fn send_whole(&self, bytes: &[u8]) -> quinn::RecvStream {
        let (mut send, recv) = self.send(bytes).await;
        send.finish().unwrap();
        recv
    }

    /// Why the node closes the connection.
    pub async fn closed(&self) -> Reason {
        match soon("the connection's end", self.connection.closed()).await {
            ConnectionError::ApplicationClosed(close) => {
                Reason::from_code(close.error_code.into_inner()).unwrap()
            }
            other => panic!("ended otherwise: {other:?}"),
        }
    }
}

/// A whole request.
pub fn request(channel: Channel, body: &[u8]) -> Vec<u8> {
    let head = RequestHead { channel, length: body.len() }.to_bytes().unwrap();
    [&head, body].concat()
}
