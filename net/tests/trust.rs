//! Who gets in, how far, and who is put out: keys, versions, clusters, roles, strangers, removal.

#![allow(clippy::unwrap_used)]

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use bytes::Bytes;
use covault_model::id::{ClusterId, hex};
use covault_net::{
    Asker, CallError, Channel, Limits, Loss, Peer, Reason, Role, Unreachable, hello::Hello, tls,
};
use quinn::ConnectionError;
use rustls::{
    NamedGroup, SignatureScheme,
    client::{
        ClientSessionMemoryCache, ClientSessionStore, ResolvesClientCert, Resumption,
        Tls12ClientSessionValue, Tls13ClientSessionValue,
    },
    pki_types::ServerName,
    sign::CertifiedKey,
};

use support::{
    CLUSTER, Node, PATIENCE, Raw, eventually, id, introduce, loopback, pair, quick, request, soon,
};

fn rejected(reason: Reason) -> CallError {
    CallError::Unreachable(Unreachable::Rejected(reason))
}

#[tokio::test]
async fn an_unknown_key_may_join_and_nothing_else() {
    let (mut vault, joining) = (Node::start(1), Node::start_on(2, loopback(), None, quick()));
    let (addr, expected) = (vault.addr, vault.id);
    let asked = joining.endpoint.call_stranger(addr, expected, Bytes::from_static(b"token"), PATIENCE);
    let served = async {
        let incoming = vault.next().await;
        assert_eq!((incoming.from, incoming.channel), (Asker::Stranger(id(2)), Channel::Join));
        assert_eq!(incoming.request, "token");
        incoming.reply.send(Bytes::from_static(b"welcome"));
    };
    let (answer, ()) = tokio::join!(asked, served);
    assert_eq!(answer, Ok(Bytes::from_static(b"welcome")));
    let of_peers = [Channel::Raft, Channel::Forward, Channel::Records, Channel::Control, Channel::Serve];
    for channel in of_peers {
        let raw = Raw::greeted(3, &vault, Hello::Stranger).await;
        raw.send_whole(&request(channel, b"x")).await;
        assert_eq!(raw.closed().await, Reason::ForbiddenChannel);
    }
    assert_eq!(vault.refused(Reason::ForbiddenChannel), 5);
    assert!(vault.endpoint.stats().peers.is_empty(), "a stranger is no peer");
}

#[tokio::test]
async fn a_peer_that_is_turned_away_is_told_why_and_may_dial_again() {
    let (mut one, mut other) = (Node::start(1), Node::start(2));
    introduce(&one, &other);
    let ask = |from: &Node, to: &Node| {
        let (endpoint, to) = (from.endpoint.clone(), to.id);
        tokio::spawn(
            async move { endpoint.call(to, Channel::Records, Bytes::from_static(b"x"), PATIENCE).await },
        )
    };
    let asked = ask(&other, &one);
    let incoming = one.next().await;
    one.endpoint.turn_away(other.id, Reason::BadRecord);
    assert_eq!(asked.await.unwrap(), Err(CallError::Lost(Loss::GivenUp(Reason::BadRecord))));
    drop(incoming);
    assert_eq!(one.refused(Reason::BadRecord), 1);
    let again = ask(&other, &one);
    one.next().await.reply.send(Bytes::from_static(b"y"));
    assert_eq!(again.await.unwrap(), Ok(Bytes::from_static(b"y")));
    // The link that this node itself dialled is closed as well.
    let asked = ask(&one, &other);
    other.next().await.reply.send(Bytes::from_static(b"y"));
    assert!(asked.await.unwrap().is_ok());
    one.endpoint.turn_away(other.id, Reason::BadRecord);
    assert_eq!(one.refused(Reason::BadRecord), 3);
    one.endpoint.turn_away(id(9), Reason::BadRecord);
    assert_eq!(one.refused(Reason::BadRecord), 3, "nobody of that name is enrolled");
}

#[tokio::test]
async fn a_stranger_has_one_small_request_and_little_time() {
    let limits = Limits { stranger_deadline: Duration::from_millis(200), ..quick() };
    let vault = Node::start_with(1, limits).answering();
    let raw = Raw::greeted(3, &vault, Hello::Stranger).await;
    raw.send(&[0, 0, 16, 1, Channel::Join.code()]).await;
    assert_eq!(raw.closed().await, Reason::OversizeFrame);
    let raw = Raw::greeted(3, &vault, Hello::Stranger).await;
    let mut answer = raw.send_whole(&request(Channel::Join, b"ab")).await;
    assert_eq!(answer.read_to_end(100).await.unwrap(), b"\0\0\0\x02\0ba");
    assert_eq!(raw.closed().await, Reason::Served);
    let raw = Raw::greeted(3, &vault, Hello::Stranger).await;
    assert_eq!(raw.closed().await, Reason::Slow);
}

#[tokio::test]
async fn an_unknown_key_that_calls_itself_a_peer_is_refused() {
    let (vault, other) = pair();
    let stranger = Node::start(3);
    stranger.enrol(vault.id, vault.addr, Role::Vault);
    let asked = stranger.endpoint.call(vault.id, Channel::Forward, Bytes::new(), PATIENCE).await;
    assert_eq!(asked, Err(rejected(Reason::UnknownKey)));
    assert_eq!(vault.refused(Reason::UnknownKey), 1);
    other.asks(&vault, "others are served").await;
}

#[tokio::test]
async fn a_known_node_is_not_taken_for_the_one_that_was_dialled() {
    let (a, b) = pair();
    a.enrol(id(3), b.addr, Role::Vault);
    let asked = a.endpoint.call(id(3), Channel::Forward, Bytes::new(), PATIENCE).await;
    assert_eq!(asked, Err(CallError::Unreachable(Unreachable::NotThisNode)));
    let joined = a.endpoint.call_stranger(b.addr, id(3), Bytes::new(), PATIENCE).await;
    assert_eq!(joined, Err(CallError::Unreachable(Unreachable::NotThisNode)));
    assert_eq!(a.refused(Reason::Handshake), 2);
    a.asks(&b, "and b is b").await;
}

#[tokio::test]
async fn another_cluster_is_refused_on_both_sides() {
    let (a, _) = pair();
    let foreign = Node::start_on(3, loopback(), Some(ClusterId([8; 16])), quick()).answering();
    let homeless = Node::start_on(4, loopback(), None, quick()).answering();
    for node in [&foreign, &homeless] {
        introduce(&a, node);
        for (from, to) in [(node, &a), (&a, node)] {
            let asked = from.endpoint.call(to.id, Channel::Forward, Bytes::new(), PATIENCE).await;
            assert_eq!(asked, Err(rejected(Reason::WrongCluster)));
        }
    }
    assert_eq!(a.refused(Reason::WrongCluster), 1, "a node without a cluster does not dial");
}

#[tokio::test]
async fn hellos_that_say_something_else_are_refused() {
    let vault = Node::start(1).answering();
    vault.enrol(id(2), vault.addr, Role::Vault);
    let good = Hello::Peer(CLUSTER).to_bytes();
    let with = |at: usize, byte: u8| {
        let mut bytes = good.to_vec();
        bytes[at] = byte;
        bytes
    };
    let cases = [
        (with(5, 2), Reason::WrongVersion),
        (with(4, 0xff), Reason::WrongVersion),
        (with(8, 0), Reason::WrongCluster),
        (with(0, b'x'), Reason::MalformedHello),
        (with(6, 9), Reason::MalformedHello),
        (good[..10].to_vec(), Reason::MalformedHello),
        ([good.as_slice(), b"more"].concat(), Reason::MalformedHello),
        (Vec::new(), Reason::MalformedHello),
    ];
    for (bytes, reason) in cases {
        let before = vault.refused(reason);
        assert_eq!(Raw::silent(2, &vault).await.greet(&bytes).await, Err(reason));
        assert_eq!(vault.refused(reason), before + 1);
    }
    Raw::peer(2, &vault).await;
}

#[tokio::test]
async fn another_protocol_is_refused_in_the_handshake() {
    let vault = Node::start(1);
    let mut config = Raw::config(2, &vault);
    config.alpn_protocols = vec![b"covault/2".to_vec()];
    assert!(matches!(Raw::dial(config, &vault).await, Err(ConnectionError::ConnectionClosed(_))));
    eventually("it is counted", || vault.refused(Reason::Handshake) == 1).await;
}

/// A client that has no key to show.
#[derive(Debug)]
struct NoKey;

impl ResolvesClientCert for NoKey {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        None
    }

    fn only_raw_public_keys(&self) -> bool {
        true
    }

    fn has_certs(&self) -> bool {
        false
    }
}

#[tokio::test]
async fn a_client_without_a_key_is_refused_in_the_handshake() {
    let vault = Node::start(1);
    let mut config = Raw::config(2, &vault);
    config.client_auth_cert_resolver = Arc::new(NoKey);
    // The client may believe for a moment that it is connected.
    let ended = match Raw::dial(config, &vault).await {
        Ok(raw) => soon("the end", raw.connection.closed()).await,
        Err(error) => error,
    };
    assert!(matches!(ended, ConnectionError::ConnectionClosed(_)), "{ended:?}");
    eventually("it is counted", || vault.refused(Reason::Handshake) == 1).await;
}

#[tokio::test]
async fn the_key_is_looked_up_after_the_handshake() {
    let vault = Node::start(1).answering();
    vault.enrol(id(2), vault.addr, Role::Vault);
    let raw = Raw::silent(2, &vault).await;
    vault.remove(&id(2));
    assert_eq!(raw.greet(&Hello::Peer(CLUSTER).to_bytes()).await, Err(Reason::UnknownKey));
}

#[tokio::test]
async fn a_removed_nodes_connections_are_closed_at_once_and_it_cannot_come_back() {
    let (mut a, b) = (Node::start(1), Node::start(2).answering());
    introduce(&a, &b);
    a.asks(&b, "while enrolled").await;
    // A request of the removed node that waits for its answer, and one that is only half there.
    a.enrol(id(3), b.addr, Role::Vault);
    let raw = Raw::peer(3, &a).await;
    let mut waiting = raw.send_whole(&request(Channel::Forward, b"x")).await;
    let (mut half, _) = raw.send(&request(Channel::Forward, b"xyz")[..6]).await;
    let incoming = a.next().await;
    a.remove(&id(3));
    assert_eq!(raw.closed().await, Reason::Removed);
    incoming.reply.send(Bytes::from_static(b"too late"));
    assert!(waiting.read_to_end(100).await.is_err());
    assert!(half.write_all(b"yz").await.is_err());
    assert_eq!(a.refused(Reason::Removed), 1);

    a.remove(&b.id);
    eventually("both directions are closed", || {
        let peer = b.endpoint.stats().peers[&a.id];
        !peer.linked && !peer.connected
    })
    .await;
    let asked = b.endpoint.call(a.id, Channel::Forward, Bytes::new(), PATIENCE).await;
    assert_eq!(asked, Err(rejected(Reason::UnknownKey)));
    assert!(!a.endpoint.stats().peers.contains_key(&b.id));

    a.enrol(b.id, b.addr, Role::Vault);
    a.asks(&b, "enrolled again").await;
}

#[tokio::test]
async fn calls_to_a_node_that_is_removed_meanwhile_end() {
    let (a, mut b) = (Node::start(1), Node::start(2));
    introduce(&a, &b);
    let call = a.endpoint.call(b.id, Channel::Forward, Bytes::new(), PATIENCE);
    let removed = async {
        let incoming = b.next().await;
        a.remove(&b.id);
        incoming
    };
    let (answer, _kept) = tokio::join!(call, removed);
    assert_eq!(answer, Err(CallError::Lost(Loss::Broken)));
}

/// Remembers sessions as well as it can, and counts the tickets.
#[derive(Debug)]
struct Saved {
    sessions: ClientSessionMemoryCache,
    tickets: AtomicUsize,
}

impl ClientSessionStore for Saved {
    fn set_kx_hint(&self, server: ServerName<'static>, group: NamedGroup) {
        self.sessions.set_kx_hint(server, group);
    }

    fn kx_hint(&self, server: &ServerName<'_>) -> Option<NamedGroup> {
        self.sessions.kx_hint(server)
    }

    fn set_tls12_session(&self, _: ServerName<'static>, _: Tls12ClientSessionValue) {}

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        None
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {}

    fn insert_tls13_ticket(&self, server: ServerName<'static>, session: Tls13ClientSessionValue) {
        self.tickets.fetch_add(1, SeqCst);
        self.sessions.insert_tls13_ticket(server, session);
    }

    fn take_tls13_ticket(&self, server: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.sessions.take_tls13_ticket(server)
    }
}

#[tokio::test]
async fn no_ticket_is_sent_so_no_saved_session_lets_a_removed_node_in() {
    let vault = Node::start(1).answering();
    vault.enrol(id(2), vault.addr, Role::Vault);
    let saved = Arc::new(Saved { sessions: ClientSessionMemoryCache::new(8), tickets: AtomicUsize::new(0) });
    let mut config = Raw::config(2, &vault);
    config.resumption = Resumption::store(saved.clone());
    config.enable_early_data = true;
    let raw = Raw::dial(config.clone(), &vault).await.unwrap();
    assert_eq!(raw.greet(&Hello::Peer(CLUSTER).to_bytes()).await, Ok(Hello::Peer(CLUSTER)));
    let mut answer = raw.send_whole(&request(Channel::Forward, b"ab")).await;
    assert_eq!(answer.read_to_end(100).await.unwrap(), b"\0\0\0\x02\0ba");
    assert_eq!(saved.tickets.load(SeqCst), 0, "a ticket came");
    vault.remove(&id(2));
    assert_eq!(raw.closed().await, Reason::Removed);
    let again = Raw::dial(config, &vault).await.unwrap();
    assert_eq!(again.greet(&Hello::Peer(CLUSTER).to_bytes()).await, Err(Reason::UnknownKey));
}

#[tokio::test]
async fn sessions_and_early_data_are_off_on_both_sides() {
    let vault = Node::start(1).answering();
    let server = tls::server_config(&support::key(1), &tls::default_provider()).unwrap();
    assert_eq!((server.send_tls13_tickets, server.max_early_data_size), (0, 0));
    assert!(!server.session_storage.can_cache());
    let client = Raw::config(2, &vault);
    assert!(!client.enable_early_data);
}

/// Shows A1 from the wire's side.
#[tokio::test]
async fn an_api_process_has_its_own_channel_and_no_other() {
    let vault = Node::start(1).answering();
    vault.enrol(id(2), vault.addr, Role::Api);
    let raw = Raw::peer(2, &vault).await;
    let mut answer = raw.send_whole(&request(Channel::Serve, b"ab")).await;
    assert_eq!(answer.read_to_end(100).await.unwrap(), b"\0\0\0\x02\0ba");
    for channel in Channel::ALL.into_iter().filter(|channel| *channel != Channel::Serve) {
        let raw = Raw::peer(2, &vault).await;
        raw.send_whole(&request(channel, b"ab")).await;
        assert_eq!(raw.closed().await, Reason::ForbiddenChannel, "{channel}");
    }
    vault.enrol(id(2), vault.addr, Role::Vault);
    let raw = Raw::peer(2, &vault).await;
    raw.send_whole(&request(Channel::Serve, b"ab")).await;
    assert_eq!(raw.closed().await, Reason::ForbiddenChannel, "nor is it a vault's");
}

#[tokio::test]
async fn an_endpoint_whose_doors_are_shut_asks_and_lets_nobody_in() {
    let vault = Node::start(1).answering();
    let mut shut = Node::start_shut(2);
    vault.enrol(shut.id, shut.addr, Role::Api);
    shut.enrol(vault.id, vault.addr, Role::Vault);
    let asked = shut.endpoint.call(vault.id, Channel::Serve, Bytes::from_static(b"ab"), PATIENCE).await;
    assert_eq!(asked, Ok(Bytes::from_static(b"ba")));
    let other = Node::start(3);
    other.enrol(shut.id, shut.addr, Role::Vault);
    shut.enrol(other.id, other.addr, Role::Vault);
    let call = other.endpoint.call(shut.id, Channel::Control, Bytes::new(), PATIENCE).await;
    assert!(matches!(call, Err(CallError::Unreachable(_))), "{call:?}");
    shut.endpoint.close().await;
    assert!(shut.inbox.as_mut().unwrap().next().await.is_none());
}

#[tokio::test]
async fn a_peer_without_an_address_is_not_dialled() {
    let vault = Node::start(1);
    vault.trust.replace([(id(2), Peer { addr: None, role: Role::Api })].into());
    let call = vault.endpoint.call(id(2), Channel::Control, Bytes::new(), PATIENCE).await;
    assert_eq!(call, Err(CallError::Unreachable(Unreachable::BadAddress)));
}

#[tokio::test]
async fn the_newest_connection_of_a_key_holds() {
    let vault = Node::start(1).answering();
    vault.enrol(id(2), vault.addr, Role::Vault);
    let first = Raw::peer(2, &vault).await;
    let second = Raw::peer(2, &vault).await;
    assert_eq!(first.closed().await, Reason::Superseded);
    let mut answer = second.send_whole(&request(Channel::Forward, b"ab")).await;
    assert_eq!(answer.read_to_end(100).await.unwrap(), b"\0\0\0\x02\0ba");
}

#[tokio::test]
async fn debug_shows_no_key() {
    let (a, b) = pair();
    a.asks(&b, "so that there is a link").await;
    let shown = format!("{:?} {:?} {:?}", a.endpoint, a.trust, a.inbox);
    assert!(shown.contains(&b.id.to_string()), "the link is shown");
    assert!(!shown.contains(&hex(&[1; 32])) && !shown.contains("1, 1, 1, 1"), "the seed is not");
}
