//! Joining a cluster: a node, or an API process, is made in an empty directory and asks the node that its join token
//! names to be taken in. What it learns is kept beside its data, and the log brings the rest once it runs. Cut off on the
//! way, it can be done again with the same token. Master keys are not sent: the operator brings them.
//! Keeps M1. Knows nothing of terminals.

use std::{
    collections::BTreeMap,
    fs::DirBuilder,
    io,
    net::SocketAddr,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use covault_model::{
    DecodeError,
    id::NodeId,
    invitation::JoinToken,
    refusal::{NoAuthority, Refusal},
};
use covault_net::{CallError, Endpoint, IdentityError, NodeIdentity, Trust};
use covault_store::{OpenError, Store};
use tokio::time::sleep;

use super::{
    config::{NodeConfig, QuicConfig},
    enrolment::{self, Told},
    error::StartError,
    joining,
    peers::Door,
    start::store_options,
};
use crate::{
    host::Host,
    relay::{self, Known, VAULTS_FILE, dialling},
};

/// How long one question may take.
const ASK_WITHIN: Duration = Duration::from_secs(12);
/// Questions asked while nobody can say what became of the last one.
const ASKS_MAX: usize = 4;
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(500);

/// Why a node did not join.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// There is a vault already.
    #[error("{0} holds a vault, or an API process, already")]
    Exists(PathBuf),
    /// The directory cannot be made or written.
    #[error("{0} cannot be made ready: {1}")]
    Directory(PathBuf, io::Error),
    /// The node's own key.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The door to the peers.
    #[error(transparent)]
    Door(#[from] StartError),
    /// The socket of an API process.
    #[error(transparent)]
    Socket(#[from] relay::StartError),
    /// The node that was to be asked did not answer.
    #[error("the node at {0} does not answer: {1}")]
    NoAnswer(String, CallError),
    /// Its answer is not one of this release.
    #[error("the answer cannot be read ({0}); do both nodes run the same release?")]
    Garbled(DecodeError),
    /// It was answered, and not taken in.
    #[error("the cluster does not take this node in")]
    Refused(Refusal),
    /// The store.
    #[error(transparent)]
    Store(#[from] OpenError),
}

impl JoinError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Exists(_) => "vault_exists",
            Self::NoAnswer(..) => "unreachable",
            Self::Garbled(_) => "unexpected_answer",
            Self::Refused(refusal) => refusal.code(),
            Self::Directory(..) | Self::Identity(_) | Self::Door(_) | Self::Socket(_) | Self::Store(_) => {
                "cannot_join"
            }
        }
    }
}

/// A node that was taken in, and has not run yet.
#[derive(Debug)]
pub struct Joined {
    /// The node.
    pub node: NodeId,
    /// How many nodes the cluster has with it.
    pub members: usize,
    /// Where it is to listen for its peers, and what they were told.
    pub quic: QuicConfig,
}

/// Makes a node in `data` and has it taken in by the cluster that `token` is of.
pub async fn join(
    data: &Path,
    token: &JoinToken,
    quic: QuicConfig,
    host: Arc<dyn Host>,
) -> Result<Joined, JoinError> {
    let config = NodeConfig { create: true, ..NodeConfig::at(data) };
    if data.join("data.mdb").exists() {
        return Err(JoinError::Exists(data.into()));
    }
    let unready = |error| JoinError::Directory(data.into(), error);
    DirBuilder::new().recursive(true).mode(0o700).create(data).map_err(unready)?;
    // Kept from a try that was cut off: the invitation may have let this very key in.
    let identity = NodeIdentity::load_or_create(data, &mut |bytes| host.fill(bytes))?;
    let door = Door::open(&quic, &identity, None, &host)?;
    let told = ask(&door.endpoint, token, &enrolment::write_ask(token, door.address)).await;
    door.endpoint.close().await;
    let members = told?.map_err(JoinError::Refused)?;
    let known = Known { cluster: token.cluster, members: members.into_iter().collect() };
    joining::write(data, &known).map_err(unready)?;
    // Last, since a directory with a store is one that has joined.
    drop(Store::open(data, store_options(&config))?);
    let quic = QuicConfig { listen: SocketAddr::new(quic.listen.ip(), door.address.0.port()), ..quic };
    Ok(Joined { node: identity.id(), members: known.members.len(), quic })
}

/// An API process that was let in, and has not run yet.
#[derive(Debug)]
pub struct JoinedApi {
    /// Its key.
    pub id: NodeId,
    /// How many nodes it may ask.
    pub nodes: usize,
}

/// Makes the directory `data` of an API process and has the process let in by the cluster that `token` is of.
pub async fn join_api(data: &Path, token: &JoinToken, host: Arc<dyn Host>) -> Result<JoinedApi, JoinError> {
    if data.join("data.mdb").exists() || data.join(VAULTS_FILE).exists() {
        return Err(JoinError::Exists(data.into()));
    }
    let unready = |error| JoinError::Directory(data.into(), error);
    DirBuilder::new().recursive(true).mode(0o700).create(data).map_err(unready)?;
    // Kept from a try that was cut off, as for a node.
    let identity = NodeIdentity::load_or_create(data, &mut |bytes| host.fill(bytes))?;
    let endpoint = dialling(&identity, None, Trust::new(BTreeMap::new()), &host)?;
    let told = ask(&endpoint, token, &enrolment::write_api_ask(token)).await;
    endpoint.close().await;
    let members = told?.map_err(JoinError::Refused)?;
    let known = Known { cluster: token.cluster, members: members.into_iter().collect() };
    known.write(data, VAULTS_FILE).map_err(unready)?;
    Ok(JoinedApi { id: identity.id(), nodes: known.members.len() })
}

/// Asks until it is known what became of it.
async fn ask(endpoint: &Endpoint, token: &JoinToken, ask: &[u8]) -> Result<Told, JoinError> {
    let mut tries = 1;
    loop {
        let asked = endpoint.call_stranger(token.address.0, token.node, ask.to_vec().into(), ASK_WITHIN);
        let told = match asked.await {
            Ok(answer) => enrolment::read_told(&answer).map_err(JoinError::Garbled)?,
            Err(error @ CallError::Lost(_)) if tries == ASKS_MAX => {
                return Err(JoinError::NoAnswer(token.address.to_string(), error));
            }
            Err(CallError::Lost(_)) => Err(NoAuthority::OutcomeUnknown(None).into()),
            Err(error) => return Err(JoinError::NoAnswer(token.address.to_string(), error)),
        };
        match told {
            Err(Refusal::NotNow(_)) if tries < ASKS_MAX => tries += 1,
            told => return Ok(told),
        }
        sleep(ASK_AGAIN_AFTER).await;
    }
}
