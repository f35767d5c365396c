//! Hosts of their own for the nodes of a cluster: network namespaces, each with two cables to a router, on which the
//! test is. Over one cable the host reaches its peers, over the other it is asked by clients, so that a node that
//! is cut off from its peers can still be asked:
//!
//! ```text
//!              ┌──────────── router: the test, its clients, its relays ────────────┐
//!              │ 10.77.0.1          10.78.0.1  │  10.77.1.1          10.78.1.1     │ …
//!   peers ─────┘                         │     └───── peers                 │
//!   10.77.0.2   host 0, clients 10.78.0.2┘            10.77.1.2   host 1, … ┘
//! ```
//!
//! It takes the right to make namespaces, and `unshare` and `ip`; whoever lacks them gets the reason. Nothing is left
//! behind: a namespace ends with whoever holds it, the test and the processes on it. Knows nothing of nodes.

use std::{
    fs::File,
    io::{Read, Write},
    net::Ipv4Addr,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    process::{Command, Stdio},
};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// So many hosts around a router. Whoever has laid it is on the router until it goes, with all threads and processes
/// that it starts meanwhile.
pub struct Hosts {
    /// Where the thread was before.
    home: OwnedFd,
    router: OwnedFd,
    hosts: Vec<OwnedFd>,
}

impl Hosts {
    /// Lays so many hosts, all cables plugged in, and moves this thread to the router.
    ///
    /// # Errors
    ///
    /// Why there can be none here, in words.
    pub fn lay(count: usize) -> Result<Self, String> {
        let home = File::open("/proc/thread-self/ns/net").map_err(|error| error.to_string())?;
        let mut laid = Self { home: home.into(), router: namespace()?, hosts: Vec::new() };
        enter(&laid.router)?;
        attempt("ip link set lo up")?;
        // Not every system has what the faults are made with.
        for change in ["add", "del"] {
            attempt(&dropping(change, "from", address(77, 0, 2)))?;
            attempt(&narrowing(change, "lo"))?;
        }
        for place in 0..count {
            laid.hosts.push(namespace()?);
            laid.plug_in(place)?;
        }
        Ok(laid)
    }

    fn plug_in(&self, place: usize) -> Result<(), String> {
        let host = format!("/proc/{}/fd/{}", std::process::id(), self.hosts[place].as_raw_fd());
        for (name, net) in [("peers", 77), ("clients", 78)] {
            attempt(&format!("ip link add {name}-{place} type veth peer name {name} netns {host}"))?;
            attempt(&format!("ip addr add 10.{net}.{place}.1/24 dev {name}-{place}"))?;
            attempt(&format!("ip link set {name}-{place} up"))?;
            self.on(place, || {
                attempt(&format!("ip addr add 10.{net}.{place}.2/24 dev {name}"))?;
                attempt(&format!("ip link set {name} up"))
            })?;
        }
        self.on(place, || {
            attempt("ip link set lo up")?;
            attempt(&format!("ip route add default via {}", self.router(place)))
        })?;
        Ok(())
    }

    /// Does something on the host: what is started in there runs on it, what is opened in there is open to it.
    pub fn on<T>(&self, place: usize, act: impl FnOnce() -> T) -> T {
        let _back = Back(self.router.as_fd());
        enter(&self.hosts[place]).expect("the host is there");
        act()
    }

    /// Where the host is reached by its peers.
    pub fn peers(&self, place: usize) -> Ipv4Addr {
        address(77, place, 2)
    }

    /// Where the host is reached by clients.
    pub fn clients(&self, place: usize) -> Ipv4Addr {
        address(78, place, 2)
    }

    /// The router's end of the cable to the host's peers.
    pub fn router(&self, place: usize) -> Ipv4Addr {
        address(77, place, 1)
    }

    /// From now on the router passes packets from host to host by itself.
    pub fn forward(&self) {
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").expect("the router is the test's");
    }

    /// Pulls the cable to the host's peers out of the router, or plugs it in again. The host's interface loses its
    /// carrier, and keeps address and routes.
    pub fn pull(&self, place: usize, out: bool) {
        run(&format!("ip link set peers-{place} {}", if out { "down" } else { "up" }));
    }

    /// Takes the host's interface to its peers down, with its routes, so that the host itself refuses to send; or
    /// brings it up again as it was.
    pub fn down(&self, place: usize, down: bool) {
        self.on(place, || match down {
            true => run("ip link set peers down"),
            false => {
                run("ip link set peers up");
                run(&format!("ip route add default via {}", self.router(place)));
            }
        });
    }

    /// The router drops what comes from the host, or passes it on again.
    pub fn drop_from(&self, place: usize, drop: bool) {
        run(&dropping(change(drop), "from", self.peers(place)));
    }

    /// The router drops what is for the host, or passes it on again.
    pub fn drop_to(&self, place: usize, drop: bool) {
        run(&dropping(change(drop), "to", self.peers(place)));
    }

    /// The cable to the host's peers carries two megabits a second in each direction, with a queue that holds what it
    /// carries in 50 ms and drops the rest; or as much as there is again.
    pub fn narrow(&self, place: usize, narrow: bool) {
        run(&narrowing(change(narrow), &format!("peers-{place}")));
        self.on(place, || run(&narrowing(change(narrow), "peers")));
    }

    /// How many packets for the host did not fit the queue before its narrow cable.
    pub fn dropped(&self, place: usize) -> u64 {
        let told = attempt(&format!("tc -s qdisc show dev peers-{place} root")).expect("tc shows queues");
        let after = told.split_once("dropped ").map(|(_, after)| after);
        let digits = after.and_then(|after| after.split(',').next()?.parse().ok());
        digits.unwrap_or_else(|| panic!("no count of the dropped in {told}"))
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        enter(&self.home).expect("where the thread came from is there still");
    }
}

/// Moves the thread back, also when what it did failed.
struct Back<'a>(BorrowedFd<'a>);

impl Drop for Back<'_> {
    fn drop(&mut self) {
        enter(&self.0).expect("the router is there");
    }
}

fn address(net: u8, place: usize, end: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, net, u8::try_from(place).expect("a handful of hosts"), end)
}

fn change(add: bool) -> &'static str {
    if add { "add" } else { "del" }
}

fn dropping(change: &str, which: &str, address: Ipv4Addr) -> String {
    format!("ip rule {change} {which} {address} blackhole")
}

fn narrowing(change: &str, interface: &str) -> String {
    format!("tc qdisc {change} dev {interface} root tbf rate 2mbit burst 5kb latency 50ms")
}

/// A new network namespace. One that nobody is in ends unless somebody holds it.
fn namespace() -> Result<OwnedFd, String> {
    let mut first = Command::new("unshare");
    first.args(["--net", "--", "cat"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut first = first.spawn().map_err(|error| format!("unshare: {error}"))?;
    let said = (|| {
        // Its echo shows that it is in there.
        first.stdin.as_mut().expect("stdin is piped").write_all(b".")?;
        first.stdout.as_mut().expect("stdout is piped").read_exact(&mut [0])?;
        File::open(format!("/proc/{}/ns/net", first.id()))
    })();
    let ended = first.wait_with_output().map_err(|error| error.to_string())?;
    let held = said.map_err(|_| String::from_utf8_lossy(&ended.stderr).trim().to_owned())?;
    Ok(held.into())
}

fn enter(space: &impl AsFd) -> Result<(), String> {
    let moved = move_into_link_name_space(space.as_fd(), Some(LinkNameSpaceType::Network));
    moved.map_err(|error| format!("entering a network namespace: {error}"))
}

/// What the command says when it has done its work.
fn attempt(command: &str) -> Result<String, String> {
    let mut words = command.split(' ');
    let program = words.next().expect("a command");
    let done = Command::new(program).args(words).output();
    let done = done.map_err(|error| format!("{program}: {error}"))?;
    match done.status.success() {
        true => Ok(String::from_utf8_lossy(&done.stdout).into_owned()),
        false => Err(format!("{command}: {}", String::from_utf8_lossy(&done.stderr).trim())),
    }
}

fn run(command: &str) {
    attempt(command).unwrap_or_else(|error| panic!("{error}"));
}

#[cfg(test)]
mod tests {
    use std::{fs::read_link, net::UdpSocket, path::PathBuf};

    use super::{
        super::{PATIENCE, eventually},
        *,
    };

    fn here() -> PathBuf {
        read_link("/proc/thread-self/ns/net").unwrap()
    }

    /// As far as a shell can tell.
    fn there_can_be_some() -> bool {
        let probe = "ip link add one type veth peer name other && ip rule add from 10.0.0.1 blackhole \
                     && tc qdisc add dev lo root tbf rate 2mbit burst 5kb latency 50ms";
        Command::new("unshare").args(["--net", "--", "sh", "-c", probe]).status().is_ok_and(|it| it.success())
    }

    #[test]
    fn wherever_a_shell_can_make_what_hosts_are_made_of_there_are_some() {
        let (before, possible) = (here(), there_can_be_some());
        let laid = Hosts::lay(2);
        assert_eq!(laid.is_ok(), possible, "{:?}", laid.err());
        let during = here();
        assert_eq!(during != before, laid.is_ok(), "the test is on the router");
        drop(laid);
        assert_eq!(here(), before, "it is back where it was");
    }

    #[test]
    fn a_packet_goes_from_host_to_host_once_the_router_passes_it_on_and_until_it_drops_it() {
        let Ok(hosts) = Hosts::lay(2) else { return };
        let open = |place| hosts.on(place, || UdpSocket::bind((hosts.peers(place), 8401)).unwrap());
        let (a, b) = (open(0), open(1));
        b.set_read_timeout(Some(PATIENCE)).unwrap();
        let hears = |wanted: &[u8]| {
            let mut packet = [0; 16];
            let length = b.recv(&mut packet).unwrap();
            assert_eq!(&packet[..length], wanted);
        };
        let send = |packet: &[u8]| a.send_to(packet, (hosts.peers(1), 8401));
        send(b"not passed on").unwrap();
        hosts.forward();
        send(b"passed on").unwrap();
        hears(b"passed on");
        hosts.drop_from(0, true);
        send(b"dropped").unwrap();
        hosts.drop_from(0, false);
        hosts.down(0, true);
        assert!(send(b"no way").is_err(), "its interface is down");
        hosts.down(0, false);
        eventually("the interface to be up", || send(b"passed on again").ok());
        hears(b"passed on again");
    }
}
