//! An API process that has been taken over, before a real node: it is let in, and there is nothing it can ask for but
//! what a token lets it. Shows A1, A2 and M2. Knows nothing of HTTP.

use std::{collections::BTreeMap, fs, sync::Arc, time::Duration};

use covault_model::{
    encode,
    id::NodeId,
    invitation::JoinToken,
    name::CallerName,
    refusal::{CallerMistake, Refusal},
};
use covault_net::{CallError, Channel, Endpoint, Loss, NodeIdentity, Peer, Reason, Role, Trust, Unreachable};
use tempfile::TempDir;
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};

use super::DEADLINE;
use crate::{
    host::{Host, Machine},
    node::{JoinError, Node, NodeConfig, QuicConfig, enrolment, join_api},
    relay::{Answered, Ask, Asked, NOT_SERVING, PresentedToken, Standing, Told, VAULTS_FILE, dialling},
    vault::{Asker, Invitee, MemberRole, RequestId},
};

/// A node, and an API process that it has let in.
struct Scene {
    node: Node,
    admin: Asker,
    token: JoinToken,
    /// The key of the process, in the hands of whoever took it.
    stolen: NodeIdentity,
    endpoint: Endpoint,
    dirs: [TempDir; 2],
}

impl Scene {
    async fn new() -> Self {
        let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let quic = QuicConfig::at("127.0.0.1:0".parse().unwrap());
        let config = NodeConfig { create: true, quic: Some(quic), ..NodeConfig::at(dirs[0].path()) };
        let node = Node::start(config, Arc::new(Machine)).await.unwrap();
        let session = node.local_session(CallerName::parse("admin").unwrap()).await.unwrap();
        let admin = Asker { session, request: RequestId::parse("r").unwrap() };
        let token = invite(&node, &admin).await;
        join_api(dirs[1].path(), &token, Arc::new(Machine)).await.unwrap();
        let stolen = NodeIdentity::load(dirs[1].path()).unwrap();
        let endpoint = endpoint(&stolen, &token);
        let scene = Self { node, admin, token, stolen, endpoint, dirs };
        scene.until_let_in().await;
        scene
    }

    async fn ask(&self, channel: Channel, bytes: Vec<u8>) -> Result<Vec<u8>, CallError> {
        let told = self.endpoint.call(self.token.node, channel, bytes.into(), DEADLINE).await;
        told.map(Into::into)
    }

    async fn until_let_in(&self) {
        let let_in = async {
            while self.ask(Channel::Serve, Ask::Standing.to_bytes()).await.is_err() {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(DEADLINE, let_in).await.expect("it is let in");
    }

    async fn members(&self) -> Vec<(NodeId, MemberRole)> {
        let members = self.node.vault().members(&self.admin).await.unwrap();
        members.into_iter().map(|member| (member.node, member.role)).collect()
    }
}

async fn invite(node: &Node, admin: &Asker) -> JoinToken {
    let made = node.vault().invite(admin, Invitee::Api, 600, None).await.unwrap();
    let text = made.text.unwrap();
    JoinToken::parse(std::str::from_utf8(text.expose_plaintext()).unwrap()).unwrap()
}

fn endpoint(identity: &NodeIdentity, token: &JoinToken) -> Endpoint {
    let host: Arc<dyn Host> = Arc::new(Machine);
    let peer = Peer { addr: Some(token.address.0), role: Role::Vault };
    let trust = Trust::new(BTreeMap::from([(token.node, peer)]));
    dialling(identity, Some(token.cluster), trust, &host).unwrap()
}

fn asked(token: Option<&str>) -> Asked {
    Asked {
        operation: "read_self".into(),
        token: token.map(PresentedToken::new),
        request: "r-1".into(),
        captures: [String::new(), String::new()],
        query: String::new(),
        headers: Vec::new(),
        body: Vec::new(),
    }
}

fn answered(body: &[u8]) -> Answered {
    Answered { status: 200, code: None, content_type: String::new(), headers: Vec::new(), body: body.into() }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_process_asks_nothing_of_what_nodes_ask_each_other() {
    let scene = Scene::new().await;
    let before = scene.members().await;
    assert_eq!(before, [(scene.token.node, MemberRole::Leader), (scene.stolen.id(), MemberRole::Api)]);
    for channel in [Channel::Raft, Channel::Forward, Channel::Records, Channel::Control] {
        let answer = scene.ask(channel, encode(&(1u8, "ReadIndex"))).await;
        assert_eq!(answer, Err(CallError::Lost(Loss::GivenUp(Reason::ForbiddenChannel))), "{channel}");
    }
    // With an invitation of its own it is still what it is.
    let token = invite(&scene.node, &scene.admin).await;
    for ask in
        [enrolment::write_api_ask(&token), enrolment::write_ask(&token, "127.0.0.1:1".parse().unwrap())]
    {
        let (address, node) = (token.address.0, token.node);
        let told = scene.endpoint.call_stranger(address, node, ask.to_vec().into(), DEADLINE).await.unwrap();
        let refused: Refusal = CallerMistake::NodeKnown.into();
        assert_eq!(enrolment::read_told(&told).unwrap(), Err(refused));
    }
    assert_eq!(scene.members().await, before);
    assert_eq!(scene.node.vault().observe().unwrap().members.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_refused_until_somebody_carries_them_out_and_judged_by_their_token_then() {
    let scene = Scene::new().await;
    let ask = |token: Option<&str>| Ask::CarryOut(Box::new(asked(token))).to_bytes();
    let standing = Told::Standing(Standing { majority: false, members: Vec::new() });
    assert_eq!(scene.ask(Channel::Serve, Ask::Confirmed.to_bytes()).await.unwrap(), standing.to_bytes());
    assert_eq!(scene.ask(Channel::Serve, ask(None)).await, Err(CallError::Refused(NOT_SERVING)));
    scene.node.serve_apis(Box::new(move |asked| {
        let shown = asked.token.map_or(String::new(), |token| token.text().to_owned());
        Box::pin(async move { answered(shown.as_bytes()) })
    }));
    let told = scene.ask(Channel::Serve, ask(Some("cvt_a_b"))).await.unwrap();
    assert!(Told::from_bytes(&told).unwrap() == Told::CarriedOut(Box::new(answered(b"cvt_a_b"))));
    let standing = Told::from_bytes(&scene.ask(Channel::Serve, Ask::Confirmed.to_bytes()).await.unwrap());
    let members = vec![(scene.token.node, scene.token.address)];
    assert!(standing.unwrap() == Told::Standing(Standing { majority: true, members }));
    for malformed in [Vec::new(), vec![0x82, 1], ask(None)[..20].to_vec(), encode(&(2u8, 0))] {
        let answer = scene.ask(Channel::Serve, malformed).await;
        assert_eq!(answer, Err(CallError::Lost(Loss::GivenUp(Reason::Unanswered))));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_api_process_is_put_out_and_not_let_in_again() {
    let scene = Scene::new().await;
    scene.node.vault().remove_member(&scene.admin, scene.stolen.id(), None).await.unwrap();
    let removed = |answer: &Result<_, CallError>| {
        let whys = [Reason::Removed, Reason::UnknownKey].map(Unreachable::Rejected);
        matches!(answer, Err(CallError::Unreachable(why)) if whys.contains(why))
    };
    let put_out = async {
        while !removed(&scene.ask(Channel::Serve, Ask::Standing.to_bytes()).await) {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(DEADLINE, put_out).await.expect("it is put out");
    assert_eq!(scene.members().await, [(scene.token.node, MemberRole::Leader)]);
    let fresh = endpoint(&scene.stolen, &scene.token);
    let told = fresh.call(scene.token.node, Channel::Serve, Ask::Standing.to_bytes().into(), DEADLINE).await;
    assert!(removed(&told.map(Into::into)));
    // Its key is in its directory, which is as it was before it was let in.
    let directory = scene.dirs[1].path();
    fs::remove_file(directory.join(VAULTS_FILE)).unwrap();
    let again = join_api(directory, &invite(&scene.node, &scene.admin).await, Arc::new(Machine)).await;
    assert!(matches!(again, Err(JoinError::Refused(Refusal::Caller(CallerMistake::NodeKnown)))), "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stops_takes_no_more_requests_and_answers_those_it_has_in_hand() {
    let scene = Scene::new().await;
    let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (tells, waits) = (begun.clone(), go_on.clone());
    // So long that it is on its way for a while.
    let body = vec![b'.'; 1 << 20];
    let done = Told::CarriedOut(Box::new(answered(&body))).to_bytes();
    scene.node.serve_apis(Box::new(move |_| {
        let (tells, waits, whole) = (tells.clone(), waits.clone(), body.clone());
        Box::pin(async move {
            tells.notify_one();
            waits.notified().await;
            answered(&whole)
        })
    }));
    let Scene { node, token, endpoint, dirs: _dirs, .. } = scene;
    let asking = |ask: Ask| endpoint.call(token.node, Channel::Serve, ask.to_bytes().into(), DEADLINE);
    let request = || Ask::CarryOut(Box::new(asked(None)));
    let stopping = async {
        begun.notified().await;
        let stopped = tokio::spawn(node.stop());
        let nothing = Told::Standing(Standing { majority: false, members: Vec::new() }).to_bytes();
        while asking(Ask::Standing).await.unwrap() != nothing {
            sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(asking(request()).await, Err(CallError::Refused(NOT_SERVING)));
        go_on.notify_one();
        stopped.await.unwrap();
    };
    let (in_hand, ()) = tokio::join!(asking(request()), stopping);
    assert!(in_hand.unwrap() == done);
}
