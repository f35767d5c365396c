//! Several nodes in one process over real QUIC, each with a vault: what the suites here share.
//! Knows nothing of HTTP, and nothing of how nodes come to be members.

#![allow(clippy::unwrap_used)]

mod api;
mod behind;
mod clocks;
mod destroyed;
mod exchange;
mod intruder;
mod provisional;
mod session;
mod tending;
mod tokens;

use std::{
    collections::BTreeMap,
    net::{SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, AtomicU16, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use covault_model::{
    command::{Action, Command},
    hlc::Millis,
    id::{ClusterId, CommandId, NodeId, TokenHash, TokenId},
    isolation::{Role as CallerRole, Session},
    key::NodeKey,
    name::{CallerName, LabelKey, LabelValue, SecretName, SecretPath},
    record::Record,
    registry::TokenEntry,
    roster::NodeAddress,
};
use covault_net::{Asker as From, Channel, Doors, Endpoint, Inbox, Limits, Peer, Role, Setup, Socket, Trust};
use covault_seal::{Keyring, Plaintext};
use covault_store::{Options, PILE_MAX, SecretView, Store, WriterMode};
use tempfile::TempDir;
use tokio::{task::JoinHandle, time::sleep};

use crate::{
    audit::AuditLog,
    consensus::{Consensus, ConsensusConfig, Me, Peers, brings_snapshot},
    host::{Host, Machine},
    merge::{Document, Neighbours, Pace, Records, Rounds},
    node::tending::promote,
    vault::{Asker, Author, Consistency, Keys, NewValue, Patch, RequestId, Vault, VaultParts, Which},
};

const DEADLINE: Duration = Duration::from_secs(60);
const CLUSTER: ClusterId = ClusterId([7; 16]);
/// Looks often for what waits, and for what it lacks of others only at its start and theirs.
const EAGER: Pace = Pace { look: Duration::from_millis(20), search: Duration::from_secs(3600) };

/// The machine's chance, and a clock that is set by hand.
struct Clock(AtomicU64);

impl Clock {
    fn advance(&self, by: u64) {
        self.0.fetch_add(by, Relaxed);
    }

    fn set_back(&self, by: u64) {
        self.0.fetch_sub(by, Relaxed);
    }
}

impl Host for Clock {
    fn now(&self) -> Millis {
        Millis(self.0.load(Relaxed))
    }

    fn fill(&self, bytes: &mut [u8]) {
        Machine.fill(bytes);
    }
}

/// One node: what it keeps, and what runs.
struct Node {
    number: u8,
    dir: TempDir,
    address: SocketAddr,
    clock: Arc<Clock>,
    /// Whether records have no way to it or from it.
    agrees_only: bool,
    /// Whether snapshots of the registry are lost on their way to it.
    loses_snapshots: Arc<AtomicBool>,
    /// The node, if any, to which what this one answers as the leader is lost.
    unheard_by: Arc<AtomicU8>,
    /// How long it waits for a majority.
    patience: Duration,
    map_bytes: usize,
    /// Lines of its keyring beside the key that all have.
    more_keys: &'static str,
    running: Option<Running>,
}

struct Running {
    store: Arc<Store>,
    consensus: Consensus,
    endpoint: Endpoint,
    records: Records,
    rounds: Option<Rounds>,
    vault: Vault,
    tasks: Vec<JoinHandle<()>>,
}

fn key(number: u8) -> NodeKey {
    NodeKey::from_seed(&[number; 32])
}

fn id(number: u8) -> NodeId {
    key(number).node_id()
}

fn peer(addr: SocketAddr) -> Peer {
    Peer { addr: Some(addr), role: Role::Vault }
}

fn setup() -> Setup {
    Setup {
        cluster: Some(CLUSTER),
        limits: Limits::default(),
        chance: Box::new(|bytes: &mut [u8]| Machine.fill(bytes)),
        doors: Doors::Open,
    }
}

async fn bound(address: SocketAddr) -> Socket {
    let mut socket = None;
    // Whatever still had the door of an earlier start lets go of it soon.
    eventually("the address is free", || {
        socket = UdpSocket::bind(address).ok();
        socket.is_some()
    })
    .await;
    let socket = socket.unwrap();
    socket.set_nonblocking(true).unwrap();
    Socket::real(socket).unwrap()
}

/// An address of a node's own, so that nobody takes its port while it is stopped.
fn loopback() -> SocketAddr {
    static GIVEN: AtomicU16 = AtomicU16::new(1);
    let [high, low] = GIVEN.fetch_add(1, Relaxed).to_be_bytes();
    let address = SocketAddr::from(([127, 77, high, low], 0));
    UdpSocket::bind(address).unwrap().local_addr().unwrap()
}

fn agreement(deadline: Duration) -> ConsensusConfig {
    ConsensusConfig { deadline, entries_per_snapshot: 50, entries_kept: 20, ..ConsensusConfig::default() }
}

impl Node {
    fn new(number: u8) -> Self {
        let clock = Arc::new(Clock(AtomicU64::new(1_800_000_000_000)));
        Self {
            number,
            dir: tempfile::tempdir().unwrap(),
            address: loopback(),
            clock,
            agrees_only: false,
            loses_snapshots: Arc::default(),
            unheard_by: Arc::default(),
            patience: DEADLINE,
            map_bytes: 64 << 20,
            more_keys: "",
            running: None,
        }
    }

    /// Starts the node, which knows these others beside the members, and goes on its rounds at this pace.
    async fn start(&mut self, founds: bool, others: &[(u8, SocketAddr)], pace: Option<Pace>) {
        let options = Options {
            map_bytes: self.map_bytes,
            create: true,
            sync: false,
            writer: WriterMode::Thread,
            pile_max: PILE_MAX,
        };
        let store = Arc::new(Store::open(self.dir.path(), options).unwrap());
        let others: BTreeMap<_, _> =
            others.iter().map(|(number, address)| (id(*number), peer(*address))).collect();
        let trust = Trust::new(others.clone());
        let (endpoint, inbox) =
            Endpoint::start(&key(self.number), bound(self.address).await, trust.clone(), setup()).unwrap();
        let me = Me { node: id(self.number), address: self.address.to_string(), founds };
        let peers = Peers::over(Some(endpoint.clone()));
        let consensus = Consensus::start(store.clone(), me, peers, agreement(self.patience)).await.unwrap();
        let neighbours = Neighbours { endpoint: endpoint.clone(), trust: trust.clone() };
        let neighbours = (!self.agrees_only).then_some(neighbours);
        let records = Records::new(store.clone(), self.clock.clone(), id(self.number), neighbours);
        let lost = (self.loses_snapshots.clone(), self.unheard_by.clone());
        let tasks = vec![
            tokio::spawn(answer(inbox, consensus.clone(), records.clone(), lost)),
            tokio::spawn(follow(trust, others, consensus.clone())),
        ];
        let rounds = pace.map(|pace| Rounds::start(records.clone(), pace));
        let vault = self.vault(&store, &consensus, &records);
        self.running = Some(Running { store, consensus, endpoint, records, rounds, vault, tasks });
    }

    fn vault(&self, store: &Arc<Store>, consensus: &Consensus, records: &Records) -> Vault {
        let first = Keyring::generate(&mut |bytes| bytes.fill(7)).to_text();
        let ring = Keyring::parse(&[first.expose_plaintext(), self.more_keys.as_bytes()].concat(), "a test");
        let (last, now) = (store.view().unwrap().rows().clock().unwrap(), self.clock.now());
        Vault::new(VaultParts {
            store: store.clone(),
            consensus: consensus.clone(),
            records: records.clone(),
            author: Author::new(key(self.number), last),
            keys: Keys::judge(Some(ring.unwrap()), &[]).0,
            audit: Arc::new(AuditLog::open(&self.dir.path().join("audit"), None, now).unwrap()),
            host: self.clock.clone(),
            clocks: Arc::default(),
            cluster: CLUSTER,
            address: None,
            own_name: CallerName::parse("node").unwrap(),
            value_bytes_max: 1 << 20,
            token_values_per_second: None,
            started_at: now,
        })
    }

    async fn stop(&mut self) {
        let Running { store, consensus, endpoint, records, rounds, vault, tasks } =
            self.running.take().unwrap();
        if let Some(rounds) = rounds {
            rounds.stop().await;
        }
        tasks.iter().for_each(JoinHandle::abort);
        for task in tasks {
            let _ = task.await;
        }
        endpoint.close().await;
        consensus.stop().await;
        drop((consensus, records, vault));
        eventually("the store is let go of", || Arc::strong_count(&store) == 1).await;
    }

    fn running(&self) -> &Running {
        self.running.as_ref().unwrap()
    }

    /// Returns once everything agreed so far is in the tables.
    async fn confirm(&self) {
        self.running().consensus.confirm().await.unwrap();
        self.running().consensus.settle().await.unwrap();
    }

    /// Has another node become a member, and vote; this one leads.
    async fn admit(&self, other: &Node) {
        let (node, address) = (id(other.number), other.address);
        self.agree(Action::Reach(node, NodeAddress(address))).await;
        let Running { consensus, records, .. } = self.running();
        consensus.admit(node, &address.to_string()).await.unwrap();
        let begun = Instant::now();
        while !consensus.standing().voters().contains(&node) {
            assert!(begun.elapsed() < DEADLINE, "it does not vote");
            promote(consensus, records).await;
            tokio::task::yield_now().await;
        }
    }

    async fn agree(&self, action: Action) {
        let command = Command {
            id: CommandId::default(),
            by: ann().session.caller,
            at: Millis(1),
            idempotency: None,
            action,
        };
        self.running().consensus.propose(command, 100).await.unwrap().outcome.unwrap();
    }

    /// Agrees on a new secret of ann.
    async fn create(&self, name: &str, value: &str) {
        self.running().vault.create(&ann(), &path(name), new_value(value), None).await.unwrap();
    }

    /// Sets a label of a secret of ann.
    async fn label(&self, name: &str, label: &str, value: &str) {
        let label = LabelKey::parse(label).unwrap();
        let labels = BTreeMap::from([(label, Some(LabelValue::parse(value).unwrap()))]);
        let patch = Patch { labels, description: None };
        self.running().vault.patch(&ann(), &path(name), patch, None).await.unwrap();
    }

    async fn read(&self, name: &str) -> String {
        let vault = &self.running().vault;
        let opened = vault.read(&ann(), &path(name), Which::Current, Consistency::Local).await.unwrap();
        String::from_utf8(opened.value.expose_plaintext().to_vec()).unwrap()
    }

    /// What the node says of a secret: its view, the records, the fingerprint of its document.
    fn says(&self, name: &str) -> Option<(SecretView, Vec<Record>, [u8; 32])> {
        let view = self.running().store.view().unwrap();
        let held = view.rows().secret_view(&path(name)).unwrap()?;
        let records = view.rows().records(&path(name)).unwrap();
        let document = Document::of(path(name).id(), &records).unwrap();
        Some((held, records, document.fingerprint()))
    }

    fn labels(&self, name: &str) -> Vec<(String, String)> {
        let Some((view, ..)) = self.says(name) else { return Vec::new() };
        let shown = |(key, held): (LabelKey, covault_model::marks::Stamped<Option<LabelValue>>)| {
            Some((key.to_string(), held.1?.to_string()))
        };
        view.labels.into_iter().filter_map(shown).collect()
    }

    /// What is kept must follow from the records.
    fn check_views(&self) {
        let report = self.running().store.compare_with_rebuild().unwrap();
        assert_eq!(report.differences, [], "node {}", self.number);
    }
}

async fn answer(
    mut inbox: Inbox,
    consensus: Consensus,
    records: Records,
    (loses_snapshots, unheard_by): (Arc<AtomicBool>, Arc<AtomicU8>),
) {
    while let Some(incoming) = inbox.next().await {
        let brings_snapshot = incoming.channel == Channel::Raft && brings_snapshot(&incoming.request);
        if brings_snapshot && loses_snapshots.load(Relaxed) {
            continue;
        }
        let (consensus, records) = (consensus.clone(), records.clone());
        let unheard_by = id(unheard_by.load(Relaxed));
        tokio::spawn(async move {
            let From::Peer(from) = incoming.from else { return };
            let told = match incoming.channel {
                Channel::Raft => consensus.answer_raft(&incoming.request).await.ok(),
                Channel::Records => records.answer(from, &incoming.request).await,
                _ => {
                    let told = consensus.answer_follower(from, &incoming.request).await.ok();
                    told.filter(|_| from != unheard_by)
                }
            };
            if let Some(told) = told {
                incoming.reply.send(told.into());
            }
        });
    }
}

async fn follow(trust: Trust, others: BTreeMap<NodeId, Peer>, consensus: Consensus) {
    let mut known = Vec::new();
    while let Some(members) = consensus.members_after(&known).await {
        let addressed =
            |member: &crate::consensus::Member| (member.node, peer(member.address.parse().unwrap()));
        trust.replace(members.iter().map(addressed).chain(others.clone()).collect());
        known = members;
    }
}

async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < DEADLINE, "{what} did not come about");
        sleep(Duration::from_millis(2)).await;
    }
}

/// The first node alone, founded.
async fn one(others: &[(u8, SocketAddr)], pace: Option<Pace>) -> Node {
    founded(Node::new(1), others, pace).await
}

async fn founded(mut node: Node, others: &[(u8, SocketAddr)], pace: Option<Pace>) -> Node {
    node.start(true, others, pace).await;
    let token = TokenEntry {
        caller: ann().session.caller,
        hash: TokenHash([1; 32]),
        created_at: Millis(1),
        expires_at: None,
    };
    node.agree(Action::Found { cluster: CLUSTER, token: (TokenId([1; 8]), token) }).await;
    node
}

/// Nodes 1, 2 and 3, all voting.
async fn three(pace: Option<Pace>) -> Vec<Node> {
    three_with(Node::new(1), pace).await
}

/// Node 1 as it is given, and nodes 2 and 3.
async fn three_with(founder: Node, pace: Option<Pace>) -> Vec<Node> {
    let mut nodes = vec![founded(founder, &[], pace).await, Node::new(2), Node::new(3)];
    let first = (1, nodes[0].address);
    for at in [1, 2] {
        nodes[at].start(false, &[first], pace).await;
        nodes[0].admit(&nodes[at]).await;
    }
    nodes
}

fn new_value(text: &str) -> NewValue {
    NewValue {
        value: Plaintext::new(text.into()),
        content_type: None,
        expires_at: None,
        labels: BTreeMap::new(),
        description: None,
    }
}

fn ann() -> Asker {
    let caller = CallerName::parse("ann").unwrap();
    let request = RequestId::parse("r").unwrap();
    Asker { session: Session { caller, role: CallerRole::Admin }, request }
}

fn path(name: &str) -> SecretPath {
    SecretPath { owner: ann().session.caller, name: SecretName::parse(name).unwrap() }
}
