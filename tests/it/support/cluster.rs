//! A cluster to test: `covault dev --nodes N` on a directory of its own, or nodes that are founded and joined one by one
//! as an operator does it, each where it has its place. They can be paused and killed one by one, and started again each
//! as a process of its own.

use std::{
    collections::BTreeSet,
    fs,
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    Client, Process,
    command::run,
    covault, eventually,
    hosts::Hosts,
    joining::{invite, until_all_vote},
    process::bare_command,
    sites::Sites,
    vault::new_caller,
    wires::{Ends, Wires},
};

/// A running cluster and the directory it lives in.
pub struct Cluster {
    /// `covault dev`, which holds all nodes at first; none if each was started by itself.
    dev: Option<Process>,
    folder: TempDir,
    ready: Value,
    /// Nodes that were started one by one, with what each told.
    started: Vec<(Process, Value)>,
    /// The places of nodes that are stopped in their tracks.
    paused: BTreeSet<usize>,
    sites: Sites,
    peering: Peering,
}

/// How nodes are told to be peers.
#[derive(Clone, Copy)]
struct Peering {
    /// Where the others are told that a node is reached.
    advertised: fn(&Ends) -> SocketAddr,
    /// What else is said of its peers in the configuration of each.
    more: fn(&mut toml::Table),
}

/// Each where it listens.
const PLAIN: Peering = Peering { advertised: |ends| ends.node, more: |_| {} };

impl Cluster {
    /// A new cluster of so many nodes on a new directory, all serving and voting: `covault dev`.
    pub fn start(nodes: usize) -> Self {
        // It draws the ports of its nodes itself.
        let mut cluster = Self::empty(Sites::here(0), PLAIN);
        let (dev, ready) = launch(cluster.folder.path(), &["--nodes", &nodes.to_string()]);
        (cluster.dev, cluster.ready) = (Some(dev), ready);
        cluster
    }

    fn empty(sites: Sites, peering: Peering) -> Self {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let (started, paused) = (Vec::new(), BTreeSet::new());
        Self { dev: None, folder, ready: json!({"nodes": []}), started, paused, sites, peering }
    }

    /// A new cluster of nodes that are founded and joined one by one, on hosts of their own where that can be had, with
    /// nothing between them but what passes packets on.
    pub fn start_apart(nodes: usize) -> Self {
        let sites = Sites::choose(nodes);
        sites.hosts().inspect(|hosts| hosts.forward());
        Self::found(sites, PLAIN)
    }

    /// As [`Self::start_apart`], with the wires between the nodes in the hands of the test: each node says that it is
    /// reached at its relay.
    pub fn start_wired(nodes: usize, seed: u64) -> (Self, Wires) {
        Self::start_wired_with(nodes, seed, |_| {})
    }

    /// As [`Self::start_wired`], with something said of its peers in the configuration of each node.
    pub fn start_wired_with(nodes: usize, seed: u64, more: fn(&mut toml::Table)) -> (Self, Wires) {
        let sites = Sites::choose(nodes);
        let wires = Wires::lay(sites.ends().to_vec(), seed);
        (Self::found(sites, Peering { advertised: |ends| ends.relay, more }), wires)
    }

    fn found(sites: Sites, peering: Peering) -> Self {
        let mut cluster = Self::empty(sites, peering);
        let data = cluster.folder.path().join("node-1");
        let founded = covault(&["init", "--json", "--data", path(&data)]).expect(0).json();
        cluster.ready["admin_token"] = founded["token"].clone();
        cluster.come_in(0, &data);
        for place in 1..cluster.sites.ends().len() {
            cluster.join(place, 0, &format!("node-{}", place + 1));
        }
        let admin = cluster.admin(0);
        until_all_vote(&admin, cluster.places().len());
        cluster.ready["member_token"] = new_caller(&admin, "member", "member").expect(201).at("/token");
        // Whoever is left alone from now on knows the member by itself.
        cluster.places().for_each(|place| cluster.until_known(place));
        cluster
    }

    fn until_known(&self, place: usize) {
        eventually("the node to have the member's token", || {
            (self.member(place).get("/v1/status").status == 200).then_some(())
        });
    }

    /// A new node, whose data is called so, is let in by the one at `by` and takes the place.
    fn join(&mut self, place: usize, by: usize, name: &str) {
        let token = invite(&self.admin(by));
        let (data, ends) = (self.folder.path().join(name), self.sites.ends()[place]);
        let (quic, advertised) = (ends.node.to_string(), (self.peering.advertised)(&ends).to_string());
        let words = ["join", "--data", path(&data), "--quic", &quic, "--advertise", &advertised];
        self.sites.at(place, || run(&words, token.as_bytes(), &[])).expect(0);
        fs::copy(self.data(by).join("master.keys"), data.join("master.keys")).expect("a keyring");
        self.come_in(place, &data);
    }

    /// Configures and starts a node that was founded or let in.
    fn come_in(&mut self, place: usize, data: &Path) {
        let ends = self.sites.ends()[place];
        let mut quic = toml::Table::new();
        quic.insert("listen".into(), ends.node.to_string().into());
        quic.insert("advertise".into(), (self.peering.advertised)(&ends).to_string().into());
        (self.peering.more)(&mut quic);
        let mut config = toml::Table::new();
        config.insert("data".into(), path(data).into());
        config.insert("plain_http".into(), "anywhere".into());
        config.insert("quic".into(), quic.into());
        fs::write(data.join("covault.toml"), config.to_string()).expect("the configuration can be written");
        let told = self.launch_at(place, data);
        let nodes = self.ready["nodes"].as_array_mut().expect("a list of nodes");
        match nodes.get_mut(place) {
            Some(former) => *former = told,
            None => nodes.push(told),
        }
    }

    /// A new node on an empty disk takes the place of one that is a member no more.
    pub fn join_anew(&mut self, place: usize) {
        let by = self.others_than(place)[0];
        self.join(place, by, "anew");
        until_all_vote(&self.admin(by), self.places().len());
    }

    /// The hosts, if the nodes have some of their own.
    pub fn hosts(&self) -> Option<&Hosts> {
        self.sites.hosts()
    }

    /// Starts all nodes of `covault dev` again on the same data, as many as there are; they must have ended.
    pub fn start_again(&mut self) {
        self.started.clear();
        let (process, ready) = launch(self.folder.path(), &[]);
        (self.dev, self.ready) = (Some(process), ready);
    }

    /// The process of `covault dev`.
    pub fn process(&mut self) -> &mut Process {
        self.dev.as_mut().expect("a cluster by covault dev")
    }

    /// What it told when it was ready.
    pub fn ready(&self) -> &Value {
        &self.ready
    }

    /// The directory around data, logs and the ready file.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The nodes by their places in the ready file.
    pub fn places(&self) -> std::ops::Range<usize> {
        0..self.ready["nodes"].as_array().expect("a list of nodes").len()
    }

    /// All places but this one, those that follow it first.
    pub fn others_than(&self, place: usize) -> Vec<usize> {
        let count = self.places().len();
        (1..count).map(|step| (place + step) % count).collect()
    }

    /// The id of the node at this place.
    pub fn id(&self, place: usize) -> String {
        self.text(place, "id")
    }

    /// The node's data directory.
    pub fn data(&self, place: usize) -> PathBuf {
        PathBuf::from(self.text(place, "data"))
    }

    /// A client of the node with the member's token.
    pub fn member(&self, place: usize) -> Client {
        Client::new(&self.text(place, "url"), self.ready["member_token"].as_str())
    }

    /// A client of the node with the admin's token.
    pub fn admin(&self, place: usize) -> Client {
        Client::new(&self.text(place, "url"), self.ready["admin_token"].as_str())
    }

    /// The place of the node that leads, as the one at `asked` sees it.
    pub fn leader(&self, asked: usize) -> usize {
        eventually("a leader", || {
            let leader = self.member(asked).get("/v1/status").expect(200).at("/leader");
            self.places().find(|place| leader == self.id(*place))
        })
    }

    /// Kills the node's process as a power cut would, and waits until nobody answers there.
    pub fn kill(&mut self, place: usize) {
        self.signal(place, Signal::KILL).expect("the process is there");
        self.paused.remove(&place);
        let address = self.text(place, "url").replace("http://", "");
        eventually("the node to be gone", || TcpStream::connect(&address).is_err().then_some(()));
    }

    /// Tells the node's process to stop, and waits until it has.
    pub fn stop(&mut self, place: usize) {
        self.signal(place, Signal::TERM).expect("the process is there");
        let pid = self.pid(place);
        eventually("the node to have stopped", || {
            // One of this process's children is there until it is asked how it ended.
            for (process, _) in &mut self.started {
                process.ended();
            }
            test_kill_process(pid).is_err().then_some(())
        });
    }

    /// Stops the node's process in its tracks: it answers nothing, and its connections stay open.
    pub fn pause(&mut self, place: usize) {
        self.signal(place, Signal::STOP).expect("the process is there");
        self.paused.insert(place);
    }

    /// Lets all nodes go on that were paused.
    pub fn resume(&mut self) {
        for place in std::mem::take(&mut self.paused) {
            self.signal(place, Signal::CONT).expect("the process is there");
        }
    }

    /// Asks all nodes to stop, and waits until the data of each can be checked; every check must pass.
    pub fn stop_and_check(mut self) {
        let started = self.started.iter_mut().map(|(process, _)| process);
        let all: Vec<_> = self.dev.iter_mut().chain(started).collect();
        let running = all.into_iter().filter_map(|process| process.ended().is_none().then_some(process));
        let asked: Vec<_> = running.inspect(|process| process.ask_to_stop()).collect();
        for process in asked {
            process.wait();
        }
        for place in self.places() {
            let data = self.data(place);
            covault(&["check", "--data", data.to_str().expect("an ASCII path")]).expect(0);
        }
    }

    /// Starts a node again that was killed or has stopped, and waits until it serves.
    pub fn restart(&mut self, place: usize) {
        self.launch_at(place, &self.data(place));
    }

    fn launch_at(&mut self, place: usize, data: &Path) -> Value {
        let ready = self.folder.path().join(format!("started-{}.json", self.started.len()));
        let mut command = bare_command();
        command.arg("node").arg("--config").arg(data.join("covault.toml"));
        command.args(["--listen", &self.sites.http(place).to_string(), "--ready-file"]).arg(&ready);
        let logs = self.folder.path().join("logs");
        let mut process = self.sites.at(place, || Process::start(command, &logs)).expect("the binary starts");
        let told = until_ready(&mut process, &ready)["nodes"][0].clone();
        self.started.push((process, told.clone()));
        told
    }

    fn signal(&self, place: usize, signal: Signal) -> rustix::io::Result<()> {
        kill_process(self.pid(place), signal)
    }

    fn pid(&self, place: usize) -> Pid {
        let pid = self.node(place)["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok());
        pid.and_then(Pid::from_raw).expect("a process id")
    }

    fn node(&self, place: usize) -> &Value {
        let first = &self.ready["nodes"][place];
        let started = self.started.iter().rev().map(|(_, told)| told);
        started.chain([first]).find(|told| told["id"] == first["id"]).expect("it is there from the first")
    }

    fn text(&self, place: usize, field: &str) -> String {
        self.node(place)[field].as_str().expect("a text").to_owned()
    }
}

impl Drop for Cluster {
    /// A paused node would not notice that the process that started it is gone.
    fn drop(&mut self) {
        for place in &self.paused {
            // It may be gone: then it needs no waking.
            let _ = self.signal(*place, Signal::CONT);
        }
    }
}

fn path(path: &Path) -> &str {
    path.to_str().expect("an ASCII path")
}

fn launch(folder: &Path, more: &[&str]) -> (Process, Value) {
    let ready = folder.join("ready.json");
    // The file of an earlier start must not be taken for this one's.
    let _ = fs::remove_file(&ready);
    let mut command = bare_command();
    command.args(["dev", "--listen", "127.0.0.1:0"]).args(more);
    command.arg("--data").arg(folder.join("cluster")).arg("--ready-file").arg(&ready);
    let mut process = Process::start(command, &folder.join("logs")).expect("the binary starts");
    let told = until_ready(&mut process, &ready);
    (process, told)
}

fn until_ready(process: &mut Process, ready: &Path) -> Value {
    eventually("the nodes to serve", || {
        assert!(process.ended().is_none(), "the process ended: {}", last_words(process));
        serde_json::from_slice(&fs::read(ready).ok()?).ok()
    })
}

/// What a process said, with the log of a node that it names.
fn last_words(process: &Process) -> String {
    let said = process.output();
    let log = said.lines().find_map(|line| line.strip_prefix("hint: see "));
    let log = log.and_then(|path| fs::read_to_string(path).ok()).unwrap_or_default();
    format!("{said}\n{log}")
}
