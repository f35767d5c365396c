//! An API process before nodes that answer as the tests say, over real QUIC: whom it asks, and whom next. Shows A3.
//! Knows nothing of vaults.

#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeMap,
    net::{SocketAddr, UdpSocket},
    sync::{Arc, Mutex},
    time::Duration,
};

use covault_model::{
    id::{ClusterId, NodeId},
    key::NodeKey,
    roster::NodeAddress,
};
use covault_net::{Channel, Doors, Endpoint, Inbox, Limits, NodeIdentity, Peer, Role, Setup, Socket, Trust};
use tempfile::TempDir;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use super::{
    Answered, Ask, Asked, Effect, Known, NOT_SERVING, NoAnswer, Seen, Standing, StartError, Told,
    VAULTS_FILE, Vaults,
    message::{ANSWER_BODY_BYTES_MAX, TEXT_BYTES_MAX},
    vaults::REQUESTS_MAX,
};
use crate::host::{Host, Machine};

const CLUSTER: ClusterId = ClusterId([7; 16]);
const PATIENCE: Duration = Duration::from_secs(60);

/// What a node does with requests of clients.
#[derive(Clone)]
enum Manner {
    /// Answers with this status and code.
    Answer(u16, Option<&'static str>),
    /// Gives them up without an answer.
    Drop,
    /// Never answers.
    Hang,
    /// Does not carry them out.
    NotServing,
}

/// What a node was told to do, and what it was asked.
struct Script {
    manner: Manner,
    majority: bool,
    members: Vec<(NodeId, NodeAddress)>,
    asked: Vec<String>,
}

/// A node that answers as it is told.
struct Node {
    id: NodeId,
    address: SocketAddr,
    endpoint: Endpoint,
    script: Arc<Mutex<Script>>,
}

impl Node {
    fn start(number: u8, api: NodeId, manner: Manner) -> Self {
        let key = NodeKey::from_seed(&[number; 32]);
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let setup = Setup {
            cluster: Some(CLUSTER),
            limits: Limits::default(),
            chance: Box::new(|bytes: &mut [u8]| Machine.fill(bytes)),
            doors: Doors::Open,
        };
        let trust = Trust::new(BTreeMap::from([(api, Peer { addr: None, role: Role::Api })]));
        let (endpoint, inbox) = Endpoint::start(&key, Socket::real(socket).unwrap(), trust, setup).unwrap();
        let script = Script { manner, majority: true, members: Vec::new(), asked: Vec::new() };
        let script = Arc::new(Mutex::new(script));
        tokio::spawn(answer(inbox, script.clone()));
        Self { id: key.node_id(), address: endpoint.local_addr().unwrap(), endpoint, script }
    }

    /// Changes what it does.
    fn told(&self, change: impl FnOnce(&mut Script)) {
        change(&mut self.script.lock().unwrap());
    }

    /// The requests that reached it, by their ids.
    fn asked(&self) -> Vec<String> {
        self.script.lock().unwrap().asked.clone()
    }

    fn member(&self) -> (NodeId, NodeAddress) {
        (self.id, NodeAddress(self.address))
    }
}

async fn answer(mut inbox: Inbox, script: Arc<Mutex<Script>>) {
    let mut hanging = Vec::new();
    while let Some(incoming) = inbox.next().await {
        assert_eq!(incoming.channel, Channel::Serve);
        let mut script = script.lock().unwrap();
        let told = match Ask::from_bytes(&incoming.request).unwrap() {
            Ask::Standing | Ask::Confirmed => {
                let (majority, members) = (script.majority, script.members.clone());
                Told::Standing(Standing { majority, members })
            }
            Ask::CarryOut(asked) => {
                script.asked.push(asked.request.clone());
                match script.manner {
                    Manner::Drop => continue,
                    Manner::Hang => {
                        hanging.push(incoming.reply);
                        continue;
                    }
                    Manner::NotServing => {
                        incoming.reply.refuse(NOT_SERVING);
                        continue;
                    }
                    Manner::Answer(status, code) => Told::CarriedOut(Box::new(answered(status, code))),
                }
            }
        };
        incoming.reply.send(told.to_bytes().into());
    }
}

fn answered(status: u16, code: Option<&str>) -> Answered {
    Answered {
        status,
        code: code.map(str::to_owned),
        content_type: String::new(),
        headers: Vec::new(),
        body: Vec::new(),
    }
}

fn asked(request: &str) -> Asked {
    Asked {
        operation: "update_secret".into(),
        token: None,
        request: request.into(),
        captures: [String::new(), String::new()],
        query: String::new(),
        headers: Vec::new(),
        body: Vec::new(),
    }
}

/// An API process and two nodes, of which it asks the first.
struct Scene {
    dir: TempDir,
    vaults: Vaults,
    first: Node,
    second: Node,
}

impl Scene {
    async fn new(first: Manner, second: Manner) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let api = NodeIdentity::create(dir.path(), &mut |bytes| Machine.fill(bytes)).unwrap().id();
        let (first, second) = (Node::start(1, api, first), Node::start(2, api, second));
        let known = Known { cluster: CLUSTER, members: [first.member(), second.member()].into() };
        known.write(dir.path(), VAULTS_FILE).unwrap();
        let all = vec![first.member(), second.member()];
        for node in [&first, &second] {
            node.told(|script| script.members = all.clone());
        }
        let vaults = Vaults::start(dir.path(), Arc::new(Machine)).unwrap();
        let scene = Self { dir, vaults, first, second };
        scene.until_seen(2, Seen::Majority).await;
        let apart = |node: NodeId| -> [u8; 32] { std::array::from_fn(|at| node.0[at] ^ api.0[at]) };
        if apart(scene.first.id) < apart(scene.second.id) { scene } else { scene.turned_round() }
    }

    /// Which one is asked first is left to the key of the API process.
    fn turned_round(self) -> Self {
        let (mut first, mut second) = (self.first.script.lock().unwrap(), self.second.script.lock().unwrap());
        std::mem::swap(&mut first.manner, &mut second.manner);
        drop((first, second));
        Self { first: self.second, second: self.first, ..self }
    }

    async fn ask(&self, request: &str, effect: Effect) -> Result<u16, NoAnswer> {
        let asking = self.vaults.carry_out(asked(request), effect, Instant::now() + PATIENCE);
        timeout(PATIENCE, asking).await.unwrap().map(|answered| answered.status)
    }

    async fn until_seen(&self, count: usize, seen: Seen) {
        eventually(|| self.vaults.count(seen) == count).await;
    }
}

async fn eventually(holds: impl Fn() -> bool) {
    let waiting = async {
        while !holds() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, waiting).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_node_is_asked_for_as_long_as_it_answers() {
    let scene = Scene::new(Manner::Answer(200, None), Manner::Answer(200, None)).await;
    for request in ["a", "b", "c"] {
        assert_eq!(scene.ask(request, Effect::Keyed).await, Ok(200));
    }
    assert_eq!(
        (scene.first.asked(), scene.second.asked()),
        (vec!["a".into(), "b".into(), "c".into()], vec![])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_lost_is_asked_of_another() {
    let scene = Scene::new(Manner::Drop, Manner::Answer(200, None)).await;
    assert_eq!(scene.ask("read", Effect::Nothing).await, Ok(200));
    assert_eq!(scene.ask("keyed", Effect::Keyed).await, Ok(200));
    assert_eq!(scene.first.asked(), ["read", "keyed"]);
    assert_eq!(scene.second.asked(), ["read", "keyed"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_for_want_of_a_majority_is_passed_on_when_nobody_does_better() {
    let silence = Manner::Answer(503, Some("quorum_unavailable"));
    let scene = Scene::new(silence.clone(), Manner::Answer(200, None)).await;
    for effect in [Effect::Nothing, Effect::Repeatable, Effect::Keyed] {
        assert_eq!(scene.ask("one", effect).await, Ok(200), "{effect:?}");
    }
    scene.second.told(|script| script.manner = silence);
    assert_eq!(scene.ask("two", Effect::Keyed).await, Ok(503));
    assert_eq!(scene.second.asked().len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_refusal_after_which_it_may_be_done_another_is_asked() {
    let scene = Scene::new(Manner::Answer(503, Some("outcome_unknown")), Manner::Answer(200, None)).await;
    assert_eq!(scene.ask("keyed", Effect::Keyed).await, Ok(200));
    assert_eq!(scene.second.asked(), ["keyed"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn that_nothing_was_done_is_not_said_when_an_earlier_try_was_lost() {
    let scene = Scene::new(Manner::Drop, Manner::Answer(503, Some("quorum_unavailable"))).await;
    assert_eq!(scene.ask("keyed", Effect::Keyed).await, Err(NoAnswer::Unknown));
    assert_eq!(scene.ask("tokens", Effect::Repeatable).await, Err(NoAnswer::Unknown));
    assert_eq!(scene.ask("read", Effect::Nothing).await, Ok(503));
}

#[tokio::test(flavor = "multi_thread")]
async fn that_it_may_be_done_is_not_taken_back_by_a_node_that_did_nothing() {
    for code in ["outcome_unknown", "timeout"] {
        let silence = Manner::Answer(503, Some("quorum_unavailable"));
        let scene = Scene::new(Manner::Answer(503, Some(code)), silence).await;
        let until = Instant::now() + PATIENCE;
        let told = async |effect| scene.vaults.carry_out(asked("one"), effect, until).await.unwrap().code;
        assert_eq!(told(Effect::Keyed).await.as_deref(), Some(code));
        assert_eq!(told(Effect::Nothing).await.as_deref(), Some("quorum_unavailable"));
        assert_eq!(scene.second.asked().len(), 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_does_not_serve_is_passed_by() {
    let scene = Scene::new(Manner::NotServing, Manner::Answer(200, None)).await;
    assert_eq!(scene.ask("passed by", Effect::Keyed).await, Ok(200));
    scene.second.told(|script| script.manner = Manner::NotServing);
    assert_eq!(scene.ask("again", Effect::Keyed).await, Err(NoAnswer::Nobody));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_waits_for_a_node_which_falls_silent_goes_to_another() {
    let scene = Scene::new(Manner::Hang, Manner::Answer(200, None)).await;
    let asking = scene.ask("keyed", Effect::Keyed);
    let closing = async {
        eventually(|| scene.first.asked() == ["keyed"]).await;
        scene.first.endpoint.close().await;
    };
    let (told, ()) = tokio::join!(asking, closing);
    assert_eq!(told, Ok(200));
    scene.until_seen(1, Seen::Silent).await;
    assert_eq!(scene.ask("next", Effect::Keyed).await, Ok(200), "it is not even tried");
    scene.second.endpoint.close().await;
    scene.until_seen(2, Seen::Silent).await;
    assert_eq!(scene.ask("last", Effect::Keyed).await, Err(NoAnswer::Nobody));
}

#[tokio::test(flavor = "multi_thread")]
async fn all_who_wait_for_a_node_share_one_look_that_finds_none() {
    // Each look takes three seconds: one after the other they would take longer than anybody waits.
    const TOGETHER: usize = 30;
    let scene = Scene::new(Manner::Answer(200, None), Manner::Answer(200, None)).await;
    scene.first.endpoint.close().await;
    scene.second.endpoint.close().await;
    scene.until_seen(2, Seen::Silent).await;
    let mut asking = JoinSet::new();
    for _ in 0..TOGETHER {
        let vaults = scene.vaults.clone();
        let until = Instant::now() + PATIENCE;
        asking.spawn(async move { vaults.carry_out(asked("x"), Effect::Keyed, until).await.err() });
    }
    let told = timeout(PATIENCE, asking.join_all()).await.unwrap();
    assert!(told.iter().all(|error| *error == Some(NoAnswer::Nobody)), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_found_no_room_in_time_is_not_asked_later() {
    let scene = Scene::new(Manner::Hang, Manner::Hang).await;
    let mut hanging = JoinSet::new();
    for _ in 0..REQUESTS_MAX {
        let (vaults, until) = (scene.vaults.clone(), Instant::now() + PATIENCE);
        hanging.spawn(async move { vaults.carry_out(asked("hangs"), Effect::Keyed, until).await.is_ok() });
    }
    eventually(|| scene.first.asked().len() == REQUESTS_MAX).await;
    let late = scene.vaults.carry_out(asked("late"), Effect::Keyed, Instant::now());
    assert_eq!(timeout(PATIENCE, late).await.unwrap().err(), Some(NoAnswer::Nobody));
    hanging.shutdown().await;
    scene.first.told(|script| script.manner = Manner::Answer(200, None));
    assert_eq!(scene.ask("next", Effect::Keyed).await, Ok(200));
    assert!(!scene.first.asked().contains(&"late".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_loses_its_majority_is_left_for_one_that_has_it() {
    let scene = Scene::new(Manner::Answer(200, None), Manner::Answer(200, None)).await;
    assert_eq!(scene.ask("a", Effect::Keyed).await, Ok(200));
    scene.first.told(|script| script.majority = false);
    scene.until_seen(1, Seen::Minority).await;
    assert_eq!(scene.ask("b", Effect::Keyed).await, Ok(200));
    assert_eq!(scene.second.asked(), ["b"]);
    scene.second.told(|script| script.majority = false);
    scene.until_seen(2, Seen::Minority).await;
    assert_eq!(scene.ask("c", Effect::Keyed).await, Ok(200), "one that answers is better than none");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_nodes_are_those_that_one_with_a_majority_names_and_they_are_kept() {
    let scene = Scene::new(Manner::Answer(200, None), Manner::Answer(200, None)).await;
    let (gone, stays) = (scene.first.member(), scene.second.member());
    scene.first.told(|script| script.majority = false);
    scene.second.told(|script| script.members = vec![stays]);
    let kept = || Known::read(&scene.dir.path().join(VAULTS_FILE)).unwrap().unwrap().members;
    eventually(|| kept() == [stays].into()).await;
    assert_eq!(scene.ask("a", Effect::Keyed).await, Ok(200));
    assert_eq!((scene.first.asked(), scene.second.asked()), (vec![], vec!["a".into()]));
    scene.second.told(|script| script.members = vec![gone, stays]);
    eventually(|| kept() == [gone, stays].into()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_belongs_to_one_process_that_was_let_in() {
    let scene = Scene::new(Manner::Answer(200, None), Manner::Answer(200, None)).await;
    let start = |path: &std::path::Path| Vaults::start(path, Arc::new(Machine)).err();
    assert!(matches!(start(scene.dir.path()), Some(StartError::Taken(_))));
    let empty = tempfile::tempdir().unwrap();
    assert!(matches!(start(empty.path()), Some(StartError::NotEnrolled(_))));
    std::fs::write(empty.path().join(VAULTS_FILE), "{}").unwrap();
    assert!(matches!(start(empty.path()), Some(StartError::Malformed(_))));
}

#[test]
fn the_largest_answer_fits_its_frame() {
    let header = ("a".repeat(TEXT_BYTES_MAX / 2), Vec::new().into());
    let answer =
        Answered { headers: vec![header], body: vec![0; ANSWER_BODY_BYTES_MAX], ..answered(200, Some("c")) };
    let told = Told::CarriedOut(Box::new(answer)).to_bytes();
    assert!(told.len() <= Channel::Serve.bytes_max());
    assert!(Told::from_bytes(&told).is_ok());
}
