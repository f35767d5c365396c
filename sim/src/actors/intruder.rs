//! Hostile peers: somebody who reaches the port where nodes hear each other, knows the cluster's and the node's ids, and
//! has a key of his own that nobody enrolled. He sends bytes that are no packets, and asks as peers and joiners do.
//! A peer that is enrolled and keeps to no rule is not among them: nothing in a run stands for one.

use std::{net::SocketAddr, time::Duration};

use covault_model::{
    id::{ClusterId, NodeId},
    key::NodeKey,
};
use covault_net::{Channel, Doors, Endpoint, Limits, Peer, Role, Setup, Trust};

use crate::{
    chance::Chance,
    desk::{Desk, text},
    machine::QUIC_PORT,
    socket::SimSocket,
    story::{Ask, Knock, What},
};

const PATIENCE: Duration = Duration::from_secs(2);
/// The most bytes that a packet of QUIC has on most networks, and a few more.
const PACKET_BYTES_MAX: u64 = 1500;

/// Sends a node bytes that are no packets; some begin as packets do.
pub async fn garble(desk: &mut Desk) {
    let node = desk.any_node();
    let packets = desk.chance.between(1, 20);
    let Ok(socket) = SimSocket::anywhere(desk.office.weather.clone()) else { return };
    for _ in 0..packets {
        let mut bytes = garbage(&mut desk.chance, PACKET_BYTES_MAX);
        if desk.chance.percent(50) {
            // The first packet of a connection of QUIC's first version.
            let head = [0xc0, 0, 0, 0, 1, 8];
            bytes.splice(..head.len().min(bytes.len()), head);
        }
        socket.send(door_of(node), &bytes);
    }
    desk.office.journal.note(What::Garbled { node, packets });
}

/// Asks a node as if it were a peer.
pub async fn knock(desk: &mut Desk) {
    let node = desk.any_node();
    let told = desk.ask_node(node, Ask::Status, None).await;
    let id = text(told.body(), "/node").and_then(|id| NodeId::parse(id).ok());
    let cluster = text(told.body(), "/cluster").and_then(|id| ClusterId::parse(id).ok());
    let (Some(id), Some(cluster)) = (id, cluster) else { return };
    let by = *desk.chance.one(&[Knock::Member, Knock::Foreigner, Knock::Joiner]);
    let mut other = ClusterId::default();
    desk.chance.fill(&mut other.0);
    let cluster = if by == Knock::Foreigner { other } else { cluster };
    let request = garbage(&mut desk.chance, 200).into();
    let Some(endpoint) = endpoint(desk, id, door_of(node), cluster) else { return };
    let told = match by {
        Knock::Joiner => endpoint.call_stranger(door_of(node), id, request, PATIENCE).await,
        _ => {
            let channel = *desk.chance.one(&[Channel::Raft, Channel::Forward, Channel::Records]);
            endpoint.call(id, channel, request, PATIENCE).await
        }
    };
    let (answered, told) = (told.is_ok(), told.map_or_else(|error| error.to_string(), |_| String::new()));
    desk.office.journal.note(What::Knocked { node, by, answered, told });
    endpoint.close().await;
}

/// What a stranger has to speak to one node as if both were of this cluster.
fn endpoint(desk: &mut Desk, victim: NodeId, at: SocketAddr, cluster: ClusterId) -> Option<Endpoint> {
    let mut seed = [0; 32];
    desk.chance.fill(&mut seed);
    let mut chance = Chance::of(desk.chance.below(u64::MAX), "intruder");
    let setup = Setup {
        cluster: Some(cluster),
        limits: Limits::default(),
        chance: Box::new(move |bytes| chance.fill(bytes)),
        doors: Doors::Shut,
    };
    let trust = Trust::new([(victim, Peer { addr: Some(at), role: Role::Vault })].into());
    let socket = SimSocket::anywhere(desk.office.weather.clone()).ok()?.into_socket();
    let started = Endpoint::start(&NodeKey::from_seed(&seed), socket, trust, setup);
    started.ok().map(|(endpoint, _)| endpoint)
}

fn door_of(node: usize) -> SocketAddr {
    (turmoil::lookup(format!("node{node}")), QUIC_PORT).into()
}

fn garbage(chance: &mut Chance, most: u64) -> Vec<u8> {
    let mut bytes = vec![0; chance.between(1, most) as usize];
    chance.fill(&mut bytes);
    bytes
}
