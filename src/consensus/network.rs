//! Raft's questions on their way to a peer. A peer that cannot be reached, or that answers with anything but
//! an answer, is unreachable to Raft, which asks again later. Keeps R5. Knows nothing of how bytes travel.

use std::{
    collections::BTreeMap,
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use covault_model::{id::NodeId, mutant::Mutant};
use covault_net::{CallError, Channel, Endpoint, PeerStats};
use openraft::{
    BasicNode, OptionalSend, RaftNetwork, RaftNetworkFactory, Snapshot, Vote,
    error::{
        Fatal, PayloadTooLarge, RPCError, RaftError, RemoteError, ReplicationClosed, StreamingError,
        Unreachable,
    },
    network::{Backoff, RPCOption},
    raft::{AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_bytes::ByteBuf;
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval},
};

use super::{
    log::LogStore,
    message::{self, AppendTold, RaftAsk, SnapshotPart, SnapshotTold, VoteTold},
    news::{self, News},
    types::{LogId, SnapshotMeta, Types},
};

/// How long Raft waits before it asks an unreachable peer again.
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(200);
/// Bytes of one question; what is more is asked in several. A frame holds 8 MiB, and one entry always fits.
const ASK_BYTES_MAX: usize = 6 << 20;
/// Bytes of a snapshot in one question. In tests so few that a small one takes several.
const SNAPSHOT_PART_LEN: usize = if cfg!(test) { 1024 } else { 4 << 20 };
/// How long entries may be on their way, and be written by the peer.
const APPEND_DEADLINE: Duration = Duration::from_secs(30);
/// How long a peer may take over a piece of a snapshot, and to install it.
const SNAPSHOT_DEADLINE: Duration = Duration::from_secs(60);
/// How often it is said of a snapshot that it is still on its way; less than the shortest wait for an election.
const SNAPSHOT_LASTS: Duration = Duration::from_millis(200);

/// The way to the other nodes; there is none for a node that is alone.
#[derive(Clone)]
pub struct Peers {
    endpoint: Option<Endpoint>,
    /// Whether Raft sends its followers nothing at the moment.
    quiet: Arc<AtomicBool>,
}

impl Peers {
    /// The nodes that `endpoint` reaches.
    pub fn over(endpoint: Option<Endpoint>) -> Self {
        Self { endpoint, quiet: Arc::default() }
    }

    /// Whether this node, if it leads, is to say so to nobody from now on.
    pub fn keep_quiet(&self, quiet: bool) {
        self.quiet.store(quiet, Ordering::Relaxed);
    }

    /// How long ago each of them was heard of, of those that were.
    pub fn heard(&self) -> BTreeMap<NodeId, Duration> {
        let peers = self.endpoint.as_ref().map(|endpoint| endpoint.stats().peers).unwrap_or_default();
        let heard = |(node, stats): (NodeId, PeerStats)| Some((node, stats.last_contact?.elapsed()));
        peers.into_iter().filter_map(heard).collect()
    }

    /// Asks one of them.
    pub async fn ask<T: DeserializeOwned>(
        &self,
        to: NodeId,
        channel: Channel,
        ask: &impl Serialize,
        deadline: Duration,
    ) -> Result<T, AskError> {
        self.send(to, channel, message::write(ask), deadline).await
    }

    async fn send<T: DeserializeOwned>(
        &self,
        to: NodeId,
        channel: Channel,
        ask: Vec<u8>,
        deadline: Duration,
    ) -> Result<T, AskError> {
        let endpoint = self.endpoint.as_ref().ok_or(AskError::Alone)?;
        let told = endpoint.call(to, channel, ask.into(), deadline).await?;
        message::read(&told).map_err(|_| AskError::Garbled)
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// There are no peers.
    #[error("this node has no peers")]
    Alone,
    /// This node keeps quiet.
    #[error("no majority answers this node")]
    Quiet,
    /// The peer could not be asked, or did not answer.
    #[error(transparent)]
    Call(#[from] CallError),
    /// What it answered is no answer.
    #[error("the peer's answer cannot be read")]
    Garbled,
}

impl AskError {
    /// Whether the peer surely never saw the question.
    pub fn is_undelivered(&self) -> bool {
        match self {
            Self::Alone | Self::Quiet | Self::Call(CallError::Misuse(_) | CallError::Unreachable(_)) => true,
            Self::Call(_) | Self::Garbled => false,
        }
    }
}

impl From<AskError> for Unreachable {
    fn from(error: AskError) -> Self {
        Self::new(&io::Error::other(error))
    }
}

/// The ways of Raft's questions to the peers.
#[derive(Clone)]
pub struct Links {
    peers: Peers,
    log: LogStore,
    news: News,
    busy: watch::Sender<()>,
}

impl Links {
    /// The ways to `peers` for the node that keeps `log` and has this news. While one of them is busy with what it was
    /// sent, `busy` hears so every now and then.
    pub fn new(peers: Peers, log: LogStore, news: News, busy: watch::Sender<()>) -> Self {
        Self { peers, log, news, busy }
    }
}

/// The way to one peer.
pub struct Link {
    peers: Peers,
    log: LogStore,
    news: News,
    busy: watch::Sender<()>,
    to: NodeId,
    /// What the peer said last.
    pub(super) heard: Option<Heard>,
    /// Entries on their way to it.
    sent: Option<Sent>,
}

type Telling = Pin<Box<dyn Future<Output = Result<AppendTold, AskError>> + Send>>;

/// Entries on their way to a peer. Raft waits for the answer no longer than from one heartbeat to the next, and asks again
/// then; what takes longer than that, over a thin wire or to a slow disk, would begin anew each time and never end.
struct Sent {
    vote: Vote<NodeId>,
    /// The entry before them.
    after: Option<LogId>,
    /// What the peer knows once it has them.
    reach: Reach,
    /// Its answer, which is waited for again instead.
    told: Mutex<Telling>,
}

impl Sent {
    /// Whether these are the first of the entries that Raft asks to be sent. A leader has one log, so the entries after
    /// the same one are the same.
    fn begins(&self, request: &AppendEntriesRequest<Types>) -> bool {
        let last = request.entries.last().map(|entry| entry.log_id);
        (self.vote, self.after) == (request.vote, request.prev_log_id) && self.reach.up_to <= last
    }
}

/// Up to where a peer has the leader's log, and up to where it was told that this is agreed.
#[derive(Clone, Copy)]
pub struct Reach {
    pub up_to: Option<LogId>,
    pub agreed: Option<LogId>,
}

/// That a peer follows the leader with this vote, what it knows, and when it said so.
pub struct Heard {
    pub vote: Vote<NodeId>,
    pub reach: Reach,
    pub at: Instant,
}

type RpcError = RPCError<NodeId, BasicNode, RaftError<NodeId>>;

impl Link {
    async fn ask<T: DeserializeOwned>(&self, ask: Vec<u8>, deadline: Duration) -> Result<T, AskError> {
        self.peers.send(self.to, Channel::Raft, ask, deadline).await
    }

    /// Sends entries, or waits for the answer to those of them that are on their way. Gives what was sent, and the
    /// answer. Raft may drop this; what is on its way stays so.
    async fn send_entries(
        &mut self,
        request: AppendEntriesRequest<Types>,
    ) -> Result<(Reach, Result<AppendTold, AskError>), RpcError> {
        let sent = match self.sent.take().filter(|sent| sent.begins(&request)) {
            Some(sent) => {
                self.busy.send_replace(());
                sent
            }
            None => self.begin_to_send(request)?,
        };
        let sent = self.sent.insert(sent);
        let reach = sent.reach;
        let told = sent.told.get_mut().unwrap_or_else(PoisonError::into_inner).await;
        self.sent = None;
        Ok((reach, told))
    }

    fn begin_to_send(&self, request: AppendEntriesRequest<Types>) -> Result<Sent, PayloadTooLarge> {
        let entries = request.entries.len() as u64;
        let up_to = request.entries.last().map(|entry| entry.log_id);
        let reach = Reach { up_to, agreed: request.leader_commit };
        let (vote, after) = (request.vote, request.prev_log_id);
        let ask = message::write(&RaftAsk::Append(request));
        if ASK_BYTES_MAX < ask.len() && 1 < entries {
            return Err(PayloadTooLarge::new_entries_hint(entries / 2));
        }
        let (peers, to) = (self.peers.clone(), self.to);
        let told = async move { peers.send(to, Channel::Raft, ask, APPEND_DEADLINE).await };
        Ok(Sent { vote, after, reach, told: Mutex::new(Box::pin(told)) })
    }

    /// Sends all of a snapshot, a piece at a time.
    async fn send_snapshot(
        &self,
        vote: Vote<NodeId>,
        meta: SnapshotMeta,
        rows: &[u8],
    ) -> Result<Result<SnapshotResponse<NodeId>, Fatal<NodeId>>, AskError> {
        let mut offset = 0;
        loop {
            let rest = rows.get(offset..).ok_or(AskError::Garbled)?;
            let bytes = &rest[..rest.len().min(SNAPSHOT_PART_LEN)];
            let (last, end) = (bytes.len() == rest.len(), offset + bytes.len());
            let bytes = ByteBuf::from(bytes);
            let part = SnapshotPart { vote, meta: meta.clone(), offset: offset as u64, bytes, last };
            match self.ask(message::write(&RaftAsk::Snapshot(part)), SNAPSHOT_DEADLINE).await? {
                SnapshotTold::Installed(told) => return Ok(*told),
                SnapshotTold::Received(so_far) if !last && so_far == end as u64 => offset = end,
                SnapshotTold::Received(_) => return Err(AskError::Garbled),
            }
        }
    }

    /// Says of a snapshot that it is still on its way, for as long as this is waited for.
    async fn say_busy<T>(&self) -> T {
        let mut ticks = interval(SNAPSHOT_LASTS);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.busy.send_replace(());
        }
    }

    /// Whether a question need not be asked now, since the peer has just said what it would say to it: either there is
    /// nothing in it that the peer was not told then, or nothing but news, which waits.
    fn is_answered(&self, request: &AppendEntriesRequest<Types>) -> bool {
        let Some(Heard { vote, reach, at }) = &self.heard else { return false };
        request.entries.is_empty()
            && (request.vote, request.prev_log_id) == (*vote, reach.up_to)
            && at.elapsed() < news::WAITS
            && (request.leader_commit <= reach.agreed || self.news.put_off())
    }

    fn remote(&self, error: RaftError<NodeId>) -> RpcError {
        RPCError::RemoteError(RemoteError::new(self.to, error))
    }
}

impl RaftNetworkFactory<Types> for Links {
    type Network = Link;

    async fn new_client(&mut self, to: NodeId, _: &BasicNode) -> Link {
        let Self { peers, log, news, busy } = self.clone();
        Link { peers, log, news, busy, to, heard: None, sent: None }
    }
}

impl RaftNetwork<Types> for Link {
    async fn append_entries(
        &mut self,
        mut request: AppendEntriesRequest<Types>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<NodeId>, RpcError> {
        if self.peers.quiet.load(Ordering::Relaxed) {
            return Err(Unreachable::from(AskError::Quiet).into());
        }
        if self.is_answered(&request) {
            return Ok(AppendEntriesResponse::Success);
        }
        // Raft has counted this node towards the majority already. What its own disk does not have yet is not said to
        // be agreed; a question after the sync says it.
        request.leader_commit = request.leader_commit.filter(|agreed| self.log.may_be_told(agreed));
        self.heard = None;
        let (vote, last) = (request.vote, request.entries.last().map(|entry| entry.log_id));
        let (reach, told) = match last {
            None => {
                let reach = Reach { up_to: request.prev_log_id, agreed: request.leader_commit };
                (reach, self.ask(message::write(&RaftAsk::Append(request)), option.hard_ttl()).await)
            }
            Some(_) => self.send_entries(request).await?,
        };
        if told.is_err() && Mutant::MajorityOfOne.is_on() {
            return Ok(AppendEntriesResponse::Success);
        }
        let told: AppendTold = told.map_err(Unreachable::from)?;
        if !matches!(told, Ok(AppendEntriesResponse::Success)) {
            return told.map_err(|error| self.remote(error));
        }
        self.heard = Some(Heard { vote, reach, at: Instant::now() });
        let is_all = last.is_none_or(|last| Some(last) == reach.up_to);
        Ok(if is_all {
            AppendEntriesResponse::Success
        } else {
            AppendEntriesResponse::PartialSuccess(reach.up_to)
        })
    }

    async fn vote(
        &mut self,
        request: VoteRequest<NodeId>,
        option: RPCOption,
    ) -> Result<VoteResponse<NodeId>, RpcError> {
        let ask = message::write(&RaftAsk::Vote(request));
        let told: VoteTold = self.ask(ask, option.hard_ttl()).await.map_err(Unreachable::from)?;
        told.map_err(|error| self.remote(error))
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote<NodeId>,
        snapshot: Snapshot<Types>,
        cancelled: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _: RPCOption,
    ) -> Result<SnapshotResponse<NodeId>, StreamingError<Types, Fatal<NodeId>>> {
        let unreachable =
            |error: &dyn std::error::Error| Unreachable::new(&io::Error::other(error.to_string()));
        let exported = snapshot.snapshot.export(snapshot.meta);
        let (meta, rows) = exported.map_err(|error| unreachable(&error))?;
        let told = tokio::select! {
            biased;
            closed = cancelled => return Err(StreamingError::Closed(closed)),
            never = self.say_busy() => never,
            told = self.send_snapshot(vote, meta, &rows) => told.map_err(|error| unreachable(&error))?,
        };
        told.map_err(|error| StreamingError::RemoteError(RemoteError::new(self.to, error)))
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(std::iter::repeat(ASK_AGAIN_AFTER))
    }
}
