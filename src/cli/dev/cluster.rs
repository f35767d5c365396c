//! `covault dev --nodes N`: a cluster to try, each node a process of its own in a folder of its own, reaching
//! the others over QUIC on this machine. The first node is founded; the others join it as any node would, with
//! invitations and a copy of the keyring. Knows nothing of how a node is taken in; `node` does.

use std::{fs, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use covault_model::invitation::JoinToken;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::{
    DevArgs, DevTokens,
    child::{Node, Place},
};
use crate::{
    cli::{
        client::{Call, Client, WriteArgs},
        connection::local_client,
        failure::Failure,
        join,
        output::Output,
        private_file::write_private,
        serve,
    },
    host::Machine,
    node::{self, DEFAULT_KEYRING_FILE, NodeConfig, QuicConfig},
};

/// How long the nodes may take until all of them serve and vote.
const READY_WITHIN: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How many nodes an earlier start left in `data`.
pub fn nodes_in(data: &Path) -> usize {
    (1..).take_while(|number| Place::new(data, *number).config().exists()).count()
}

/// Runs a cluster of `count` nodes until the process is told to stop.
pub fn run(args: &DevArgs, count: usize, output: &Output) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new("cannot_start", error.to_string()))?;
    runtime.block_on(async {
        let stopping = serve::stop_signal()?;
        tokio::pin!(stopping);
        let mut cluster = Cluster::of(args).await?;
        let ended = tokio::select! {
            () = &mut stopping => Ok(()),
            ended = cluster.run(args, count, output) => ended,
        };
        cluster.stop();
        ended
    })
}

struct Cluster {
    tokens: DevTokens,
    nodes: Vec<Node>,
}

impl Cluster {
    /// The cluster that is there, or one of a single node just founded.
    async fn of(args: &DevArgs) -> Result<Self, Failure> {
        let place = Place::new(&args.data, 1);
        let tokens = match place.config().exists() {
            true => DevTokens::read(&args.data)?,
            false => found(&args.data, &place).await?,
        };
        Ok(Self { tokens, nodes: Vec::new() })
    }

    async fn run(&mut self, args: &DevArgs, count: usize, output: &Output) -> Result<(), Failure> {
        let there = nodes_in(&args.data);
        for number in 1..=there {
            self.nodes.push(Node::start(Place::new(&args.data, number), listen(args.listen, number)?)?);
        }
        let ready = async {
            self.all_serve().await?;
            for number in there + 1..=count {
                self.add(args, number).await?;
                self.all_serve().await?;
            }
            self.all_vote().await
        };
        let late = |_| Failure::new("cannot_start", "not all nodes came to serve and vote in time");
        timeout(READY_WITHIN, ready).await.map_err(late)??;
        self.tell(args, output)?;
        self.watch(output).await
    }

    /// Adds one more node: invited by the first, joined, given the keyring, started.
    async fn add(&mut self, args: &DevArgs, number: usize) -> Result<(), Failure> {
        let (first, place) = (Place::new(&args.data, 1), Place::new(&args.data, number));
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
        let listen = listen(args.listen, number)?;
        join::write_config(&place.config(), &place.data, listen, &joined.quic)?;
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

    fn told(&self) -> impl Iterator<Item = &Value> {
        self.nodes.iter().filter_map(|node| node.told.as_ref())
    }

    fn tell(&self, args: &DevArgs, output: &Output) -> Result<(), Failure> {
        let nodes: Vec<&Value> = self.told().collect();
        let DevTokens { admin, member } = &self.tokens;
        if let Some(path) = &args.ready_file {
            let ready = json!({ "admin_token": admin, "member_token": member, "nodes": nodes });
            write_private(path, ready.to_string().as_bytes())?;
        }
        output.text(&welcome(&nodes, &args.data, &self.tokens))
    }

    /// Reports nodes that end; returns, with a failure, when none is left.
    async fn watch(&mut self, output: &Output) -> Result<(), Failure> {
        loop {
            for node in &mut self.nodes {
                if let Some(end) = node.end() {
                    output.note(&end);
                }
            }
            if self.nodes.iter().all(Node::has_ended) {
                return Err(Failure::new("nodes_ended", "no node is left"));
            }
            sleep(LOOK_EVERY).await;
        }
    }

    fn stop(mut self) {
        self.nodes.iter_mut().for_each(Node::ask_to_stop);
        self.nodes.into_iter().for_each(Node::stop);
    }
}

/// Founds the cluster with its first node, and stops that node again: it is to be a process of its own.
async fn found(data: &Path, place: &Place) -> Result<DevTokens, Failure> {
    let config = NodeConfig { create: true, quic: Some(any_port()), ..NodeConfig::at(&place.data) };
    let started = node::Node::start(config, Arc::new(Machine)).await;
    let mut node = started.map_err(|error| serve::cannot_start(&error))?;
    let tokens = DevTokens::of(&mut node, data).await;
    let address = node.peer_address();
    node.stop().await;
    let address = address.ok_or_else(|| Failure::new("cannot_start", "the node has no address"))?;
    let quic = QuicConfig { listen: address, advertise: None };
    let tokens = tokens?;
    join::write_config(&place.config(), &place.data, any_port().listen, &quic)?;
    Ok(tokens)
}

/// Any free port of this machine. It is kept in the node's configuration: its peers know it by that.
fn any_port() -> QuicConfig {
    QuicConfig { listen: SocketAddr::from(([127, 0, 0, 1], 0)), advertise: None }
}

/// Where the node with this number listens: the ports after the first one's, or any.
fn listen(first: SocketAddr, number: usize) -> Result<SocketAddr, Failure> {
    let port = match first.port() {
        0 => Some(0),
        port => u16::try_from(number - 1).ok().and_then(|more| port.checked_add(more)),
    };
    let port = port.ok_or_else(|| Failure::usage("--listen leaves no port for the last nodes"))?;
    Ok(SocketAddr::new(first.ip(), port))
}

fn welcome(nodes: &[&Value], data: &Path, tokens: &DevTokens) -> String {
    let DevTokens { admin, member } = tokens;
    let text = |node: &Value, field: &str| node[field].as_str().unwrap_or_default().to_owned();
    let line = |(at, node): (usize, &&Value)| {
        let (url, quic) = (text(node, "url"), text(node, "quic"));
        format!("  node {}  {url}  (peers at {quic}, process {})\n", at + 1, node["pid"])
    };
    let lines: String = nodes.iter().enumerate().map(line).collect();
    let first = nodes.first().map(|node| text(node, "url")).unwrap_or_default();
    let last = nodes.last().map(|node| text(node, "url")).unwrap_or_default();
    format!(
        "covault is ready, {} nodes, their data is in {}

{lines}
  admin token   {admin}
  member token  {member}

Paste into another terminal:

  export COVAULT_URL={first} COVAULT_TOKEN={member}

  curl -s $COVAULT_URL/v1/secrets -H \"Authorization: Bearer $COVAULT_TOKEN\" \\
    -H 'Content-Type: application/json' -d '{{\"name\":\"app/db\",\"value\":\"s3cret\"}}'
  curl -s {last}/v1/secrets/app/db -H \"Authorization: Bearer $COVAULT_TOKEN\"
  curl -s $COVAULT_URL/v1/members -H \"Authorization: Bearer {admin}\"

Kill a node's process and go on. The tokens and the master key lie beside the data: not for secrets that
matter. Ctrl-C stops all nodes.
",
        nodes.len(),
        data.display()
    )
}
