//! Hostile peers: somebody who reaches the port where nodes hear each other, knows the cluster's and the node's ids, and
//! has a key of his own that nobody enrolled. He sends bytes that are no packets, and asks as peers and joiners do.
//! Who is enrolled and keeps to no rule is the liar.

use std::time::Duration;

use covault_model::{id::ClusterId, key::NodeKey};
use covault_net::Channel;

use crate::{
    desk::Desk,
    outsider::{Victim, address, garbage},
    socket::SimSocket,
    story::{Knock, What},
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
        socket.send(address(node), &bytes);
    }
    desk.office.journal.note(What::Garbled { node, packets });
}

/// Asks a node as if it were a peer.
pub async fn knock(desk: &mut Desk) {
    let Some(victim) = Victim::any(desk).await else { return };
    let by = *desk.chance.one(&[Knock::Member, Knock::Foreigner, Knock::Joiner]);
    let mut other = ClusterId::default();
    desk.chance.fill(&mut other.0);
    let cluster = if by == Knock::Foreigner { other } else { victim.cluster };
    let request = garbage(&mut desk.chance, 200).into();
    let mut seed = [0; 32];
    desk.chance.fill(&mut seed);
    let Some(endpoint) = victim.door(desk, &NodeKey::from_seed(&seed), cluster) else { return };
    let told = match by {
        Knock::Joiner => endpoint.call_stranger(address(victim.place), victim.node, request, PATIENCE).await,
        _ => {
            let channel = *desk.chance.one(&[Channel::Raft, Channel::Forward, Channel::Records]);
            endpoint.call(victim.node, channel, request, PATIENCE).await
        }
    };
    let node = victim.place;
    let (answered, told) = (told.is_ok(), told.map_or_else(|error| error.to_string(), |_| String::new()));
    desk.office.journal.note(What::Knocked { node, by, answered, told });
    endpoint.close().await;
}
