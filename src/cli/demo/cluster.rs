//! The three nodes of a demo: asked over HTTP by their places, from 0, and killed, paused and started again.
//! Knows nothing of the claims.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::{task::JoinHandle, time::sleep};

use super::{NODES, check};
use crate::cli::{
    client::{Answered, Call, WriteArgs},
    connection::local_client,
    failure::Failure,
    trial::{LOOK_EVERY, Trial},
};

/// How long anything that is to happen may take to be seen.
const PATIENCE: Duration = Duration::from_secs(45);

/// A running cluster of three.
pub struct Cluster<'a> {
    trial: &'a mut Trial,
}

impl<'a> Cluster<'a> {
    /// The nodes of `trial`, which all serve.
    pub fn new(trial: &'a mut Trial) -> Self {
        Self { trial }
    }

    /// All places.
    pub fn places() -> std::ops::Range<usize> {
        0..NODES
    }

    /// The places of the others.
    pub fn but(at: usize) -> [usize; NODES - 1] {
        [(at + 1) % NODES, (at + 2) % NODES]
    }

    /// What is called which, and where.
    pub fn described(&self) -> String {
        let line = |(at, told): (usize, &Value)| {
            let url = told["url"].as_str().unwrap_or_default();
            format!("  node {}  {url}  process {}\n", at + 1, told["pid"])
        };
        self.trial.told().enumerate().map(line).collect()
    }

    /// Asks one node, once.
    pub async fn ask(&self, at: usize, call: &Call) -> Result<Answered, Failure> {
        answer_of(self.begin(at, call.clone())?).await
    }

    /// Asks several nodes at the same time.
    pub async fn ask_at_once(&self, calls: Vec<(usize, Call)>) -> Result<Vec<Answered>, Failure> {
        let asked = calls.into_iter().map(|(at, call)| self.begin(at, call));
        let mut answers = Vec::new();
        for asked in asked.collect::<Result<Vec<_>, _>>()? {
            answers.push(answer_of(asked).await?);
        }
        Ok(answers)
    }

    /// Asks one node, with the same key, until the answer is as `wanted`.
    pub async fn ask_until(
        &self,
        at: usize,
        call: &Call,
        wanted: impl Fn(&Answered) -> bool,
    ) -> Result<Answered, Failure> {
        let until = Instant::now() + PATIENCE;
        loop {
            let answer = self.ask(at, call).await?;
            if wanted(&answer) {
                return Ok(answer);
            }
            let last = check::in_short(&answer);
            check::ensure(Instant::now() < until, || {
                format!("waited {PATIENCE:?} on node {} in vain; its last answer was {last}", at + 1)
            })?;
            sleep(LOOK_EVERY).await;
        }
    }

    /// Asks every node until the answer of each is as `wanted`.
    pub async fn ask_all_until(
        &self,
        call: &Call,
        wanted: impl Fn(&Answered) -> bool,
    ) -> Result<(), Failure> {
        for at in Self::places() {
            self.ask_until(at, call, &wanted).await?;
        }
        Ok(())
    }

    /// The place of the node that leads, as the one at `asked` sees it.
    pub async fn leader(&self, asked: usize) -> Result<usize, Failure> {
        let place = |answer: &Answered| {
            let leader = check::field(answer, "/leader");
            self.trial.told().position(|told| !leader.is_null() && told["id"] == leader)
        };
        let answer =
            self.ask_until(asked, &Call::get("/v1/status"), |answer| place(answer).is_some()).await?;
        place(&answer).ok_or_else(|| Failure::unexpected("a leader that is no node of the demo"))
    }

    /// Kills a node's process as a power cut would.
    pub fn kill(&mut self, at: usize) {
        self.trial.nodes[at].kill();
    }

    /// Starts a node again that was killed.
    pub async fn start_again(&mut self, at: usize) -> Result<(), Failure> {
        self.trial.start_again(at).await
    }

    /// Pauses all nodes but one, which so hears of nobody, and returns once it has noticed.
    pub async fn cut_off(&mut self, alone: usize) -> Result<(), Failure> {
        Self::but(alone).iter().try_for_each(|at| self.trial.nodes[*at].pause())?;
        let status = Call::get("/v1/status");
        self.ask_until(alone, &status, |answer| check::field(answer, "/standing") == "minority").await?;
        Ok(())
    }

    /// Pauses a node.
    pub fn pause(&mut self, at: usize) -> Result<(), Failure> {
        self.trial.nodes[at].pause()
    }

    /// Lets nodes go on that were paused.
    pub fn go_on(&mut self, places: &[usize]) -> Result<(), Failure> {
        places.iter().try_for_each(|at| self.trial.nodes[*at].go_on())
    }

    /// Begins to ask, in a thread of its own: the client waits for its answer.
    fn begin(&self, at: usize, call: Call) -> Result<JoinHandle<Result<Answered, Failure>>, Failure> {
        let told = self.trial.nodes[at].told.as_ref();
        let url = told.and_then(|told| told["url"].as_str()).unwrap_or_default();
        let client = local_client(url.to_owned(), self.trial.tokens.member.clone())?;
        Ok(tokio::task::spawn_blocking(move || client.ask(&call)))
    }
}

async fn answer_of(asked: JoinHandle<Result<Answered, Failure>>) -> Result<Answered, Failure> {
    asked.await.map_err(|error| Failure::unexpected(error.to_string()))?
}

/// A request for a new secret, with an idempotency key of its own.
pub fn create(name: &str, value: &str) -> Call {
    Call::post("/v1/secrets", json!({ "name": name, "value": value }), &WriteArgs::default())
}

/// A request that sets a label.
pub fn label(name: &str, key: &str, text: &str) -> Call {
    let body = json!({ "labels": { key: text } });
    Call::patch(format!("/v1/secrets/{name}"), body, &WriteArgs::default())
}

/// A request for a new version.
pub fn update(name: &str, value: &str) -> Call {
    Call::put(format!("/v1/secrets/{name}"), json!({ "value": value }), &WriteArgs::default())
}

/// A request for a secret as the asked node has it.
pub fn read(name: &str) -> Call {
    Call::get(format!("/v1/secrets/{name}"))
}
