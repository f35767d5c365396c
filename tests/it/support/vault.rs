//! A vault to test: `covault dev` on a directory of its own, with an admin, a member and a ready file.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Answer, Client, Process, eventually, process::bare_command};

/// A running vault and the directory it lives in.
pub struct Vault {
    process: Process,
    folder: TempDir,
    ready: Value,
}

impl Vault {
    /// A new vault on a new directory, serving.
    pub fn start() -> Self {
        Self::start_in(tempfile::tempdir().expect("a temporary directory"))
    }

    /// A vault on what an earlier one left in `folder`.
    pub fn start_in(folder: TempDir) -> Self {
        let (process, ready) = launch(folder.path());
        Self { process, folder, ready }
    }

    /// Kills the process and starts it again on the same data.
    pub fn crash_and_restart(&mut self) {
        self.kill_hard();
        self.start_again();
    }

    /// Starts a new process on the same data; the old one must have ended.
    pub fn start_again(&mut self) {
        (self.process, self.ready) = launch(self.folder.path());
    }

    /// Ends the process as a power cut would.
    pub fn kill_hard(&mut self) {
        self.process.kill_hard();
    }

    /// The process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// The process that holds the data, by its id.
    pub fn node_pid(&self) -> u32 {
        self.ready["nodes"][0]["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok()).expect("a process id")
    }

    /// Where it serves.
    pub fn url(&self) -> String {
        self.ready["nodes"][0]["url"].as_str().expect("a url").to_owned()
    }

    /// The node's data directory.
    pub fn data(&self) -> PathBuf {
        PathBuf::from(self.ready["nodes"][0]["data"].as_str().expect("a data directory"))
    }

    /// The directory around data, logs and the ready file.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A client with the admin's token.
    pub fn admin(&self) -> Client {
        Client::new(&self.url(), self.ready["admin_token"].as_str())
    }

    /// A client with the member's token.
    pub fn member(&self) -> Client {
        Client::new(&self.url(), self.ready["member_token"].as_str())
    }

    /// A client with no token.
    pub fn stranger(&self) -> Client {
        Client::new(&self.url(), None)
    }

    /// A new caller of this name, as its client.
    pub fn caller(&self, name: &str) -> Client {
        let made = new_caller(&self.admin(), name, "member").expect(201);
        self.member().with_token(&made.text("/token"))
    }

    /// What the process wrote so far.
    pub fn output(&self) -> String {
        self.process.output()
    }
}

/// Asks for a new caller.
pub fn new_caller(admin: &Client, name: &str, role: &str) -> Answer {
    admin.post("/v1/callers", &json!({"name": name, "role": role}))
}

fn launch(folder: &Path) -> (Process, Value) {
    let ready = folder.join("ready.json");
    // The file of an earlier start must not be taken for this one's.
    let _ = fs::remove_file(&ready);
    let mut command = bare_command();
    command.args(["dev", "--listen", "127.0.0.1:0"]);
    command.arg("--data").arg(folder.join("vault")).arg("--ready-file").arg(&ready);
    let mut process = Process::start(command, &folder.join("logs")).expect("the binary starts");
    let told = eventually("the vault to serve", || {
        assert!(process.ended().is_none(), "the vault ended: {}", process.output());
        serde_json::from_slice(&fs::read(&ready).ok()?).ok()
    });
    (process, told)
}
