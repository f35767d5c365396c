//! Calls between enrolled peers over loopback: both ways, in bulk, refused, unanswered, after a restart.

#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use bytes::Bytes;
use covault_net::{Asker, CallError, Channel, Limits, Loss, Misuse, Reason, Role, Unreachable};
use tokio::task::JoinSet;

use support::{CLUSTER, Node, PATIENCE, eventually, id, introduce, loopback, pair, quick, soon};

#[tokio::test]
async fn each_of_two_nodes_asks_the_other() {
    let (a, b) = pair();
    a.asks(&b, "one").await;
    b.asks(&a, "two").await;
    for (node, peer) in [(&a, &b), (&b, &a)] {
        let stats = node.endpoint.stats();
        let peer = stats.peers[&peer.id];
        assert!(peer.linked && peer.connected && peer.last_contact.is_some(), "{peer:?}");
        assert_eq!(stats.refused.len(), 0, "{stats:?}");
        // A request and an answer each way: five bytes of head, three of text.
        assert_eq!((peer.bytes_in, peer.bytes_out), (16, 16));
    }
    a.endpoint.close().await;
    b.endpoint.close().await;
}

#[tokio::test]
async fn two_nodes_that_dial_each_other_at_once_have_links_both_ways() {
    for round in 0..20 {
        let (a, b) = pair();
        tokio::join!(a.asks(&b, "a to b"), b.asks(&a, "b to a"));
        tokio::join!(a.asks(&b, "again"), b.asks(&a, "again"));
        assert_eq!(a.endpoint.stats().refused.len(), 0, "round {round}");
        assert_eq!(b.endpoint.stats().refused.len(), 0, "round {round}");
    }
}

#[tokio::test]
async fn many_calls_at_once_share_one_link_and_are_all_answered() {
    let (a, b) = pair();
    let mut calls = JoinSet::new();
    for number in 0..1000_u32 {
        let (endpoint, to) = (a.endpoint.clone(), b.id);
        calls.spawn(async move {
            let channel = if number % 2 == 0 { Channel::Raft } else { Channel::Records };
            let request = Bytes::copy_from_slice(&number.to_be_bytes());
            let answer = endpoint.call(to, channel, request, PATIENCE).await.unwrap();
            assert_eq!(answer.as_ref(), number.to_le_bytes());
        });
    }
    soon("a thousand answers", calls.join_all()).await;
    assert_eq!(b.endpoint.stats().refused.len(), 0, "one connection, never superseded");
}

#[tokio::test]
async fn the_largest_frame_goes_both_ways_and_a_larger_one_is_not_sent() {
    let (a, b) = pair();
    let largest = Bytes::from(vec![0x5a; Channel::Raft.bytes_max()]);
    let answer = a.endpoint.call(b.id, Channel::Raft, largest.clone(), PATIENCE).await.unwrap();
    assert_eq!(answer, largest);
    for channel in [Channel::Raft, Channel::Forward, Channel::Records, Channel::Control] {
        let bytes = channel.bytes_max() + 1;
        let refused = a.endpoint.call(b.id, channel, vec![0; bytes].into(), PATIENCE).await;
        assert_eq!(refused, Err(CallError::Misuse(Misuse::TooLarge { channel, bytes })));
    }
    a.asks(&b, "still there").await;
}

#[tokio::test]
async fn an_empty_request_is_a_request() {
    let (a, b) = pair();
    let answer = a.endpoint.call(b.id, Channel::Control, Bytes::new(), PATIENCE).await;
    assert_eq!(answer, Ok(Bytes::new()));
}

#[tokio::test]
async fn a_refusal_carries_its_code_and_a_dropped_reply_says_so() {
    let (a, mut b) = (Node::start(1), Node::start(2));
    introduce(&a, &b);
    let call = |deadline| a.endpoint.call(b.id, Channel::Control, Bytes::from_static(b"?"), deadline);
    let first = call(PATIENCE);
    let second = call(PATIENCE);
    let third = call(Duration::from_millis(50));
    let mut inbox = b.inbox.take().unwrap();
    let served = async {
        let incoming = soon("the first", inbox.next()).await.unwrap();
        assert_eq!((incoming.from, incoming.channel), (Asker::Peer(a.id), Channel::Control));
        incoming.reply.refuse(0xbeef);
        drop(soon("the second", inbox.next()).await.unwrap());
        soon("the third", inbox.next()).await.unwrap()
    };
    let asked = async {
        assert_eq!(first.await, Err(CallError::Refused(0xbeef)));
        assert_eq!(second.await, Err(CallError::Lost(Loss::GivenUp(Reason::Unanswered))));
        assert_eq!(third.await, Err(CallError::Lost(Loss::Deadline)), "whether it was done is not known");
    };
    let (_kept, ()) = tokio::join!(served, asked);
    eventually("it is counted", || b.refused(Reason::Unanswered) == 1).await;
}

#[tokio::test]
async fn an_answer_too_large_for_its_channel_is_not_sent() {
    let (a, mut b) = (Node::start(1), Node::start(2));
    introduce(&a, &b);
    let call = a.endpoint.call(b.id, Channel::Control, Bytes::new(), PATIENCE);
    let served = async {
        let incoming = b.next().await;
        incoming.reply.send(vec![0; Channel::Control.bytes_max() + 1].into());
    };
    let (answer, ()) = tokio::join!(call, served);
    assert_eq!(answer, Err(CallError::Lost(Loss::GivenUp(Reason::Unanswered))));
}

#[tokio::test]
async fn calls_that_cannot_be_made_are_told_apart() {
    let (a, b) = pair();
    let call = |to, channel| a.endpoint.call(to, channel, Bytes::new(), PATIENCE);
    let stranger = CallError::Misuse(Misuse::NotEnrolled(id(9)));
    assert_eq!(call(id(9), Channel::Forward).await, Err(stranger));
    let join = CallError::Misuse(Misuse::NotForPeers(Channel::Join));
    assert_eq!(call(b.id, Channel::Join).await, Err(join));
    a.endpoint.close().await;
    let closed = CallError::Unreachable(Unreachable::Closed);
    assert_eq!(call(b.id, Channel::Forward).await, Err(closed));
}

#[tokio::test]
async fn closing_ends_the_inbox_and_the_peers_links() {
    let (a, b) = (Node::start(1).answering(), Node::start(2));
    introduce(&a, &b);
    let call = a.endpoint.call(b.id, Channel::Control, Bytes::new(), PATIENCE);
    let closing = async {
        let mut inbox = b.inbox.unwrap();
        let incoming = soon("the request", inbox.next()).await.unwrap();
        soon("the end", b.endpoint.close()).await;
        assert!(soon("the end of the inbox", inbox.next()).await.is_none());
        drop(incoming);
    };
    let (answer, ()) = tokio::join!(call, closing);
    assert_eq!(answer, Err(CallError::Lost(Loss::GivenUp(Reason::Closing))));
    eventually("the link is gone", || !a.endpoint.stats().peers[&b.id].linked).await;
}

#[tokio::test]
async fn an_answer_that_was_delivered_outlives_the_endpoint() {
    let (a, b) = (Node::start(1).answering(), Node::start(2));
    introduce(&a, &b);
    let call = a.endpoint.call(b.id, Channel::Records, Bytes::new(), PATIENCE);
    // So long that it takes many packets.
    let whole = Bytes::from(vec![7; 1 << 20]);
    let closing = async {
        let incoming = soon("the request", b.inbox.unwrap().next()).await.unwrap();
        soon("the delivery", incoming.reply.deliver(whole.clone())).await;
        soon("the end", b.endpoint.close()).await;
    };
    let (answer, ()) = tokio::join!(call, closing);
    assert!(answer == Ok(whole));
}

#[tokio::test]
async fn a_peer_that_restarts_on_its_address_is_reached_again() {
    // So long that silence tells nobody anything: a peer that has restarted must say so.
    let hour = Duration::from_secs(3600);
    let patient = Limits { idle_max: 2 * hour, keep_alive: hour, ..quick() };
    let a = Node::start_with(1, patient.clone()).answering();
    let (held, again) = {
        let held = loopback();
        (held.try_clone().unwrap(), held)
    };
    // As in a power cut, the first process says nothing at its end.
    let process = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let limits = patient.clone();
    let first = process.spawn(async move { Node::start_on(2, held, Some(CLUSTER), limits).answering() });
    let first = soon("the first process", first).await.unwrap();
    introduce(&a, &first);
    a.asks(&first, "before").await;
    process.shutdown_background();
    drop(first);
    let second = Node::start_on(2, again, Some(CLUSTER), patient).answering();
    second.enrol(a.id, a.addr, Role::Vault);
    let ask = || a.endpoint.call(second.id, Channel::Forward, Bytes::from_static(b"ab"), PATIENCE);
    let answer = soon("an answer", async {
        loop {
            if let Ok(answer) = ask().await {
                return answer;
            }
        }
    });
    assert_eq!(answer.await, "ba");
}

#[tokio::test]
async fn a_peer_that_is_not_there_is_told_at_once_while_it_rests() {
    let rest = Duration::from_secs(3600);
    let handshake_deadline = Duration::from_secs(1);
    let limits = Limits { rest_min: rest, rest_max: rest, handshake_deadline, ..Limits::default() };
    let (a, b) = (Node::start_with(1, limits), Node::start(2).answering());
    let nobody = loopback();
    a.enrol(b.id, nobody.local_addr().unwrap(), Role::Vault);
    b.enrol(a.id, a.addr, Role::Vault);
    let ask = || a.endpoint.call(b.id, Channel::Forward, Bytes::from_static(b"ab"), PATIENCE);
    let no_answer = Err(CallError::Unreachable(Unreachable::NoAnswer));
    assert_eq!(ask().await, no_answer);
    nobody.set_nonblocking(true).unwrap();
    let mut packet = [0; 2048];
    while nobody.recv(&mut packet).is_ok() {}
    assert_eq!(ask().await, no_answer);
    assert!(nobody.recv(&mut packet).is_err(), "a resting peer is not dialled");
    a.enrol(b.id, b.addr, Role::Vault);
    let answer = soon("an answer", async {
        loop {
            if let Ok(answer) = ask().await {
                return answer;
            }
            tokio::task::yield_now().await;
        }
    });
    assert_eq!(answer.await, "ba");
}

#[tokio::test]
async fn a_peer_that_dials_in_is_dialled_back_at_once() {
    let rest = Duration::from_secs(3600);
    let handshake_deadline = Duration::from_secs(2);
    let limits = Limits { rest_min: rest, rest_max: rest, handshake_deadline, ..Limits::default() };
    let a = Node::start_with(1, limits).answering();
    let held = loopback();
    a.enrol(id(2), held.local_addr().unwrap(), Role::Vault);
    let ask = || a.endpoint.call(id(2), Channel::Forward, Bytes::from_static(b"ab"), PATIENCE);
    assert_eq!(ask().await, Err(CallError::Unreachable(Unreachable::NoAnswer)));
    let b = Node::start_on(2, held, Some(CLUSTER), quick()).answering();
    b.enrol(a.id, a.addr, Role::Vault);
    b.asks(&a, "here I am").await;
    assert_eq!(ask().await, Ok(Bytes::from_static(b"ba")));
}

#[tokio::test]
async fn a_link_on_which_nothing_is_answered_for_long_is_dialled_anew() {
    let a = Node::start_with(1, Limits { silence_max: Duration::from_millis(100), ..quick() });
    let b = Node::start(2);
    introduce(&a, &b);
    let ask = || a.endpoint.call(b.id, Channel::Raft, Bytes::from_static(b"ab"), Duration::from_millis(10));
    soon("the link's end", async {
        while a.refused(Reason::Silent) == 0 {
            assert!(ask().await.is_err(), "nobody answers");
        }
    })
    .await;
    let b = b.answering();
    a.asks(&b, "ab").await;
    assert_eq!(b.refused(Reason::Superseded), 0, "the other side knew that the link had ended");
}
