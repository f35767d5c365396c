//! How an API process comes to speak with nodes: its key, the one lock on its directory, and an endpoint that only
//! dials. Knows nothing of what is asked.

use std::{
    fs::{File, TryLockError},
    io,
    net::{Ipv4Addr, Ipv6Addr},
    path::{Path, PathBuf},
    sync::Arc,
};

use covault_model::id::ClusterId;
use covault_net::{Doors, Endpoint, IdentityError, Limits, NODE_KEY_FILE, NodeIdentity, Setup, Trust};

use super::{Known, VAULTS_FILE};
use crate::host::Host;

/// Why an API process does not start. Every text is for the operator.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// It was never let in.
    #[error("{0} holds no API process that a cluster has let in; `covault join --api` makes one")]
    NotEnrolled(PathBuf),
    /// The file is not what was written.
    #[error("{0} is not what covault wrote: join anew in an empty directory")]
    Malformed(PathBuf),
    /// Another process has the directory.
    #[error("another process has {0}; each API process needs a directory, and an invitation, of its own")]
    Taken(PathBuf),
    /// Its own key.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The socket for nodes.
    #[error("there is no socket to speak with nodes: {0}")]
    Socket(String),
    /// The directory.
    #[error("{0} cannot be read: {1}")]
    Directory(PathBuf, io::Error),
}

/// What an API process keeps in its directory.
pub(super) struct Kept {
    pub identity: NodeIdentity,
    pub known: Known,
    /// Held for as long as the process has the directory.
    pub lock: File,
}

impl Kept {
    /// Takes the directory, which no other process may have.
    pub fn take(data: &Path) -> Result<Self, StartError> {
        let path = data.join(VAULTS_FILE);
        let known = Known::read(&path).map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => StartError::Malformed(path),
            _ => StartError::Directory(data.into(), error),
        })?;
        let known = known.ok_or_else(|| StartError::NotEnrolled(data.into()))?;
        let identity = NodeIdentity::load(data)?;
        let lock = File::open(data.join(NODE_KEY_FILE));
        let lock = lock.map_err(|error| StartError::Directory(data.into(), error))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { identity, known, lock }),
            Err(TryLockError::WouldBlock) => Err(StartError::Taken(data.into())),
            Err(TryLockError::Error(error)) => Err(StartError::Directory(data.into(), error)),
        }
    }
}

/// An endpoint that dials nodes and lets nobody in, on any free port.
pub fn dialling(
    identity: &NodeIdentity,
    cluster: Option<ClusterId>,
    trust: Trust,
    host: &Arc<dyn Host>,
) -> Result<Endpoint, StartError> {
    let refused = |error: &dyn std::error::Error| StartError::Socket(error.to_string());
    // One of the first kind reaches both; a machine without IPv6 has the second only.
    let bound = host.udp((Ipv6Addr::UNSPECIFIED, 0).into());
    let socket = bound.or_else(|_| host.udp((Ipv4Addr::UNSPECIFIED, 0).into()));
    let socket = socket.map_err(|error| refused(&error))?;
    let host = host.clone();
    let setup = Setup {
        cluster,
        limits: Limits::default(),
        chance: Box::new(move |bytes: &mut [u8]| host.fill(bytes)),
        doors: Doors::Shut,
    };
    let opened = Endpoint::start(identity.key(), socket, trust, setup);
    opened.map(|(endpoint, _)| endpoint).map_err(|error| refused(&error))
}
