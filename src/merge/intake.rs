//! Takes in what other nodes sent: judged by itself, then against what is kept here, all in the transaction that
//! writes it. What does not count yet waits here a while, and is looked at again.
//! Keeps X1 to X4: nothing that does not verify changes anything, a record never makes a name exist nor gets a
//! number here, what was erased does not come back, and nothing from the future counts.
//! Knows nothing of how records travel.

mod issues;

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use covault_model::{
    arrival::{Arrival, Fault},
    id::{NodeId, RecordId},
    line::Place,
    mutant::Mutant,
    name::SecretPath,
    record::{Idempotency, Parent, Record, VersionBody, key_apart},
    registry::{Outcome, Registry, Remembered, SecretEntry, number_of},
};
use covault_store::{Store, StoreError, Txn};
use tokio::sync::oneshot;

use super::{change_hash_of, message::Sent};
use crate::host::Host;

pub use issues::Taken;

/// Records that wait at a time, and their bytes. More are let go of; reconciliation brings them again.
const WAITING_MAX: usize = 1024;
const WAITING_BYTES_MAX: usize = 16 << 20;
/// Looks after which a record that does not count is let go of: at one a second, longer than any clock of a
/// sound node is ahead.
const LOOKS_MAX: u32 = 120;

/// Why nothing of a message was taken in.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// Whoever sent it does not keep to the rules.
    #[error("{0}")]
    Fault(Fault),
    /// This node cannot write it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Where records from elsewhere come in.
pub struct Intake {
    store: Arc<Store>,
    host: Arc<dyn Host>,
    /// Every node that was a member while this one looked. The registry has the others that ever were.
    authors: Mutex<BTreeSet<NodeId>>,
    waiting: Mutex<BTreeMap<RecordId, Waiting>>,
    faults: [AtomicU64; Fault::ALL.len()],
}

/// A record that does not count yet, and how often it may still be looked at.
struct Waiting {
    arrival: Arrival,
    looks: u32,
}

/// What became of the records of one message.
#[derive(Debug, Default)]
pub struct Settled {
    /// How many are new here.
    pub new: usize,
    /// Those that count, with their depths.
    pub counted: Vec<(u64, RecordId)>,
    /// Why one of them never will.
    pub refused: Option<Fault>,
}

/// What became of one record.
enum Verdict {
    /// It counts; whether it is new here, and whether the payload beside it was erased long ago.
    Counts { new: bool, destroyed: bool },
    /// It does not count yet.
    Waits(Fault),
    /// It never will.
    Refused(Fault),
}

impl Intake {
    /// An intake into `store`.
    pub fn new(store: Arc<Store>, host: Arc<dyn Host>) -> Self {
        Self {
            store,
            host,
            authors: Mutex::default(),
            waiting: Mutex::default(),
            faults: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    /// These nodes are members, and may be authors from now on, whatever becomes of them.
    pub fn know(&self, members: impl IntoIterator<Item = NodeId>) {
        locked(&self.authors).extend(members);
    }

    /// Takes in a message from another node, and says how many records of it are new here. Nothing of a
    /// message is taken in of which one record does not verify.
    pub async fn take_in(&self, sent: Vec<Sent>) -> Result<usize, IntakeError> {
        let Settled { new, refused, .. } = self.take_in_each(sent).await?;
        refused.map_or(Ok(new), |fault| Err(IntakeError::Fault(fault)))
    }

    /// The same, where a record that cannot count here is not held against whoever sent it.
    pub async fn take_in_each(&self, sent: Vec<Sent>) -> Result<Settled, IntakeError> {
        let judged = sent.into_iter().map(|Sent(path, record, payload)| {
            Arrival::judge(path, &record, payload.map(serde_bytes::ByteBuf::into_vec))
        });
        let arrivals = judged.collect::<Result<Vec<_>, _>>().map_err(|fault| self.refuse(fault))?;
        Ok(self.settle(arrivals.into_iter().map(|arrival| (arrival, LOOKS_MAX)).collect()).await?)
    }

    /// Looks again at what waits. To be called every second. What cannot be written now is let go of, since a
    /// search brings it again.
    pub async fn look_again(&self) -> Result<(), StoreError> {
        let waiting = mem::take(&mut *locked(&self.waiting));
        let arrivals: Vec<_> =
            waiting.into_values().map(|waiting| (waiting.arrival, waiting.looks)).collect();
        // What is refused now is counted and dropped; whoever sent it is not known any more.
        self.settle(arrivals).await.map(drop)
    }

    /// Records that lie further ahead of this node's clock than any may, and wait for their time.
    pub fn held_back(&self) -> u64 {
        let now = self.host.now();
        let waiting = locked(&self.waiting);
        let ahead = waiting.values().filter(|held| held.arrival.record().header().time.is_beyond_skew(now));
        ahead.count() as u64
    }

    /// How often something was refused, by why.
    pub fn faults(&self) -> BTreeMap<Fault, u64> {
        let counted = Fault::ALL.iter().map(|fault| (*fault, self.faults[*fault as usize].load(Relaxed)));
        counted.filter(|(_, count)| 0 < *count).collect()
    }

    /// Counts that a message was not one.
    pub fn malformed(&self) -> IntakeError {
        self.refuse(Fault::Malformed)
    }

    fn refuse(&self, fault: Fault) -> IntakeError {
        self.count(fault);
        IntakeError::Fault(fault)
    }

    fn count(&self, fault: Fault) {
        self.faults[fault as usize].fetch_add(1, Relaxed);
    }

    /// Writes what counts, keeps waiting what does not yet.
    async fn settle(&self, arrivals: Vec<(Arrival, u32)>) -> Result<Settled, StoreError> {
        let now = self.host.now();
        let is_ahead = |(arrival, _): &(Arrival, u32)| arrival.record().header().time.is_beyond_skew(now);
        let (ahead, ripe): (Vec<_>, Vec<_>) = arrivals.into_iter().partition(is_ahead);
        ahead.into_iter().for_each(|(arrival, looks)| self.wait(arrival, looks, Fault::Early));
        let mut settled = Settled::default();
        for (arrival, looks, verdict) in self.write(ripe).await? {
            match verdict {
                Verdict::Counts { new, destroyed } => {
                    settled.new += usize::from(new);
                    let record = arrival.record();
                    settled.counted.push((record.header().depth, record.id()));
                    if destroyed {
                        self.count(Fault::Destroyed);
                    }
                }
                Verdict::Waits(why) => self.wait(arrival, looks, why),
                Verdict::Refused(fault) => {
                    self.count(fault);
                    settled.refused = Some(fault);
                }
            }
        }
        Ok(settled)
    }

    async fn write(&self, arrivals: Vec<(Arrival, u32)>) -> Result<Vec<(Arrival, u32, Verdict)>, StoreError> {
        if arrivals.is_empty() {
            return Ok(Vec::new());
        }
        let bytes = arrivals.iter().map(|(arrival, _)| arrival.bytes() as u64).sum();
        if !self.store.room()?.fits(bytes) {
            return Err(StoreError::Full);
        }
        let authors = locked(&self.authors).clone();
        let (sender, receiver) = oneshot::channel();
        let work = move |txn: &mut Txn<'_>| {
            let roster = txn.rows().roster()?;
            let judged = arrivals.into_iter().map(|(arrival, looks)| {
                let author = arrival.record().header().author;
                let enrolled = roster.nodes.contains_key(&author) || authors.contains(&author);
                let verdict = insert(txn, &arrival, enrolled)?;
                Ok((arrival, looks, verdict))
            });
            judged.collect()
        };
        self.store.write(work, move |result| drop(sender.send(result)));
        receiver.await.unwrap_or(Err(StoreError::Closed))
    }

    /// Keeps a record for the next look, if it has not been looked at too often and there is room.
    fn wait(&self, arrival: Arrival, looks: u32, why: Fault) {
        let mut waiting = locked(&self.waiting);
        let bytes: usize = waiting.values().map(|held| held.arrival.bytes()).sum();
        let fits = waiting.len() < WAITING_MAX && bytes + arrival.bytes() <= WAITING_BYTES_MAX;
        let Some(looks) = looks.checked_sub(1).filter(|_| fits) else {
            self.count(why);
            tracing::warn!(record = %arrival.record().id(), code = why.code(), "a record was let go of");
            return;
        };
        waiting.entry(arrival.record().id()).or_insert(Waiting { arrival, looks });
    }
}

/// Inserts a record if it counts by what is kept here.
fn insert(txn: &mut Txn<'_>, arrival: &Arrival, enrolled: bool) -> Result<Verdict, StoreError> {
    let (path, record) = (arrival.path(), arrival.record());
    if !fits_parents(txn, path, record)? {
        return Ok(Verdict::Refused(Fault::FalseParents));
    }
    let Some(entry) = txn.rows().secret(path)? else { return Ok(Verdict::Waits(Fault::Early)) };
    match record.version() {
        Some(body) => insert_version(txn, arrival, body, &entry, enrolled),
        None if !enrolled => Ok(Verdict::Waits(Fault::UnknownAuthor)),
        None if Mutant::LostMarks.is_on() => Ok(Verdict::Counts { new: false, destroyed: false }),
        None => {
            let new = txn.insert_marks(path, record)?;
            if new {
                remember(txn, record)?;
            }
            Ok(Verdict::Counts { new, destroyed: false })
        }
    }
}

/// A version counts with the number that the registry gave it, whoever made it; without one it is provisional.
/// It counts with its payload only.
fn insert_version(
    txn: &mut Txn<'_>,
    arrival: &Arrival,
    body: &VersionBody,
    entry: &SecretEntry,
    enrolled: bool,
) -> Result<Verdict, StoreError> {
    let (path, record) = (arrival.path(), arrival.record());
    let rows = txn.rows();
    let place = Place { time: record.header().time, id: record.id() };
    let number = number_of(&rows, path, entry, &place)?;
    if number.is_none() && !enrolled {
        return Ok(Verdict::Waits(Fault::UnknownAuthor));
    }
    let destroyed = rows.is_destroyed(&body.payload)?;
    let has_payload =
        destroyed || arrival.payload().is_some() || rows.payload(path, &body.payload)?.is_some();
    if !has_payload {
        return Ok(Verdict::Waits(Fault::Early));
    }
    let new = txn.insert_version(path, record, arrival.payload(), number)?;
    if new && number.is_none() {
        remember(txn, record)?;
    }
    Ok(Verdict::Counts { new, destroyed: destroyed && arrival.payload().is_some() })
}

/// Whether what a record states of those of its parents that are here is true.
fn fits_parents(txn: &Txn<'_>, path: &SecretPath, record: &Record) -> Result<bool, StoreError> {
    let header = record.header();
    let (mut all, mut deepest) = (true, 0);
    for Parent(parent, change) in &header.parents {
        match txn.rows().record(path, parent)? {
            Some(parent) if change_hash_of(&parent) != *change => return Ok(false),
            Some(parent) => deepest = deepest.max(parent.header().depth),
            None => all = false,
        }
    }
    Ok(if all { header.depth == deepest + 1 } else { deepest < header.depth })
}

/// Lets a retry find what another node did, as it would there.
fn remember(txn: &mut Txn<'_>, record: &Record) -> Result<(), StoreError> {
    let header = record.header();
    let Some(Idempotency(key, request)) = header.idempotency else { return Ok(()) };
    txn.remember(
        &header.caller,
        &key_apart(&key),
        &Remembered { request, outcome: Outcome::Marked(record.id()) },
    )
}

fn locked<T>(one: &Mutex<T>) -> MutexGuard<'_, T> {
    one.lock().unwrap_or_else(PoisonError::into_inner)
}
