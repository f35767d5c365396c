//! A place for `covault init` and `covault node`: a data directory, a configuration file, a free port.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    net::{TcpListener, UdpSocket},
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
    sync::atomic::{AtomicU16, Ordering},
};

use tempfile::TempDir;

use super::{Client, Done, Process, covault, eventually, process::bare_command};

/// A directory in which a node is set up by hand.
pub struct Place {
    folder: TempDir,
    port: u16,
    token: String,
}

impl Place {
    /// A new cluster of one, made by `covault init`; not started.
    pub fn initialised() -> Self {
        let mut place = Self::empty();
        place.init(&[]).expect(0);
        place
    }

    /// A directory with nothing in it.
    pub fn empty() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a temporary directory"),
            port: free_port(),
            token: String::new(),
        }
    }

    /// An empty place for another node that knows this one's tokens.
    pub fn elsewhere(&self) -> Self {
        Self { token: self.token.clone(), ..Self::empty() }
    }

    /// Runs `covault init` on the data directory; keeps the admin token that it shows.
    pub fn init(&mut self, more: &[&str]) -> Done {
        let data = self.data();
        let arguments = [&["init", "--json", "--data", data.to_str().expect("an ASCII path")], more].concat();
        let done = covault(&arguments);
        if done.code == 0 {
            self.token = done.json()["token"].as_str().expect("init shows an admin token").to_owned();
        }
        done
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        self.path("data")
    }

    /// The keyring that `init` makes.
    pub fn keyring(&self) -> PathBuf {
        self.data().join("master.keys")
    }

    /// A path in the directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file that only its owner may read.
    pub fn write_private(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(0o600).open(&path);
        file.and_then(|mut file| file.write_all(text.as_bytes())).expect("the file can be written");
        path
    }

    /// Starts `covault node`; `settings` are added to a configuration with data, address and text logs.
    pub fn launch(&self, settings: &str, more: &[&str]) -> Process {
        let top = format!("data = {:?}\nlisten = \"127.0.0.1:{}\"\n", self.data(), self.port);
        self.launch_with(&format!("{top}{settings}"), more, &[])
    }

    /// Starts `covault node` with exactly this configuration.
    pub fn launch_with(&self, config: &str, more: &[&str], variables: &[(&str, &str)]) -> Process {
        let file = self.path("covault.toml");
        fs::write(&file, config).expect("the configuration can be written");
        let mut command = bare_command();
        command.arg("node").arg("--config").arg(&file).args(more).envs(variables.iter().copied());
        Process::start(command, &self.path("logs")).expect("the binary starts")
    }

    /// Starts a node that must come to serve.
    pub fn serve(&self, settings: &str, more: &[&str]) -> Process {
        let mut process = self.launch(settings, more);
        self.until_ready(&mut process);
        process
    }

    /// Waits until the node answers requests.
    pub fn until_ready(&self, process: &mut Process) {
        let client = self.stranger();
        eventually("the node to answer", || {
            assert!(process.ended().is_none(), "the node ended: {}", process.output());
            client.try_send("GET", "/health", &[], None).ok().filter(|answer| answer.status == 200)
        });
    }

    /// Starts a node that must refuse to, and gives what it said.
    pub fn refused(&self, settings: &str, more: &[&str]) -> String {
        let mut process = self.launch(settings, more);
        let status = process.wait();
        assert_eq!(status.code(), Some(1), "{}", process.output());
        process.output()
    }

    /// Where it serves.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The port it serves on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A client with the first admin's token.
    pub fn admin(&self) -> Client {
        Client::new(&self.url(), Some(&self.token))
    }

    /// A client with no token.
    pub fn stranger(&self) -> Client {
        Client::new(&self.url(), None)
    }
}

/// A port that nobody listens on, TCP or UDP: below those that the system gives to outgoing connections, and below those
/// that `covault dev` draws for its nodes, which takes one that is meant for a node that does not run yet.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = u16::try_from(std::process::id() * 37 % 10_000).expect("below 10,000");
    let candidates = || 10_000 + (first + NEXT.fetch_add(1, Ordering::Relaxed)) % 10_000;
    let is_free = |port: &u16| {
        let address = ("127.0.0.1", *port);
        TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok()
    };
    (0..1000).map(|_| candidates()).find(is_free).expect("a free port")
}
