//! What a client works at: whom it acts for, what it has learned so far, and the one way in which it asks and in which
//! what it asked is written down. Knows nothing of what it is up to.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use covault_model::key::NodeKey;
use serde_json::Value;
use tokio::time::sleep;

use crate::{
    chance::Chance,
    client,
    journal::Journal,
    plan::Plan,
    request,
    story::{Ask, Asked, Told},
    weather::Weather,
};

/// How many times longer clients think once all was made good.
const CALM: u64 = 4;

/// What all clients of a world share.
pub struct Office {
    /// What the world was planned to be.
    pub plan: Plan,
    /// Where everything is written down.
    pub journal: Journal,
    /// What becomes of packets.
    pub weather: Weather,
    /// Whether clients go on.
    pub open: AtomicBool,
    /// Whether all was made good, so that nothing is to be gained by haste.
    pub calm: AtomicBool,
    /// Whether the cluster has become whole.
    pub whole: AtomicBool,
    /// Whether a machine was lost, or its node is taken away, and what comes in its place does not vote yet.
    pub replacing: AtomicBool,
    /// The key of a node, which somebody has stolen once the cluster was whole.
    pub stolen: OnceLock<NodeKey>,
    /// Values given out so far: no two writes of a run carry the same.
    values: AtomicU64,
    common: Mutex<Common>,
}

/// What clients know of each other.
#[derive(Default)]
struct Common {
    /// By caller, its names that were made, or found taken.
    taken: BTreeMap<String, BTreeSet<String>>,
    /// Tokens that were given out, with whom they were given to.
    tokens: BTreeSet<(String, String)>,
}

impl Office {
    /// The office of a world.
    pub fn new(plan: Plan, journal: Journal, weather: Weather) -> Arc<Self> {
        Arc::new(Self {
            plan,
            journal,
            weather,
            open: AtomicBool::new(true),
            calm: AtomicBool::new(false),
            whole: AtomicBool::new(false),
            replacing: AtomicBool::new(false),
            stolen: OnceLock::new(),
            values: AtomicU64::new(0),
            common: Mutex::default(),
        })
    }

    fn common(&self) -> MutexGuard<'_, Common> {
        self.common.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the cluster has become whole.
    pub fn is_whole(&self) -> bool {
        self.whole.load(Ordering::Relaxed)
    }

    /// Whether clients go on.
    pub fn is_open(&self) -> bool {
        self.open.load(Ordering::Relaxed)
    }
}

/// One client.
pub struct Desk {
    /// What it shares with the others.
    pub office: Arc<Office>,
    /// Its number.
    pub client: usize,
    /// Whom it acts for.
    pub caller: String,
    token: String,
    /// The node that it asks mostly; none if it asks any.
    home: Option<usize>,
    /// Its draws.
    pub chance: Chance,
    /// The version of each name that it saw last: its id.
    pub seen: BTreeMap<String, String>,
    /// Names of which it was told of a version that is not agreed yet, and did not look since.
    pub unsettled: BTreeSet<String>,
    /// Tokens that it was given, with their values.
    pub tokens: BTreeMap<String, String>,
    /// The active epoch, as it saw it last.
    pub epoch: Option<u64>,
}

impl Desk {
    /// A client that acts for `caller` with its token.
    pub fn new(office: Arc<Office>, client: usize, caller: String, token: String) -> Self {
        let mut chance = Chance::of(office.plan.seed, &format!("client {client}"));
        let home = chance.percent(30).then(|| chance.below(office.plan.nodes as u64) as usize);
        Self {
            office,
            client,
            caller,
            token,
            home,
            chance,
            seen: BTreeMap::new(),
            unsettled: BTreeSet::new(),
            tokens: BTreeMap::new(),
            epoch: None,
        }
    }

    /// Waits as long as the plan has it think, or longer when all is calm.
    pub async fn think(&mut self) {
        let calm = self.office.calm.load(Ordering::Relaxed);
        let most = self.office.plan.thinks_ms * if calm { CALM } else { 1 };
        sleep(Duration::from_millis(self.chance.between(1, most))).await;
    }

    /// One of the names that are fought over: mostly one that is there, of those that are so all along or of the last
    /// that were made.
    pub fn name(&mut self) -> String {
        let (old, new) = self.taken();
        match self.chance.below(10) {
            1..7 if !old.is_empty() => self.chance.one(&old).clone(),
            7.. if !new.is_empty() => {
                let last = &new[new.len().saturating_sub(6)..];
                new_name(*self.chance.one(last))
            }
            _ => self.old_name(),
        }
    }

    /// One of the names that are fought over all along, whether it is there or not.
    pub fn old_name(&mut self) -> String {
        format!("n{}", self.chance.below(self.office.plan.names as u64))
    }

    /// A name that may be free: one of the next `within`, which others try too, or one that was passed over.
    pub fn free_name(&mut self, within: u64) -> String {
        let from = self.taken().1.last().map_or(0, |last| last + 1);
        if self.chance.percent(80) {
            new_name(from + self.chance.below(within))
        } else {
            new_name(from.saturating_sub(self.chance.between(1, 12)))
        }
    }

    /// The names of the caller that are taken: those fought over all along, and the numbers of the new ones, rising.
    fn taken(&self) -> (Vec<String>, Vec<u64>) {
        let common = self.office.common();
        let taken = common.taken.get(&self.caller).into_iter().flatten();
        let (new, old): (Vec<&String>, Vec<&String>) = taken.partition(|name| number_of(name).is_some());
        let mut numbers: Vec<u64> = new.into_iter().filter_map(|name| number_of(name)).collect();
        numbers.sort_unstable();
        (old.into_iter().cloned().collect(), numbers)
    }

    /// A caller that this client does not act for; nobody, if there is only one.
    pub fn another_caller(&mut self) -> String {
        let callers = (0..self.office.plan.callers).map(|caller| format!("caller{caller}"));
        let others: Vec<String> = callers.filter(|caller| *caller != self.caller).collect();
        if others.is_empty() { "nobody".to_owned() } else { self.chance.one(&others).clone() }
    }

    /// A token that was given to another caller, if any was.
    pub fn foreign_token(&mut self) -> Option<String> {
        let office = self.office.clone();
        let common = office.common();
        let others: Vec<&String> = common
            .tokens
            .iter()
            .filter(|(caller, _)| *caller != self.caller)
            .map(|(_, token)| token)
            .collect();
        (!others.is_empty()).then(|| (*self.chance.one(&others)).clone())
    }

    /// A value that no other write of the run carries. It begins in a way that nothing else on a disk does.
    pub fn value(&self) -> String {
        format!("plain-{:06}-{}", self.office.values.fetch_add(1, Ordering::Relaxed), self.client)
    }

    /// A text for what is no secret. No other carries it.
    pub fn remark(&self) -> String {
        format!("remark-{:06}", self.office.values.fetch_add(1, Ordering::Relaxed))
    }

    /// A key for a request that may be asked again.
    pub fn key(&mut self) -> String {
        let mut bytes = [0; 8];
        self.chance.fill(&mut bytes);
        format!("k{:016x}", u64::from_le_bytes(bytes))
    }

    /// Any node.
    pub fn any_node(&mut self) -> usize {
        self.chance.below(self.office.plan.nodes as u64) as usize
    }

    /// Asks the node that it asks mostly, or any.
    pub async fn ask(&mut self, ask: Ask) -> Told {
        let any = self.any_node();
        let node = self.home.filter(|_| self.chance.percent(90)).unwrap_or(any);
        self.ask_node(node, ask, None).await
    }

    /// Asks a node, with an idempotency key if there is one.
    pub async fn ask_node(&mut self, node: usize, ask: Ask, key: Option<String>) -> Told {
        let (ask, told) = self.exchange(node, ask, key).await;
        self.learn(&ask, &told);
        told
    }

    /// Asks several things at once, each of its node, and waits for all answers.
    pub async fn ask_at_once(&mut self, asks: Vec<(usize, Ask, Option<String>)>) {
        let begin = |(node, ask, key)| tokio::task::spawn_local(self.exchange(node, ask, key));
        let begun: Vec<_> = asks.into_iter().map(begin).collect();
        for exchange in begun {
            let Ok((ask, told)) = exchange.await else { continue };
            self.learn(&ask, &told);
        }
    }

    /// A request and what comes back, both written down.
    fn exchange(
        &self,
        node: usize,
        ask: Ask,
        key: Option<String>,
    ) -> impl Future<Output = (Ask, Told)> + use<> {
        let (office, client) = (self.office.clone(), self.client);
        let (caller, token) = (self.caller.clone(), self.token.clone());
        async move {
            let call = request::call(&ask).header("idempotency-key", key.clone());
            let op = office.journal.ask(|op| Asked { op, client, caller, node, ask: ask.clone(), key });
            let patience = Duration::from_millis(office.plan.patience_ms);
            let told = client::ask(&format!("node{node}"), &token, &call, patience).await;
            office.journal.tell(op, told.clone());
            (ask, told)
        }
    }

    /// Keeps in mind what an answer says that later requests can use.
    fn learn(&mut self, ask: &Ask, told: &Told) {
        self.learn_taken(ask, told);
        if !told.is_done() {
            return;
        }
        let body = told.body();
        match ask {
            Ask::Create { name, .. } | Ask::Update { name, .. } | Ask::Read { name, owner: None, .. } => {
                if let Some(id) = text(body, "/version/id") {
                    self.seen.insert(name.clone(), id.to_owned());
                }
                if told.status() == Some(202) {
                    self.unsettled.insert(name.clone());
                }
            }
            Ask::Tokenize { values } => {
                for (at, value) in values.iter().enumerate() {
                    let Some(token) = text(body, &format!("/tokens/{at}/token")) else { continue };
                    self.tokens.insert(token.to_owned(), value.clone());
                    self.office.common().tokens.insert((self.caller.clone(), token.to_owned()));
                }
            }
            Ask::History { name } => {
                let versions = body["versions"].as_array().map_or(&[][..], Vec::as_slice);
                if versions.iter().any(|version| version["state"] == "provisional") {
                    self.unsettled.insert(name.clone());
                }
            }
            Ask::Epochs | Ask::Activate { .. } | Ask::DestroyEpoch { .. } => {
                self.epoch = body["active"].as_u64().or(self.epoch);
            }
            _ => {}
        }
    }

    /// Which names are taken: those that were made, or that are said to be.
    fn learn_taken(&self, ask: &Ask, told: &Told) {
        let exists = told.code() == Some("secret_exists");
        let taken: Vec<&str> = match ask {
            Ask::Create { name, .. } if told.is_done() || exists => vec![name],
            Ask::Encrypt { values } if told.is_done() => values.keys().map(String::as_str).collect(),
            Ask::Encrypt { .. } if exists => {
                let names = told.body()["names"].as_array().map_or(&[][..], Vec::as_slice);
                names.iter().filter_map(Value::as_str).collect()
            }
            _ => return,
        };
        let mut common = self.office.common();
        let known = common.taken.entry(self.caller.clone()).or_default();
        known.extend(taken.into_iter().map(str::to_owned));
    }
}

/// The name with a number that is made as the run goes on.
fn new_name(number: u64) -> String {
    format!("new/{number}")
}

fn number_of(name: &str) -> Option<u64> {
    name.strip_prefix("new/")?.parse().ok()
}

/// The key of a `.env` line for a secret's name.
pub fn key_of(name: &str) -> String {
    name.to_uppercase().replace(['/', '-', '.'], "_")
}

/// The value behind a path of a body, as text.
pub fn text<'a>(body: &'a Value, pointer: &str) -> Option<&'a str> {
    body.pointer(pointer).and_then(Value::as_str)
}
