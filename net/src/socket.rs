//! What the endpoint sends and receives through, with the cryptography on it, and draws its chance from. All come in
//! as arguments, so that a simulator can bring its own network. Knows nothing of what is sent.

use std::{
    fmt, io,
    net::UdpSocket,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use quinn::{
    AsyncUdpSocket, ConnectionId, ConnectionIdGenerator, Runtime, TokioRuntime,
    crypto::{CryptoError, HmacKey},
};
use rustls::crypto::CryptoProvider;

use crate::tls::default_provider;

/// Bytes of the ids that connections get: enough never to meet by chance, at any number of restarts.
const CONNECTION_ID_LEN: usize = 16;

/// A bound UDP socket with the runtime that drives it, and what connections over it are encrypted by.
#[derive(Debug)]
pub struct Socket {
    pub(crate) udp: Arc<dyn AsyncUdpSocket>,
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) provider: Arc<CryptoProvider>,
}

impl Socket {
    /// A socket of this machine, already bound. Must be called inside a tokio runtime.
    pub fn real(bound: UdpSocket) -> io::Result<Self> {
        let runtime = Arc::new(TokioRuntime);
        Ok(Self { udp: runtime.wrap_udp_socket(bound)?, runtime, provider: default_provider() })
    }

    /// A socket that somebody else drives, with cryptography whose keys can be repeated.
    pub fn simulated(
        udp: Arc<dyn AsyncUdpSocket>,
        runtime: Arc<dyn Runtime>,
        provider: Arc<CryptoProvider>,
    ) -> Self {
        Self { udp, runtime, provider }
    }
}

/// Fills bytes with what nobody can guess.
pub type Draw = Box<dyn FnMut(&mut [u8]) + Send>;

/// The endpoint's only source of chance, shared by its parts.
#[derive(Clone)]
pub(crate) struct Chance(Arc<Mutex<Draw>>);

impl Chance {
    pub(crate) fn new(fill: Draw) -> Self {
        Self(Arc::new(Mutex::new(fill)))
    }

    pub(crate) fn draw<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        (self.0.lock().unwrap_or_else(PoisonError::into_inner))(&mut bytes);
        bytes
    }
}

impl ConnectionIdGenerator for Chance {
    fn generate_cid(&mut self) -> ConnectionId {
        ConnectionId::new(&self.draw::<CONNECTION_ID_LEN>())
    }

    fn cid_len(&self) -> usize {
        CONNECTION_ID_LEN
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

/// The key of stateless resets (RFC 9000, 10.3), a function of the node's key. With it a node that has
/// restarted can tell its peers at their first packet that their old connection is gone; with a fresh key they
/// would find out by silence only.
pub(crate) struct ResetKey(pub(crate) [u8; 32]);

impl HmacKey for ResetKey {
    fn sign(&self, data: &[u8], signature_out: &mut [u8]) {
        signature_out.copy_from_slice(blake3::keyed_hash(&self.0, data).as_bytes());
    }

    fn signature_len(&self) -> usize {
        blake3::OUT_LEN
    }

    fn verify(&self, data: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        let made = blake3::keyed_hash(&self.0, data);
        // Comparing with a hash takes the same time wherever they differ.
        let holds = <[u8; blake3::OUT_LEN]>::try_from(signature).is_ok_and(|given| made == given);
        if holds { Ok(()) } else { Err(CryptoError) }
    }
}

impl fmt::Debug for Chance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Chance")
    }
}
