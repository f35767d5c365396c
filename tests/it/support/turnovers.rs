//! Epochs under trial: a caller at each place whose epochs are activated and destroyed there, and afterwards what all nodes
//! tell of them held against what was answered (T2). Knows nothing of tokens.

use std::{
    collections::BTreeSet,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use serde_json::{Value, json};

use super::{Answer, Client, Cluster, eventually, trial::settled, vault::new_caller};

/// What was done to an epoch of the caller at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Turnover {
    Activated(usize, u64),
    Destroyed(usize, u64),
}

/// The callers, and what became of their epochs.
pub struct Turnovers {
    /// The token of each place's caller.
    tokens: Vec<String>,
    /// What was answered to be done.
    done: Mutex<BTreeSet<Turnover>>,
    /// What was asked for, but for what was answered not to be done.
    possible: Mutex<BTreeSet<Turnover>>,
}

impl Turnovers {
    /// New callers, whose first epoch may be destroyed.
    pub fn of(cluster: &Cluster) -> Self {
        let tokens = cluster.places().map(|_| added(cluster)).collect();
        let all = Self { tokens, done: Mutex::default(), possible: Mutex::default() };
        for (place, token) in all.tokens.iter().enumerate() {
            let owner = cluster.member(0).with_token(token);
            let again = [("idempotency-key", "second-epoch")];
            let answer = settled(200, || owner.json("POST", "/v1/epochs", &again, &json!({"activate": 2})));
            all.note(Turnover::Activated(place, 2), &answer);
        }
        all
    }

    /// Has the node at a place make the next epoch the active one.
    pub fn activate(&self, cluster: &Cluster, place: usize) -> Answer {
        let owner = cluster.member(place).with_token(&self.tokens[place]);
        let next = 1 + owner.get("/v1/epochs").expect(200).number("/active");
        let answer = owner.post("/v1/epochs", &json!({"activate": next}));
        self.note(Turnover::Activated(place, next), &answer);
        answer
    }

    /// Has the node at a place destroy an epoch that was active before; one that is destroyed already if all are.
    pub fn destroy(&self, cluster: &Cluster, place: usize) -> Answer {
        let owner = cluster.member(place).with_token(&self.tokens[place]);
        let told = owner.get("/v1/epochs").expect(200).body_json();
        let goes = |epoch: &u64| !is_destroyed(&told, *epoch);
        let epoch = (1..active(&told)).find(goes).unwrap_or(1);
        let answer = owner.delete(&format!("/v1/epochs/{epoch}"));
        self.note(Turnover::Destroyed(place, epoch), &answer);
        answer
    }

    fn note(&self, turnover: Turnover, answer: &Answer) {
        match (answer.status, answer.code().as_str()) {
            (200, _) => drop(self.done.lock().unwrap().insert(turnover)),
            (409, _) | (503, "quorum_unavailable" | "master_key_unavailable") => return,
            _ => {}
        }
        self.possible.lock().unwrap().insert(turnover);
    }

    /// Waits until all nodes tell the same of the epochs: all that was answered to be done, and nothing that was refused.
    pub fn healed_at(&self, nodes: &[Client]) {
        let (done, possible) = (self.done.lock().unwrap(), self.possible.lock().unwrap());
        let mut made = BTreeSet::new();
        for (place, token) in self.tokens.iter().enumerate() {
            let told = eventually("the same epochs on all nodes", || {
                let tell = |node: &Client| node.with_token(token).get("/v1/epochs").expect(200).body_json();
                let told: Vec<Value> = nodes.iter().map(tell).collect();
                told.iter().all(|other| *other == told[0]).then(|| told[0].clone())
            });
            made.extend((2..=active(&told)).map(|epoch| Turnover::Activated(place, epoch)));
            let gone = (1..active(&told)).filter(|epoch| is_destroyed(&told, *epoch));
            made.extend(gone.map(|epoch| Turnover::Destroyed(place, epoch)));
        }
        let lacking: Vec<_> = done.difference(&made).collect();
        assert!(lacking.is_empty(), "answered, and not so: {lacking:?}");
        let unasked: Vec<_> = made.difference(&possible).collect();
        assert!(unasked.is_empty(), "refused, and so all the same: {unasked:?}");
    }
}

/// The token of a caller that was not there before.
fn added(cluster: &Cluster) -> String {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    eventually("a new caller", || {
        let name = format!("owner-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let answer = new_caller(&cluster.admin(0), &name, "member");
        (answer.status == 201).then(|| answer.text("/token"))
    })
}

fn active(told: &Value) -> u64 {
    told["active"].as_u64().expect("the number of an epoch")
}

fn is_destroyed(told: &Value, epoch: u64) -> bool {
    let epochs = told["epochs"].as_array().expect("a list of epochs");
    epochs.iter().any(|one| one["epoch"] == epoch && !one["destroyed_at"].is_null())
}
