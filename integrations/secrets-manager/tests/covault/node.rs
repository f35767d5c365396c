//! A Covault of one node, in a folder that goes with it. Knows the program's commands and its HTTP API.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
};

use reqwest::{Client, Method};
use serde_json::{Value, json};
use tempfile::TempDir;
use url::Url;

/// A node that runs until it is dropped.
pub struct Node {
    process: Child,
    /// Open as long as the node runs, for it must be able to write.
    _output: BufReader<ChildStdout>,
    folder: TempDir,
    client: Client,
    /// Where it serves.
    pub url: Url,
    /// The token of the caller `dev`.
    pub token: String,
    admin_token: String,
}

impl Node {
    /// A new vault; none, and a word about it, where there is no program.
    pub fn start() -> Option<Self> {
        let Some(program) = program() else {
            eprintln!("SKIPPED: no covault: set COVAULT_BIN, or build the workspace's program first");
            return None;
        };
        let folder = TempDir::new().unwrap();
        let mut process = Command::new(&program)
            .args(["dev", "--listen", "127.0.0.1:0", "--data"])
            .arg(folder.path().join("data"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let [url, admin_token, token] = welcome(&mut output);
        let client = Client::new();
        Some(Self { process, _output: output, folder, client, url: url.parse().unwrap(), token, admin_token })
    }

    /// A folder for the test's own files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Has the caller `dev` do something that succeeds.
    pub async fn send(&self, method: &str, path: &str, body: Value) -> Value {
        self.send_as(&self.token, method, path, body).await
    }

    /// The token of a new caller.
    pub async fn new_caller(&self, name: &str) -> String {
        let made = self.send_as(&self.admin_token, "POST", "/v1/callers", json!({"name": name})).await;
        made["token"].as_str().unwrap().to_owned()
    }

    async fn send_as(&self, token: &str, method: &str, path: &str, body: Value) -> Value {
        let method: Method = method.parse().unwrap();
        let mut request = self.client.request(method, self.url.join(path).unwrap()).bearer_auth(token);
        if !body.is_null() {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        let (status, body) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{path}: {status} {body}");
        serde_json::from_str(&body).unwrap()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Address, admin token and member token, as the node tells once it serves.
fn welcome(output: &mut impl BufRead) -> [String; 3] {
    let mut told = [const { None }; 3];
    for line in output.lines().map_while(Result::ok) {
        let words: Vec<_> = line.split_whitespace().collect();
        match words[..] {
            ["covault", "is", "ready", "at", url, ..] => told[0] = Some(url.trim_end_matches(',').to_owned()),
            ["admin", "token", token] => told[1] = Some(token.to_owned()),
            ["member", "token", token] => told[2] = Some(token.to_owned()),
            _ => {}
        }
        if told.iter().all(Option::is_some) {
            break;
        }
    }
    told.map(|told| told.expect("the node tells where it serves and its tokens"))
}

fn program() -> Option<PathBuf> {
    if let Some(program) = std::env::var_os("COVAULT_BIN") {
        return Some(program.into());
    }
    // This test lies in target/<profile>/deps, the program in target/<profile>.
    let test = std::env::current_exe().ok()?;
    let program = test.parent()?.parent()?.join("covault");
    program.is_file().then_some(program)
}
