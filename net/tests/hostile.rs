//! Peers and strangers that keep to no rule. Whatever they do is closed or given up for a stated reason, is
//! counted, costs a bounded amount of memory, and leaves the others served.

#![allow(clippy::unwrap_used)]

mod support;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use covault_net::{
    CallError, Channel, Limits, Loss, Reason, Role,
    frame::FRAME_BYTES_MAX,
    hello::{HELLO_LEN, Hello},
    tls,
};
use quinn::{ReadToEndError, TransportConfig, VarInt, crypto::rustls::QuicServerConfig};
use tokio::{task::JoinSet, time::timeout};

use support::{Node, PATIENCE, Raw, STILL, eventually, id, introduce, key, loopback, quick, request, soon};

const HOSTILE: u8 = 9;

/// A vault and an honest peer of it, with a hostile key enrolled as well.
fn besieged(limits: Limits) -> (Node, Node) {
    let (vault, honest) = (Node::start_with(1, limits).answering(), Node::start(2).answering());
    introduce(&vault, &honest);
    vault.enrol(id(HOSTILE), honest.addr, Role::Vault);
    (vault, honest)
}

/// Sends `bytes` as a whole stream: the connection is closed for `reason`, which is counted.
async fn check_closed(bytes: &[u8], reason: Reason) {
    let (vault, honest) = besieged(quick());
    let raw = Raw::peer(HOSTILE, &vault).await;
    raw.send_whole(bytes).await;
    assert_eq!(raw.closed().await, reason);
    assert_eq!(vault.refused(reason), 1);
    honest.asks(&vault, "still served").await;
}

#[tokio::test]
async fn an_oversize_frame_ends_the_connection() {
    for channel in Channel::ALL {
        let [a, b, c, d] = (channel.bytes_max() as u32 + 1).to_be_bytes();
        check_closed(&[a, b, c, d, channel.code(), 1, 2, 3], Reason::OversizeFrame).await;
        check_closed(&[0xff, 0xff, 0xff, 0xff, channel.code()], Reason::OversizeFrame).await;
    }
}

#[tokio::test]
async fn a_length_that_lies_ends_the_connection() {
    let whole = request(Channel::Forward, b"twelve bytes");
    check_closed(&whole[..whole.len() - 1], Reason::MalformedFrame).await;
    check_closed(&[whole.as_slice(), b"!"].concat(), Reason::MalformedFrame).await;
    check_closed(&whole[..3], Reason::MalformedFrame).await;
    check_closed(&[], Reason::MalformedFrame).await;
}

#[tokio::test]
async fn garbage_and_unknown_channels_end_the_connection() {
    check_closed(&[0xa5; 4096], Reason::UnknownChannel).await;
    check_closed(&[0; 64], Reason::UnknownChannel).await;
    check_closed(&[0, 0, 0, 1, 7, 0], Reason::UnknownChannel).await;
    check_closed(b"GET / HTTP/1.1\r\n\r\n", Reason::UnknownChannel).await;
}

#[tokio::test]
async fn a_peer_that_uses_the_strangers_channel_is_put_out() {
    check_closed(&request(Channel::Join, b"x"), Reason::ForbiddenChannel).await;
}

#[tokio::test]
async fn half_a_frame_and_then_silence_is_given_up() {
    let (vault, honest) = besieged(Limits { frame_deadline: Duration::from_millis(100), ..quick() });
    let raw = Raw::peer(HOSTILE, &vault).await;
    let whole = request(Channel::Forward, b"twelve bytes");
    for (given_up, part) in [&whole[..2], &whole[..9]].into_iter().enumerate() {
        let (_send, mut recv) = raw.send(part).await;
        let ended = soon("the end", recv.read_to_end(10)).await;
        let Err(ReadToEndError::Read(quinn::ReadError::Reset(code))) = ended else {
            panic!("{ended:?}");
        };
        assert_eq!(code, VarInt::from_u32(Reason::Slow.code()));
        assert_eq!(vault.refused(Reason::Slow), given_up as u64 + 1);
    }
    let mut answer = raw.send_whole(&request(Channel::Forward, b"ab")).await;
    assert_eq!(answer.read_to_end(100).await.unwrap(), b"\0\0\0\x02\0ba", "the connection lives");
    honest.asks(&vault, "still served").await;
}

#[tokio::test]
async fn a_key_that_says_nothing_is_put_out() {
    let (vault, honest) = besieged(Limits { handshake_deadline: Duration::from_millis(200), ..quick() });
    assert_eq!(Raw::silent(HOSTILE, &vault).await.closed().await, Reason::Slow);
    assert_eq!(Raw::silent(77, &vault).await.closed().await, Reason::Slow);
    honest.asks(&vault, "still served").await;
}

#[tokio::test]
async fn a_flood_of_streams_is_held_at_the_peers_limits() {
    let limits = Limits {
        requests_per_peer: 6,
        raft_requests_per_peer: 2,
        bytes_per_peer: FRAME_BYTES_MAX as u32,
        unread_bytes_per_stream: 16 << 10,
        ..quick()
    };
    let window = limits.unread_bytes_per_stream as usize;
    let (vault, honest) = besieged(limits);
    let raw = Raw::peer(HOSTILE, &vault).await;
    let mut held = Vec::new();
    let mut taken = 0;
    let head = request(Channel::Forward, &vec![0; FRAME_BYTES_MAX])[..5].to_vec();
    while let Ok(streams) = timeout(STILL, raw.connection.open_bi()).await {
        held.push(streams.unwrap());
        assert!(held.len() <= 8, "more streams than both lanes have");
    }
    // QUIC may owe it the place of the hello's stream a little longer.
    assert!(7 <= held.len(), "{} streams", held.len());
    for (send, _) in &mut held {
        send.write_all(&head).await.unwrap();
        // Never the last byte: the frame stays open.
        let mut rest = FRAME_BYTES_MAX - 1;
        while let Ok(written) = timeout(STILL, send.write(&vec![0; rest.min(64 << 10)])).await {
            rest -= written.unwrap();
            if rest == 0 {
                break;
            }
        }
        taken += FRAME_BYTES_MAX - 1 - rest;
    }
    assert!(FRAME_BYTES_MAX <= taken + window, "one frame has room: {taken}");
    assert!(taken <= FRAME_BYTES_MAX + 8 * window, "what a peer can make this node hold: {taken}");
    honest.asks(&vault, "still served").await;
}

#[tokio::test]
async fn requests_in_flight_are_bounded_for_a_peer_and_for_all() {
    let limits = Limits { requests_per_peer: 3, requests_in_all: 4, ..quick() };
    let mut vault = Node::start_with(1, limits);
    let mut crowd = Vec::new();
    // Held until the end, as by a node that is slow to answer.
    let mut held = Vec::new();
    for (number, expected) in [(2, 3), (3, 1)] {
        vault.enrol(id(number), vault.addr, Role::Vault);
        let raw = Raw::peer(number, &vault).await;
        let mut streams = Vec::new();
        for _ in 0..6 {
            streams.push(raw.send_whole(&request(Channel::Records, b"x")).await);
        }
        crowd.push((raw, streams));
        for _ in 0..expected {
            held.push(vault.next().await);
        }
        let inbox = vault.inbox.as_mut().unwrap();
        assert!(timeout(STILL, inbox.next()).await.is_err(), "one too many was let in");
    }
}

#[tokio::test]
async fn requests_that_wait_for_the_others_leave_raft_its_lane() {
    let limits = Limits { requests_per_peer: 3, ..quick() };
    let (mut vault, peer) = (Node::start_with(1, limits.clone()), Node::start_with(2, limits));
    introduce(&vault, &peer);
    let mut calls = JoinSet::new();
    for _ in 0..20 {
        let (endpoint, to) = (peer.endpoint.clone(), vault.id);
        calls.spawn(async move {
            endpoint.call(to, Channel::Forward, Bytes::from_static(b"wait"), PATIENCE).await
        });
    }
    let waiting = [vault.next().await, vault.next().await, vault.next().await];
    let mut inbox = vault.inbox.take().unwrap();
    assert!(timeout(STILL, inbox.next()).await.is_err(), "a fourth one was let in");
    let agreed = peer.endpoint.call(vault.id, Channel::Raft, Bytes::from_static(b"vote"), PATIENCE);
    let (agreed, ()) = tokio::join!(agreed, async {
        let incoming = soon("raft's request", inbox.next()).await.unwrap();
        assert_eq!(incoming.channel, Channel::Raft);
        incoming.reply.send(Bytes::from_static(b"yes"));
    });
    assert_eq!(agreed, Ok(Bytes::from_static(b"yes")));
    for incoming in waiting {
        incoming.reply.send(Bytes::new());
    }
    tokio::spawn(async move {
        while let Some(incoming) = inbox.next().await {
            incoming.reply.send(Bytes::new());
        }
    });
    assert!(soon("all answers", calls.join_all()).await.iter().all(Result::is_ok));
}

#[tokio::test]
async fn a_peer_that_does_not_take_its_answers_loses_them() {
    let limits = Limits {
        frame_deadline: Duration::from_secs(2),
        answer_bytes_per_peer: FRAME_BYTES_MAX as u32,
        unsent_bytes_per_peer: 64 << 10,
        ..quick()
    };
    let (vault, honest) = besieged(limits);
    let mut slow = TransportConfig::default();
    slow.stream_receive_window(VarInt::from_u32(1024));
    let raw = Raw::dial_with(Raw::config(HOSTILE, &vault), &vault, slow).await.unwrap();
    raw.greet(&Hello::Peer(support::CLUSTER).to_bytes()).await.unwrap();
    let whole = request(Channel::Forward, &vec![1; FRAME_BYTES_MAX / 2 + 1]);
    let mut unread = Vec::new();
    for _ in 0..3 {
        unread.push(raw.send_whole(&whole).await);
    }
    eventually("two of three have no room", || vault.refused(Reason::Busy) == 2).await;
    honest.asks(&vault, "still served").await;
    eventually("the first was not taken in time", || vault.refused(Reason::Slow) == 1).await;
    honest.asks(&vault, "still served").await;
}

#[tokio::test]
async fn a_crowd_of_strangers_leaves_the_peers_served() {
    let limits =
        Limits { strangers: 2, stranger_deadline: Duration::from_millis(500), handshakes: 16, ..quick() };
    let (vault, honest) = besieged(limits);
    let vault = Arc::new(vault);
    let mut crowd = JoinSet::new();
    for number in 0..60 {
        let vault = vault.clone();
        crowd.spawn(async move {
            let Ok(raw) = Raw::dial(Raw::config(100 + number, &vault), &vault).await else { return None };
            // Says nothing more, and stays as long as it may.
            raw.greet(&Hello::Stranger.to_bytes()).await.ok();
            Some(raw.closed().await)
        });
    }
    let mut done = 0;
    while soon("the crowd's end", crowd.join_next()).await.is_some() {
        honest.asks(&vault, "still served").await;
        done += 1;
    }
    assert_eq!(done, 60);
    assert!(0 < vault.refused(Reason::TooManyStrangers), "{:?}", vault.endpoint.stats());
    let late = Node::start_on(50, loopback(), None, quick());
    soon("a place for one more", async {
        let ask = || late.endpoint.call_stranger(vault.addr, vault.id, Bytes::from_static(b"ab"), PATIENCE);
        while ask().await.is_err() {}
    })
    .await;
}

/// A peer that answers every request with `answer`, whole.
async fn check_answer(answer: &'static [u8], expected: CallError) {
    let tls = tls::server_config(&key(HOSTILE), &tls::default_provider()).unwrap();
    let tls = QuicServerConfig::try_from(tls).unwrap();
    let config = quinn::ServerConfig::with_crypto(Arc::new(tls));
    let server = quinn::Endpoint::server(config, "127.0.0.1:0".parse().unwrap()).unwrap();
    let addr = server.local_addr().unwrap();
    tokio::spawn(async move {
        let connection = server.accept().await.unwrap().await.unwrap();
        let (mut send, mut recv) = connection.accept_bi().await.unwrap();
        send.write_all(&recv.read_to_end(HELLO_LEN).await.unwrap()).await.unwrap();
        send.finish().unwrap();
        while let Ok((mut send, mut recv)) = connection.accept_bi().await {
            recv.read_to_end(FRAME_BYTES_MAX).await.unwrap();
            send.write_all(answer).await.unwrap();
            send.finish().unwrap();
        }
    });
    let node = Node::start(1);
    node.enrol(id(HOSTILE), addr, Role::Vault);
    let asked = node.endpoint.call(id(HOSTILE), Channel::Control, Bytes::new(), PATIENCE).await;
    assert_eq!(asked, Err(expected));
    let CallError::Misbehaved(reason) = expected else { return };
    assert_eq!(node.refused(reason), 1);
    assert!(!node.endpoint.stats().peers[&id(HOSTILE)].linked, "the link is closed");
}

#[tokio::test]
async fn an_answer_that_is_none_ends_the_link() {
    check_answer(&[0, 1, 0, 1, 0], CallError::Misbehaved(Reason::OversizeFrame)).await;
    check_answer(&[0, 0, 0, 5, 0, 1], CallError::Misbehaved(Reason::MalformedFrame)).await;
    check_answer(&[0, 0, 0, 1, 0, 1, 2], CallError::Misbehaved(Reason::MalformedFrame)).await;
    check_answer(&[0, 0, 0, 1, 1, 1], CallError::Misbehaved(Reason::MalformedFrame)).await;
    check_answer(&[], CallError::Misbehaved(Reason::MalformedFrame)).await;
    check_answer(&[0, 0, 0, 2, 1, 0, 7], CallError::Refused(7)).await;
}

#[tokio::test]
async fn a_call_that_was_let_go_does_not_end_the_link() {
    let (mut vault, peer) = (Node::start(1), Node::start(2));
    introduce(&vault, &peer);
    let large: Bytes = vec![3; FRAME_BYTES_MAX].into();
    for micros in (0..40).map(|step| step * 500) {
        let deadline = Duration::from_micros(micros);
        let ended = peer.endpoint.call(vault.id, Channel::Forward, large.clone(), deadline).await;
        assert!(
            matches!(ended, Err(CallError::Unreachable(_) | CallError::Lost(Loss::Deadline))),
            "{ended:?}"
        );
    }
    let call = peer.endpoint.call(vault.id, Channel::Control, Bytes::from_static(b"x"), PATIENCE);
    let served = async {
        loop {
            let incoming = vault.next().await;
            assert!(incoming.channel == Channel::Control || incoming.request == large, "never a part");
            if incoming.channel == Channel::Control {
                return incoming.reply.send(Bytes::new());
            }
        }
    };
    let (answer, ()) = tokio::join!(call, served);
    assert_eq!(answer, Ok(Bytes::new()));
    let stats = vault.endpoint.stats();
    assert!(!stats.refused.contains_key(&Reason::MalformedFrame), "{stats:?}");
}
