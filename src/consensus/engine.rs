//! Raft, started and stopped, and what the vault may ask of it: agree on this, confirm that nothing newer
//! was agreed, say how we stand. Knows nothing of secrets.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use covault_model::{
    command::Command,
    id::NodeId,
    refusal::{NoAuthority, Refusal},
};
use covault_store::{Applied, Meta, Store, StoreError};
use openraft::{BasicNode, Config, SnapshotPolicy, metrics::RaftServerMetrics};
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};

use super::{
    log::{LogStore, read_meta},
    machine::Machine,
    network::NoPeers,
    proposer::Proposer,
    thread::OwnThread,
    types::{Raft, StoredMembership},
};

/// How often to look whether the engine has failed.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How agreement is run.
#[derive(Debug, Clone, Copy)]
pub struct ConsensusConfig {
    /// How long a proposal or a confirmation may take.
    pub deadline: Duration,
    /// Log entries between snapshots.
    pub entries_per_snapshot: u64,
    /// Log entries kept behind a snapshot.
    pub entries_kept: u64,
    /// Whether agreement runs in a thread of its own. Not in a simulation, which has one thread.
    pub own_thread: bool,
}

impl Default for ConsensusConfig {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(5),
            entries_per_snapshot: 2000,
            entries_kept: 1000,
            own_thread: true,
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

/// A member of the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// The node.
    pub node: NodeId,
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
}

/// Agreement, as the rest of the node sees it. Cheap to clone.
#[derive(Clone)]
pub struct Consensus {
    raft: Raft,
    leadership: watch::Receiver<RaftServerMetrics<NodeId, BasicNode>>,
    proposer: Proposer,
    log: LogStore,
    thread: Option<Arc<OwnThread>>,
    deadline: Duration,
    me: NodeId,
}

/// What agreement is made of.
type Parts = (Raft, Proposer, LogStore);

impl Consensus {
    /// Starts Raft on `store`; a store without a membership becomes a cluster of this node alone.
    pub async fn start(store: Arc<Store>, me: NodeId, config: ConsensusConfig) -> Result<Self, StartError> {
        let thread = if config.own_thread { Some(Arc::new(OwnThread::start()?)) } else { None };
        let (raft, proposer, log) = match &thread {
            None => start_raft(store, me, config).await?,
            Some(thread) => {
                let ended = || StartError::Engine("its thread has ended".into());
                thread.run(start_raft(store, me, config)).await.ok_or_else(ended)??
            }
        };
        let (leadership, deadline) = (raft.server_metrics(), config.deadline);
        Ok(Self { raft, leadership, proposer, log, thread, deadline, me })
    }

    /// Has `command`, about `bytes` large, agreed and applied here.
    pub async fn propose(&self, command: Command, bytes: usize) -> Result<Applied, Refusal> {
        // The proposer has a deadline too, but cannot keep it while a sync that hangs holds its thread.
        let answer = tokio::time::timeout(self.deadline, self.proposer.propose(command, bytes)).await;
        answer.unwrap_or(Err(NoAuthority::OutcomeUnknown(None).into()))
    }

    /// Returns once this node has applied everything that was agreed before the call.
    pub async fn confirm(&self) -> Result<(), Refusal> {
        match tokio::time::timeout(self.deadline, self.raft.ensure_linearizable()).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(NoAuthority::Unconfirmed.into()),
        }
    }

    /// Takes a snapshot now and lets go of every log entry before it, so that what was erased is not still
    /// in the log.
    pub async fn compact(&self) -> Result<(), Refusal> {
        let late = || Refusal::from(NoAuthority::OutcomeUnknown(None));
        let applied = self.raft.metrics().borrow().last_applied;
        let Some(applied) = applied else { return Ok(()) };
        let wait = self.raft.wait(Some(self.deadline));
        self.raft.trigger().snapshot().await.map_err(|_| late())?;
        let taken = wait.metrics(|metrics| Some(applied) <= metrics.snapshot, "a snapshot is taken");
        taken.await.map_err(|_| late())?;
        self.raft.trigger().purge_log(applied.index).await.map_err(|_| late())?;
        let purged = wait.metrics(|metrics| Some(applied) <= metrics.purged, "the log is purged");
        purged.await.map_err(|_| late())?;
        let log = self.log.clone();
        let gone = async move { log.finish_purge().await };
        let gone = match &self.thread {
            Some(thread) => thread.run(gone).await,
            None => Some(gone.await),
        };
        gone.ok_or_else(late)?.map_err(|_| late())
    }

    /// How this node stands.
    pub fn standing(&self) -> Standing {
        let metrics = self.raft.metrics().borrow().clone();
        let membership = metrics.membership_config.membership();
        let voters: std::collections::BTreeSet<NodeId> = membership.voter_ids().collect();
        let member = |(node, _): (&NodeId, &BasicNode)| Member { node: *node, voter: voters.contains(node) };
        Standing {
            leader: metrics.current_leader,
            term: metrics.current_term,
            last_log: metrics.last_log_index.unwrap_or_default(),
            applied: metrics.last_applied.map_or(0, |id| id.index),
            members: membership.nodes().map(member).collect(),
            majority: self.has_majority(),
        }
    }

    /// Whether a majority stands behind what this node says.
    pub fn has_majority(&self) -> bool {
        self.leadership.borrow().current_leader == Some(self.me)
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

    /// Stops Raft. Proposals in flight are answered or time out first.
    pub async fn stop(&self) {
        if let Err(error) = self.raft.shutdown().await {
            tracing::error!(%error, "consensus did not stop cleanly");
        }
        if let Some(thread) = &self.thread {
            thread.stop().await;
        }
    }
}

async fn start_raft(store: Arc<Store>, me: NodeId, config: ConsensusConfig) -> Result<Parts, StartError> {
    let sole_voter = stored_membership(&store)?.is_some_and(|stored| stored.voter_ids().eq([me]));
    let log = LogStore::new(store.clone(), me, sole_voter, config.own_thread).map_err(engine_error)?;
    let machine = Machine::new(log.clone());
    let raft = Raft::new(me, Arc::new(raft_config(config)?), NoPeers, log.clone(), machine).await;
    let raft = raft.map_err(engine_error)?;
    if !raft.is_initialized().await.map_err(engine_error)? {
        let members = BTreeMap::from([(me, BasicNode::default())]);
        raft.initialize(members).await.map_err(engine_error)?;
    } else if sole_voter {
        raft.trigger().elect().await.map_err(engine_error)?;
    }
    let wait = raft.wait(Some(config.deadline));
    let led = wait.metrics(|metrics| metrics.current_leader.is_some(), "a leader is known");
    led.await.map_err(|_| StartError::NoLeader(config.deadline))?;
    let (proposer, _) = Proposer::start(raft.clone(), store, config.deadline);
    Ok((raft, proposer, log))
}

fn stored_membership(store: &Store) -> Result<Option<StoredMembership>, StartError> {
    read_meta(store, Meta::Membership).map_err(engine_error)
}

fn raft_config(config: ConsensusConfig) -> Result<Config, StartError> {
    let raft = Config {
        cluster_name: "covault".into(),
        heartbeat_interval: 200,
        election_timeout_min: 800,
        election_timeout_max: 1600,
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
