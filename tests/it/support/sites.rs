//! Where the nodes of a cluster are: each on a host of its own where that can be had, else all on this one. Knows the
//! addresses of both, and nothing of what listens there.

use std::net::{Ipv4Addr, SocketAddr};

use super::{Ends, hosts::Hosts, node::free_port};

/// Where nodes listen for peers on hosts of their own, and relays before them on the router.
const PORT: u16 = 8401;

/// A place for each node.
pub struct Sites {
    ends: Vec<Ends>,
    hosts: Option<Hosts>,
}

impl Sites {
    /// Places for so many nodes.
    pub fn choose(count: usize) -> Self {
        match Hosts::lay(count) {
            Ok(hosts) => Self::on_hosts(hosts, count),
            Err(why) => {
                println!("hosts: {count} nodes on this one: {why}");
                Self::here(count)
            }
        }
    }

    fn on_hosts(hosts: Hosts, count: usize) -> Self {
        println!("hosts: {count} nodes on hosts of their own");
        let at = |address: Ipv4Addr| SocketAddr::from((address, PORT));
        let ends = |place| Ends { node: at(hosts.peers(place)), relay: at(hosts.router(place)) };
        Self { ends: (0..count).map(ends).collect(), hosts: Some(hosts) }
    }

    /// Places on this host.
    pub fn here(count: usize) -> Self {
        let free = || SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        Self { ends: (0..count).map(|_| Ends { node: free(), relay: free() }).collect(), hosts: None }
    }

    /// Where each node listens for peers, and where a relay before it may.
    pub fn ends(&self) -> &[Ends] {
        &self.ends
    }

    /// Where a node may listen for clients: any port of an address of its own.
    pub fn http(&self, place: usize) -> SocketAddr {
        let address = self.hosts.as_ref().map_or(Ipv4Addr::LOCALHOST, |hosts| hosts.clients(place));
        SocketAddr::from((address, 0))
    }

    /// Does something where a node is.
    pub fn at<T>(&self, place: usize, act: impl FnOnce() -> T) -> T {
        match &self.hosts {
            Some(hosts) => hosts.on(place, act),
            None => act(),
        }
    }

    /// The hosts, if the nodes have some of their own.
    pub fn hosts(&self) -> Option<&Hosts> {
        self.hosts.as_ref()
    }
}
