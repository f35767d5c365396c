//! Records on their way between nodes: pushed when they are made, answered for when another node asks. What one
//! node misses, its own search finds ([`super::search`]), so a push promises nothing.
//! Knows nothing of what is in a record, and takes in only what [`Intake`] lets in.

use std::{
    collections::BTreeMap,
    sync::{self, Arc, PoisonError},
};

use covault_model::{
    arrival::Fault,
    id::{NodeId, RecordId},
    name::SecretPath,
    record::Record,
};
use covault_net::{Channel, Endpoint, Reason, Role, Trust};
use covault_store::{Store, StoreError, View};
use serde_bytes::ByteBuf;
use tokio::sync::{Mutex, MutexGuard, Semaphore};

use super::{
    index::Index,
    intake::{Intake, IntakeError, Settled, Taken},
    lacking::lacked,
    message::{Ask, Known, RECORDS_BYTES_MAX, RECORDS_MAX, Sent, Told, write},
    outbox::Outboxes,
    search::ASK_DEADLINE,
};
use crate::host::Host;

/// Pushes on their way to one peer at a time. One more is not sent; the peer's search finds what it was about.
const PUSHES_MAX: usize = 128;

/// The peers and the way to them; there are none for a node that is alone.
#[derive(Clone)]
pub struct Neighbours {
    /// The way to them.
    pub endpoint: Endpoint,
    /// Who they are.
    pub trust: Trust,
}

/// A node's records, as other nodes see them. Cheap to clone.
#[derive(Clone)]
pub struct Records(Arc<Parts>);

struct Parts {
    store: Arc<Store>,
    host: Arc<dyn Host>,
    me: NodeId,
    neighbours: Option<Neighbours>,
    intake: Intake,
    /// Absent until it is asked for.
    index: Mutex<Option<Index>>,
    /// Room for pushes to each peer: one that is silent holds up what is for itself, and nothing else.
    pushes: sync::Mutex<BTreeMap<NodeId, Arc<Semaphore>>>,
    outboxes: Outboxes,
}

impl Records {
    /// The records of the node `me`, which are in `store`.
    pub fn new(store: Arc<Store>, host: Arc<dyn Host>, me: NodeId, neighbours: Option<Neighbours>) -> Self {
        let intake = Intake::new(store.clone(), host.clone());
        Self(Arc::new(Parts {
            store,
            host,
            me,
            neighbours,
            intake,
            index: Mutex::default(),
            pushes: sync::Mutex::default(),
            outboxes: Outboxes::default(),
        }))
    }

    /// Where records from elsewhere come in.
    pub fn intake(&self) -> &Intake {
        &self.0.intake
    }

    pub(super) fn store(&self) -> &Store {
        &self.0.store
    }

    /// The index of what is here, for one to look at or change at a time.
    pub(super) async fn kept_index(&self) -> MutexGuard<'_, Option<Index>> {
        self.0.index.lock().await
    }

    pub(super) fn host(&self) -> &dyn Host {
        &*self.0.host
    }

    /// How often connections and requests between nodes were refused or given up here, by reason, also where that
    /// never happened; none if there are no others.
    pub fn refused_peers(&self) -> Vec<(&'static str, u64)> {
        let Some(endpoint) = self.endpoint() else { return Vec::new() };
        let refused = endpoint.stats().refused;
        let count = |reason: &Reason| refused.get(reason).copied().unwrap_or_default();
        Reason::ALL.iter().map(|reason| (reason.name(), count(reason))).collect()
    }

    pub(super) fn me(&self) -> NodeId {
        self.0.me
    }

    pub(super) fn endpoint(&self) -> Option<&Endpoint> {
        self.0.neighbours.as_ref().map(|neighbours| &neighbours.endpoint)
    }

    /// The other nodes that hold records. One that serves only HTTP holds none.
    pub fn peers(&self) -> Vec<NodeId> {
        let Some(Neighbours { trust, .. }) = &self.0.neighbours else { return Vec::new() };
        let vaults = trust.peers().into_iter().filter(|(_, peer)| peer.role == Role::Vault);
        vaults.map(|(node, _)| node).filter(|node| *node != self.0.me).collect()
    }

    /// Sends a record made here to all peers at once, and does not wait.
    pub fn push(&self, path: &SecretPath, record: &Record, payload: Option<&[u8]>) {
        let peers = self.peers();
        let Some(endpoint) = self.endpoint().filter(|_| !peers.is_empty()) else { return };
        let sent = Sent(path.clone(), record.to_bytes().into(), payload.map(|bytes| bytes.to_vec().into()));
        let ask = bytes::Bytes::from(write(&Ask::Push(vec![sent])));
        for peer in peers {
            let Ok(permit) = self.room_for_pushes(peer).try_acquire_owned() else { continue };
            let (endpoint, ask) = (endpoint.clone(), ask.clone());
            tokio::spawn(async move {
                if let Err(error) = endpoint.call(peer, Channel::Records, ask, ASK_DEADLINE).await {
                    tracing::debug!(%peer, %error, "a record was not pushed");
                }
                drop(permit);
            });
        }
    }

    fn room_for_pushes(&self, peer: NodeId) -> Arc<Semaphore> {
        let mut pushes = self.0.pushes.lock().unwrap_or_else(PoisonError::into_inner);
        pushes.entry(peer).or_insert_with(|| Arc::new(Semaphore::new(PUSHES_MAX))).clone()
    }

    /// Answers a peer; nothing when what it sent ends its connection, or this node cannot look.
    pub async fn answer(&self, from: NodeId, request: &[u8]) -> Option<Vec<u8>> {
        let told = match Ask::read(request) {
            Ok(ask) => self.tell(ask).await,
            Err(_) => Err(self.0.intake.malformed()),
        };
        match told {
            Ok(told) => Some(write(&told)),
            Err(error) => {
                self.refuse(from, &error);
                None
            }
        }
    }

    /// Issues on their way to peers.
    pub(super) fn outboxes(&self) -> &Outboxes {
        &self.0.outboxes
    }

    /// Takes in issues that a peer sent.
    pub(super) async fn take_in_issues(&self, sent: Vec<ByteBuf>) -> Result<Taken, IntakeError> {
        self.know_authors();
        self.0.intake.take_in_issues(sent).await
    }

    /// Takes in what a peer sent.
    pub(super) async fn take_in(&self, sent: Vec<Sent>) -> Result<usize, IntakeError> {
        self.know_authors();
        self.0.intake.take_in(sent).await
    }

    /// Takes in what a peer has of others: a record that cannot count here is not held against it.
    pub(super) async fn take_in_each(&self, sent: Vec<Sent>) -> Result<Settled, IntakeError> {
        self.know_authors();
        self.0.intake.take_in_each(sent).await
    }

    /// Looks again at what waits. To be called every second.
    pub(super) async fn look_again(&self) -> Result<(), StoreError> {
        self.know_authors();
        self.0.intake.look_again().await
    }

    /// Who is a member now may be an author for ever.
    fn know_authors(&self) {
        self.0.intake.know(self.peers().into_iter().chain([self.0.me]));
    }

    /// Logs what was refused, and turns the peer away if it does not keep to the rules.
    pub(super) fn refuse(&self, peer: NodeId, error: &IntakeError) {
        match error {
            IntakeError::Fault(fault) => {
                tracing::warn!(%peer, code = fault.code(), "records of a peer were refused");
                let reason = match fault {
                    Fault::Malformed => Reason::MalformedFrame,
                    _ => Reason::BadRecord,
                };
                if let Some(endpoint) = self.endpoint().filter(|_| fault.is_misbehaviour()) {
                    endpoint.turn_away(peer, reason);
                }
            }
            IntakeError::Store(error) => tracing::error!(%peer, %error, "a peer's records cannot be kept"),
        }
    }

    async fn tell(&self, ask: Ask) -> Result<Told, IntakeError> {
        Ok(match ask {
            Ask::Push(sent) => {
                self.take_in(sent).await?;
                Told::Taken
            }
            Ask::Search(begins, message) => {
                let answer = self.in_index(begins, |index| index.answer(&message)).await?;
                let answer = answer.map_err(|_| self.0.intake.malformed())?;
                Told::Searched(answer.into())
            }
            Ask::Paths(items) => Told::Paths(self.paths(&items).await?),
            Ask::Lacking(known) => self.lacking(&known).await?,
            Ask::Named(path, ids) => self.named(&path, &ids)?,
            ask => self.tell_of_issues(ask).await?,
        })
    }

    async fn lacking(&self, known: &[Known]) -> Result<Told, StoreError> {
        let mut parcel = Parcel::default();
        for known in known {
            if !self.pack_lacked(&mut parcel, known)? {
                return Ok(Told::Records(parcel.records, true));
            }
            // A history may be long.
            tokio::task::yield_now().await;
        }
        Ok(Told::Records(parcel.records, false))
    }

    fn pack_lacked(&self, parcel: &mut Parcel, known: &Known) -> Result<bool, StoreError> {
        let view = self.0.store.view()?;
        for record in lacked(view.rows().records(&known.path)?, known) {
            if !parcel.pack(&view, &known.path, &record)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn named(&self, path: &SecretPath, ids: &[RecordId]) -> Result<Told, StoreError> {
        let view = self.0.store.view()?;
        let mut parcel = Parcel::default();
        for id in ids {
            if let Some(record) = view.rows().record(path, id)?
                && !parcel.pack(&view, path, &record)?
            {
                return Ok(Told::Records(parcel.records, true));
            }
        }
        Ok(Told::Records(parcel.records, false))
    }
}

/// Records for one message.
#[derive(Default)]
struct Parcel {
    records: Vec<Sent>,
    bytes: usize,
}

impl Parcel {
    /// Adds a record with its payload. `false` when it would be too much.
    fn pack(&mut self, view: &View<'_>, path: &SecretPath, record: &Record) -> Result<bool, StoreError> {
        let payload = match record.version() {
            Some(body) => view.rows().payload(path, &body.payload)?,
            None => None,
        };
        let sent = Sent(path.clone(), record.to_bytes().into(), payload.map(|bytes| bytes.to_vec().into()));
        self.bytes += sent.bytes();
        if self.records.len() == RECORDS_MAX || RECORDS_BYTES_MAX < self.bytes {
            return Ok(false);
        }
        self.records.push(sent);
        Ok(true)
    }
}
