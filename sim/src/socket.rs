//! quinn's socket over the simulated network, where packets may be lost or doubled on the way out; turmoil delays,
//! reorders and cuts them off. Knows nothing of what they carry.

use std::{
    fmt,
    future::Future,
    io::{self, IoSliceMut},
    net::{Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use covault_net::Socket;
use futures_util::FutureExt;
use quinn::{
    AsyncUdpSocket, UdpPoller,
    udp::{RecvMeta, Transmit},
};
use turmoil::net::UdpSocket;

use crate::weather::Weather;

type Readable = Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;

/// A UDP socket of a simulated machine.
pub struct SimSocket {
    udp: Arc<UdpSocket>,
    /// Waits for a packet. It holds the socket's lock, so it is let go of before one is read.
    readable: Mutex<Option<Readable>>,
    weather: Weather,
}

impl SimSocket {
    /// Binds one. To be called on a simulated machine.
    pub fn bind(at: SocketAddr, weather: Weather) -> io::Result<Self> {
        let bound = UdpSocket::bind(at).now_or_never();
        let udp = bound.unwrap_or_else(|| Err(io::Error::other("a simulated socket waits for nothing")))?;
        Ok(Self { udp: Arc::new(udp), readable: Mutex::default(), weather })
    }

    /// Binds one at a port that is free.
    pub fn anywhere(weather: Weather) -> io::Result<Self> {
        Self::bind((Ipv4Addr::UNSPECIFIED, 0).into(), weather)
    }

    /// As the product takes it, with cryptography that asks the system for chance.
    pub fn into_socket(self) -> Socket {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        Socket::simulated(Arc::new(self), Arc::new(quinn::TokioRuntime), provider)
    }

    /// Sends a packet, or what is none. Nobody is told what becomes of it.
    pub fn send(&self, destination: SocketAddr, contents: &[u8]) {
        let packet = Transmit { destination, ecn: None, contents, segment_size: None, src_ip: None };
        // What the machine cannot send is lost, as on the way.
        let _ = self.try_send(&packet);
    }

    /// Waits until there is a packet.
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut readable = self.readable.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = readable.get_or_insert_with(|| {
            let udp = self.udp.clone();
            Box::pin(async move { udp.readable().await })
        });
        let outcome = ready!(waiting.as_mut().poll(cx));
        *readable = None;
        Poll::Ready(outcome)
    }

    /// Reads what is there; how many packets that was.
    fn take(&self, into: &mut [IoSliceMut<'_>], meta: &mut [RecvMeta]) -> io::Result<usize> {
        let mut taken = 0;
        for (room, about) in into.iter_mut().zip(meta) {
            match self.udp.try_recv_from(room) {
                Ok((len, addr)) => *about = RecvMeta { addr, len, stride: len, ecn: None, dst_ip: None },
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
            taken += 1;
        }
        Ok(taken)
    }
}

impl AsyncUdpSocket for SimSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(AlwaysWritable)
    }

    fn try_send(&self, packet: &Transmit<'_>) -> io::Result<()> {
        for _ in 0..self.weather.copies(self.udp.local_addr()?, packet) {
            match self.udp.try_send_to(packet.contents, packet.destination) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(error),
                // Who sends to a machine that is not there is told nothing.
                _ => {}
            }
        }
        Ok(())
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        into: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.poll_readable(cx))?;
            let taken = self.take(into, meta)?;
            if taken > 0 {
                return Poll::Ready(Ok(taken));
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.udp.local_addr()
    }

    fn may_fragment(&self) -> bool {
        false
    }
}

impl fmt::Debug for SimSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SimSocket")
    }
}

#[derive(Debug)]
struct AlwaysWritable;

impl UdpPoller for AlwaysWritable {
    fn poll_writable(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
