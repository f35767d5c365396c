//! What the machine gives a node: wall time, chance, and a socket to its peers. The only file that reads them;
//! everything else is handed a [`Host`]. It has two homes: the real machine here, and the one that tests and
//! simulation bring. Knows nothing of what the time, the bytes or the socket are for.

use std::{
    io,
    net::{SocketAddr, UdpSocket},
    time::{SystemTime, UNIX_EPOCH},
};

use covault_model::hlc::Millis;
use covault_net::Socket;
use rand::TryRng;

/// Wall time, chance, and sockets.
pub trait Host: Send + Sync + 'static {
    /// Milliseconds since 1970 by the wall clock; it may jump.
    fn now(&self) -> Millis;
    /// Fills `bytes` with what nobody can guess.
    fn fill(&self, bytes: &mut [u8]);
    /// A UDP socket, bound to `at`. To be called inside a tokio runtime. One of this machine, unless the host brings
    /// a network of its own.
    fn udp(&self, at: SocketAddr) -> io::Result<Socket> {
        let socket = UdpSocket::bind(at)?;
        socket.set_nonblocking(true)?;
        Socket::real(socket)
    }
}

/// The machine this process runs on.
#[derive(Debug, Clone, Copy, Default)]
pub struct Machine;

impl Host for Machine {
    fn now(&self) -> Millis {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Millis(since.as_millis() as u64)
    }

    fn fill(&self, bytes: &mut [u8]) {
        rand::rngs::SysRng.try_fill_bytes(bytes).expect("the system's random source answers");
    }
}
