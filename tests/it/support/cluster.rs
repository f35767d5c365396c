//! A cluster to test: `covault dev --nodes N` on a directory of its own, whose nodes can be paused and killed one
//! by one, and started again each as a process of its own.

use std::{
    collections::BTreeSet,
    fs,
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::{Path, PathBuf},
};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::Value;
use tempfile::TempDir;

use super::{
    Client, Process, covault, eventually,
    node::free_port,
    process::bare_command,
    wires::{Ends, Wires},
};

/// A running cluster and the directory it lives in.
pub struct Cluster {
    process: Process,
    folder: TempDir,
    ready: Value,
    /// Nodes that were started again, with what each told.
    again: Vec<(Process, Value)>,
    /// The places of nodes that are stopped in their tracks.
    paused: BTreeSet<usize>,
}

impl Cluster {
    /// A new cluster of so many nodes on a new directory, all serving and voting.
    pub fn start(nodes: usize) -> Self {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let (process, ready) = launch(folder.path(), &["--nodes", &nodes.to_string()]);
        Self { process, folder, ready, again: Vec::new(), paused: BTreeSet::new() }
    }

    /// As [`Self::start`], with the wires between the nodes in the hands of the test: each node is told to listen
    /// elsewhere, and its relay takes the place that the others know.
    pub fn start_wired(nodes: usize, seed: u64) -> (Self, Wires) {
        Self::start_wired_with(nodes, seed, |_| {})
    }

    /// As [`Self::start_wired`], with something said of its peers in the configuration of each node.
    pub fn start_wired_with(nodes: usize, seed: u64, quic: fn(&mut toml::Table)) -> (Self, Wires) {
        let mut cluster = Self::start(nodes);
        cluster.process.ask_to_stop();
        cluster.process.wait();
        let ends = cluster.places().map(|place| move_behind_relay(&cluster.data(place), quic)).collect();
        let wires = Wires::lay(ends, seed);
        cluster.start_again();
        (cluster, wires)
    }

    /// Starts all nodes again on the same data, as many as there are; they must have ended.
    pub fn start_again(&mut self) {
        self.again.clear();
        (self.process, self.ready) = launch(self.folder.path(), &[]);
    }

    /// The process that holds the nodes.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
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
            for (process, _) in &mut self.again {
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
        let again = self.again.iter_mut().map(|(process, _)| process);
        for process in [&mut self.process].into_iter().chain(again) {
            if process.ended().is_none() {
                process.ask_to_stop();
            }
        }
        self.process.wait();
        for (process, _) in &mut self.again {
            process.wait();
        }
        for place in self.places() {
            let data = self.data(place);
            covault(&["check", "--data", data.to_str().expect("an ASCII path")]).expect(0);
        }
    }

    /// Starts a node again that was killed or has stopped, and waits until it serves.
    pub fn restart(&mut self, place: usize) {
        let ready = self.folder.path().join(format!("again-{}.json", self.again.len()));
        let mut command = bare_command();
        command.arg("node").arg("--config").arg(self.data(place).join("covault.toml"));
        command.args(["--listen", "127.0.0.1:0", "--ready-file"]).arg(&ready);
        let mut process =
            Process::start(command, &self.folder.path().join("logs")).expect("the binary starts");
        let told = until_ready(&mut process, &ready);
        self.again.push((process, told["nodes"][0].clone()));
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
        let again = self.again.iter().rev().map(|(_, told)| told);
        again.chain([first]).find(|told| told["id"] == first["id"]).expect("it is there from the first")
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

/// Has the node listen on another port, and say that it is reached where it listened before.
fn move_behind_relay(data: &Path, say: fn(&mut toml::Table)) -> Ends {
    let config = data.join("covault.toml");
    let mut table: toml::Table = fs::read_to_string(&config).unwrap().parse().unwrap();
    let quic = table["quic"].as_table_mut().unwrap();
    let relay: SocketAddr = quic["listen"].as_str().unwrap().parse().unwrap();
    let node = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    quic.insert("listen".into(), node.to_string().into());
    quic.insert("advertise".into(), relay.to_string().into());
    say(quic);
    fs::write(config, table.to_string()).unwrap();
    Ends { node, relay }
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
