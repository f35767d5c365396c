//! A rolling restart: each of three nodes is told to stop and started again, twice around, while clients write and
//! read on all of them. A client that is refused a connection, or whose connection ends before an answer, asks
//! another node, as a load balancer would; every answer must be a success (R6), and what was acknowledged is on
//! every node afterwards (D1).

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use serde_json::{Value, json};

use crate::support::{Answer, Chance, Client, Cluster, eventually, healed};

const CLIENTS: u64 = 4;
/// Updates of one secret, before its client goes on to the next.
const UPDATES: u64 = 3;
/// Requests between one step and the next.
const REQUESTS: usize = 40;

/// What the clients share.
struct Load {
    /// Where each node serves now.
    doors: Mutex<Vec<String>>,
    answered: AtomicUsize,
    /// Answers that were no success, each with its request.
    failures: Mutex<Vec<String>>,
    /// How many versions of each secret were acknowledged.
    versions: Mutex<BTreeMap<String, u64>>,
    over: AtomicBool,
}

impl Load {
    /// Creates, updates and reads secrets of its own, each request through any node.
    fn run(&self, client: &Client, number: u64, mut chance: Chance) {
        for secret in 0.. {
            let name = format!("rolling/{number}/{secret}");
            for version in 0..=UPDATES {
                if self.over.load(Ordering::SeqCst) {
                    return;
                }
                self.write(client, &name, version, &mut chance);
                self.read(client, &name, version, &mut chance);
            }
        }
    }

    fn write(&self, client: &Client, name: &str, version: u64, chance: &mut Chance) {
        let (method, path, status) = match version {
            0 => ("POST", "/v1/secrets".to_owned(), 201),
            _ => ("PUT", format!("/v1/secrets/{name}"), 200),
        };
        let body = json!({"name": name, "value": value(version)});
        let body = if version == 0 { body } else { json!({"value": body["value"]}) };
        let key = format!("{name}/{version}");
        let answer = self.ask(client, (method, &path, &key), Some(&body), chance);
        self.expect(&answer, status, &format!("{method} {key}"));
        *self.versions.lock().unwrap().entry(name.to_owned()).or_default() += 1;
    }

    /// A read that a majority confirms sees the last write; another one sees the secret at least.
    fn read(&self, client: &Client, name: &str, version: u64, chance: &mut Chance) {
        let confirmed = chance.below(2) == 0;
        let path = format!("/v1/secrets/{name}{}", if confirmed { "?consistency=quorum" } else { "" });
        let answer = self.ask(client, ("GET", &path, ""), None, chance);
        self.expect(&answer, 200, &path);
        if confirmed && answer.status == 200 {
            assert_eq!(answer.text("/value"), value(version), "{path}");
        }
    }

    /// Asks one node after another, from any on, until one answers.
    fn ask(
        &self,
        client: &Client,
        (method, path, key): (&str, &str, &str),
        body: Option<&Value>,
        chance: &mut Chance,
    ) -> Answer {
        let mut place = chance.below(3) as usize;
        let headers = [("content-type", "application/json"), ("idempotency-key", key)];
        let headers = if body.is_some() { &headers[..] } else { &[] };
        let body = body.map(Value::to_string);
        let answer = eventually("an answer", || {
            let door = self.doors.lock().unwrap()[place % 3].clone();
            place += 1;
            client.at(&door).try_send(method, path, headers, body.as_deref().map(str::as_bytes)).ok()
        });
        self.answered.fetch_add(1, Ordering::SeqCst);
        answer
    }

    fn expect(&self, answer: &Answer, status: u16, request: &str) {
        if answer.status != status {
            self.failures.lock().unwrap().push(format!("{request}: {}", answer.shown()));
        }
    }

    /// Returns once so many more requests were answered.
    fn wait(&self) {
        let until = self.answered.load(Ordering::SeqCst) + REQUESTS;
        eventually("more answers", || (until <= self.answered.load(Ordering::SeqCst)).then_some(()));
    }
}

/// Ends the load when the restarts are over, also when that is because a check failed.
struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Whether one of the others knows another leader than the one that has just stopped: they would need longer to
/// notice its silence.
fn is_replaced(cluster: &Cluster, place: usize) -> bool {
    let stopped = cluster.id(place);
    cluster.places().filter(|other| *other != place).any(|other| {
        let leader = cluster.member(other).get("/v1/status").expect(200).at("/leader");
        leader.is_string() && leader != stopped.as_str()
    })
}

fn value(version: u64) -> String {
    format!("version {version}")
}

#[test]
fn a_rolling_restart_fails_no_request_and_loses_nothing() {
    let mut chance = Chance::announced("rolling");
    let mut cluster = Cluster::start(3);
    let doors = cluster.places().map(|place| cluster.member(place).base().to_owned()).collect();
    let load = Load {
        doors: Mutex::new(doors),
        answered: AtomicUsize::new(0),
        failures: Mutex::default(),
        versions: Mutex::default(),
        over: AtomicBool::new(false),
    };
    thread::scope(|scope| {
        for number in 0..CLIENTS {
            let (load, client, chance) = (&load, cluster.member(0), Chance::of(chance.next()));
            scope.spawn(move || load.run(&client, number, chance));
        }
        let _ending = Ending(&load.over);
        for place in cluster.places().chain(cluster.places()) {
            load.wait();
            let led = cluster.leader(place) == place;
            cluster.stop(place);
            assert!(!led || is_replaced(&cluster, place), "nobody took over from node {place}");
            load.wait();
            cluster.restart(place);
            load.doors.lock().unwrap()[place] = cluster.member(place).base().to_owned();
        }
        load.wait();
    });
    let failures = load.failures.lock().unwrap();
    assert!(failures.is_empty(), "{} of {:?}: {failures:#?}", failures.len(), load.answered);
    let versions = load.versions.lock().unwrap();
    let nodes: Vec<Client> = cluster.places().map(|place| cluster.member(place)).collect();
    let histories = healed(&nodes, &versions.keys().cloned().collect::<Vec<_>>());
    for (name, versions) in &*versions {
        assert_eq!(histories[name].len() as u64, *versions, "{name}: what was acknowledged, once");
    }
    cluster.stop_and_check();
}
