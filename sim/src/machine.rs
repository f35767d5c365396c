//! One simulated machine: its disk, its clock, and the node that runs on it, with the product's own start, peers, HTTP
//! and stop. It founds the cluster or joins it with a token that the operator put down for it. Knows nothing of when it
//! is harmed.

use std::{
    fs::DirBuilder,
    io, mem,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, AtomicU32, Ordering},
    },
    time::Duration,
};

use covault::{
    api::{Api, Behind, Listener, RequestLimits, ServerLimits, Workers, serve},
    consensus::ConsensusConfig,
    host::Host,
    node::{Node, NodeConfig, QuicConfig, join},
};
use covault_model::{hlc::Millis, invitation::JoinToken};
use covault_net::Socket;
use covault_seal::KeyringSource;
use covault_store::WriterMode;
use turmoil::net::{TcpListener, TcpStream};

use crate::{
    chance::Chance,
    disk::Disk,
    journal::{self, Journal},
    plan::Plan,
    socket::SimSocket,
    story::What,
    weather::Weather,
};

/// Where a node listens for HTTP.
pub const HTTP_PORT: u16 = 8400;
/// And where for its peers.
pub const QUIC_PORT: u16 = 8401;
/// What the wall clocks say when a world begins, in milliseconds since 1970.
pub const EPOCH_MS: u64 = 1_800_000_000_000;
/// The largest a node's data may grow to.
const MAP_BYTES: usize = 256 << 20;
/// Mappings that are filed together: few, so that some are being filed most of the time.
const PILE_MAX: usize = 16;
/// A node of the product searches once a minute; in a world each is to do so a few times after all was made good.
const SEARCH_EVERY: Duration = Duration::from_secs(15);
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// A node that leads for less goes unseen.
const LOOK_FOR_REIGNS_EVERY: Duration = Duration::from_millis(100);

/// A machine; clones are the same one.
#[derive(Clone)]
pub struct Machine(Arc<Parts>);

struct Parts {
    place: usize,
    data: PathBuf,
    disk: Disk,
    keys: PathBuf,
    seed: u64,
    entries_per_snapshot: u64,
    /// How far apart the nodes are told that they are.
    round_trip_ms: u16,
    /// How far its clock is off, in milliseconds.
    skew_ms: AtomicI64,
    boots: AtomicU32,
    weather: Weather,
    journal: Journal,
    papers: Mutex<Papers>,
}

/// What the operator and the machine leave for each other.
#[derive(Default)]
struct Papers {
    /// With which it may join, in the order in which they were put down. Which of them let it in the operator cannot always
    /// know, and no other does so again.
    tokens: Vec<String>,
    /// Whether it is to found the cluster.
    founds: bool,
    /// The first admin's token, once it has.
    admin: Option<String>,
    /// Whether it is to stop.
    stop: bool,
    /// The node's id, in hexadecimal, once it runs.
    node: Option<String>,
    /// Whether it serves.
    serves: bool,
    /// The id of a node that was lost with its disk, and is to be replaced.
    lost: Option<String>,
    /// The id of the node that is to be taken away while it runs.
    leaving: Option<String>,
    /// Whether that was done.
    gone: bool,
    /// Whether a new node is to join here.
    vacant: bool,
}

impl Papers {
    /// The token that is to be shown after so many starts.
    fn token(&self, boot: u32) -> Option<&str> {
        let turn = boot as usize % self.tokens.len().max(1);
        self.tokens.get(turn).map(String::as_str)
    }
}

impl Machine {
    /// The machine at `place`, with its files under `root`. The first founds the cluster.
    pub fn new(
        plan: &Plan,
        place: usize,
        root: &Path,
        weather: Weather,
        journal: Journal,
    ) -> io::Result<Self> {
        let data = root.join(format!("node{place}"));
        DirBuilder::new().mode(0o700).create(&data)?;
        Ok(Self(Arc::new(Parts {
            place,
            disk: Disk::at(&data)?,
            data,
            keys: root.join("master.keys"),
            seed: plan.seed,
            entries_per_snapshot: plan.entries_per_snapshot,
            round_trip_ms: (2 * plan.latency_ms.1).max(50) as u16,
            skew_ms: AtomicI64::new(plan.skews_ms[place]),
            boots: AtomicU32::new(0),
            weather,
            journal,
            papers: Mutex::new(Papers { founds: place == 0, ..Papers::default() }),
        })))
    }

    /// Its name in the network.
    pub fn name(&self) -> String {
        format!("node{}", self.0.place)
    }

    /// Its place, from 0.
    pub fn place(&self) -> usize {
        self.0.place
    }

    /// Its files.
    pub fn data(&self) -> &Path {
        &self.0.data
    }

    /// What was said of its files, without the folder that they are in: each run has one of its own, and is to be told in
    /// the same words.
    pub fn without_folder(&self, said: &str) -> String {
        let root = self.0.data.parent().unwrap_or(Path::new("/"));
        said.replace(&format!("{}/", root.display()), "")
    }

    /// Its disk.
    pub fn disk(&self) -> &Disk {
        &self.0.disk
    }

    /// The cluster's master keys.
    pub fn keys(&self) -> &Path {
        &self.0.keys
    }

    /// How it is to run: once, and after each start again.
    pub async fn run(self) -> turmoil::Result {
        let boot = self.0.boots.fetch_add(1, Ordering::Relaxed);
        {
            let mut papers = self.papers();
            (papers.stop, papers.serves) = (false, false);
        }
        let ended = self.serve(boot).await;
        self.papers().serves = false;
        match ended {
            Ok(()) => self.0.journal.note(What::Stopped { node: self.0.place }),
            Err(why) => {
                self.0.journal.note(What::Failed { node: self.0.place, why: self.without_folder(&why) });
            }
        }
        Ok(())
    }

    async fn serve(&self, boot: u32) -> Result<(), String> {
        let host: Arc<dyn Host> = Arc::new(self.host(boot));
        let config = self.config();
        if !config.create && !self.0.data.join("data.mdb").exists() {
            // A process of its own, which ends; the next one is the node's.
            return self.join(&config, &host, boot).await;
        }
        let mut node = Node::start(config.clone(), host.clone()).await.map_err(|error| error.to_string())?;
        if let Some(founded) = node.take_founded() {
            let token = String::from_utf8_lossy(founded.token.expose_plaintext()).into_owned();
            self.papers().admin = Some(token);
        }
        let api = api(&node, &config, &*host);
        node.serve_apis(api.serving(node.vault()));
        let listener = TcpListener::bind((IpAddr::V4(Ipv4Addr::UNSPECIFIED), HTTP_PORT)).await;
        let listener = Door(listener.map_err(|error| error.to_string())?);
        {
            let mut papers = self.papers();
            (papers.node, papers.serves, papers.founds) =
                (Some(node.vault().node().to_string()), true, false);
        }
        self.0.journal.note(What::Serves { node: self.0.place, boot });
        let mut failed = None;
        let stop = async {
            tokio::select! {
                biased;
                why = node.failed() => failed = Some(why),
                () = self.told_to_stop() => node.hand_over().await,
            }
        };
        tokio::select! {
            biased;
            _ = serve(&api, listener, None, limits(), Workers::here(), stop) => {}
            () = self.note_reigns(&node) => {}
        }
        node.stop().await;
        failed.map_or(Ok(()), Err)
    }

    /// Writes down each term in which the node says of itself that it leads.
    async fn note_reigns(&self, node: &Node) {
        let (vault, mut last) = (node.vault(), None);
        loop {
            tokio::time::sleep(LOOK_FOR_REIGNS_EVERY).await;
            let Some(term) = vault.reign() else { continue };
            if last != Some(term) {
                last = Some(term);
                self.0.journal.note(What::Leads { node: self.0.place, term });
            }
        }
    }

    /// Has the node taken in, once there is a token for it; of several it shows another one after each start.
    async fn join(&self, config: &NodeConfig, host: &Arc<dyn Host>, boot: u32) -> Result<(), String> {
        let quic = config.quic.ok_or("a simulated node has peers")?;
        loop {
            let token = self.papers().token(boot).and_then(JoinToken::parse);
            if let Some(token) = token {
                return join(&self.0.data, &token, quic, host.clone())
                    .await
                    .map(drop)
                    .map_err(|error| error.to_string());
            }
            if self.papers().stop {
                return Ok(());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn told_to_stop(&self) {
        while !self.papers().stop {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Tells it to stop in order.
    pub fn stop(&self) {
        let mut papers = self.papers();
        (papers.stop, papers.serves) = (true, false);
    }

    /// Puts down a token with which it may join.
    pub fn invite(&self, token: String) {
        self.papers().tokens.push(token);
    }

    /// The first admin's token, on the machine that founded.
    pub fn admin(&self) -> Option<String> {
        self.papers().admin.clone()
    }

    /// The id of its node, once that has served.
    pub fn node(&self) -> Option<String> {
        self.papers().node.clone()
    }

    /// Whether its node serves.
    pub fn serves(&self) -> bool {
        self.papers().serves
    }

    /// Its node is lost with its disk, and is to be replaced.
    pub fn lose(&self) {
        let mut papers = self.papers();
        (papers.lost, papers.serves) = (papers.node.take(), false);
        papers.tokens.clear();
    }

    /// The id of the node that was lost here, once.
    pub fn take_lost(&self) -> Option<String> {
        self.papers().lost.take()
    }

    /// Its node is to be taken away while it runs.
    pub fn leave(&self) {
        let mut papers = self.papers();
        papers.leaving = papers.node.clone();
    }

    /// The id of the node that is to be taken away here, once.
    pub fn take_leaving(&self) -> Option<String> {
        self.papers().leaving.take()
    }

    /// Its node was taken away.
    pub fn let_go(&self) {
        self.papers().gone = true;
    }

    /// Whether its node was taken away, and still runs.
    pub fn is_gone(&self) -> bool {
        self.papers().gone
    }

    /// What was here is put away, and a new node is to join.
    pub fn clear(&self) {
        let mut papers = self.papers();
        (papers.node, papers.gone, papers.vacant) = (None, false, true);
        papers.tokens.clear();
    }

    /// Whether a new node is to join here, once.
    pub fn take_vacant(&self) -> bool {
        mem::take(&mut self.papers().vacant)
    }

    /// It has lost power.
    pub fn goes_down(&self) {
        self.papers().serves = false;
    }

    /// From now on its clock is off by so much more.
    pub fn step_clock(&self, by_ms: i64) {
        self.0.skew_ms.fetch_add(by_ms, Ordering::Relaxed);
    }

    fn papers(&self) -> MutexGuard<'_, Papers> {
        self.0.papers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn host(&self, boot: u32) -> SimHost {
        let chance = Chance::of(self.0.seed, &format!("node {} boot {boot}", self.0.place));
        SimHost { machine: self.clone(), chance: Mutex::new(chance) }
    }

    fn config(&self) -> NodeConfig {
        let own = turmoil::lookup(self.name());
        let founds = self.papers().founds;
        NodeConfig {
            create: founds,
            keyring: KeyringSource::File(self.0.keys.clone()),
            map_bytes: MAP_BYTES,
            writer: WriterMode::Inline,
            pile_max: PILE_MAX,
            search_every: SEARCH_EVERY,
            consensus: ConsensusConfig {
                own_thread: false,
                entries_per_snapshot: self.0.entries_per_snapshot,
                entries_kept: self.0.entries_per_snapshot / 2,
                ..ConsensusConfig::default()
            },
            quic: Some(QuicConfig {
                advertise: Some(SocketAddr::new(own, QUIC_PORT)),
                round_trip_ms: self.0.round_trip_ms,
                ..QuicConfig::at((Ipv4Addr::UNSPECIFIED, QUIC_PORT).into())
            }),
            ..NodeConfig::at(&self.0.data)
        }
    }
}

fn api(node: &Node, config: &NodeConfig, host: &dyn Host) -> Api {
    let mut prefix = [0; 4];
    host.fill(&mut prefix);
    let limits = RequestLimits { time: Duration::from_secs(10), value_bytes_max: config.value_bytes_max };
    Api::new(Behind::Here(node.vault().clone()), limits, u32::from_le_bytes(prefix))
}

fn limits() -> ServerLimits {
    let time = Duration::from_secs(10);
    ServerLimits { connections_max: 256, handshake: time, head: time, drain: time }
}

/// The machine as its node sees it.
struct SimHost {
    machine: Machine,
    chance: Mutex<Chance>,
}

impl Host for SimHost {
    fn now(&self) -> Millis {
        let skew = self.machine.0.skew_ms.load(Ordering::Relaxed);
        let now = EPOCH_MS + journal::now().as_millis() as u64;
        Millis(now.saturating_add_signed(skew))
    }

    fn fill(&self, bytes: &mut [u8]) {
        self.chance.lock().unwrap_or_else(PoisonError::into_inner).fill(bytes);
    }

    fn udp(&self, at: SocketAddr) -> io::Result<Socket> {
        Ok(SimSocket::bind(at, self.machine.0.weather.clone())?.into_socket())
    }
}

/// The way in for HTTP.
struct Door(TcpListener);

impl Listener for Door {
    type Accepted = TcpStream;
    type Stream = TcpStream;

    async fn accept(&mut self) -> io::Result<TcpStream> {
        Ok(self.0.accept().await?.0)
    }

    fn open(accepted: TcpStream) -> io::Result<TcpStream> {
        Ok(accepted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_token_that_was_put_down_has_its_turn() {
        let mut papers = Papers::default();
        assert_eq!(papers.token(0), None);
        papers.tokens = vec!["first".into(), "second".into()];
        assert_eq!([4, 5, 6].map(|boot| papers.token(boot)), [Some("first"), Some("second"), Some("first")]);
    }

    #[test]
    fn what_is_said_of_files_is_the_same_in_every_folder() {
        let says = || {
            let root = tempfile::tempdir().expect("a folder");
            let (plan, journal) = (Plan::draw(1), Journal::default());
            let weather = Weather::new(Chance::of(1, "weather"), journal.clone(), plan.lost, plan.doubled);
            let machine = Machine::new(&plan, 0, root.path(), weather, journal).expect("a machine");
            let (data, keys) = (machine.data().display(), machine.keys().display());
            machine.without_folder(&format!("{data} holds no vault, {keys} no keys"))
        };
        assert_eq!([says(), says()], ["node0 holds no vault, master.keys no keys"; 2]);
    }
}
