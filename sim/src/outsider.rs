//! How somebody who runs no node speaks to one as its peers do: with a key, at the port where nodes hear each other.
//! Knows nothing of what is said.

use std::net::SocketAddr;

use covault_model::{
    id::{ClusterId, NodeId},
    key::NodeKey,
};
use covault_net::{Doors, Endpoint, Limits, Peer, Role, Setup, Trust};

use crate::{
    chance::Chance,
    desk::{Desk, text},
    machine::QUIC_PORT,
    socket::SimSocket,
    story::Ask,
};

/// A node as it says that it is.
pub struct Victim {
    /// Its place.
    pub place: usize,
    /// Its id.
    pub node: NodeId,
    /// The cluster that it is of.
    pub cluster: ClusterId,
}

impl Victim {
    /// Any node that says who it is.
    pub async fn any(desk: &mut Desk) -> Option<Self> {
        let place = desk.any_node();
        let told = desk.ask_node(place, Ask::Status, None).await;
        let node = NodeId::parse(text(told.body(), "/node")?).ok()?;
        let cluster = ClusterId::parse(text(told.body(), "/cluster")?).ok()?;
        Some(Self { place, node, cluster })
    }

    /// What somebody with this key has to speak to it as if both were of this cluster.
    pub fn door(&self, desk: &mut Desk, key: &NodeKey, cluster: ClusterId) -> Option<Endpoint> {
        let mut chance = Chance::of(desk.chance.below(u64::MAX), "outsider");
        let setup = Setup {
            cluster: Some(cluster),
            limits: Limits::default(),
            chance: Box::new(move |bytes| chance.fill(bytes)),
            doors: Doors::Shut,
        };
        let peer = Peer { addr: Some(address(self.place)), role: Role::Vault };
        let socket = SimSocket::anywhere(desk.office.weather.clone()).ok()?.into_socket();
        let started = Endpoint::start(key, socket, Trust::new([(self.node, peer)].into()), setup);
        started.ok().map(|(endpoint, _)| endpoint)
    }
}

/// Where the node of a place hears its peers.
pub fn address(place: usize) -> SocketAddr {
    (turmoil::lookup(format!("node{place}")), QUIC_PORT).into()
}

/// Bytes that mean nothing, at most so many.
pub fn garbage(chance: &mut Chance, most: u64) -> Vec<u8> {
    let mut bytes = vec![0; chance.between(1, most) as usize];
    chance.fill(&mut bytes);
    bytes
}
