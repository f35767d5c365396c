//! Clients that create, replace and read a few names through all nodes while nodes are killed and paused and the wires
//! between them are cut, slow and lossy, and a history of all that they were told: some order of the operations
//! explains it, each at one moment between its call and its answer (E1, E2, E4, R1, R2, D1).
//! `COVAULT_FAULT_ROUNDS` sets the rounds (one for each fault by default), `COVAULT_SEED` repeats the choices of a run.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use serde_json::{Value, json};

use crate::support::{
    Answer, Chance, Client, Cluster, Wire, Wires, client, healed,
    register::{Ask, Operation, Told, is_explained},
    within,
};

const JSON: (&str, &str) = ("content-type", "application/json");
/// What is done to one node, to the others, or to wires, by the places from which and to which they lead.
enum Harm {
    Kill,
    Pause,
    PauseOthers,
    KillAll,
    Wires(Wire, fn(usize, usize, usize) -> bool),
}

const FAULTS: [(&str, Harm); 9] = [
    ("kill", Harm::Kill),
    ("cut off", Harm::Wires(Wire::CUT, |place, from, to| from == place || to == place)),
    ("pause", Harm::Pause),
    ("let nobody hear", Harm::Wires(Wire::CUT, |place, from, _| from == place)),
    ("leave alone", Harm::PauseOthers),
    ("let hear nobody", Harm::Wires(Wire::CUT, |place, _, to| to == place)),
    ("cut the power of all, first of", Harm::KillAll),
    ("lose a packet in twenty of all, also of", Harm::Wires(Wire::lossy(5), |_, _, _| true)),
    ("have all far apart, also", Harm::Wires(Wire::slow(15), |_, _, _| true)),
];
const CLIENTS: u64 = 6;
const NAMES: u64 = 4;
/// What each client asks in a round.
const OPERATIONS: u64 = 40;
/// A client that has waited so long asks on, and does not know what became of it. Less than a node's own patience.
const CLIENT_PATIENCE: Duration = Duration::from_secs(3);
/// The longest that a fault waits for the operations after which it is to begin, or to end.
const FAULT_PATIENCE: Duration = Duration::from_secs(4);

/// What all clients share.
struct Trial {
    /// Where each node serves now.
    doors: Mutex<Vec<String>>,
    history: Mutex<BTreeMap<String, Vec<Operation>>>,
    /// The version that each write was told it made, by its value.
    made: Mutex<BTreeMap<u64, String>>,
    moment: AtomicU64,
    value: AtomicU64,
    finished: AtomicUsize,
}

/// One client, with what it saw last of each name: id and value.
struct Actor<'a> {
    trial: &'a Trial,
    client: Client,
    chance: Chance,
    seen: BTreeMap<String, (String, u64)>,
}

fn rounds() -> u64 {
    std::env::var("COVAULT_FAULT_ROUNDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(FAULTS.len() as u64)
}

fn hasty(client: &Client) -> Client {
    let agent = client::configured().timeout_global(Some(CLIENT_PATIENCE)).build();
    Client::with_agent(agent.into(), client.base(), Some(client.token()))
}

fn value_of(answer: &Answer) -> u64 {
    answer.text("/value").parse().expect("a value that a client wrote")
}

impl Trial {
    fn of(cluster: &Cluster) -> Self {
        let doors = cluster.places().map(|place| cluster.member(place).base().to_owned()).collect();
        Self {
            doors: Mutex::new(doors),
            history: Mutex::default(),
            made: Mutex::default(),
            moment: AtomicU64::new(0),
            value: AtomicU64::new(1),
            finished: AtomicUsize::new(0),
        }
    }

    fn next_moment(&self) -> u64 {
        self.moment.fetch_add(1, Ordering::SeqCst)
    }

    /// Notes an operation, unless it surely did nothing and told nothing.
    fn note(&self, name: &str, called: u64, ask: Ask, told: Option<Told>) {
        let answered = self.next_moment();
        if let Some(told) = told {
            let operation = Operation { called, answered, ask, told };
            self.history.lock().unwrap().entry(name.to_owned()).or_default().push(operation);
        }
        self.finished.fetch_add(1, Ordering::SeqCst);
    }

    /// Returns once so many more operations have ended, or have had time to.
    fn wait_for(&self, operations: u64) {
        let until = self.finished.load(Ordering::SeqCst) + operations as usize;
        let _ = within(FAULT_PATIENCE, || (until <= self.finished.load(Ordering::SeqCst)).then_some(()));
    }
}

impl Actor<'_> {
    fn act(&mut self, round: u64) {
        let name = format!("round-{round}/{}", self.chance.below(NAMES));
        let place = self.chance.below(3) as usize;
        let client = self.client.at(&self.trial.doors.lock().unwrap()[place]);
        match self.seen.get(&name).cloned() {
            None if self.chance.below(2) == 0 => self.create(&client, &name),
            Some((id, old)) if self.chance.below(2) == 0 => self.replace(&client, &name, &id, old),
            _ => self.read(&client, &name),
        }
    }

    fn create(&mut self, client: &Client, name: &str) {
        let new = self.trial.value.fetch_add(1, Ordering::SeqCst);
        let body = json!({"name": name, "value": new.to_string()}).to_string();
        let called = self.trial.next_moment();
        let answer = client.try_send("POST", "/v1/secrets", &[JSON], Some(body.as_bytes()));
        let told = self.judge_write(name, new, answer, 201, (409, "secret_exists"));
        self.trial.note(name, called, Ask::Create(new), told);
    }

    fn replace(&mut self, client: &Client, name: &str, id: &str, old: u64) {
        let new = self.trial.value.fetch_add(1, Ordering::SeqCst);
        let (path, body) = (format!("/v1/secrets/{name}"), json!({"value": new.to_string()}).to_string());
        let condition = format!("\"{id}\"");
        let called = self.trial.next_moment();
        let answer = client.try_send("PUT", &path, &[JSON, ("if-match", &condition)], Some(body.as_bytes()));
        let told = self.judge_write(name, new, answer, 200, (412, "version_mismatch"));
        self.trial.note(name, called, Ask::Replace { old, new }, told);
    }

    fn read(&mut self, client: &Client, name: &str) {
        let called = self.trial.next_moment();
        let answer = client.try_send("GET", &format!("/v1/secrets/{name}?consistency=quorum"), &[], None);
        let told = match answer {
            Ok(answer) if answer.status == 200 => {
                let value = value_of(&answer);
                self.seen.insert(name.to_owned(), (answer.text("/version/id"), value));
                Some(Told::Saw(Some(value)))
            }
            Ok(answer) if answer.status == 404 => Some(Told::Saw(None)),
            Ok(answer) => {
                assert_eq!(answer.status, 503, "{}", answer.shown());
                None
            }
            Err(_) => None,
        };
        self.trial.note(name, called, Ask::Read, told);
    }

    /// What the answer to a write says; none when it says that nothing was done.
    fn judge_write(
        &mut self,
        name: &str,
        new: u64,
        answer: Result<Answer, ureq::Error>,
        done: u16,
        refused: (u16, &str),
    ) -> Option<Told> {
        let Ok(answer) = answer else { return Some(Told::Unknown) };
        let code = answer.code();
        match (answer.status, code.as_str()) {
            (status, _) if status == done => {
                let id = answer.text("/version/id");
                self.trial.made.lock().unwrap().insert(new, id.clone());
                self.seen.insert(name.to_owned(), (id, new));
                Some(Told::Done)
            }
            told if told == refused => {
                self.seen.remove(name);
                Some(Told::Refused)
            }
            (503, "outcome_unknown" | "timeout") => Some(Told::Unknown),
            (503, "quorum_unavailable" | "stale_time" | "overloaded" | "shutting_down" | "unconfirmed") => {
                None
            }
            _ => panic!("{name}: {}", answer.shown()),
        }
    }
}

/// One fault of this kind, from a moment of the load to a later one.
fn strike(cluster: &mut Cluster, wires: &Wires, trial: &Trial, chance: &mut Chance, kind: usize) {
    let place = chance.below(3) as usize;
    trial.wait_for(chance.below(30));
    let (name, harm) = &FAULTS[kind];
    println!("linearizable: {name} node {place}");
    let others = cluster.others_than(place);
    let (paused, killed) = match harm {
        Harm::Kill => (vec![], vec![place]),
        Harm::Pause => (vec![place], vec![]),
        Harm::PauseOthers => (others, vec![]),
        Harm::KillAll => (vec![], [vec![place], others].concat()),
        Harm::Wires(..) => (vec![], vec![]),
    };
    if let Harm::Wires(wire, of) = harm {
        wires.set(*wire, |from, to| of(place, from, to));
    }
    paused.iter().for_each(|place| cluster.pause(*place));
    killed.iter().for_each(|place| cluster.kill(*place));
    trial.wait_for(chance.below(60));
    cluster.resume();
    wires.heal();
    for place in killed {
        cluster.restart(place);
        trial.doors.lock().unwrap()[place] = cluster.member(place).base().to_owned();
    }
}

fn one_round(cluster: &mut Cluster, wires: &Wires, trial: &Trial, chance: &mut Chance, round: u64) {
    let client = hasty(&cluster.member(0));
    let (names, seeds) = ((0..NAMES).map(|name| format!("round-{round}/{name}")), (0..CLIENTS));
    thread::scope(|scope| {
        for seed in seeds.map(|_| chance.next()) {
            let mut actor =
                Actor { trial, client: client.clone(), chance: Chance::of(seed), seen: BTreeMap::new() };
            scope.spawn(move || (0..OPERATIONS).for_each(|_| actor.act(round)));
        }
        strike(cluster, wires, trial, chance, round as usize % FAULTS.len());
    });
    let nodes: Vec<Client> = cluster.places().map(|place| cluster.member(place)).collect();
    let told = healed(&nodes, &names.collect::<Vec<_>>());
    for (name, versions) in &told {
        check_kept(trial, &nodes, name, versions);
        let history = trial.history.lock().unwrap().remove(name).unwrap_or_default();
        assert!(is_explained(&history), "{name}: no order explains this: {history:#?}");
    }
}

/// Every write that was told it was done is in the history; and each node's read is one operation more.
fn check_kept(trial: &Trial, nodes: &[Client], name: &str, versions: &[Value]) {
    let history = trial.history.lock().unwrap().get(name).cloned().unwrap_or_default();
    for operation in history.iter().filter(|operation| operation.told == Told::Done) {
        let (Ask::Create(new) | Ask::Replace { new, .. }) = operation.ask else { continue };
        let made = &trial.made.lock().unwrap()[&new];
        assert!(versions.iter().any(|version| version["id"] == **made), "{name}: {made} was acknowledged");
    }
    for node in nodes {
        let called = trial.next_moment();
        let read = node.get(&format!("/v1/secrets/{name}?consistency=quorum"));
        let seen = match read.status {
            404 => None,
            _ => Some(value_of(&read.expect(200))),
        };
        trial.note(name, called, Ask::Read, Some(Told::Saw(seen)));
    }
}

#[test]
fn whatever_fails_all_answers_are_those_of_one_vault() {
    let mut chance = Chance::announced("linearizable");
    let (mut cluster, wires) = Cluster::start_wired(3, chance.next());
    let trial = Trial::of(&cluster);
    let rounds = rounds();
    for round in 0..rounds {
        one_round(&mut cluster, &wires, &trial, &mut chance, round);
    }
    let (asked, made) = (trial.finished.load(Ordering::SeqCst), trial.made.lock().unwrap().len());
    println!("linearizable: {rounds} faults, {asked} operations, {made} writes acknowledged, all explained");
    cluster.stop_and_check();
}
