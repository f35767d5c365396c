//! Agreement among several nodes over real QUIC on this machine: any node takes a proposal, one of two that
//! contradict each other wins, the rest go on when the leader is gone, a minority refuses and says so, and
//! who was away catches up. Shows R1, R2 and R3. Knows nothing of how nodes come to be members.

#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeMap,
    net::{SocketAddr, UdpSocket},
    sync::Arc,
    time::{Duration, Instant},
};

use covault_model::{
    command::{Action, Command, NewSecret, SealedVersion},
    hlc::{Hlc, Millis},
    id::{ClusterId, CommandId, NodeId, PayloadHash},
    key::NodeKey,
    name::{CallerName, MasterKeyName, SecretName, SecretPath},
    record::{Body, Header, Record, VersionBody},
    refusal::{NoAuthority, NodeFault, Refusal},
    registry::{KeyCheck, Outcome, Registry},
};
use covault_net::{
    Asker, Channel, Endpoint, Inbox, Limits, Peer, Role, Setup, Socket, Trust, tls::default_provider,
};
use covault_store::{Options, Store, WriterMode};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::consensus::{
    Consensus, ConsensusConfig, Me, Peers,
    message::{self, Change, LeaderAsk, LeaderTold},
};

const DEADLINE: Duration = Duration::from_secs(30);

/// One node: what it keeps, and what runs.
struct Node {
    number: u8,
    dir: TempDir,
    address: SocketAddr,
    running: Option<Running>,
}

struct Running {
    store: Arc<Store>,
    consensus: Consensus,
    endpoint: Endpoint,
    tasks: Vec<JoinHandle<()>>,
}

fn key(number: u8) -> NodeKey {
    NodeKey::from_seed(&[number; 32])
}

fn id(number: u8) -> NodeId {
    key(number).node_id()
}

fn config() -> ConsensusConfig {
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

    async fn start(&mut self, founds: bool, known: &[(u8, SocketAddr)], config: ConsensusConfig) {
        let options = Options { map_bytes: 64 << 20, create: true, sync: false, writer: WriterMode::Thread };
        let store = Arc::new(Store::open(self.dir.path(), options).unwrap());
        let peer = |address| Peer { addr: address, role: Role::Vault };
        let trust = Trust::new(known.iter().map(|(number, address)| (id(*number), peer(*address))).collect());
        let socket = UdpSocket::bind(self.address).unwrap();
        socket.set_nonblocking(true).unwrap();
        let setup = Setup {
            cluster: Some(ClusterId([7; 16])),
            limits: Limits::default(),
            provider: default_provider(),
            chance: Box::new(fill),
        };
        let socket = Socket::real(socket).unwrap();
        let (endpoint, inbox) = Endpoint::start(&key(self.number), socket, trust.clone(), setup).unwrap();
        let me = Me { node: id(self.number), address: self.address.to_string(), founds };
        let peers = Peers::over(Some(endpoint.clone()));
        let consensus = Consensus::start(store.clone(), me, peers, config).await.unwrap();
        let tasks = vec![
            tokio::spawn(answer(inbox, consensus.clone())),
            tokio::spawn(follow(trust, consensus.clone())),
        ];
        self.running = Some(Running { store, consensus, endpoint, tasks });
    }

    async fn stop(&mut self) {
        let Running { store, consensus, endpoint, tasks } = self.running.take().unwrap();
        tasks.iter().for_each(JoinHandle::abort);
        for task in tasks {
            let _ = task.await;
        }
        endpoint.close().await;
        consensus.stop().await;
        drop(consensus);
        eventually("the store is let go of", || Arc::strong_count(&store) == 1).await;
    }

    fn consensus(&self) -> &Consensus {
        &self.running.as_ref().unwrap().consensus
    }

    fn known(&self, number: u16) -> Option<KeyCheck> {
        let view = self.running.as_ref().unwrap().store.view().unwrap();
        view.rows().key_check(&key_name(number)).unwrap()
    }
}

fn fill(bytes: &mut [u8]) {
    use crate::host::Host;
    crate::host::Machine.fill(bytes);
}

async fn answer(mut inbox: Inbox, consensus: Consensus) {
    while let Some(incoming) = inbox.next().await {
        let consensus = consensus.clone();
        tokio::spawn(async move {
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

async fn follow(trust: Trust, consensus: Consensus) {
    let mut known = Vec::new();
    while let Some(members) = consensus.members_after(&known).await {
        let peer = |address: &str| Peer { addr: address.parse().unwrap(), role: Role::Vault };
        let peers: BTreeMap<_, _> =
            members.iter().map(|member| (member.node, peer(&member.address))).collect();
        trust.replace(peers);
        known = members;
    }
}

async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < DEADLINE, "{what} did not come about");
        tokio::task::yield_now().await;
    }
}

/// Nodes 1, 2 and 3, all voting.
async fn three() -> Vec<Node> {
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
        nodes[0].consensus().promote().await;
        tokio::task::yield_now().await;
    }
    nodes
}

fn key_name(number: u16) -> MasterKeyName {
    MasterKeyName::parse(&format!("key-{number}")).unwrap()
}

fn know_key(number: u16, check: u8) -> Command {
    command(Action::KnowKey(key_name(number), KeyCheck(vec![check; 32])))
}

fn command(action: Action) -> Command {
    let by = CallerName::parse("admin").unwrap();
    Command { id: CommandId::default(), by, at: Millis(1), idempotency: None, action }
}

/// The creation of a secret whose version `author` made.
fn create(author: u8, payload: &[u8]) -> Command {
    let path =
        SecretPath { owner: CallerName::parse("ann").unwrap(), name: SecretName::parse("app/db").unwrap() };
    let header = Header {
        secret: path.id(),
        parents: Vec::new(),
        depth: 1,
        time: Hlc(10),
        author: id(author),
        caller: path.owner.clone(),
        idempotency: None,
        body: Body::Version(VersionBody {
            payload: PayloadHash::of(b"sealed"),
            payload_len: 6,
            content_type: None,
            expires_at: None,
            restores: None,
        }),
    };
    let record = Record::sign(header, &key(author));
    let version = SealedVersion { record, payload: payload.to_vec() };
    command(Action::Create(vec![NewSecret { path, version, marks: None }]))
}

async fn leader_of(nodes: &[Node]) -> usize {
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

#[tokio::test(flavor = "multi_thread")]
async fn any_node_takes_a_proposal_and_sees_it_applied_when_it_is_answered() {
    let nodes = three().await;
    for (number, node) in (0..).zip(nodes.iter().cycle().take(9)) {
        let applied = node.consensus().propose(know_key(number, 1), 100).await.unwrap();
        assert_eq!(applied.outcome, Ok(Outcome::Done));
        assert!(node.known(number).is_some(), "node {} answered and has not applied", node.number);
        for other in &nodes {
            other.consensus().confirm().await.unwrap();
            assert!(other.known(number).is_some(), "node {} confirmed and lacks it", other.number);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_proposals_that_contradict_each_other_one_wins_on_every_node_alike() {
    let nodes = three().await;
    for number in 0..20 {
        let tries = nodes.iter().map(|node| {
            let (consensus, check) = (node.consensus().clone(), node.number);
            tokio::spawn(async move { consensus.propose(know_key(number, check), 100).await })
        });
        let mut won = 0;
        for one in tries.collect::<Vec<_>>() {
            match one.await.unwrap().unwrap().outcome {
                Ok(_) => won += 1,
                Err(refusal) => assert_eq!(refusal, NodeFault::WrongMasterKey(key_name(number)).into()),
            }
        }
        assert_eq!(won, 1, "key {number}");
    }
    for node in &nodes {
        node.consensus().confirm().await.unwrap();
        for number in 0..20 {
            assert_eq!(node.known(number), nodes[0].known(number));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_others_go_on_when_the_leader_is_gone_and_it_catches_up_when_it_is_back() {
    let mut nodes = three().await;
    let gone = leader_of(&nodes).await;
    nodes[gone].stop().await;
    let others: Vec<usize> = (0..3).filter(|at| *at != gone).collect();
    // More than the log keeps, so that only a snapshot can bring the one that is away level.
    for number in 0..150 {
        let at = others[usize::from(number) % 2];
        let applied = nodes[at].consensus().propose(know_key(number, 1), 100).await.unwrap();
        assert_eq!(applied.outcome, Ok(Outcome::Done), "key {number} by node {at}");
    }
    nodes[gone].start(false, &[], config()).await;
    nodes[gone].consensus().confirm().await.unwrap();
    assert!((0..150).all(|number| nodes[gone].known(number).is_some()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_minority_refuses_and_says_so() {
    let mut nodes = three().await;
    nodes[1].stop().await;
    nodes[2].stop().await;
    let alone = nodes[0].consensus();
    eventually("the minority notices", || !alone.has_majority()).await;
    let short = ConsensusConfig { deadline: Duration::from_secs(2), ..config() };
    nodes[0].stop().await;
    nodes[0].start(true, &[], short).await;
    let alone = nodes[0].consensus();
    assert_eq!(alone.confirm().await, Err(NoAuthority::Unconfirmed.into()));
    let refused = alone.propose(know_key(0, 1), 100).await;
    assert_eq!(refused, Err(NoAuthority::QuorumUnavailable.into()));
    // What waits behind a proposal was not proposed either. The first fills an entry, so the other waits.
    let (first, behind) =
        tokio::join!(alone.propose(know_key(1, 1), 8 << 20), alone.propose(know_key(2, 1), 100));
    assert_eq!((&first, &behind), (&refused, &refused));
    assert!(!alone.has_majority());
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_a_peer_did_not_make_are_not_ordered_for_it() {
    let nodes = three().await;
    let leader = leader_of(&nodes).await;
    let asker = (leader + 1) % 3;
    let (from, other) = (nodes[asker].number, nodes[leader].number);
    let endpoint = nodes[asker].running.as_ref().unwrap().endpoint.clone();
    let ask = async |command: Command| {
        let ask = message::write(&LeaderAsk::Order(vec![command]));
        let told = endpoint.call(id(other), Channel::Forward, ask.into(), DEADLINE).await.unwrap();
        message::read::<LeaderTold>(&told).unwrap()
    };
    let corrupt = Refusal::from(NodeFault::Corrupt);
    for forged in [create(other, b"sealed"), create(from, b"another"), create(9, b"sealed")] {
        assert!(matches!(ask(forged).await, LeaderTold::NotProposed(Some(refusal)) if refusal == corrupt));
    }
    assert!(matches!(ask(create(from, b"sealed")).await, LeaderTold::Ordered(..)));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_members_change_only_as_the_registry_has_agreed() {
    let nodes = three().await;
    let leader = leader_of(&nodes).await;
    let (asker, leading) = ((leader + 1) % 3, id(nodes[leader].number));
    let endpoint = nodes[asker].running.as_ref().unwrap().endpoint.clone();
    let ask = async |change: Change| {
        let ask = message::write(&LeaderAsk::Change(change));
        let told = endpoint.call(leading, Channel::Forward, ask.into(), DEADLINE).await.unwrap();
        message::read::<LeaderTold>(&told).unwrap()
    };
    let stranger = Change::Admit(id(9), "127.0.0.1:9".into());
    assert!(matches!(ask(stranger).await, LeaderTold::NotProposed(None)), "nobody took it in");
    let third = Change::Expel(id(nodes[(leader + 2) % 3].number));
    assert!(matches!(ask(third).await, LeaderTold::NotProposed(None)), "nobody took it away");
    assert_eq!(nodes[leader].consensus().standing().members.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_expelled_is_heard_no_more() {
    let nodes = three().await;
    let leader = leader_of(&nodes).await;
    let out = (leader + 1) % 3;
    let gone = id(nodes[out].number);
    for other in &nodes {
        let known = command(Action::Reach(id(other.number), other.address.to_string().parse().unwrap()));
        nodes[leader].consensus().propose(known, 100).await.unwrap().outcome.unwrap();
    }
    let removed = nodes[leader].consensus().propose(command(Action::RemoveNode(gone)), 100).await.unwrap();
    assert_eq!(removed.outcome, Ok(Outcome::Done));
    nodes[leader].consensus().expel(gone).await.unwrap();
    assert_eq!(nodes[leader].consensus().voters(), 2);
    let endpoint = &nodes[out].running.as_ref().unwrap().endpoint;
    let ask = message::write(&LeaderAsk::ReadIndex);
    let leading = id(nodes[leader].number);
    let begun = Instant::now();
    while endpoint.call(leading, Channel::Forward, ask.clone().into(), DEADLINE).await.is_ok() {
        assert!(begun.elapsed() < DEADLINE, "it is still answered");
    }
}
