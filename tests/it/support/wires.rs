//! The wires between the nodes of a cluster: every packet from one node to another passes a relay that can hold it
//! up, lose it or cut the wire, each direction by itself. No rights are needed for it, and any network will do, loopback too.
//! Each node says that it is reached at a relay of its own, which tells senders apart by the addresses they send
//! from, and passes their packets on from one address for each:
//!
//! ```text
//! node A ──► relay of B ──► address for A ──► node B
//!        ◄──            ◄──               ◄──          what B answers, under the weather from B to A
//! ```
//!
//! Who is no node of the cluster (one that joins) passes unharmed. Knows nothing of what is in the packets.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{net::UdpSocket, runtime::Runtime, task::JoinSet, time::sleep};

use super::Chance;

/// The largest packet there is on loopback.
const PACKET_BYTES_MAX: usize = 65_535;

/// What becomes of packets in one direction.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wire {
    /// None arrives.
    pub cut: bool,
    /// So many of a hundred are lost.
    pub loss_percent: u64,
    /// Each arrives later by so much.
    pub delay: Duration,
}

impl Wire {
    /// Nothing arrives.
    pub const CUT: Self = Self { cut: true, loss_percent: 0, delay: Duration::ZERO };

    /// Everything arrives, but so many milliseconds later.
    pub const fn slow(millis: u64) -> Self {
        Self { cut: false, loss_percent: 0, delay: Duration::from_millis(millis) }
    }

    /// Whether packets are lost on it.
    pub fn loses(&self) -> bool {
        self.cut || 0 < self.loss_percent
    }

    /// So many of a hundred packets do not arrive.
    pub const fn lossy(percent: u64) -> Self {
        Self { cut: false, loss_percent: percent, delay: Duration::ZERO }
    }
}

/// Where a node listens, and where the others are told that it is reached.
#[derive(Debug, Clone, Copy)]
pub struct Ends {
    /// Where it listens, and sends from.
    pub node: SocketAddr,
    /// Its relay.
    pub relay: SocketAddr,
}

/// All wires between the nodes of a cluster.
pub struct Wires {
    weather: Arc<Weather>,
    /// Carries the packets until it is dropped.
    _runtime: Runtime,
}

struct Weather {
    ends: Vec<Ends>,
    /// From each place to each.
    wires: Mutex<Vec<Vec<Wire>>>,
    chance: Mutex<Chance>,
    lost: AtomicU64,
}

impl Wires {
    /// Lays them, all whole. `seed` decides which packets are lost when some are.
    pub fn lay(ends: Vec<Ends>, seed: u64) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("threads can be started");
        let weather = Arc::new(Weather::between(ends, seed));
        for place in 0..weather.ends.len() {
            let relay = runtime.block_on(Relay::open(place, weather.clone()));
            runtime.spawn(relay.run());
        }
        Self { weather, _runtime: runtime }
    }

    /// From now on those wires that `which` chooses, by the places they lead from and to, are like this one.
    pub fn set(&self, wire: Wire, which: impl Fn(usize, usize) -> bool) {
        for (from, row) in self.weather.wires.lock().unwrap().iter_mut().enumerate() {
            row.iter_mut().enumerate().filter(|(to, _)| which(from, *to)).for_each(|(_, held)| *held = wire);
        }
    }

    /// From now on all wires are whole.
    pub fn heal(&self) {
        self.set(Wire::default(), |_, _| true);
    }

    /// How many packets did not arrive so far.
    pub fn lost(&self) -> u64 {
        self.weather.lost.load(Ordering::SeqCst)
    }
}

impl Weather {
    fn between(ends: Vec<Ends>, seed: u64) -> Self {
        let wires = Mutex::new(vec![vec![Wire::default(); ends.len()]; ends.len()]);
        Self { ends, wires, chance: Mutex::new(Chance::of(seed)), lost: AtomicU64::new(0) }
    }

    /// The node that sends from this address.
    fn place_of(&self, address: SocketAddr) -> Option<usize> {
        self.ends.iter().position(|ends| ends.node == address)
    }

    /// How much later a packet arrives; none if it does not.
    fn fate(&self, from: Option<usize>, to: Option<usize>) -> Option<Duration> {
        let (Some(from), Some(to)) = (from, to) else { return Some(Duration::ZERO) };
        let wire = self.wires.lock().unwrap()[from][to];
        self.fate_on(wire)
    }

    fn fate_on(&self, Wire { cut, loss_percent, delay }: Wire) -> Option<Duration> {
        let lost = cut || (0 < loss_percent && self.chance.lock().unwrap().below(100) < loss_percent);
        self.lost.fetch_add(u64::from(lost), Ordering::SeqCst);
        (!lost).then_some(delay)
    }
}

/// What stands before one node.
struct Relay {
    place: usize,
    door: Arc<UdpSocket>,
    weather: Arc<Weather>,
    /// The address from which each sender's packets are passed on.
    behind: HashMap<SocketAddr, Arc<UdpSocket>>,
    /// What carries answers back to each of them.
    backwards: JoinSet<()>,
}

impl Relay {
    async fn open(place: usize, weather: Arc<Weather>) -> Self {
        let door = UdpSocket::bind(weather.ends[place].relay).await.expect("the relay's port is free");
        Self { place, door: Arc::new(door), weather, behind: HashMap::new(), backwards: JoinSet::new() }
    }

    async fn run(mut self) {
        let mut packet = vec![0; PACKET_BYTES_MAX];
        loop {
            // An error is the echo of an earlier packet that nobody took.
            let Ok((length, sender)) = self.door.recv_from(&mut packet).await else { continue };
            let fate = self.weather.fate(self.weather.place_of(sender), Some(self.place));
            let Some(delay) = fate else { continue };
            let behind = self.behind_of(sender).await;
            let node = self.weather.ends[self.place].node;
            pass(behind, node, &packet[..length], delay).await;
        }
    }

    async fn behind_of(&mut self, sender: SocketAddr) -> Arc<UdpSocket> {
        if let Some(known) = self.behind.get(&sender) {
            return known.clone();
        }
        let behind = UdpSocket::bind("0.0.0.0:0").await.expect("a free port");
        let behind = Arc::new(behind);
        self.behind.insert(sender, behind.clone());
        let (place, door, weather) = (self.place, self.door.clone(), self.weather.clone());
        self.backwards.spawn(carry_back(place, sender, behind.clone(), door, weather));
        behind
    }
}

/// Carries to `receiver` what the node at `place` answers it.
async fn carry_back(
    place: usize,
    receiver: SocketAddr,
    behind: Arc<UdpSocket>,
    door: Arc<UdpSocket>,
    weather: Arc<Weather>,
) {
    let mut packet = vec![0; PACKET_BYTES_MAX];
    loop {
        let Ok((length, _)) = behind.recv_from(&mut packet).await else { continue };
        if let Some(delay) = weather.fate(Some(place), weather.place_of(receiver)) {
            pass(door.clone(), receiver, &packet[..length], delay).await;
        }
    }
}

/// Sends a packet, at once or later.
async fn pass(socket: Arc<UdpSocket>, to: SocketAddr, packet: &[u8], delay: Duration) {
    if delay.is_zero() {
        // As on any network: what cannot be sent is lost.
        let _ = socket.send_to(packet, to).await;
        return;
    }
    let packet = packet.to_vec();
    tokio::spawn(async move {
        sleep(delay).await;
        let _ = socket.send_to(&packet, to).await;
    });
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket as Socket;

    use super::{super::eventually, *};

    /// Two ends that are sockets of the test, with the wires between them.
    fn two() -> ([Socket; 2], Vec<Ends>, Wires) {
        let free = || Socket::bind("127.0.0.1:0").unwrap();
        let nodes = [free(), free()];
        let address = |socket: &Socket| socket.local_addr().unwrap();
        let ends: Vec<_> =
            nodes.iter().map(|node| Ends { node: address(node), relay: address(&free()) }).collect();
        let wires = Wires::lay(ends.clone(), 1);
        nodes.iter().for_each(|node| node.set_read_timeout(Some(super::super::PATIENCE)).unwrap());
        (nodes, ends, wires)
    }

    fn hears(node: &Socket) -> (String, SocketAddr) {
        let mut packet = [0; 16];
        let (length, sender) = node.recv_from(&mut packet).unwrap();
        (String::from_utf8_lossy(&packet[..length]).into_owned(), sender)
    }

    #[test]
    fn an_answer_comes_back_from_where_the_question_was_sent() {
        let ([a, b], ends, _wires) = two();
        a.send_to(b"question", ends[1].relay).unwrap();
        let (question, asker) = hears(&b);
        b.send_to(b"answer", asker).unwrap();
        assert_eq!((question.as_str(), hears(&a)), ("question", ("answer".to_owned(), ends[1].relay)));
    }

    #[test]
    fn a_wire_that_is_cut_in_one_direction_carries_the_other() {
        let ([a, b], ends, wires) = two();
        wires.set(Wire::CUT, |from, _| from == 0);
        a.send_to(b"never", ends[1].relay).unwrap();
        eventually("the packet to be lost", || (wires.lost() == 1).then_some(()));
        b.send_to(b"to a", ends[0].relay).unwrap();
        assert_eq!(hears(&a).0, "to a");
        wires.heal();
        a.send_to(b"whole again", ends[1].relay).unwrap();
        assert_eq!(hears(&b).0, "whole again");
    }

    #[test]
    fn the_same_seed_loses_the_same_packets() {
        let lost = |seed| {
            let weather = Weather::between(vec![], seed);
            let fate = |_| weather.fate_on(Wire::lossy(5)).is_none();
            (0..2000).map(fate).collect::<Vec<_>>()
        };
        assert_eq!(lost(1), lost(1));
        assert_ne!(lost(1), lost(2));
        let count = lost(1).into_iter().filter(|lost| *lost).count();
        assert!((50..150).contains(&count), "{count} of 2000 at five of a hundred");
    }

    #[test]
    fn a_slow_wire_carries_everything_later() {
        let weather = Weather::between(vec![], 1);
        assert_eq!(weather.fate_on(Wire::slow(150)), Some(Duration::from_millis(150)));
        assert_eq!(weather.fate_on(Wire::CUT), None);
    }
}
