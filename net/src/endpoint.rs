//! The one door between a node and its peers: calls go out here, and whoever dials in is received here. It runs
//! from [`Endpoint::start`] to [`Endpoint::close`].
//! Knows bytes and peers; nothing of secrets, tables and Raft.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use covault_model::{
    id::{ClusterId, NodeId},
    key::NodeKey,
};
use quinn::{Connection, EndpointConfig, crypto::rustls::QuicServerConfig};
use rustls::crypto::CryptoProvider;
use tokio::{
    sync::mpsc,
    time::{Instant, timeout, timeout_at},
};

use crate::{
    error::{CallError, Loss, Misuse, NetError, Unreachable},
    frame::{AnswerHead, Channel, HEAD_LEN, RequestHead, Status},
    hello::Hello,
    inbox::Inbox,
    lane::{LANES, Lane, Lanes, room_for, try_take},
    limits::{LONGEST_WAIT, Limits},
    link::{dial, loss},
    neighbour::Neighbours,
    quota::LineQuota,
    reason::Reason,
    serve::receive,
    shared::Shared,
    socket::{Chance, Draw, ResetKey, Socket},
    stats::{Refusals, Stats},
    stream::{Exchange, Fault},
    tls::{ClientKey, server_config},
    trust::Trust,
};

/// How long closing waits for connections to end.
const CLOSE_WITHIN: Duration = Duration::from_secs(5);
const RESET_KEY_CONTEXT: &str = "covault 2026-11 stateless reset key";

/// What an endpoint is told besides its key, its socket and its peers.
pub struct Setup {
    /// The cluster that this node is a member of; none before it has joined one. Without it only
    /// [`Endpoint::call_stranger`] works, and only strangers are let in.
    pub cluster: Option<ClusterId>,
    /// The bounds.
    pub limits: Limits,
    /// Fills bytes with what nobody can guess.
    pub chance: Draw,
    /// Who may dial in.
    pub doors: Doors,
}

/// Who may dial an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doors {
    /// Peers, and strangers who ask to be enrolled.
    Open,
    /// Nobody: the endpoint only dials.
    Shut,
}

/// A node's door to its peers; clones share it.
#[derive(Debug, Clone)]
pub struct Endpoint(Arc<Shared>);

impl Endpoint {
    /// Opens the door, inside a tokio runtime. It stays open until [`Endpoint::close`].
    pub fn start(
        key: &NodeKey,
        socket: Socket,
        trust: Trust,
        setup: Setup,
    ) -> Result<(Self, Inbox), NetError> {
        let limits = setup.limits;
        limits.check()?;
        let chance = Chance::new(setup.chance);
        let crypto = |error: rustls::Error| NetError::Crypto(error.to_string());
        let client_key = ClientKey::new(key, &socket.provider).map_err(crypto)?;
        let server = match setup.doors {
            Doors::Open => Some(server(key, &socket.provider, &limits)?),
            Doors::Shut => None,
        };
        let quinn = quinn::Endpoint::new_with_abstract_socket(
            endpoint_config(key, &chance),
            server,
            socket.udp,
            socket.runtime,
        );
        // Never full: whoever sends has room in the lanes, or is a stranger.
        let room = LANES * limits.requests_in_all as usize + limits.strangers as usize;
        let (to_inbox, inbox) = mpsc::channel(room);
        let shared = Arc::new(Shared {
            quinn: quinn.map_err(|error| NetError::Socket(error.to_string()))?,
            trust,
            cluster: setup.cluster,
            chance,
            client_key,
            dialling: limits.dialling(),
            neighbours: Neighbours::default(),
            asks: Lanes::of_all(&limits),
            handshakes: room_for(limits.handshakes),
            strangers: room_for(limits.strangers),
            refusals: Refusals::default(),
            lines: LineQuota::default(),
            inbox: Mutex::new(Some(to_inbox)),
            limits,
        });
        tokio::spawn(run(shared.clone()));
        Ok((Self(shared), Inbox(inbox)))
    }

    /// Where peers reach this endpoint, as far as its socket knows.
    pub fn local_addr(&self) -> Result<SocketAddr, NetError> {
        self.0.quinn.local_addr().map_err(|error| NetError::Socket(error.to_string()))
    }

    /// Sends `request` to an enrolled peer and waits for its answer, for no longer than `deadline` (a day at most). Dials the
    /// peer if there is no link to it. Dropping the future gives the request up.
    pub async fn call(
        &self,
        to: NodeId,
        channel: Channel,
        request: Bytes,
        deadline: Duration,
    ) -> Result<Bytes, CallError> {
        if channel == Channel::Join {
            return Err(CallError::Misuse(Misuse::NotForPeers(channel)));
        }
        let head = request_head(channel, &request)?;
        let neighbour = self.0.neighbour(to).ok_or(CallError::Misuse(Misuse::NotEnrolled(to)))?;
        let until = Instant::now() + deadline.min(LONGEST_WAIT);
        let lane = neighbour.calls.of(channel);
        let ready = async {
            let room = lane.enter().await;
            let connection = neighbour.link.connection(&self.0).await?;
            let streams = connection.open_bi().await.map_err(|_| Unreachable::Broken)?;
            Ok((room, Exchange::new(streams), connection))
        };
        let ready = timeout_at(until, ready).await.unwrap_or(Err(Unreachable::Deadline));
        let (_room, mut exchange, connection) = ready.map_err(CallError::Unreachable)?;
        let sent = HEAD_LEN + request.len();
        let answered = timeout_at(until, ask(&mut exchange, channel, head, request, Some(lane))).await;
        neighbour.traffic.went(sent);
        if answered.is_ok() {
            neighbour.link.heard();
        }
        if let Ok(Ok((_, answer))) = &answered {
            neighbour.traffic.came(HEAD_LEN + answer.len());
        }
        self.finish(answered.unwrap_or(Err(None)), &connection, to)
    }

    /// Asks the node `expected` at `addr` to be enrolled. The key is pinned as for a peer; the request and its
    /// answer are small ([`Channel::Join`]).
    pub async fn call_stranger(
        &self,
        addr: SocketAddr,
        expected: NodeId,
        request: Bytes,
        deadline: Duration,
    ) -> Result<Bytes, CallError> {
        let channel = Channel::Join;
        let head = request_head(channel, &request)?;
        let until = Instant::now() + deadline.min(LONGEST_WAIT);
        let ready = async {
            let connection = dial(&self.0, addr, expected, Hello::Stranger).await?;
            let streams = connection.open_bi().await.map_err(|_| Unreachable::Broken)?;
            Ok((Exchange::new(streams), connection))
        };
        let ready = timeout_at(until, ready).await.unwrap_or(Err(Unreachable::Deadline));
        let (mut exchange, connection) = ready.map_err(CallError::Unreachable)?;
        let answered = timeout_at(until, ask(&mut exchange, channel, head, request, None)).await;
        let answer = self.finish(answered.unwrap_or(Err(None)), &connection, expected);
        connection.close(Reason::Served.on_wire(), &[]);
        answer
    }

    /// What an exchange comes to for its caller; no fault means that the deadline passed.
    fn finish(
        &self,
        answered: Result<(Status, Bytes), Option<Fault>>,
        connection: &Connection,
        peer: NodeId,
    ) -> Result<Bytes, CallError> {
        match answered {
            Ok((Status::Answered, answer)) => Ok(answer),
            // The head was checked: a refusal has exactly its code.
            Ok((Status::Refused, code)) => {
                let code = code.as_ref().try_into().map_or(0, u16::from_be_bytes);
                Err(CallError::Refused(code))
            }
            Err(None) => Err(CallError::Lost(Loss::Deadline)),
            Err(Some(Fault::Connection)) => Err(CallError::Lost(loss(connection))),
            Err(Some(Fault::GivenUp(reason) | Fault::GiveUp(reason))) => {
                Err(CallError::Lost(Loss::GivenUp(reason)))
            }
            Err(Some(Fault::Violation(reason))) => {
                self.0.refuse(connection, Some(peer), reason);
                Err(CallError::Misbehaved(reason))
            }
        }
    }

    /// Closes what there is with a peer whose request or answer breaks a rule of those who use the channel, and
    /// says why. It may dial again.
    pub fn turn_away(&self, peer: NodeId, reason: Reason) {
        let Some(neighbour) = self.0.neighbour(peer) else { return };
        for connection in neighbour.connections() {
            self.0.refuse(&connection, Some(peer), reason);
        }
    }

    /// What was counted since the endpoint started.
    pub fn stats(&self) -> Stats {
        Stats { refused: self.0.refusals.read(), peers: self.0.neighbours.stats() }
    }

    /// Closes every connection, and waits until they have ended, but no longer than five seconds: a peer that
    /// is gone must not keep this node from stopping. The inbox ends; calls fail.
    pub async fn close(&self) {
        self.0.inbox.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.0.quinn.close(Reason::Closing.on_wire(), &[]);
        let _ = timeout(CLOSE_WITHIN, self.0.quinn.wait_idle()).await;
    }
}

/// Receives who dials in, and follows the set of peers.
async fn run(shared: Arc<Shared>) {
    let mut enrolled = shared.trust.watch();
    loop {
        tokio::select! {
            biased;
            Ok(()) = enrolled.changed() => {
                for node in shared.neighbours.follow(&shared.trust) {
                    shared.refusals.count(Reason::Removed);
                    tracing::warn!(peer = %node, "the connections of a removed peer were closed");
                }
            }
            incoming = shared.quinn.accept() => match incoming {
                Some(incoming) => take(&shared, incoming),
                None => break,
            },
        }
    }
}

/// Takes a connection if there is room to judge it. When room runs short, an address must first prove that it
/// is real, which costs this node no memory.
fn take(shared: &Arc<Shared>, incoming: quinn::Incoming) {
    let Some(slot) = try_take(&shared.handshakes, 1) else {
        shared.refusals.count(Reason::TooManyHandshakes);
        return incoming.refuse();
    };
    let short = shared.handshakes.available_permits() < shared.limits.handshakes as usize / 2;
    if short && incoming.may_retry() && !incoming.remote_address_validated() {
        // It may always be retried: that was asked above.
        let _ = incoming.retry();
        return;
    }
    tokio::spawn(receive(shared.clone(), incoming, slot));
}

fn server(
    key: &NodeKey,
    provider: &Arc<CryptoProvider>,
    limits: &Limits,
) -> Result<quinn::ServerConfig, NetError> {
    let tls = server_config(key, provider).map_err(|error| NetError::Crypto(error.to_string()))?;
    let tls = QuicServerConfig::try_from(tls).map_err(|error| NetError::Crypto(error.to_string()))?;
    let mut server = quinn::ServerConfig::with_crypto(Arc::new(tls));
    server.transport_config(limits.accepting());
    limits.bound_handshakes(&mut server);
    Ok(server)
}

fn endpoint_config(key: &NodeKey, chance: &Chance) -> EndpointConfig {
    let mut config = EndpointConfig::new(Arc::new(ResetKey(*key.derive(RESET_KEY_CONTEXT))));
    let ids = chance.clone();
    config.rng_seed(Some(chance.draw())).cid_generator(move || Box::new(ids.clone()));
    config
}

fn request_head(channel: Channel, request: &Bytes) -> Result<[u8; HEAD_LEN], CallError> {
    let (length, bytes) = (request.len(), request.len());
    let head = RequestHead { channel, length }.to_bytes();
    head.ok_or(CallError::Misuse(Misuse::TooLarge { channel, bytes }))
}

/// Sends a request and reads its answer, whose bytes wait for room in `lane`.
async fn ask(
    exchange: &mut Exchange,
    channel: Channel,
    head: [u8; HEAD_LEN],
    request: Bytes,
    lane: Option<&Lane>,
) -> Result<(Status, Bytes), Option<Fault>> {
    exchange.write(&head, request).await?;
    let head = exchange.read_head().await?;
    let AnswerHead { status, length } =
        AnswerHead::from_bytes(&head, channel).map_err(|error| Fault::Violation(error.into()))?;
    let _room = match lane {
        Some(lane) => Some(lane.hold(length).await),
        None => None,
    };
    Ok((status, exchange.read_body(length).await?))
}
