//! What three nodes answer while one or two of them are killed, paused, left alone, without the right key or on an
//! empty disk, cell by cell of the table in docs/failure.md; and that afterwards everything acknowledged is on every
//! node and all tell the same (D1, E2, V3, X5, X7, R1, R2, S3).

use std::{
    collections::BTreeSet,
    fs,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use serde_json::json;

use crate::support::{
    Answer, Client, Cluster, Place, eventually, healed,
    joining::{invite, join, start, until_all_vote},
    vault::new_caller,
};

/// What one node answers to each kind of request: status, code of the problem, `Covault-Standing`.
type Row = [&'static str; CELLS.len()];

const SERVES: Row = ["201", "200", "201", "200", "200 majority", "404 not_found", "200"];
const ALONE: Row = [
    "503 quorum_unavailable",
    "503 quorum_unavailable",
    "503 quorum_unavailable",
    "202",
    "200 minority",
    "503 unconfirmed",
    "200",
];
const KEYLESS: Row = [
    "503 master_key_unavailable",
    "503 master_key_unavailable",
    "503 master_key_unavailable",
    "503 master_key_unavailable",
    "503 master_key_unavailable",
    "404 not_found",
    "200",
];

/// What may be answered while it is not settled yet who leads, and by a node that has not caught up.
const MEANWHILE: [&str; 6] = [
    "503 quorum_unavailable",
    "503 outcome_unknown",
    "202",
    "412 version_mismatch",
    "503 unconfirmed",
    "200 minority",
];

type Cell = (&'static str, fn(&Cluster, usize, &str) -> Answer);

/// The kinds of request, each on a secret of its own, and asked of the node at a place with a name never used.
const CELLS: [Cell; 7] = [
    ("create", |cluster, place, fresh| {
        cluster.member(place).post("/v1/secrets", &json!({"name": fresh, "value": "created"}))
    }),
    ("conditional update", |cluster, place, fresh| {
        let agreed = cluster.member(place).history("conditional");
        let condition = format!("\"{}\"", agreed[0]["id"].as_str().unwrap());
        let headers = [("if-match", condition.as_str())];
        let body = json!({"value": fresh});
        cluster.member(place).json("PUT", "/v1/secrets/conditional", &headers, &body)
    }),
    ("caller", |cluster, place, fresh| new_caller(&cluster.admin(place), fresh, "member")),
    ("update", |cluster, place, fresh| {
        cluster.member(place).put("/v1/secrets/updated", &json!({"value": fresh}))
    }),
    ("read hit", |cluster, place, _| cluster.member(place).get("/v1/secrets/read")),
    ("read miss", |cluster, place, fresh| cluster.member(place).get(&format!("/v1/secrets/{fresh}"))),
    ("list", |cluster, place, _| cluster.member(place).get("/v1/secrets")),
];

fn others_than(place: usize) -> [usize; 2] {
    [(place + 1) % 3, (place + 2) % 3]
}

/// Three nodes, the secrets that the cells need, every version that any answer has named, and every name of which
/// was answered that nothing was stored.
struct Trial {
    cluster: Cluster,
    told: Mutex<BTreeSet<(String, String)>>,
    refused: Mutex<Vec<String>>,
}

impl Trial {
    fn start() -> Self {
        let trial = Self { cluster: Cluster::start(3), told: Mutex::default(), refused: Mutex::default() };
        for name in ["conditional", "updated", "read"] {
            trial.note(&trial.cluster.member(0).create(name, "first"));
        }
        // A node that is left alone serves what it has: it must have it.
        trial.healed();
        trial
    }

    fn note(&self, answer: &Answer) {
        if let (Some(name), Some(id)) = (answer.at("/name").as_str(), answer.at("/version/id").as_str()) {
            self.told.lock().unwrap().insert((name.to_owned(), id.to_owned()));
        }
    }

    fn answer(&self, place: usize, (_, ask): Cell) -> String {
        static FRESH: AtomicU64 = AtomicU64::new(0);
        let fresh = format!("fresh-{}", FRESH.fetch_add(1, Ordering::Relaxed));
        let answer = ask(&self.cluster, place, &fresh);
        self.note(&answer);
        if answer.code() == "quorum_unavailable" {
            self.refused.lock().unwrap().push(fresh);
        }
        let standing = answer.header("covault-standing").unwrap_or_default();
        format!("{} {}{standing}", answer.status, answer.code()).trim_end().to_owned()
    }

    /// The node gives these answers from now on.
    fn check(&self, place: usize, row: &Row) {
        self.each_cell(row, |cell, wanted| assert_eq!(self.answer(place, cell), wanted, "{}", cell.0));
    }

    /// The node comes to give these answers, and gives none meanwhile but those of an election.
    fn check_comes_to(&self, place: usize, row: &Row) {
        self.each_cell(row, |cell, wanted| {
            eventually(&format!("{wanted} to {}", cell.0), || {
                let answer = self.answer(place, cell);
                let known = answer == wanted || MEANWHILE.contains(&answer.as_str());
                assert!(known, "{}: {answer}", cell.0);
                (answer == wanted).then_some(())
            });
        });
    }

    /// All at once: a node that has lost its majority takes seconds for each.
    fn each_cell(&self, row: &Row, check: impl Fn(Cell, &'static str) + Sync) {
        let check = &check;
        thread::scope(|scope| {
            for (cell, wanted) in CELLS.into_iter().zip(*row) {
                scope.spawn(move || check(cell, wanted));
            }
        });
    }

    fn until_alone(&self, place: usize) {
        eventually("the node to notice that it is alone", || {
            let status = self.cluster.member(place).get("/v1/status").expect(200);
            (status.at("/standing") == "minority").then_some(())
        });
    }

    /// Waits until all nodes tell the same, with everything in it that any answer has named, and nothing that was
    /// refused.
    fn healed(&self) {
        self.healed_at(&self.cluster.places().map(|place| self.cluster.member(place)).collect::<Vec<_>>());
    }

    fn healed_at(&self, nodes: &[Client]) {
        let told = self.told.lock().unwrap();
        let names: BTreeSet<String> = told.iter().map(|(name, _)| name.clone()).collect();
        let histories = healed(nodes, &Vec::from_iter(names));
        for (name, id) in &*told {
            let kept = histories[name].iter().any(|version| version["id"] == **id);
            assert!(kept, "{name} {id} was acknowledged");
            for node in nodes {
                node.get(&format!("/v1/secrets/{name}?version={id}")).expect(200);
            }
        }
        for (name, node) in self.refused.lock().unwrap().iter().zip(nodes.iter().cycle()) {
            node.get(&format!("/v1/secrets/{name}")).expect_problem(404, "not_found");
        }
    }
}

#[test]
fn a_killed_node_stops_nothing_and_comes_back_with_its_old_state() {
    let mut trial = Trial::start();
    for place in trial.cluster.places() {
        trial.check_comes_to(place, &SERVES);
    }
    for leads in [false, true] {
        let leader = trial.cluster.leader(0);
        let killed = if leads { leader } else { (leader + 1) % 3 };
        trial.cluster.kill(killed);
        for other in others_than(killed) {
            trial.check_comes_to(other, &SERVES);
        }
        trial.cluster.restart(killed);
        trial.check_comes_to(killed, &SERVES);
        trial.healed();
    }
    trial.cluster.stop_and_check();
}

#[test]
fn a_paused_node_stops_nothing_and_goes_on_where_the_others_are() {
    let mut trial = Trial::start();
    for leads in [false, true] {
        let leader = trial.cluster.leader(0);
        let paused = if leads { leader } else { (leader + 1) % 3 };
        trial.cluster.pause(paused);
        for other in others_than(paused) {
            trial.check_comes_to(other, &SERVES);
        }
        trial.cluster.resume();
        trial.check_comes_to(paused, &SERVES);
        trial.healed();
    }
    trial.cluster.stop_and_check();
}

#[test]
fn a_node_left_alone_creates_nothing_keeps_updates_and_serves_what_it_has() {
    let mut trial = Trial::start();
    for leads in [false, true] {
        let leader = trial.cluster.leader(0);
        let alone = if leads { leader } else { (leader + 1) % 3 };
        others_than(alone).into_iter().for_each(|other| trial.cluster.pause(other));
        trial.until_alone(alone);
        trial.check(alone, &ALONE);
        trial.cluster.resume();
        for place in trial.cluster.places() {
            trial.check_comes_to(place, &SERVES);
        }
        trial.healed();
    }
    trial.cluster.stop_and_check();
}

#[test]
fn a_condition_on_what_a_node_has_not_heard_of_yet_is_met() {
    let mut trial = Trial::start();
    for _ in 0..5 {
        let behind = (trial.cluster.leader(0) + 1) % 3;
        let [other, _] = others_than(behind);
        let (ahead, behind_client) = (trial.cluster.member(other), trial.cluster.member(behind));
        trial.cluster.pause(behind);
        let agreed = ahead.update("conditional", "agreed without it");
        trial.note(&agreed);
        let condition = format!("\"{}\"", agreed.text("/version/id"));
        let ask = || {
            let headers = [("if-match", condition.as_str())];
            behind_client.json("PUT", "/v1/secrets/conditional", &headers, &json!({"value": "on that"}))
        };
        let answer = thread::scope(|scope| {
            let asked = scope.spawn(ask);
            trial.cluster.resume();
            asked.join().unwrap()
        });
        assert!(matches!(answer.status, 200 | 503), "{}", answer.shown());
        trial.note(&answer);
    }
    trial.healed();
}

#[test]
fn what_was_kept_alone_is_passed_over_by_what_the_others_agreed_since() {
    let mut trial = Trial::start();
    trial.cluster.pause(0);
    trial.cluster.pause(1);
    trial.until_alone(2);
    let kept = trial.cluster.member(2).put("/v1/secrets/updated", &json!({"value": "alone"})).expect(202);
    trial.note(&kept);
    trial.cluster.kill(2);
    trial.cluster.resume();
    let agreed = eventually("the others to agree", || {
        let answer = trial.cluster.member(0).put("/v1/secrets/updated", &json!({"value": "agreed"}));
        trial.note(&answer);
        (answer.status == 200).then_some(answer)
    });
    trial.cluster.restart(2);
    trial.healed();
    for place in trial.cluster.places() {
        let member = trial.cluster.member(place);
        assert_eq!(member.value("updated"), "agreed");
        let passed_over = member.get(&format!("/v1/secrets/updated?version={}", kept.text("/version/id")));
        assert_eq!(passed_over.expect(200).at("/version/state"), "superseded");
        assert_eq!(member.get("/v1/secrets/updated").at("/version/id"), agreed.at("/version/id"));
    }
    trial.cluster.stop_and_check();
}

#[test]
fn a_node_with_a_wrong_master_key_says_so_and_keeps_what_the_others_write() {
    let mut trial = Trial::start();
    let keyring = trial.cluster.data(2).join("master.keys");
    let right = fs::read_to_string(&keyring).unwrap();
    let mut wrong: toml::Table = right.parse().unwrap();
    let active = wrong["active"].as_str().unwrap().to_owned();
    wrong["keys"][&active] = toml::Value::String(format!("{}=", "A".repeat(43)));
    trial.cluster.kill(2);
    fs::write(&keyring, wrong.to_string()).unwrap();
    trial.cluster.restart(2);
    trial.check_comes_to(2, &KEYLESS);
    trial.check_comes_to(0, &SERVES);
    trial.cluster.kill(1);
    // The node without the key is half of the majority now.
    trial.check_comes_to(0, &SERVES);
    trial.cluster.kill(2);
    fs::write(&keyring, right).unwrap();
    trial.cluster.restart(1);
    trial.cluster.restart(2);
    trial.check_comes_to(2, &SERVES);
    trial.healed();
    trial.cluster.stop_and_check();
}

#[test]
fn an_empty_disk_joins_anew_and_has_everything() {
    let mut trial = Trial::start();
    let lost = (trial.cluster.leader(0) + 1) % 3;
    let [left, other] = others_than(lost);
    trial.cluster.kill(lost);
    fs::remove_dir_all(trial.cluster.data(lost)).unwrap();
    trial.check_comes_to(left, &SERVES);
    let admin = trial.cluster.admin(left);
    admin.delete(&format!("/v1/members/{}", trial.cluster.id(lost))).expect(204);
    until_all_vote(&admin, 2);
    let newcomer = Place::empty();
    join(&newcomer, &invite(&admin)).expect(0);
    fs::copy(trial.cluster.data(left).join("master.keys"), newcomer.keyring()).unwrap();
    let _node = start(&newcomer);
    until_all_vote(&admin, 3);
    let member = trial.cluster.member(left);
    trial.note(&member.at(&newcomer.url()).create("by/the/newcomer", "takes part"));
    trial.healed_at(&[member.at(&newcomer.url()), member, trial.cluster.member(other)]);
}
