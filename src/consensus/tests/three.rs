//! Three nodes of agreement over real QUIC on this machine, for the suites that ask them. Knows nothing of what is
//! asked.

#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeMap,
    net::{SocketAddr, UdpSocket},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use covault_model::{
    command::{Action, Command},
    hlc::Millis,
    id::{ClusterId, CommandId, NodeId},
    key::NodeKey,
    name::{CallerName, MasterKeyName},
    registry::{KeyCheck, Registry},
};
use covault_net::{
    Asker, Channel, Doors, Endpoint, Inbox, Incoming, Limits, Peer, Role, Setup, Socket, Trust,
};
use covault_store::{Meta, Options, Store};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::small_store;
use crate::consensus::{
    Consensus, ConsensusConfig, Me, Peers,
    message::{self, RaftAsk},
};

pub const DEADLINE: Duration = Duration::from_secs(30);

/// One node: what it keeps, and what runs.
pub struct Node {
    pub number: u8,
    pub dir: TempDir,
    pub address: SocketAddr,
    pub running: Option<Running>,
}

pub struct Running {
    pub store: Arc<Store>,
    pub consensus: Consensus,
    pub endpoint: Endpoint,
    /// What each of Raft's questions that came said to be agreed.
    pub agreed: Arc<Mutex<Vec<Option<u64>>>>,
    /// For how many milliseconds entries and pieces of snapshots lie that come, as on a thin wire.
    pub slow: Arc<AtomicU64>,
    tasks: Vec<JoinHandle<()>>,
}

pub fn key(number: u8) -> NodeKey {
    NodeKey::from_seed(&[number; 32])
}

pub fn id(number: u8) -> NodeId {
    key(number).node_id()
}

pub fn config() -> ConsensusConfig {
    ConsensusConfig {
        deadline: DEADLINE,
        entries_per_snapshot: 50,
        entries_kept: 20,
        ..ConsensusConfig::default()
    }
}

impl Node {
    fn new(number: u8) -> Self {
        let address = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        Self { number, dir: tempfile::tempdir().unwrap(), address, running: None }
    }

    pub async fn start(&mut self, founds: bool, known: &[(u8, SocketAddr)], config: ConsensusConfig) {
        let options = Options { sync: false, ..small_store() };
        let store = Arc::new(Store::open(self.dir.path(), options).unwrap());
        let peer = |address| Peer { addr: Some(address), role: Role::Vault };
        let trust = Trust::new(known.iter().map(|(number, address)| (id(*number), peer(*address))).collect());
        let mut socket = None;
        // What had the door of an earlier start lets go of it soon.
        eventually("the address is free", || {
            socket = UdpSocket::bind(self.address).ok();
            socket.is_some()
        })
        .await;
        let socket = socket.unwrap();
        socket.set_nonblocking(true).unwrap();
        let setup = Setup {
            cluster: Some(ClusterId([7; 16])),
            limits: Limits::default(),
            chance: Box::new(fill),
            doors: Doors::Open,
        };
        let socket = Socket::real(socket).unwrap();
        let (endpoint, inbox) = Endpoint::start(&key(self.number), socket, trust.clone(), setup).unwrap();
        let me = Me { node: id(self.number), address: self.address.to_string(), founds };
        let peers = Peers::over(Some(endpoint.clone()));
        let consensus = Consensus::start(store.clone(), me, peers, config).await.unwrap();
        let (agreed, slow) = (Arc::default(), Arc::default());
        let tasks = vec![
            tokio::spawn(answer(inbox, consensus.clone(), Arc::clone(&agreed), Arc::clone(&slow))),
            tokio::spawn(follow(trust, consensus.clone())),
        ];
        self.running = Some(Running { store, consensus, endpoint, agreed, slow, tasks });
    }

    pub async fn stop(&mut self) {
        let Running { store, consensus, endpoint, tasks, .. } = self.running.take().unwrap();
        tasks.iter().for_each(JoinHandle::abort);
        for task in tasks {
            let _ = task.await;
        }
        endpoint.close().await;
        consensus.stop().await;
        drop(consensus);
        eventually("the store is let go of", || Arc::strong_count(&store) == 1).await;
    }

    pub fn running(&self) -> &Running {
        self.running.as_ref().unwrap()
    }

    pub fn consensus(&self) -> &Consensus {
        &self.running().consensus
    }

    /// The index of the last entry of its log.
    pub fn last_index(&self) -> u64 {
        let (_, end) = self.running().store.log().unwrap().bounds();
        end - 1
    }

    pub fn was_sent_a_snapshot(&self) -> bool {
        let view = self.running().store.view().unwrap();
        view.rows().meta(Meta::Installed).unwrap().is_some()
    }

    pub fn known(&self, number: u16) -> Option<KeyCheck> {
        let view = self.running().store.view().unwrap();
        view.rows().key_check(&key_name(number)).unwrap()
    }
}

fn fill(bytes: &mut [u8]) {
    use crate::host::Host;
    crate::host::Machine.fill(bytes);
}

async fn answer(
    mut inbox: Inbox,
    consensus: Consensus,
    agreed: Arc<Mutex<Vec<Option<u64>>>>,
    slow: Arc<AtomicU64>,
) {
    while let Some(incoming) = inbox.next().await {
        let lies = slow.load(Ordering::Relaxed);
        let lies = Duration::from_millis(if carries_something(&incoming) { lies } else { 0 });
        if incoming.channel == Channel::Raft {
            agreed.lock().unwrap().push(said_to_be_agreed(&incoming.request));
        }
        let consensus = consensus.clone();
        tokio::spawn(async move {
            tokio::time::sleep(lies).await;
            let Asker::Peer(from) = incoming.from else { return };
            let told = match incoming.channel {
                Channel::Raft => consensus.answer_raft(&incoming.request).await,
                _ => consensus.answer_follower(from, &incoming.request).await,
            };
            if let Ok(told) = told {
                incoming.reply.send(told.into());
            }
        });
    }
}

fn carries_something(Incoming { channel, request, .. }: &Incoming) -> bool {
    *channel == Channel::Raft
        && match message::read(request).unwrap() {
            RaftAsk::Append(ask) => !ask.entries.is_empty(),
            RaftAsk::Snapshot(_) => true,
            RaftAsk::Vote(_) => false,
        }
}

fn said_to_be_agreed(ask: &[u8]) -> Option<u64> {
    match message::read(ask).unwrap() {
        RaftAsk::Append(ask) => ask.leader_commit.map(|id| id.index),
        RaftAsk::Vote(_) | RaftAsk::Snapshot(_) => None,
    }
}

async fn follow(trust: Trust, consensus: Consensus) {
    let mut known = Vec::new();
    while let Some(members) = consensus.members_after(&known).await {
        let peer = |address: &str| Peer { addr: address.parse().ok(), role: Role::Vault };
        let peers: BTreeMap<_, _> =
            members.iter().map(|member| (member.node, peer(&member.address))).collect();
        trust.replace(peers);
        known = members;
    }
}

pub async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < DEADLINE, "{what} did not come about");
        tokio::task::yield_now().await;
    }
}

/// Nodes 1, 2 and 3, all voting.
pub async fn three() -> Vec<Node> {
    let mut nodes = vec![Node::new(1), Node::new(2), Node::new(3)];
    nodes[0].start(true, &[], config()).await;
    let first = (1, nodes[0].address);
    for at in [1, 2] {
        nodes[at].start(false, &[first], config()).await;
        let (node, address) = (id(nodes[at].number), nodes[at].address.to_string());
        let known = command(Action::Reach(node, address.parse().unwrap()));
        nodes[0].consensus().propose(known, 100).await.unwrap().outcome.unwrap();
        nodes[0].consensus().admit(node, &address).await.unwrap();
    }
    let begun = Instant::now();
    while nodes[0].consensus().voters() < 3 {
        assert!(begun.elapsed() < DEADLINE, "not all vote");
        let standing = nodes[0].consensus().standing();
        for node in standing.caught_up() {
            nodes[0].consensus().promote(node, &standing.voters()).await;
        }
        tokio::task::yield_now().await;
    }
    nodes
}

pub fn key_name(number: u16) -> MasterKeyName {
    MasterKeyName::parse(&format!("key-{number}")).unwrap()
}

pub fn know_key(number: u16, check: u8) -> Command {
    command(Action::KnowKey(key_name(number), KeyCheck(vec![check; 32])))
}

pub fn command(action: Action) -> Command {
    let by = CallerName::parse("admin").unwrap();
    Command { id: CommandId::default(), by, at: Millis(1), idempotency: None, action }
}

pub async fn leader_of(nodes: &[Node]) -> usize {
    let begun = Instant::now();
    loop {
        let running = || nodes.iter().filter(|node| node.running.is_some());
        let leader = running().find_map(|node| node.consensus().standing().leader);
        let at = leader.and_then(|leader| nodes.iter().position(|node| id(node.number) == leader));
        if let Some(at) = at.filter(|at| nodes[*at].running.is_some()) {
            return at;
        }
        assert!(begun.elapsed() < DEADLINE, "nobody leads");
        tokio::task::yield_now().await;
    }
}
