//! Starting and stopping a node. Order: store, identity, audit, the door to the peers, agreement, keyring,
//! founding or the arrival of what the cluster has, vault, exchange of records, offers, upkeep; stopping goes
//! back. Knows nothing of HTTP.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use covault_model::{
    command::{Action, Command},
    hlc::Millis,
    id::{ClusterId, CommandId, NodeId},
    isolation::{Role, Session},
    name::CallerName,
    refusal::{CallerMistake, Refusal},
    registry::Registry,
    roster::NodeAddress,
};
use covault_net::NodeIdentity;
use covault_seal::Plaintext;
use covault_store::{Meta, Options, Store, StoreError};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};

use super::{
    clocks,
    config::NodeConfig,
    error::StartError,
    joining, keys,
    offers::Offers,
    peers::{Door, Here, PeerService},
    tending::Tending,
    upkeep::Upkeep,
};
use crate::{
    audit::{Anchor, AuditLog},
    consensus::{self, Consensus, ConsensusConfig, Me, Peers},
    host::Host,
    merge::{Pace, Records, Rounds},
    relay::{Known, Serving},
    vault::{Author, Clocks, Vault, VaultParts, draw_token, storage_refusal},
};

/// How long a node that joined waits for the cluster to reach it.
const REACHED_WITHIN: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How often a member tries to make a new master key known, each time as long as a proposal may take.
const KEY_TRIES: u32 = 12;
/// Bytes that a command of the node's own may take.
const COMMAND_BYTES: usize = 1024;

/// A running node.
pub struct Node {
    vault: Vault,
    rooms: Rooms,
    rounds: Rounds,
    offers: Offers,
    /// Absent without an address for peers.
    peers: Option<PeerService>,
    tending: Option<JoinHandle<()>>,
    upkeep: Upkeep,
    founded: Option<Founded>,
}

/// The rooms that a node keeps going.
struct Rooms {
    store: Arc<Store>,
    consensus: Consensus,
    records: Records,
    audit: Arc<AuditLog>,
    host: Arc<dyn Host>,
    clocks: Arc<Clocks>,
    cluster: ClusterId,
    address: Option<NodeAddress>,
    /// Whether it has joined a cluster whose log had not reached it before this start.
    joins: bool,
}

impl Rooms {
    fn tend(&self, config: &NodeConfig, node: NodeId) -> Option<JoinHandle<()>> {
        let tending = Tending {
            consensus: self.consensus.clone(),
            records: self.records.clone(),
            store: self.store.clone(),
            host: self.host.clone(),
            node,
            address: self.address?,
            by: config.admin.clone(),
        };
        Some(tending.start())
    }

    /// Whether there is nobody else to agree with.
    fn is_alone(&self, node: NodeId) -> bool {
        !self.joins && self.consensus.standing().members.iter().all(|member| member.node == node)
    }
}

/// What is told once, when a vault is founded.
pub struct Founded {
    /// The first admin.
    pub caller: CallerName,
    /// Its token. Show it, then drop it.
    pub token: Plaintext,
}

impl Node {
    /// Starts a node. With `config.create` an empty directory becomes a vault of one node. One that joined a
    /// cluster waits until the cluster has reached it, for a minute at most.
    pub async fn start(config: NodeConfig, host: Arc<dyn Host>) -> Result<Self, StartError> {
        let now = host.now();
        let new = config.create && !config.data.join("data.mdb").exists();
        let store = Arc::new(Store::open(&config.data, store_options(&config))?);
        let mut chance = |bytes: &mut [u8]| host.fill(bytes);
        let identity = match new {
            true => NodeIdentity::load_or_create(&config.data, &mut chance)?,
            false => NodeIdentity::load(&config.data)?,
        };
        let audit = Arc::new(open_audit(&config, &store, now)?);
        let joining = joining::read(&config.data)?;
        let cluster = cluster_of(&store, joining.as_ref(), &*host)?;
        let open = |quic| Door::open(quic, &identity, Some(cluster), &host);
        let door = config.quic.as_ref().map(open).transpose()?;
        let address = door.as_ref().map(|door| door.address);
        let joins = joining.is_some();
        let me = Me {
            node: identity.id(),
            address: address.map_or(String::new(), |address| address.to_string()),
            founds: !joins,
        };
        let peers = Peers::over(door.as_ref().map(|door| door.endpoint.clone()));
        let consensus = Consensus::start(store.clone(), me, peers, agreement(&config)).await?;
        let neighbours = door.as_ref().map(Door::neighbours);
        let records = Records::new(store.clone(), host.clone(), identity.id(), neighbours);
        let clocks = door.as_ref().map(|door| door.clocks.clone()).unwrap_or_default();
        let here = Here { node: identity.id(), data: config.data.clone(), joining };
        let peers = door.map(|door| door.serve(here, &consensus, &records, &store));
        let rooms = Rooms { store, consensus, records, audit, host, clocks, cluster, address, joins };
        let opened = open_vault(&config, &rooms, identity, new, now).await;
        let (vault, founded) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                stop_agreement(peers, &rooms.consensus).await;
                return Err(error);
            }
        };
        if let Some(peers) = &peers {
            peers.open_to_strangers(&vault);
        }
        let pace = Pace { search: config.search_every, ..Pace::default() };
        let rounds = Rounds::start(rooms.records.clone(), pace);
        let offers = Offers::start(vault.clone());
        let tending = rooms.tend(&config, vault.node());
        let upkeep =
            Upkeep::start(rooms.store.clone(), rooms.audit.clone(), rooms.host.clone(), config.writer);
        Ok(Self { vault, rooms, rounds, offers, peers, tending, upkeep, founded })
    }

    /// The handle that can ask.
    pub fn vault(&self) -> &Vault {
        &self.vault
    }

    /// From now on API processes that the cluster has let in are served, in this way. Without an address for peers
    /// there are none.
    pub fn serve_apis(&self, serving: Serving) {
        if let Some(peers) = &self.peers {
            peers.open_to_apis(serving);
        }
    }

    /// Where its peers reach it; absent when they cannot.
    pub fn peer_address(&self) -> Option<SocketAddr> {
        self.rooms.address.map(|address| address.0)
    }

    /// The first admin's token, if this start founded the vault. Given once.
    pub fn take_founded(&mut self) -> Option<Founded> {
        self.founded.take()
    }

    /// A session for `caller` without a token, made as a member if there is none of that name: for the
    /// program that holds this node, and with it all its keys.
    pub async fn local_session(&self, caller: CallerName) -> Result<Session, Refusal> {
        if let Some(role) = self.role_of(&caller)? {
            return Ok(Session { caller, role });
        }
        self.issue_token(caller.clone(), Role::Member).await?;
        Ok(Session { caller, role: Role::Member })
    }

    /// A new token for `caller`, made with `role` if there is none of that name: for the program that
    /// holds this node.
    pub async fn issue_token(&self, caller: CallerName, role: Role) -> Result<Plaintext, Refusal> {
        let drawn =
            draw_token(&caller, self.rooms.host.now(), None, &mut |bytes| self.rooms.host.fill(bytes));
        let action = match self.role_of(&caller)? {
            Some(_) => Action::AddToken(drawn.id, drawn.entry),
            None => Action::AddCaller(role, drawn.id, drawn.entry),
        };
        self.rooms
            .consensus
            .propose(command(&*self.rooms.host, caller, action), COMMAND_BYTES)
            .await?
            .outcome?;
        Ok(drawn.text)
    }

    fn role_of(&self, caller: &CallerName) -> Result<Option<Role>, Refusal> {
        let entry =
            self.rooms.store.view().and_then(|view| view.rows().caller(caller)).map_err(storage_refusal)?;
        match entry {
            Some(entry) if entry.removed => Err(CallerMistake::NotFound.into()),
            entry => Ok(entry.map(|entry| entry.role)),
        }
    }

    /// Waits until agreement has failed for good, which is a reason to end the process; says why.
    pub async fn failed(&self) -> String {
        self.rooms.consensus.failed().await
    }

    /// To be called before the node stops, while it still serves: if it leads, has another node take over, so that
    /// requests on others need not wait for an election. Takes no longer than a second.
    pub async fn hand_over(&self) {
        self.rooms.consensus.hand_over().await;
    }

    /// Stops in order: the leadership handed over, no more proposals, everything synced, the audit log closed with a line.
    pub async fn stop(self) {
        self.hand_over().await;
        if let Some(tending) = self.tending {
            tending.abort();
            let _ = tending.await;
        }
        self.offers.stop().await;
        self.rounds.stop().await;
        stop_agreement(self.peers, &self.rooms.consensus).await;
        self.upkeep.stop().await;
    }
}

/// How agreement is run among members that are as far apart as configured.
fn agreement(config: &NodeConfig) -> ConsensusConfig {
    let round_trip = config
        .quic
        .map_or(config.consensus.round_trip, |quic| Duration::from_millis(quic.round_trip_ms.into()));
    ConsensusConfig { round_trip, ..config.consensus }
}

/// Founds the vault if it is new, or waits for what the cluster has; compares the keys, and puts the vault
/// service together.
async fn open_vault(
    config: &NodeConfig,
    rooms: &Rooms,
    identity: NodeIdentity,
    new: bool,
    now: Millis,
) -> Result<(Vault, Option<Founded>), StartError> {
    let Rooms { store, consensus, records, audit, host, clocks, cluster, address, .. } = rooms;
    let alone = rooms.is_alone(identity.id());
    // A member without its keys still votes and keeps what the others write.
    let keys_config = NodeConfig { without_key: config.without_key || !alone, ..config.clone() };
    let ring = keys::load(&keys_config, new, &**host)?;
    let founded = match alone {
        true => found(store, consensus, &**host, &config.admin, *cluster).await?,
        false => reached(rooms).await.map(|()| None)?,
    };
    let (known, last) = {
        let view = store.view()?;
        (view.rows().key_checks()?, view.rows().clock()?)
    };
    let keys = keys::judge(&keys_config, ring, &known)?;
    if let Some((name, check)) = keys.active_check()
        && known.iter().all(|(other, _)| *other != name)
    {
        let tries = if alone { 1 } else { KEY_TRIES };
        agree_in(tries, consensus, &**host, &config.admin, Action::KnowKey(name, check)).await?;
    }
    let vault = Vault::new(VaultParts {
        store: store.clone(),
        consensus: consensus.clone(),
        records: records.clone(),
        author: Author::new(identity.into_key(), last),
        keys,
        audit: audit.clone(),
        host: host.clone(),
        clocks: clocks.clone(),
        cluster: *cluster,
        address: *address,
        own_name: config.admin.clone(),
        value_bytes_max: config.value_bytes_max,
        token_values_per_second: config.token_values_per_second,
        started_at: now,
    });
    Ok((vault, founded))
}

/// How every door to the store opens it.
pub(crate) fn store_options(config: &NodeConfig) -> Options {
    let NodeConfig { map_bytes, create, writer, pile_max, .. } = *config;
    Options { map_bytes, create, sync: true, writer, pile_max }
}

fn open_audit(config: &NodeConfig, store: &Store, now: Millis) -> Result<AuditLog, StartError> {
    let dir = config.audit_dir();
    let anchor = read_anchor(store)?;
    AuditLog::open(&dir, anchor, now).map_err(|error| StartError::Audit(error, dir))
}

/// The newest audit line that the store knows to be on disk.
pub(crate) fn read_anchor(store: &Store) -> Result<Option<Anchor>, StoreError> {
    let view = store.view()?;
    let row = view.rows().meta(Meta::AuditAnchor)?;
    let corrupt = |why| StoreError::Corrupt { table: "meta", why };
    row.map(|bytes| Anchor::from_bytes(bytes).map_err(corrupt)).transpose()
}

/// The cluster that this node is or will be a member of: what its registry says, what it joined, or for a new
/// vault one just drawn.
fn cluster_of(store: &Store, joining: Option<&Known>, host: &dyn Host) -> Result<ClusterId, StoreError> {
    let known = store.view()?.rows().cluster()?.or(joining.map(|joining| joining.cluster));
    Ok(known.unwrap_or_else(|| {
        let mut drawn = ClusterId::default();
        host.fill(&mut drawn.0);
        drawn
    }))
}

/// Waits until the registry is here, and as new as it can be had.
async fn reached(rooms: &Rooms) -> Result<(), StartError> {
    if rooms.address.is_none() {
        return Err(StartError::NoPeers);
    }
    let until = Instant::now() + REACHED_WITHIN;
    let arriving = async {
        while rooms.store.view()?.rows().cluster()?.is_none() {
            if until <= Instant::now() {
                return Err(StartError::NotReached(REACHED_WITHIN));
            }
            sleep(LOOK_EVERY).await;
        }
        Ok(())
    };
    tokio::select! {
        biased;
        arrived = arriving => arrived?,
        why = rooms.consensus.failed() => return Err(consensus::StartError::Engine(why).into()),
    }
    // Without a majority the node serves what it has, and its keys are compared with that. With one it learns whether
    // its clock is off before it stamps anything.
    if rooms.consensus.confirm().await.is_ok() {
        clocks::heard(&rooms.consensus, &rooms.clocks).await;
    }
    Ok(())
}

/// Closes the way to the peers, then ends agreement, so that nobody waits for what does not come.
async fn stop_agreement(peers: Option<PeerService>, consensus: &Consensus) {
    if let Some(peers) = peers {
        peers.stop().await;
    }
    consensus.stop().await;
}

async fn found(
    store: &Store,
    consensus: &Consensus,
    host: &dyn Host,
    admin: &CallerName,
    cluster: ClusterId,
) -> Result<Option<Founded>, StartError> {
    consensus.confirm().await.map_err(|_| StartError::Founding("no majority"))?;
    if store.view()?.rows().cluster()?.is_some() {
        return Ok(None);
    }
    let drawn = draw_token(admin, host.now(), None, &mut |bytes| host.fill(bytes));
    agree(consensus, host, admin, Action::Found { cluster, token: (drawn.id, drawn.entry) }).await?;
    Ok(Some(Founded { caller: admin.clone(), token: drawn.text }))
}

/// As [`agree`], tried again while no majority answers.
async fn agree_in(
    tries: u32,
    consensus: &Consensus,
    host: &dyn Host,
    by: &CallerName,
    action: Action,
) -> Result<(), StartError> {
    for _ in 1..tries {
        let agreed = consensus.propose(command(host, by.clone(), action.clone()), COMMAND_BYTES).await;
        match agreed.and_then(|applied| applied.outcome) {
            Err(Refusal::NotNow(_)) => tracing::warn!("no majority to make a master key known to yet"),
            outcome => return outcome.map(drop).map_err(|refusal| StartError::Founding(refusal.code())),
        }
    }
    agree(consensus, host, by, action).await
}

async fn agree(
    consensus: &Consensus,
    host: &dyn Host,
    by: &CallerName,
    action: Action,
) -> Result<(), StartError> {
    let applied = consensus.propose(command(host, by.clone(), action), COMMAND_BYTES).await;
    match applied.and_then(|applied| applied.outcome) {
        Ok(_) => Ok(()),
        Err(refusal) => Err(StartError::Founding(refusal.code())),
    }
}

fn command(host: &dyn Host, by: CallerName, action: Action) -> Command {
    let mut id = CommandId::default();
    host.fill(&mut id.0);
    Command { id, by, at: host.now(), idempotency: None, action }
}
