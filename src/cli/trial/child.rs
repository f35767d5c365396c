//! One node of a cluster to try, as a child process: `covault node` on a folder of its own, told to stop by the
//! end of its standard input, so that it ends with its parent however that ends. Its log is a file beside its
//! data. Knows nothing of the other nodes.

use std::{
    fs::{self, OpenOptions},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::cli::failure::Failure;

/// How long a node may take to stop before it is killed.
const STOP_WITHIN: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The folder of one node.
pub struct Place {
    /// Its number, from 1.
    pub number: usize,
    /// Its data directory.
    pub data: PathBuf,
}

impl Place {
    /// The folder of the node with this number.
    pub fn new(root: &Path, number: usize) -> Self {
        Self { number, data: root.join(format!("node-{number}")) }
    }

    /// The configuration that the node is started with; there once the node is a member.
    pub fn config(&self) -> PathBuf {
        self.data.join("covault.toml")
    }

    fn ready(&self) -> PathBuf {
        self.data.join("ready.json")
    }

    fn log(&self) -> PathBuf {
        self.data.join("node.log")
    }
}

/// A node's process.
pub struct Node {
    place: Place,
    process: Child,
    /// What it said once it served.
    pub told: Option<Value>,
    ended: bool,
    paused: bool,
}

impl Node {
    /// Starts the node at `place`, to serve HTTP at `listen`.
    pub fn start(place: Place, listen: SocketAddr) -> Result<Self, Failure> {
        let failed = |error| Failure::file("start a node in", &place.data, &error);
        // That of an earlier start must not be taken for this one's.
        let _ = fs::remove_file(place.ready());
        let log = OpenOptions::new().create(true).append(true).open(place.log()).map_err(failed)?;
        let program = std::env::current_exe().map_err(failed)?;
        let mut command = Command::new(program);
        command.arg("node").arg("--config").arg(place.config());
        command.arg("--listen").arg(listen.to_string()).arg("--ready-file").arg(place.ready());
        command.arg("--stop-with-stdin").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log);
        let process = command.spawn().map_err(failed)?;
        Ok(Self { place, process, told: None, ended: false, paused: false })
    }

    /// Looks whether it serves; a failure when it has ended instead.
    pub fn serves(&mut self) -> Result<bool, Failure> {
        if let Some(end) = self.end() {
            let log = self.place.log();
            return Err(Failure::new("cannot_start", end).with_hint(format!("see {}", log.display())));
        }
        if self.told.is_none() {
            let text = fs::read(self.place.ready()).ok();
            let told = text.and_then(|text| serde_json::from_slice::<Value>(&text).ok());
            self.told = told.map(|told| told["nodes"][0].clone());
        }
        Ok(self.told.is_some())
    }

    /// Says in words that it has ended, once.
    pub fn end(&mut self) -> Option<String> {
        let status = self.process.try_wait().ok().flatten().filter(|_| !self.ended)?;
        self.ended = true;
        let (number, pid) = (self.place.number, self.process.id());
        Some(format!("node {number} (process {pid}) has ended: {status}"))
    }

    /// Whether it has been seen to end.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Ends it as a power cut would, and waits until it is gone.
    pub fn kill(&mut self) {
        // It may have ended by itself: then there is nothing to kill.
        let _ = self.process.kill();
        let _ = self.process.wait();
        self.ended = true;
    }

    /// Takes the processor from it: it does nothing and answers nobody until it may go on.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn pause(&mut self) -> Result<(), Failure> {
        self.paused = true;
        self.signal(Signal::STOP)
    }

    /// Lets it go on where it was paused.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn go_on(&mut self) -> Result<(), Failure> {
        self.paused = false;
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> Result<(), Failure> {
        let number = self.place.number;
        kill_process(Pid::from_child(&self.process), signal)
            .map_err(|error| Failure::new("signal_failed", format!("cannot reach node {number}: {error}")))
    }

    /// Tells it to stop, and does not wait. One that is paused goes on, to hear it.
    pub fn ask_to_stop(&mut self) {
        if self.paused {
            // If it is gone, it has stopped.
            let _ = self.go_on();
        }
        drop(self.process.stdin.take());
    }

    /// Waits until it has stopped; kills it when that takes too long.
    pub fn stop(mut self) {
        self.ask_to_stop();
        let until = Instant::now() + STOP_WITHIN;
        while matches!(self.process.try_wait(), Ok(None)) {
            if until <= Instant::now() {
                // It may end in this very moment: then there is nothing to kill.
                let _ = self.process.kill();
                let _ = self.process.wait();
                return;
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }
}
