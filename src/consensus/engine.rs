//! Raft, started and stopped, and what the vault may ask of it: agree on this, confirm that nothing newer
//! was agreed, say how we stand. Keeps B1 of the log. Knows nothing of secrets.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use covault_model::{
    DecodeError,
    command::Command,
    id::NodeId,
    mutant::Mutant,
    refusal::{NoAuthority, NodeFault, Refusal},
};
use covault_store::{Applied, Meta, Store, StoreError};
use openraft::{BasicNode, Config, Membership, Snapshot, SnapshotPolicy, metrics::RaftServerMetrics};
use tokio::{
    sync::{oneshot, watch},
    time::{MissedTickBehavior, interval, timeout},
};

use super::{
    brevity::{compact, keep_short},
    leader::{Leader, voters_of, within},
    log::{LogStore, read_meta},
    machine::Machine,
    message::{self, Change, RaftAsk, SnapshotPart, SnapshotTold},
    network::{Links, Peers},
    news::News,
    proposer::Proposer,
    silence::keep_quiet,
    snapshot::{Arriving, RegistrySnapshot},
    succession::go_on_alone,
    thread::OwnThread,
    types::{Raft, StoredMembership},
};

/// How often to look whether the engine has failed.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Log entries that a member may lack and still be made a voter.
const LEVEL_WITHIN: u64 = 100;
/// How long ago it was heard of at most. One that died would be a vote that nobody can do without.
const HEARD_WITHIN: Duration = Duration::from_secs(3);

/// How long a client waits for a confirmation that it is served without as well, where members are near each other.
const CONFIRMS_WITHIN: Duration = Duration::from_secs(1);
/// Round trips that a confirmation may take. A follower's takes up to three: to the leader, whose question to a
/// majority waits for one that is under way. It may wait for another that is under way itself, and for what is
/// agreed to come.
const CONFIRMING_ROUND_TRIPS: u32 = 8;
/// How long after its deadline a proposal is given up that nobody has answered.
const HUNG_AFTER: Duration = Duration::from_millis(500);

/// How agreement is run.
#[derive(Debug, Clone, Copy)]
pub struct ConsensusConfig {
    /// How long a proposal or a confirmation may take.
    pub deadline: Duration,
    /// Log entries between snapshots.
    pub entries_per_snapshot: u64,
    /// Log entries kept behind a snapshot.
    pub entries_kept: u64,
    /// Bytes of log after which a snapshot is taken and none are kept behind it.
    pub log_bytes_max: u64,
    /// Whether agreement runs in a thread of its own. Not in a simulation, which has one thread.
    pub own_thread: bool,
    /// The longest round trip between two members.
    pub round_trip: Duration,
}

impl Default for ConsensusConfig {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(5),
            entries_per_snapshot: 2000,
            entries_kept: 1000,
            log_bytes_max: 256 << 20,
            own_thread: true,
            round_trip: Duration::from_millis(50),
        }
    }
}

/// Why agreement could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Its thread could not be started.
    #[error("no thread for consensus: {0}")]
    Thread(#[from] std::io::Error),
    /// The engine refused.
    #[error("consensus cannot start: {0}")]
    Engine(String),
    /// No leader in time.
    #[error("no leader was elected within {0:?}")]
    NoLeader(Duration),
}

/// Who this node is to agreement.
#[derive(Debug, Clone)]
pub struct Me {
    /// The node.
    pub node: NodeId,
    /// Where peers reach it; empty when they cannot.
    pub address: String,
    /// Whether a store without members becomes a cluster of this node alone. Otherwise it waits until a
    /// cluster admits it.
    pub founds: bool,
}

/// A member of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The node.
    pub node: NodeId,
    /// Where its peers reach it; empty for a node that has none.
    pub address: String,
    /// Whether it votes.
    pub voter: bool,
}

/// How this node stands.
#[derive(Debug, Clone)]
pub struct Standing {
    /// The leader it knows of.
    pub leader: Option<NodeId>,
    /// The term.
    pub term: u64,
    /// The last log index it holds.
    pub last_log: u64,
    /// The last log index it applied.
    pub applied: u64,
    /// The members.
    pub members: Vec<Member>,
    /// Whether a majority stands behind what it says.
    pub majority: bool,
    /// Up to which log index each member holds the log, once it has said so; empty unless this node leads.
    pub matched: BTreeMap<NodeId, Option<u64>>,
    /// How long ago each peer was heard of, of those that were.
    pub heard: BTreeMap<NodeId, Duration>,
}

impl Standing {
    /// Those that vote; while they change, those that vote before and after.
    pub fn voters(&self) -> BTreeSet<NodeId> {
        self.members.iter().filter(|member| member.voter).map(|member| member.node).collect()
    }

    /// The members that do not vote yet, were heard of a moment ago and lack little of the log; none unless this node leads.
    pub fn caught_up(&self) -> Vec<NodeId> {
        let has = |node: &NodeId| self.matched.get(node).copied().flatten();
        let is_level = |node: &NodeId| has(node).is_some_and(|index| self.last_log <= index + LEVEL_WITHIN);
        let is_there = |node: &NodeId| self.heard.get(node).is_some_and(|ago| *ago < HEARD_WITHIN);
        let learners = self.members.iter().filter(|member| !member.voter).map(|member| member.node);
        learners.filter(|node| is_level(node) && is_there(node)).collect()
    }
}

/// Agreement, as the rest of the node sees it. Cheap to clone.
#[derive(Clone)]
pub struct Consensus {
    pub(super) raft: Raft,
    leadership: watch::Receiver<RaftServerMetrics<NodeId, BasicNode>>,
    pub(super) leader: Leader,
    proposer: Proposer,
    peers: Peers,
    pub(super) log: LogStore,
    arriving: Arc<Arriving>,
    thread: Option<Arc<OwnThread>>,
    config: ConsensusConfig,
}

/// What agreement is made of.
type Parts = (Raft, Leader, Proposer, LogStore);

impl Consensus {
    /// Starts Raft on `store`, for the node that its `peers` reach as `me`.
    pub async fn start(
        store: Arc<Store>,
        me: Me,
        peers: Peers,
        config: ConsensusConfig,
    ) -> Result<Self, StartError> {
        let thread = if config.own_thread { Some(Arc::new(OwnThread::start()?)) } else { None };
        let starting = start_raft(store, me, peers.clone(), config);
        let (raft, leader, proposer, log) = match &thread {
            None => starting.await?,
            Some(thread) => {
                let ended = || StartError::Engine("its thread has ended".into());
                thread.run(starting).await.ok_or_else(ended)??
            }
        };
        let (leadership, arriving) = (raft.server_metrics(), Arc::default());
        Ok(Self { raft, leadership, leader, proposer, peers, log, arriving, thread, config })
    }

    /// Has `command`, about `bytes` large, agreed and applied here.
    pub async fn propose(&self, command: Command, bytes: usize) -> Result<Applied, Refusal> {
        // The proposer keeps the deadline, and knows what becomes of a proposal that misses it; but it cannot
        // while a sync that hangs holds its thread.
        let limit = self.config.deadline + HUNG_AFTER;
        let answer = timeout(limit, self.proposer.propose(command, bytes)).await;
        answer.unwrap_or(Err(NoAuthority::OutcomeUnknown(None).into()))
    }

    /// Has `command` agreed by `peer`, if that leads, whoever leads to this node's knowledge. Whether it was.
    pub async fn propose_through(&self, peer: NodeId, command: Command) -> bool {
        self.leader.order_through(peer, command).await
    }

    /// Returns once a look at the store sees everything that was agreed before the call.
    pub async fn confirm(&self) -> Result<(), Refusal> {
        if Mutant::StaleMiss.is_on() {
            return self.settle().await;
        }
        let confirmed = timeout(self.config.deadline, self.leader.confirm()).await;
        confirmed.map_err(|_| Refusal::from(NoAuthority::Unconfirmed))?;
        self.settle().await
    }

    /// Whether a majority has confirmed that this node knows all that was agreed before the call, within the time
    /// that members as far apart as may be need for it.
    pub async fn confirms_soon(&self) -> bool {
        let within = CONFIRMS_WITHIN.max(self.config.round_trip * CONFIRMING_ROUND_TRIPS);
        self.has_majority() && matches!(timeout(within, self.confirm()).await, Ok(Ok(())))
    }

    /// Returns once a look at the store sees everything that was answered before the call.
    pub async fn settle(&self) -> Result<(), Refusal> {
        if self.log.store().is_all_settled() {
            return Ok(());
        }
        let (sender, settled) = oneshot::channel();
        self.log.store().write(|_| Ok(()), move |result| drop(sender.send(result)));
        match settled.await.unwrap_or(Err(StoreError::Closed)) {
            Ok(()) => Ok(()),
            Err(StoreError::Full) => Err(NodeFault::StorageFull.into()),
            Err(_) => Err(NodeFault::StorageFailed.into()),
        }
    }

    /// Answers Raft's questions of a peer. An error when the question cannot be read.
    pub async fn answer_raft(&self, ask: &[u8]) -> Result<Vec<u8>, DecodeError> {
        Ok(match message::read::<RaftAsk>(ask)? {
            RaftAsk::Append(request) => message::write(&self.raft.append_entries(request).await),
            RaftAsk::Vote(request) => message::write(&self.raft.vote(request).await),
            RaftAsk::Snapshot(part) => message::write(&self.take_snapshot(part).await),
        })
    }

    async fn take_snapshot(&self, part: SnapshotPart) -> SnapshotTold {
        match self.arriving.take_in(&part) {
            Err(so_far) => SnapshotTold::Received(so_far),
            Ok(rows) => {
                let snapshot = Box::new(RegistrySnapshot::Received(rows));
                let snapshot = Snapshot { meta: part.meta, snapshot };
                SnapshotTold::Installed(Box::new(self.raft.install_full_snapshot(part.vote, snapshot).await))
            }
        }
    }

    /// Answers a peer that takes this node for the leader. An error when the question cannot be read.
    pub async fn answer_follower(&self, from: NodeId, ask: &[u8]) -> Result<Vec<u8>, DecodeError> {
        Ok(message::write(&self.leader.answer(from, message::read(ask)?).await))
    }

    /// Has a node that listens at `address` added to the members, whoever leads, if the registry took it in.
    /// It catches up first; the leader makes it a voter then.
    pub async fn admit(&self, node: NodeId, address: &str) -> Result<(), Refusal> {
        self.change(Change::Admit(node, address.to_owned())).await
    }

    /// Has a node taken away, whoever leads, if the registry did.
    pub async fn expel(&self, node: NodeId) -> Result<(), Refusal> {
        self.change(Change::Expel(node)).await
    }

    async fn change(&self, change: Change) -> Result<(), Refusal> {
        let sent = AtomicBool::new(false);
        within(self.config.deadline, &sent, self.leader.change(change, &sent)).await
    }

    /// To be called before this node stops: if it leads, has another take over. Takes no longer than a second.
    pub async fn hand_over(&self) {
        self.leader.hand_over().await;
    }

    /// Has another lead, if this node leads without room for what others write, and another can. Takes no longer than a
    /// second. Whether it lacks room.
    pub async fn yield_without_room(&self) -> bool {
        self.leader.yield_without_room().await
    }

    /// Makes a voter of a member that has caught up, if this node leads and those that vote are `voters` still.
    /// Whether it votes now.
    pub async fn promote(&self, node: NodeId, voters: &BTreeSet<NodeId>) -> bool {
        self.leader.promote(node, voters).await
    }

    /// The members, as soon as they are others than `known`; none once Raft has stopped.
    pub async fn members_after(&self, known: &[Member]) -> Option<Vec<Member>> {
        let mut seen = self.leadership.clone();
        loop {
            let members = members_of(seen.borrow_and_update().membership_config.membership());
            if members != known {
                return Some(members);
            }
            seen.changed().await.ok()?;
        }
    }

    /// Takes a snapshot now and lets go of every log entry before it, so that what was erased is not still
    /// in the log.
    pub async fn compact(&self) -> Result<(), Refusal> {
        compact(&self.raft, &self.log, self.config.deadline).await
    }

    /// How this node stands.
    pub fn standing(&self) -> Standing {
        let metrics = self.raft.metrics().borrow().clone();
        let matched = metrics.replication.into_iter().flatten();
        Standing {
            leader: metrics.current_leader,
            term: metrics.current_term,
            last_log: metrics.last_log_index.unwrap_or_default(),
            applied: metrics.last_applied.map_or(0, |id| id.index),
            members: members_of(metrics.membership_config.membership()),
            majority: self.has_majority(),
            matched: matched.map(|(node, log)| (node, log.map(|id| id.index))).collect(),
            heard: self.peers.heard(),
        }
    }

    /// The term in which this node leads, if it does, as far as it knows.
    pub fn reign(&self) -> Option<u64> {
        let receiver = self.raft.metrics();
        let metrics = receiver.borrow();
        (metrics.current_leader == Some(metrics.id)).then_some(metrics.current_term)
    }

    /// Whether a majority stands behind what this node says.
    pub fn has_majority(&self) -> bool {
        self.leader.stands()
    }

    /// How long ago a majority was last heard of; absent when it was not since this node started.
    pub fn majority_heard(&self) -> Option<Duration> {
        self.leader.majority_heard()
    }

    /// How many vote.
    pub fn voters(&self) -> u32 {
        self.leadership.borrow().membership_config.voter_ids().count() as u32
    }

    /// Waits until the engine has stopped by itself, which it does only on a storage failure. Looks every
    /// second, not at every change of the metrics: each write makes several.
    pub async fn failed(&self) -> String {
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if let Err(fatal) = &self.raft.metrics().borrow().running_state {
                return fatal.to_string();
            }
        }
    }

    /// Stops Raft. Proposals in flight are answered or time out first; what waits for room is not waited for.
    pub async fn stop(&self) {
        match timeout(self.config.deadline, self.raft.shutdown()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "consensus did not stop cleanly"),
            Err(_) => tracing::error!("consensus did not stop in time"),
        }
        if let Some(thread) = &self.thread {
            thread.stop().await;
        }
    }
}

async fn start_raft(
    store: Arc<Store>,
    me: Me,
    peers: Peers,
    config: ConsensusConfig,
) -> Result<Parts, StartError> {
    let Me { node, address, founds } = me;
    if founds {
        go_on_alone(&store, node, &address)?;
    }
    let members = stored_membership(&store)?;
    let sole_voter = members.as_ref().is_some_and(|stored| stored.voter_ids().eq([node]));
    let news = News::default();
    let log = LogStore::new(store.clone(), node, config.own_thread, news.clone()).map_err(engine_error)?;
    let (busy, is_busy) = watch::channel(());
    let links = Links::new(peers.clone(), log.clone(), news.clone(), busy);
    let machine = Machine::new(log.clone());
    let raft = Raft::new(node, Arc::new(raft_config(config)?), links, log.clone(), machine).await;
    let raft = raft.map_err(engine_error)?;
    let initialized = raft.is_initialized().await.map_err(engine_error)?;
    if founds && !initialized {
        let members = BTreeMap::from([(node, BasicNode::new(address))]);
        raft.initialize(members).await.map_err(engine_error)?;
    } else if sole_voter {
        raft.trigger().elect().await.map_err(engine_error)?;
    }
    if sole_voter || (founds && !initialized) {
        let wait = raft.wait(Some(config.deadline));
        let led = wait.metrics(|metrics| metrics.current_leader.is_some(), "a leader is known");
        led.await.map_err(|_| StartError::NoLeader(config.deadline))?;
    }
    tokio::spawn(keep_short(raft.clone(), log.clone(), config.log_bytes_max));
    let leader = Leader::new(raft.clone(), peers.clone(), log.clone(), node, news.clone());
    tokio::spawn(leader.clone().remind(is_busy));
    tokio::spawn(keep_quiet(raft.clone(), leader.clone(), peers));
    tokio::spawn(news.spread(raft.clone()));
    let (proposer, _) = Proposer::start(leader.clone(), store, config.deadline);
    Ok((raft, leader, proposer, log))
}

fn members_of(membership: &Membership<NodeId, BasicNode>) -> Vec<Member> {
    let voters = voters_of(membership);
    let member = |(node, known): (&NodeId, &BasicNode)| Member {
        node: *node,
        address: known.addr.clone(),
        voter: voters.contains(node),
    };
    membership.nodes().map(member).collect()
}

fn stored_membership(store: &Store) -> Result<Option<StoredMembership>, StartError> {
    read_meta(store, Meta::Membership).map_err(engine_error)
}

fn raft_config(config: ConsensusConfig) -> Result<Config, StartError> {
    // An answer to the leader counts if it comes before the next heartbeat, a vote if it comes before the shortest
    // wait for an election is over.
    let round_trip = config.round_trip.as_millis() as u64;
    let (heartbeat, election) = ((round_trip * 3 / 2).max(75), (round_trip * 2).max(200));
    let raft = Config {
        cluster_name: "covault".into(),
        // Who hears nothing of the leader for the longest time, and then for its own, stands for election: of members
        // near each other within 0.6 to 0.8 seconds, since creates wait for that. A disk or a network that stalls for
        // longer moves the leadership, which is not to be had for less.
        heartbeat_interval: heartbeat,
        election_timeout_min: election,
        election_timeout_max: 2 * election,
        install_snapshot_timeout: 2000,
        snapshot_policy: SnapshotPolicy::LogsSinceLast(config.entries_per_snapshot),
        max_in_snapshot_log_to_keep: config.entries_kept,
        purge_batch_size: 256,
        ..Config::default()
    };
    raft.validate().map_err(engine_error)
}

fn engine_error(error: impl std::fmt::Display) -> StartError {
    StartError::Engine(error.to_string())
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, time::Duration};

    use covault_model::id::NodeId;

    use super::{Member, Standing};

    #[test]
    fn who_lacks_much_or_is_silent_is_made_no_voter() {
        let caught_up = |matched: u64, heard: Option<u64>| {
            let node = NodeId([2; 32]);
            let standing = Standing {
                leader: Some(NodeId([1; 32])),
                term: 1,
                last_log: 1000,
                applied: 1000,
                members: vec![Member { node, address: String::new(), voter: false }],
                majority: true,
                matched: BTreeMap::from([(node, Some(matched))]),
                heard: heard.map(|secs| (node, Duration::from_secs(secs))).into_iter().collect(),
            };
            standing.caught_up() == [node]
        };
        assert!(caught_up(950, Some(0)));
        assert!(!caught_up(850, Some(0)));
        assert!(!caught_up(950, Some(60)) && !caught_up(950, None));
    }
}
