//! Agreement among several nodes over real QUIC on this machine: any node takes a proposal, one of two that
//! contradict each other wins, the rest go on when the leader is gone, a minority refuses and says so, and
//! who was away catches up. Shows R1, R2 and R3. Knows nothing of how nodes come to be members.

#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use covault_model::{
    command::{Action, Command, NewSecret, SealedVersion},
    hlc::Hlc,
    id::PayloadHash,
    name::{CallerName, SecretName, SecretPath},
    record::{Body, Header, Record, VersionBody},
    refusal::{NoAuthority, NodeFault, Refusal},
    registry::Outcome,
};
use covault_net::Channel;

use super::three::{DEADLINE, command, config, eventually, id, key, key_name, know_key, leader_of, three};
use crate::consensus::{
    ConsensusConfig,
    message::{self, Change, LeaderAsk, LeaderTold},
};

/// The creation of a secret whose version `author` made.
pub fn create(author: u8, payload: &[u8]) -> Command {
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
    // Several snapshots are taken meanwhile; entries are let go of by hundreds, so that the log has all of these.
    for number in 0..150 {
        let at = others[usize::from(number) % 2];
        let applied = nodes[at].consensus().propose(know_key(number, 1), 100).await.unwrap();
        assert_eq!(applied.outcome, Ok(Outcome::Done), "key {number} by node {at}");
    }
    nodes[gone].start(false, &[], config()).await;
    nodes[gone].consensus().confirm().await.unwrap();
    assert!((0..150).all(|number| nodes[gone].known(number).is_some()));
    assert!(!nodes[gone].was_sent_a_snapshot(), "the log had all of it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_away_for_longer_than_the_log_goes_back_is_sent_a_snapshot() {
    let mut nodes = three().await;
    let leader = leader_of(&nodes).await;
    let (gone, other) = ((leader + 1) % 3, (leader + 2) % 3);
    nodes[gone].stop().await;
    // Enough for a snapshot of several pieces.
    for number in 0..60 {
        nodes[leader].consensus().propose(know_key(number, 1), 100).await.unwrap().outcome.unwrap();
    }
    // Whichever of them leads, its log does not go back so far.
    nodes[other].consensus().confirm().await.unwrap();
    for at in [leader, other] {
        nodes[at].consensus().compact().await.unwrap();
    }
    nodes[gone].start(false, &[], config()).await;
    nodes[gone].consensus().confirm().await.unwrap();
    assert!((0..60).all(|number| nodes[gone].known(number).is_some()));
    assert!(nodes[gone].was_sent_a_snapshot());
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
    let endpoint = nodes[asker].running().endpoint.clone();
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
    let endpoint = nodes[asker].running().endpoint.clone();
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
    let endpoint = &nodes[out].running().endpoint;
    let ask = message::write(&LeaderAsk::ReadIndex);
    let leading = id(nodes[leader].number);
    let begun = Instant::now();
    while endpoint.call(leading, Channel::Forward, ask.clone().into(), DEADLINE).await.is_ok() {
        assert!(begun.elapsed() < DEADLINE, "it is still answered");
    }
}
