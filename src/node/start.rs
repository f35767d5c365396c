//! Starting and stopping a node. Order: store, identity, keyring, audit, agreement, founding, vault,
//! upkeep; stopping goes back. Knows nothing of HTTP.

use std::sync::Arc;

use covault_model::{
    command::{Action, Command},
    hlc::Millis,
    id::{ClusterId, CommandId},
    isolation::{Role, Session},
    name::CallerName,
    refusal::{CallerMistake, Refusal},
    registry::Registry,
};
use covault_net::NodeIdentity;
use covault_seal::{Keyring, Plaintext};
use covault_store::{Meta, Options, Store, StoreError};

use super::{config::NodeConfig, error::StartError, keys, upkeep::Upkeep};
use crate::{
    audit::{Anchor, AuditLog},
    consensus::{Consensus, Me, Peers},
    host::Host,
    vault::{Author, Vault, VaultParts, draw_token, storage_refusal},
};

/// A running node.
pub struct Node {
    vault: Vault,
    rooms: Rooms,
    upkeep: Upkeep,
    founded: Option<Founded>,
}

/// The rooms that a node keeps going.
struct Rooms {
    store: Arc<Store>,
    consensus: Consensus,
    audit: Arc<AuditLog>,
    host: Arc<dyn Host>,
}

/// What is told once, when a vault is founded.
pub struct Founded {
    /// The first admin.
    pub caller: CallerName,
    /// Its token. Show it, then drop it.
    pub token: Plaintext,
}

impl Node {
    /// Starts a node. With `config.create` an empty directory becomes a vault of one node.
    pub async fn start(config: NodeConfig, host: Arc<dyn Host>) -> Result<Self, StartError> {
        let now = host.now();
        let new = config.create && !config.data.join("data.mdb").exists();
        let store = Arc::new(Store::open(&config.data, store_options(&config))?);
        let mut chance = |bytes: &mut [u8]| host.fill(bytes);
        let identity = match new {
            true => NodeIdentity::load_or_create(&config.data, &mut chance)?,
            false => NodeIdentity::load(&config.data)?,
        };
        let ring = keys::load(&config, new, &*host)?;
        let audit = Arc::new(open_audit(&config, &store, now)?);
        let me = Me { node: identity.id(), address: String::new(), founds: true };
        let consensus = Consensus::start(store.clone(), me, Peers::over(None), config.consensus).await?;
        let rooms = Rooms { store, consensus, audit, host };
        let opened = open_vault(&config, &rooms, identity, ring, now).await;
        let (vault, founded) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                rooms.consensus.stop().await;
                return Err(error);
            }
        };
        let upkeep = Upkeep::start(rooms.store.clone(), rooms.audit.clone(), rooms.host.clone());
        Ok(Self { vault, rooms, upkeep, founded })
    }

    /// The handle that can ask.
    pub fn vault(&self) -> &Vault {
        &self.vault
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
        self.rooms.consensus.propose(command(&*self.rooms.host, caller, action), 1024).await?.outcome?;
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

    /// Stops in order: no more proposals, everything synced, the audit log closed with a line.
    pub async fn stop(self) {
        self.rooms.consensus.stop().await;
        self.upkeep.stop().await;
    }
}

/// Founds the vault if it is new, compares its keys, and puts the vault service together.
async fn open_vault(
    config: &NodeConfig,
    rooms: &Rooms,
    identity: NodeIdentity,
    ring: Option<Keyring>,
    now: Millis,
) -> Result<(Vault, Option<Founded>), StartError> {
    let Rooms { store, consensus, audit, host } = rooms;
    consensus.confirm().await.map_err(|_| StartError::Founding("no majority"))?;
    let founded = found(store, consensus, &**host, &config.admin).await?;
    let (cluster, known, last) = {
        let view = store.view()?;
        let rows = view.rows();
        (rows.cluster()?, rows.key_checks()?, rows.clock()?)
    };
    let cluster = cluster.ok_or(StartError::Founding("it has no cluster id"))?;
    let keys = keys::judge(config, ring, &known)?;
    if let Some((name, check)) = keys.active_check()
        && known.iter().all(|(other, _)| *other != name)
    {
        agree(consensus, &**host, &config.admin, Action::KnowKey(name, check)).await?;
    }
    let vault = Vault::new(VaultParts {
        store: store.clone(),
        consensus: consensus.clone(),
        author: Author::new(identity.into_key(), last),
        keys,
        audit: audit.clone(),
        host: host.clone(),
        cluster,
        value_bytes_max: config.value_bytes_max,
        started_at: now,
    });
    Ok((vault, founded))
}

/// How every door to the store opens it.
pub(crate) fn store_options(config: &NodeConfig) -> Options {
    Options { map_bytes: config.map_bytes, create: config.create, sync: true, writer: config.writer }
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

async fn found(
    store: &Store,
    consensus: &Consensus,
    host: &dyn Host,
    admin: &CallerName,
) -> Result<Option<Founded>, StartError> {
    if store.view()?.rows().cluster()?.is_some() {
        return Ok(None);
    }
    let mut cluster = ClusterId::default();
    host.fill(&mut cluster.0);
    let drawn = draw_token(admin, host.now(), None, &mut |bytes| host.fill(bytes));
    agree(consensus, host, admin, Action::Found { cluster, token: (drawn.id, drawn.entry) }).await?;
    Ok(Some(Founded { caller: admin.clone(), token: drawn.text }))
}

async fn agree(
    consensus: &Consensus,
    host: &dyn Host,
    by: &CallerName,
    action: Action,
) -> Result<(), StartError> {
    let applied = consensus.propose(command(host, by.clone(), action), 1024).await;
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
