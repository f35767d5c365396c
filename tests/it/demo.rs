//! The demo, as somebody would watch it: every claim holds, a claim that does not is told and ends it, and nothing
//! is left behind however it ends. What it claims of R1, R2 and X7 is thereby shown from outside. Knows nothing of
//! how it does it.

use std::{
    fs,
    io::ErrorKind,
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::{Process, command::run, eventually, process::bare_command};

/// A folder for temporary files that the demo is given, and what it does in it.
struct Stage {
    folder: tempfile::TempDir,
}

impl Stage {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// The place for temporary files.
    fn temporary(&self) -> PathBuf {
        let path = self.folder.path().join("tmp");
        fs::create_dir_all(&path).unwrap();
        path
    }

    /// Starts a demo that is not waited for.
    fn start(&self) -> Process {
        let mut command = bare_command();
        command.arg("demo").env("TMPDIR", self.temporary());
        Process::start(command, &self.folder.path().join("logs")).unwrap()
    }

    /// What is left.
    fn left(&self) -> Vec<PathBuf> {
        fs::read_dir(self.temporary()).unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    /// What the node with this number told when it served.
    fn node(&self, number: usize) -> Option<Value> {
        let ready = self.left().first()?.join(format!("node-{number}/ready.json"));
        let told: Value = serde_json::from_slice(&fs::read(ready).ok()?).ok()?;
        Some(told["nodes"][0].clone())
    }
}

fn kill(node: &Value) {
    let pid = node["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok());
    kill_process(pid.and_then(Pid::from_raw).unwrap(), Signal::KILL).unwrap();
}

/// Whether nobody listens where the node did. Nothing that is paused refuses a connection.
fn is_gone(node: &Value) -> bool {
    let address: SocketAddr = node["url"].as_str().unwrap().trim_start_matches("http://").parse().unwrap();
    let connected = TcpStream::connect_timeout(&address, Duration::from_secs(1));
    connected.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

/// Whether the system says of a process that it is stopped.
fn is_paused(node: &Value) -> bool {
    let stat = fs::read_to_string(Path::new("/proc").join(node["pid"].to_string()).join("stat"));
    stat.is_ok_and(|stat| stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T')))
}

#[test]
fn every_claim_of_the_demo_holds_and_nothing_is_left() {
    let stage = Stage::new();
    let temporary = stage.temporary();
    let done = run(&["demo", "--json"], b"", &[("TMPDIR", temporary.to_str().unwrap())]).expect(0);
    let claims: Vec<Value> = done.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(claims.len(), 27, "{}", done.stdout);
    for claim in &claims {
        assert_eq!(claim["holds"], true, "{claim}");
        assert!(claim["claim"].is_string() && claim["seen"].is_string(), "{claim}");
    }
    assert_eq!(stage.left(), Vec::<PathBuf>::new());
}

#[test]
fn a_claim_that_does_not_hold_is_told_and_ends_the_demo_with_1() {
    let stage = Stage::new();
    let mut demo = stage.start();
    // All nodes serve before the first claim; the later ones cannot hold without a majority.
    eventually("the first claim", || {
        assert!(demo.ended().is_none(), "{}", demo.output());
        demo.output().contains("  holds  ").then_some(())
    });
    for number in [2, 3] {
        kill(&stage.node(number).unwrap());
    }
    assert_eq!(demo.wait().code(), Some(1), "{}", demo.output());
    let told = demo.output();
    assert!(told.contains("  FAILS  ") && told.contains("(claim_failed)"), "{told}");
    assert!(!told.contains("claims hold"), "{told}");
    assert_eq!(stage.left(), Vec::<PathBuf>::new());
}

#[test]
fn the_nodes_of_a_demo_end_with_it_even_while_they_are_paused() {
    let stage = Stage::new();
    let mut demo = stage.start();
    let nodes = eventually("nodes to be paused", || {
        assert!(demo.ended().is_none(), "{}", demo.output());
        let nodes: Vec<Value> = (1..=3).filter_map(|number| stage.node(number)).collect();
        nodes.iter().any(is_paused).then_some(nodes)
    });
    demo.kill_hard();
    for node in nodes {
        eventually("the node to be gone", || is_gone(&node).then_some(()));
    }
}

#[test]
fn a_demo_that_is_told_to_stop_stops_its_nodes_and_removes_its_folder() {
    let stage = Stage::new();
    let mut demo = stage.start();
    let node = eventually("a node to serve", || stage.node(2));
    demo.ask_to_stop();
    assert_eq!(demo.wait().code(), Some(1), "{}", demo.output());
    assert!(demo.output().contains("(interrupted)"), "{}", demo.output());
    assert!(is_gone(&node));
    assert_eq!(stage.left(), Vec::<PathBuf>::new());
}
