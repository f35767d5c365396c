//! The vault nodes, as an API process asks them: one of them, and another when that one does not answer, has no
//! majority behind it, or will not. What may have been done is asked again too, since asking twice does what asking once
//! does. Keeps A3. Knows nothing of HTTP, and nothing of what it carries.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex as Lock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use covault_model::{
    id::{ClusterId, NodeId, hex},
    roster::NodeAddress,
};
use covault_net::{CallError, Channel, Endpoint, Loss, Peer, Reason, Trust};
use tokio::{
    sync::{Mutex, Semaphore, SemaphorePermit},
    task::JoinHandle,
    time::{Instant, sleep, timeout_at},
};

use super::{
    Answered, Ask, Asked, Seen, Told,
    board::{Board, Chosen},
    door::{Kept, StartError, dialling},
    lookout,
};
use crate::host::Host;

/// How long a node may take to confirm that it has all that was agreed.
const CONFIRM_WITHIN: Duration = Duration::from_secs(1);
/// How long a node is looked for that confirms it, before one is taken that answers at all.
const SEARCH_WITHIN: Duration = Duration::from_secs(3);
const SEARCH_AGAIN_AFTER: Duration = Duration::from_millis(50);
/// Nodes that one request is brought to; some perhaps twice.
const TRIES_MAX: u32 = 8;
/// Requests on their way at a time; more wait. Fewer than a node takes of one peer, so that it is never these that
/// keep the lookout from asking.
pub(super) const REQUESTS_MAX: usize = 112;
/// Bytes of requests on their way at a time, as few for the same reason. Any one request fits.
const REQUEST_BYTES_MAX: usize = 24 << 20;
/// Refusals after which it may have been done, or may be agreed yet: what another node says does not undo them.
const MAY_BE_DONE: [&str; 4] = ["outcome_unknown", "timeout", "storage_failed", "audit_unavailable"];

/// What a request does, and so what is to be said when nobody knows what became of it. Any may be asked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It only reads.
    Nothing,
    /// Asked twice, it comes to what asking once does.
    Repeatable,
    /// It has an idempotency key: asked twice, it is done once.
    Keyed,
}

/// Why a request has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoAnswer {
    /// No node could be asked: nothing was done.
    Nobody,
    /// No node lets this process in, as it was taken away: nothing was done.
    PutOut,
    /// A node was asked and has not answered: whether it was done is not known.
    Unknown,
}

/// The vault nodes of a cluster. Cheap to clone.
#[derive(Clone)]
pub struct Vaults(Arc<Shared>);

pub(super) struct Shared {
    pub endpoint: Endpoint,
    pub trust: Trust,
    pub board: Board,
    pub cluster: ClusterId,
    pub data: PathBuf,
    host: Arc<dyn Host>,
    /// What the last look for a node has found; held by whoever looks, so that one look serves all who wait.
    searching: Mutex<Option<NodeId>>,
    /// Looks that have ended.
    searched: AtomicU64,
    /// Whether all nodes said, when they were last asked, that they do not know this process.
    pub put_out: AtomicBool,
    requests: Semaphore,
    request_bytes: Semaphore,
    lookout: Lock<Option<JoinHandle<()>>>,
    _directory: File,
}

impl Shared {
    /// The nodes, and where they are.
    pub fn members(&self) -> BTreeMap<NodeId, NodeAddress> {
        let address = |(node, peer): (NodeId, Peer)| Some((node, NodeAddress(peer.addr?)));
        self.trust.peers().into_iter().filter_map(address).collect()
    }
}

impl Vaults {
    /// Takes the directory that `covault join --api` made, and begins to look after the nodes. Inside a tokio runtime.
    pub fn start(data: &Path, host: Arc<dyn Host>) -> Result<Self, StartError> {
        let Kept { identity, known, lock } = Kept::take(data)?;
        let trust = Trust::new(lookout::peers(&known.members));
        let shared = Arc::new(Shared {
            endpoint: dialling(&identity, Some(known.cluster), trust.clone(), &host)?,
            trust,
            board: Board::new(identity.id(), known.members.into_keys()),
            cluster: known.cluster,
            data: data.into(),
            host,
            searching: Mutex::new(None),
            searched: AtomicU64::new(0),
            put_out: AtomicBool::new(false),
            requests: Semaphore::new(REQUESTS_MAX),
            request_bytes: Semaphore::new(REQUEST_BYTES_MAX),
            lookout: Lock::new(None),
            _directory: lock,
        });
        let task = tokio::spawn(lookout::run(shared.clone()));
        *shared.lookout.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
        Ok(Self(shared))
    }

    /// Closes all connections. Takes no longer than five seconds.
    pub async fn stop(&self) {
        let task = self.0.lookout.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            task.abort();
            let _ = task.await;
        }
        self.0.endpoint.close().await;
    }

    /// The key of this process.
    pub fn id(&self) -> NodeId {
        self.0.board.me()
    }

    /// How many nodes were last seen so.
    pub fn count(&self, seen: Seen) -> usize {
        self.0.board.count(seen)
    }

    /// Whether all nodes say that they do not know this process, or no more.
    pub fn is_put_out(&self) -> bool {
        self.0.put_out.load(Relaxed)
    }

    /// A new idempotency key.
    pub fn draw_key(&self) -> String {
        let mut drawn = [0; 16];
        self.0.host.fill(&mut drawn);
        format!("api-{}", hex(&drawn))
    }

    /// Has a node carry out what a client asks for. After `until` no node is asked any more: the client has been told
    /// something else by then.
    pub async fn carry_out(
        &self,
        asked: Asked,
        effect: Effect,
        until: Instant,
    ) -> Result<Answered, NoAnswer> {
        if self.is_put_out() {
            return Err(NoAnswer::PutOut);
        }
        let frame = Bytes::from(Ask::CarryOut(Box::new(asked)).to_bytes());
        let Ok(_room) = timeout_at(until, self.room_for(&frame)).await else { return Err(NoAnswer::Nobody) };
        let mut so_far = SoFar::default();
        for _ in 0..TRIES_MAX {
            let Ok(Some(node)) = timeout_at(until, self.next(&so_far.refused_by)).await else { break };
            let within = until.saturating_duration_since(Instant::now());
            match self.try_at(node, &frame, within).await {
                // Another node might do better than one that cannot.
                Tried::Answered(answer) if answer.status != 503 => {
                    self.0.board.answered_by(node);
                    return Ok(answer);
                }
                Tried::Answered(answer) => so_far.refused(node, Some(answer)),
                Tried::Unheard => drop(self.0.board.note(node, Seen::Silent)),
                Tried::Lost(loss) => {
                    so_far.lost = true;
                    match loss {
                        Loss::Broken | Loss::GivenUp(Reason::Closing) => {
                            self.0.board.note(node, Seen::Silent);
                        }
                        Loss::Deadline | Loss::GivenUp(_) => so_far.refused(node, None),
                    }
                }
            }
        }
        so_far.outcome(effect)
    }

    async fn room_for(&self, frame: &Bytes) -> (SemaphorePermit<'_>, SemaphorePermit<'_>) {
        let bytes = frame.len().min(REQUEST_BYTES_MAX) as u32;
        let open = "the room for requests is never closed";
        let request = self.0.requests.acquire().await.expect(open);
        (request, self.0.request_bytes.acquire_many(bytes).await.expect(open))
    }

    /// The node to ask next: at first the one that is chosen, then each other one that answers.
    async fn next(&self, refused_by: &BTreeSet<NodeId>) -> Option<NodeId> {
        if refused_by.is_empty() {
            return self.choose().await;
        }
        let board = &self.0.board;
        let left = |node: &NodeId| !refused_by.contains(node) && board.seen(node) != Seen::Silent;
        let left: Vec<NodeId> = board.candidates().into_iter().filter(left).collect();
        self.confirmed_among(&left).await.or(left.first().copied())
    }

    async fn choose(&self) -> Option<NodeId> {
        let board = &self.0.board;
        if let Some(node) = board.choice() {
            return Some(node);
        }
        let searched = || self.0.searched.load(Relaxed);
        let before = searched();
        let mut last = self.0.searching.lock().await;
        if let Some(node) = board.choice() {
            return Some(node);
        }
        if before == searched() {
            *last = self.search().await;
            self.0.searched.fetch_add(1, Relaxed);
        }
        *last
    }

    /// Looks for a node until no client has been answered meanwhile.
    async fn search(&self) -> Option<NodeId> {
        let board = &self.0.board;
        loop {
            let doubts = board.begin_search();
            let found = self.look().await;
            if board.settle(found, doubts) {
                return board.choice().or(found.map(|chosen| chosen.node));
            }
        }
    }

    /// Looks for a node that confirms that it has all that was agreed, so that a client which has seen something of
    /// the one before sees it here too; if there is none, for one that answers.
    async fn look(&self) -> Option<Chosen> {
        let board = &self.0.board;
        let until = Instant::now() + SEARCH_WITHIN;
        loop {
            if let Some(node) = self.confirmed_among(&board.candidates()).await {
                board.note(node, Seen::Majority);
                return Some(Chosen { node, confirmed: true });
            }
            if until <= Instant::now() {
                break;
            }
            sleep(SEARCH_AGAIN_AFTER).await;
        }
        let node = board.candidates().into_iter().find(|node| board.seen(node) != Seen::Silent)?;
        Some(Chosen { node, confirmed: false })
    }

    /// The first of these that confirms that it has all that was agreed before it was asked.
    async fn confirmed_among(&self, nodes: &[NodeId]) -> Option<NodeId> {
        for node in nodes {
            let asked = self.0.standing(*node, &Ask::Confirmed, CONFIRM_WITHIN).await;
            if asked.is_ok_and(|standing| standing.majority) {
                return Some(*node);
            }
        }
        None
    }

    async fn try_at(&self, node: NodeId, frame: &Bytes, within: Duration) -> Tried {
        let call = self.0.endpoint.call(node, Channel::Serve, frame.clone(), within);
        let told = tokio::select! {
            biased;
            told = call => told,
            () = self.0.board.silence_of(node) => return Tried::Lost(Loss::Broken),
        };
        match told {
            Ok(bytes) => match Told::from_bytes(&bytes) {
                Ok(Told::CarriedOut(answer)) => Tried::Answered(*answer),
                _ => {
                    tracing::error!(peer = %node, "what a vault node answers cannot be read");
                    Tried::Lost(Loss::GivenUp(Reason::MalformedFrame))
                }
            },
            Err(CallError::Refused(_) | CallError::Misuse(_) | CallError::Unreachable(_)) => Tried::Unheard,
            Err(CallError::Lost(loss)) => Tried::Lost(loss),
            Err(CallError::Misbehaved(reason)) => Tried::Lost(Loss::GivenUp(reason)),
        }
    }
}

/// What came of one try.
enum Tried {
    Answered(Answered),
    /// The node was not reached, or carries out no requests now: nothing was done.
    Unheard,
    /// It may have been done.
    Lost(Loss),
}

fn says_one_of(answer: &Answered, codes: &[&str]) -> bool {
    answer.code.as_deref().is_some_and(|code| codes.contains(&code))
}

/// What came of all tries.
#[derive(Default)]
struct SoFar {
    refused_by: BTreeSet<NodeId>,
    /// The last refusal.
    last: Option<Answered>,
    /// A refusal of a node that may have done it, or whose cluster may do it yet.
    may_be_done: Option<Answered>,
    /// Whether a node was asked that has not answered.
    lost: bool,
}

impl SoFar {
    fn refused(&mut self, node: NodeId, answer: Option<Answered>) {
        self.refused_by.insert(node);
        match answer {
            Some(answer) if says_one_of(&answer, &MAY_BE_DONE) => self.may_be_done = Some(answer),
            answer => self.last = answer.or(self.last.take()),
        }
    }

    /// A refusal says what was done by the node that gave it, not what became of an earlier try.
    fn outcome(self, effect: Effect) -> Result<Answered, NoAnswer> {
        if effect == Effect::Nothing {
            return self.last.or(self.may_be_done).ok_or(NoAnswer::Nobody);
        }
        match (self.may_be_done, self.last) {
            (Some(answer), _) => Ok(answer),
            (None, _) if self.lost => Err(NoAnswer::Unknown),
            (None, Some(answer)) => Ok(answer),
            (None, None) => Err(NoAnswer::Nobody),
        }
    }
}
