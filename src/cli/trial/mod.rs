//! A cluster to try, each node a process of its own in a folder of its own, reaching the others over QUIC on this
//! machine. The first node is founded; the others join it as any node would, with invitations and a copy of the
//! keyring. Shared by `dev` and `demo`. Knows nothing of how a node is taken in; `node` does.

mod child;
mod tokens;

use std::{
    fs,
    net::{SocketAddr, UdpSocket},
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use covault_model::invitation::JoinToken;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::{
    client::{Call, Client, WriteArgs},
    connection::local_client,
    failure::Failure,
    join, serve,
};
use crate::{
    host::{Host, Machine},
    node::{self, DEFAULT_KEYRING_FILE, NodeConfig, QuicConfig},
};

pub use child::{Node, Place};
pub use tokens::Tokens;

/// How long the nodes may take until all of them serve and vote.
const READY_WITHIN: Duration = Duration::from_secs(120);
/// How often to look whether something has happened that is waited for.
pub const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Where nodes are reached by each other: below the ports that systems give to whoever asks for any.
const PORTS: Range<u16> = 20_000..32_000;

/// How many nodes an earlier start left in `folder`.
pub fn nodes_in(folder: &Path) -> usize {
    (1..).take_while(|number| Place::new(folder, *number).config().exists()).count()
}

/// A cluster to try.
pub struct Trial {
    folder: PathBuf,
    listen: SocketAddr,
    /// Who may ask its nodes.
    pub tokens: Tokens,
    /// The nodes that were started, in the order of their numbers.
    pub nodes: Vec<Node>,
}

impl Trial {
    /// The cluster that is in `folder`, or one of a single node just founded; none of its nodes is started.
    /// They listen for HTTP at `listen` and the ports that follow, or at any if its port is 0.
    ///
    /// # Errors
    /// When the first node cannot be founded, or what an earlier start left cannot be read.
    pub async fn of(folder: &Path, listen: SocketAddr) -> Result<Self, Failure> {
        let place = Place::new(folder, 1);
        let tokens = match place.config().exists() {
            true => Tokens::read(folder)?,
            false => found(folder, &place).await?,
        };
        Ok(Self { folder: folder.to_owned(), listen, tokens, nodes: Vec::new() })
    }

    /// Starts the nodes that are there and adds others until there are `count`. Returns once all of them serve
    /// and vote and one leads.
    ///
    /// # Errors
    /// When a node ends or cannot join, or when it takes too long.
    pub async fn start(&mut self, count: usize) -> Result<(), Failure> {
        let there = nodes_in(&self.folder);
        for number in 1..=there {
            self.nodes.push(Node::start(Place::new(&self.folder, number), self.listen_of(number)?)?);
        }
        let ready = async {
            self.all_serve().await?;
            for number in there + 1..=count {
                self.add(number).await?;
                self.all_serve().await?;
            }
            self.all_vote().await
        };
        let late = |_| Failure::new("cannot_start", "not all nodes came to serve and vote in time");
        timeout(READY_WITHIN, ready).await.map_err(late)?
    }

    /// Starts the node at this place in [`Self::nodes`] again, which must have ended, and returns once it serves.
    ///
    /// # Errors
    /// When it ends or takes too long.
    pub async fn start_again(&mut self, at: usize) -> Result<(), Failure> {
        let place = Place::new(&self.folder, at + 1);
        self.nodes[at] = Node::start(place, self.listen_of(at + 1)?)?;
        let late = |_| Failure::new("cannot_start", "the node did not come to serve in time");
        timeout(READY_WITHIN, self.all_serve()).await.map_err(late)?
    }

    /// What each node said once it served.
    pub fn told(&self) -> impl Iterator<Item = &Value> {
        self.nodes.iter().filter_map(|node| node.told.as_ref())
    }

    /// Stops all nodes and waits until they have stopped.
    pub fn stop(mut self) {
        self.nodes.iter_mut().for_each(Node::ask_to_stop);
        self.nodes.into_iter().for_each(Node::stop);
    }

    /// Adds one more node: invited by the first, joined, given the keyring, started.
    async fn add(&mut self, number: usize) -> Result<(), Failure> {
        let (first, place) = (Place::new(&self.folder, 1), Place::new(&self.folder, number));
        let failed = |error| Failure::file("make", &place.data, &error);
        let invited = self.first()?.send(&Call::post("/v1/invitations", json!({}), &WriteArgs::default()))?;
        let token = invited.body["token"].as_str().and_then(JoinToken::parse);
        let token = token.ok_or_else(|| Failure::unexpected("an invitation without a join token"))?;
        // What is left of a start that was cut off before the node could run was never a member that counts.
        let _ = fs::remove_dir_all(&place.data);
        let joined = node::join(&place.data, &token, any_port(), Arc::new(Machine)).await;
        let joined = joined.map_err(|error| join::failure(&error))?;
        let keyring = first.data.join(DEFAULT_KEYRING_FILE);
        fs::copy(keyring, place.data.join(DEFAULT_KEYRING_FILE)).map_err(failed)?;
        let listen = self.listen_of(number)?;
        join::write_config(&place.config(), &place.data, listen, Some(&joined.quic))?;
        self.nodes.push(Node::start(place, listen)?);
        Ok(())
    }

    /// Returns once every node serves.
    async fn all_serve(&mut self) -> Result<(), Failure> {
        loop {
            let mut all = true;
            for node in &mut self.nodes {
                all &= node.serves()?;
            }
            if all {
                return Ok(());
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Returns once every member votes and one of them leads.
    async fn all_vote(&self) -> Result<(), Failure> {
        let client = self.first()?;
        loop {
            let answer = client.send(&Call::get("/v1/members"))?.body;
            let roles = answer["members"].as_array().into_iter().flatten();
            let roles: Vec<&str> = roles.filter_map(|member| member["role"].as_str()).collect();
            let vote = roles.iter().all(|role| ["leader", "follower"].contains(role));
            if vote && roles.contains(&"leader") {
                return Ok(());
            }
            sleep(LOOK_EVERY).await;
        }
    }

    fn first(&self) -> Result<Client, Failure> {
        let url = self.told().next().map(|told| told["url"].as_str().unwrap_or_default().to_owned());
        local_client(url.unwrap_or_default(), self.tokens.admin.clone())
    }

    /// Where the node with this number listens: the ports after the first one's, or any.
    fn listen_of(&self, number: usize) -> Result<SocketAddr, Failure> {
        let port = match self.listen.port() {
            0 => Some(0),
            port => u16::try_from(number - 1).ok().and_then(|more| port.checked_add(more)),
        };
        let port = port.ok_or_else(|| Failure::usage("--listen leaves no port for the last nodes"))?;
        Ok(SocketAddr::new(self.listen.ip(), port))
    }
}

/// Founds the cluster with its first node, and stops that node again: it is to be a process of its own.
async fn found(folder: &Path, place: &Place) -> Result<Tokens, Failure> {
    let config = NodeConfig { create: true, quic: Some(any_port()), ..NodeConfig::at(&place.data) };
    let started = node::Node::start(config, Arc::new(Machine)).await;
    let mut node = started.map_err(|error| serve::cannot_start(&error))?;
    let tokens = Tokens::of(&mut node, folder).await;
    let address = node.peer_address();
    node.stop().await;
    let address = address.ok_or_else(|| Failure::new("cannot_start", "the node has no address"))?;
    let quic = QuicConfig::at(address);
    let tokens = tokens?;
    join::write_config(&place.config(), &place.data, any_port().listen, Some(&quic))?;
    Ok(tokens)
}

/// A free port of this machine. It is kept in the node's configuration, since its peers know it by that; so it is none
/// of those that the system gives to whoever asks for any, and may have given away when the node is started again.
fn any_port() -> QuicConfig {
    let mut drawn = [0; 2];
    Machine.fill(&mut drawn);
    let count = PORTS.end - PORTS.start;
    let first = u16::from_le_bytes(drawn) % count;
    let here = |port| SocketAddr::from(([127, 0, 0, 1], port));
    let mut candidates = (0..count).map(|after| here(PORTS.start + (first + after) % count));
    let free = candidates.find(|address| UdpSocket::bind(address).is_ok());
    QuicConfig::at(free.unwrap_or(here(0)))
}
