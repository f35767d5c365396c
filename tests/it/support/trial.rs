//! A cluster under trial: the table of docs/failure.md as data, its cells asked of one node after another, and
//! whatever was answered held against the cluster afterwards. Knows nothing of what is done to the nodes.

use std::{
    collections::BTreeSet,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, ScopedJoinHandle},
};

use serde_json::{Value, json};

use super::{
    Answer, Client, Cluster, PATIENCE, Turnovers, Wires, eventually, healed, healed::same_lists,
    vault::new_caller, within,
};

/// What one node answers to each kind of request: status, code of the problem, `Covault-Standing`.
pub type Row = [&'static str; CELLS.len()];

/// What a node answers that reaches a majority.
pub const SERVES: Row = [
    "201",
    "200",
    "201",
    "200",
    "200",
    "200",
    "200 majority",
    "404 not_found",
    "200 majority",
    "200 majority",
    "200 majority",
    "404 not_found",
];
/// What a node answers that knows that it reaches none.
pub const ALONE: Row = [
    "503 quorum_unavailable",
    "503 quorum_unavailable",
    "503 quorum_unavailable",
    "503 quorum_unavailable",
    "503 quorum_unavailable",
    "202",
    "200 minority",
    "503 unconfirmed",
    "503 unconfirmed",
    "200 minority",
    "202 minority",
    "503 unconfirmed",
];
/// What a node answers that reaches a majority and lacks the master key.
pub const KEYLESS: Row = [
    "503 master_key_unavailable",
    "503 master_key_unavailable",
    "503 master_key_unavailable",
    "503 master_key_unavailable",
    "200",
    "503 master_key_unavailable",
    "503 master_key_unavailable",
    "404 not_found",
    "503 master_key_unavailable",
    "200 majority",
    "503 master_key_unavailable",
    "404 not_found",
];

/// The round trip that nodes far apart are told of, in milliseconds.
const FAR_APART_MS: i64 = 300;

/// What may be answered while it is not settled yet who leads, and by a node that has not caught up. One that hears and
/// is not heard has noticed that it is alone, and hears for a second from the leader that the others have chosen.
const MEANWHILE: [&str; 10] = [
    "503 quorum_unavailable",
    "503 outcome_unknown",
    "202",
    "412 version_mismatch",
    "409 epoch_conflict",
    "503 unconfirmed",
    "200 minority",
    "200 majority",
    "202 minority",
    "202 majority",
];

type Cell = (&'static str, fn(&Trial, usize, &str) -> Answer);

/// The kinds of request, each on a secret of its own, and asked of the node at a place with a name never used.
const CELLS: [Cell; 12] = [
    ("create", |trial, place, fresh| {
        trial.cluster.member(place).post("/v1/secrets", &json!({"name": fresh, "value": "created"}))
    }),
    ("conditional update", |trial, place, fresh| {
        let name = conditional(place);
        let agreed = trial.cluster.member(place).history(&name);
        let condition = format!("\"{}\"", agreed[0]["id"].as_str().unwrap());
        let headers = [("if-match", condition.as_str())];
        let body = json!({"value": fresh});
        trial.cluster.member(place).json("PUT", &format!("/v1/secrets/{name}"), &headers, &body)
    }),
    ("caller", |trial, place, fresh| new_caller(&trial.cluster.admin(place), fresh, "member")),
    ("activate epoch", |trial, place, _| trial.epochs.activate(&trial.cluster, place)),
    ("destroy epoch", |trial, place, _| trial.epochs.destroy(&trial.cluster, place)),
    ("update", |trial, place, fresh| {
        trial.cluster.member(place).put("/v1/secrets/updated", &json!({"value": fresh}))
    }),
    ("read hit", |trial, place, _| trial.cluster.member(place).get("/v1/secrets/read")),
    ("read miss", |trial, place, fresh| trial.cluster.member(place).get(&format!("/v1/secrets/{fresh}"))),
    ("confirmed read", |trial, place, _| {
        trial.cluster.member(place).get("/v1/secrets/read?consistency=quorum")
    }),
    ("list", |trial, place, _| trial.cluster.member(place).get("/v1/secrets")),
    ("tokenize", |trial, place, fresh| {
        let body = json!({"document": {"of": fresh}, "fields": ["/of"]});
        trial.cluster.member(place).post("/v1/tokenize", &body)
    }),
    ("detokenize miss", |trial, place, _| {
        let token = format!("tok_1_{}", "0".repeat(32));
        trial.cluster.member(place).post("/v1/detokenize", &json!({"tokens": [token]}))
    }),
];

/// What a thread found, or the words with which it failed.
fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|failed| {
        panic!("{}", failed.downcast_ref::<String>().map_or("a thread failed", String::as_str))
    })
}

/// What is answered once no election is under way; it has this status.
pub fn settled(status: u16, ask: impl Fn() -> Answer) -> Answer {
    let answer = eventually("an answer outside of elections", || {
        let answer = ask();
        (answer.status != 503).then_some(answer)
    });
    answer.expect(status)
}

/// The secret of which a node's conditional updates are; another node's would make the condition fail.
pub fn conditional(place: usize) -> String {
    format!("conditional-{place}")
}

/// Nodes, the secrets and epochs that the cells need, every version that any answer has named, and every name of which was
/// answered that nothing was stored.
pub struct Trial {
    /// The nodes.
    pub cluster: Cluster,
    epochs: Turnovers,
    told: Mutex<BTreeSet<(String, String)>>,
    refused: Mutex<Vec<String>>,
}

impl Trial {
    /// So many nodes, on hosts of their own where that can be had.
    pub fn start(nodes: usize) -> Self {
        Self::of(Cluster::start_apart(nodes))
    }

    /// As [`Self::start`], and the wires between them.
    pub fn start_wired(nodes: usize, seed: u64) -> (Self, Wires) {
        let (cluster, wires) = Cluster::start_wired(nodes, seed);
        (Self::of(cluster), wires)
    }

    /// As [`Self::start_wired`], of nodes that are told that a round trip may take so long.
    pub fn start_far_apart(nodes: usize, seed: u64) -> (Self, Wires) {
        let far = |quic: &mut toml::Table| drop(quic.insert("round_trip_ms".into(), FAR_APART_MS.into()));
        let (cluster, wires) = Cluster::start_wired_with(nodes, seed, far);
        (Self::of(cluster), wires)
    }

    fn of(cluster: Cluster) -> Self {
        let epochs = Turnovers::of(&cluster);
        let trial = Self { cluster, epochs, told: Mutex::default(), refused: Mutex::default() };
        let named = ["updated", "read"].map(str::to_owned);
        for name in trial.cluster.places().map(conditional).chain(named) {
            trial.note(&trial.created(&name));
        }
        // A node that is left alone serves what it has: it must have it.
        trial.healed();
        trial
    }

    /// Creates a secret, after an election if there happens to be one.
    fn created(&self, name: &str) -> Answer {
        let body = json!({"name": name, "value": "first"});
        let again = [("idempotency-key", name)];
        settled(201, || self.cluster.member(0).json("POST", "/v1/secrets", &again, &body))
    }

    /// Remembers the version that an answer names.
    pub fn note(&self, answer: &Answer) {
        if let (Some(name), Some(id)) = (answer.at("/name").as_str(), answer.at("/version/id").as_str()) {
            self.told.lock().unwrap().insert((name.to_owned(), id.to_owned()));
        }
    }

    fn answer(&self, place: usize, (_, ask): Cell) -> String {
        static FRESH: AtomicU64 = AtomicU64::new(0);
        let fresh = format!("fresh-{}", FRESH.fetch_add(1, Ordering::Relaxed));
        let answer = ask(self, place, &fresh);
        self.note(&answer);
        if answer.code() == "quorum_unavailable" {
            self.refused.lock().unwrap().push(fresh);
        }
        let standing = answer.header("covault-standing").unwrap_or_default();
        format!("{} {}{standing}", answer.status, answer.code()).trim_end().to_owned()
    }

    /// The node gives these answers from now on.
    pub fn check(&self, place: usize, row: &Row) {
        for ((cell, _), answer, wanted) in self.asked(place, row) {
            assert_eq!(answer, wanted, "node {place}, {cell}");
        }
    }

    /// The node comes to give these answers, and gives none meanwhile but those of an election.
    pub fn check_comes_to(&self, place: usize, row: &Row) {
        self.check_come_to(&[(place, row)]);
    }

    /// The nodes come to give these answers, each all of its row under one leader, and give none meanwhile but
    /// those of an election.
    pub fn check_come_to(&self, rows: &[(usize, &Row)]) {
        let mut otherwise = Vec::new();
        let come = within(PATIENCE, || {
            let before = self.led_by(rows);
            otherwise = self.answered_otherwise(rows);
            (otherwise.is_empty() && before == self.led_by(rows)).then_some(())
        });
        assert!(come.is_some(), "after {PATIENCE:?} it is answered otherwise, or led anew: {otherwise:#?}");
    }

    /// Leader and term, as those nodes see them that are to reach a majority.
    fn led_by(&self, rows: &[(usize, &Row)]) -> Vec<Value> {
        let led = |(place, _): &(usize, &Row)| {
            let status = self.cluster.member(*place).get("/v1/status").expect(200);
            json!([status.at("/leader"), status.at("/term")])
        };
        rows.iter().filter(|(_, row)| **row != ALONE).map(led).collect()
    }

    /// What the nodes at these places answer otherwise than they should come to.
    fn answered_otherwise(&self, rows: &[(usize, &Row)]) -> Vec<String> {
        let told: Vec<_> = thread::scope(|scope| {
            let ask = |&(place, row)| scope.spawn(move || (place, self.asked(place, row)));
            let all: Vec<_> = rows.iter().map(ask).collect();
            all.into_iter().map(joined).collect()
        });
        let mut otherwise = Vec::new();
        for (place, cells) in told {
            for ((cell, _), answer, wanted) in cells {
                let told = format!("node {place}, {cell}: {answer} instead of {wanted}");
                assert!(answer == wanted || MEANWHILE.contains(&answer.as_str()), "{told}");
                otherwise.extend((answer != wanted).then_some(told));
            }
        }
        otherwise
    }

    /// Each cell with what the node answered and what it should, all asked at once: one that has lost its majority takes
    /// seconds for each.
    fn asked(&self, place: usize, row: &Row) -> Vec<(Cell, String, &'static str)> {
        thread::scope(|scope| {
            let ask = |(cell, wanted)| (cell, scope.spawn(move || self.answer(place, cell)), wanted);
            let asked: Vec<_> = CELLS.into_iter().zip(*row).map(ask).collect();
            asked.into_iter().map(|(cell, told, wanted)| (cell, joined(told), wanted)).collect()
        })
    }

    /// Waits until the node knows that it reaches no majority.
    pub fn until_alone(&self, place: usize) {
        eventually("the node to notice that it is alone", || {
            let status = self.cluster.member(place).get("/v1/status").expect(200);
            (status.at("/standing") == "minority").then_some(())
        });
    }

    /// Waits until all nodes tell the same, with everything in it that any answer has named, and nothing that was
    /// refused.
    pub fn healed(&self) {
        self.healed_at(&self.cluster.places().map(|place| self.cluster.member(place)).collect::<Vec<_>>());
    }

    /// As [`Self::healed`], with these clients of the nodes.
    pub fn healed_at(&self, nodes: &[Client]) {
        let told = self.told.lock().unwrap();
        let names: BTreeSet<String> = told.iter().map(|(name, _)| name.clone()).collect();
        let histories = healed(nodes, &Vec::from_iter(names));
        for (name, id) in &*told {
            let kept = histories[name].iter().any(|version| version["id"] == **id);
            assert!(kept, "{name} {id} was acknowledged");
            for node in nodes {
                settled(200, || node.get(&format!("/v1/secrets/{name}?version={id}")));
            }
        }
        for (name, node) in self.refused.lock().unwrap().iter().zip(nodes.iter().cycle()) {
            settled(404, || node.get(&format!("/v1/secrets/{name}")));
        }
        same_lists(nodes);
        self.epochs.healed_at(nodes);
    }
}
