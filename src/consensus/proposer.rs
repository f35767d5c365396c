//! Puts everything that waits into one log entry, one proposal in flight: the next entry gathers while
//! the last one is being synced. Every proposal has a deadline, and a missed one means unknown, never
//! failed. Keeps D3 at the door: what does not fit is refused before it is proposed.
//! Knows nothing of what commands mean.

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use covault_model::{
    command::Command,
    refusal::{NoAuthority, NodeFault, Refusal},
};
use covault_store::{Applied, Room, Store, StoreError};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use super::leader::{Leader, within};

/// Commands that one log entry may hold.
const COMMANDS_PER_ENTRY_MAX: usize = 256;
/// Bytes after which an entry takes no further command.
const ENTRY_BYTES_SOFT_MAX: usize = 4 << 20;
/// Room beyond what is proposed that a look must have found to hold for a while, in bytes of proposals.
const PLENTY: u64 = 64 << 20;
/// How long a look at the room that is left holds.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Commands that may wait; more are told that the node is overloaded.
const WAITING_MAX: usize = 4096;

/// What becomes of a proposal.
pub type Proposed = Result<Applied, Refusal>;

/// The way in. Cheap to clone.
#[derive(Clone)]
pub struct Proposer {
    queue: mpsc::Sender<Waiting>,
}

struct Waiting {
    command: Command,
    bytes: usize,
    answer: oneshot::Sender<Proposed>,
}

impl Proposer {
    /// Starts the task that has what waits ordered by the `leader`; it ends when every handle is gone.
    pub fn start(
        leader: Leader,
        store: Arc<Store>,
        deadline: Duration,
    ) -> (Self, tokio::task::JoinHandle<()>) {
        let (queue, waiting) = mpsc::channel(WAITING_MAX);
        (Self { queue }, tokio::spawn(propose(leader, store, deadline, waiting)))
    }

    /// Proposes `command`, about `bytes` large, and waits for what becomes of it.
    pub async fn propose(&self, command: Command, bytes: usize) -> Proposed {
        let (answer, outcome) = oneshot::channel();
        self.queue.try_send(Waiting { command, bytes, answer }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Refusal::from(NoAuthority::Overloaded),
            mpsc::error::TrySendError::Closed(_) => NoAuthority::ShuttingDown.into(),
        })?;
        outcome.await.unwrap_or(Err(NoAuthority::OutcomeUnknown(None).into()))
    }
}

async fn propose(
    leader: Leader,
    store: Arc<Store>,
    deadline: Duration,
    mut waiting: mpsc::Receiver<Waiting>,
) {
    let mut next = Vec::with_capacity(COMMANDS_PER_ENTRY_MAX);
    let mut space = Space::new(store);
    while next_batch(&mut waiting, &mut next).await {
        let bytes = next.iter().map(|one| one.bytes as u64).sum();
        let (commands, answers): (Vec<_>, Vec<_>) =
            next.drain(..).map(|Waiting { command, answer, .. }| (command, answer)).unzip();
        match space.admits(bytes) {
            Ok(false) => refuse(answers, &NodeFault::StorageFull.into()),
            Err(_) => refuse(answers, &NodeFault::StorageFailed.into()),
            Ok(true) => {
                let sent = AtomicBool::new(false);
                let ordered = leader.order(Arc::new(commands), &sent);
                match within(deadline, &sent, ordered).await {
                    Ok(applied) => {
                        for (answer, applied) in answers.into_iter().zip(applied) {
                            let _ = answer.send(Ok(applied));
                        }
                    }
                    Err(refusal) => {
                        refuse(answers, &refusal);
                        if matches!(&refusal, Refusal::NotNow(why) if why.is_silence()) {
                            refuse_waiting(&mut waiting);
                        }
                    }
                }
            }
        }
    }
}

/// The room that the store had a moment ago, less what was proposed since: asking the file system for every
/// entry would cost a good part of what a small one does.
struct Space {
    store: Arc<Store>,
    seen: Option<(Instant, Room)>,
    since: u64,
}

impl Space {
    fn new(store: Arc<Store>) -> Self {
        Self { store, seen: None, since: 0 }
    }

    /// Whether `bytes` more may be proposed. Looks anew when the last look is old, or left less than plenty:
    /// others write to the disk too, the audit log not least.
    fn admits(&mut self, bytes: u64) -> Result<bool, StoreError> {
        let wanted = self.since + bytes;
        if let Some((at, room)) = &self.seen
            && at.elapsed() < LOOK_EVERY
            && room.fits(wanted + PLENTY)
        {
            self.since = wanted;
            return Ok(true);
        }
        let room = self.store.room()?;
        (self.seen, self.since) = (Some((Instant::now(), room)), bytes);
        Ok(room.fits(bytes))
    }
}

/// Waits for one command, then takes what else is there, up to the limits of an entry.
async fn next_batch(waiting: &mut mpsc::Receiver<Waiting>, batch: &mut Vec<Waiting>) -> bool {
    let Some(first) = waiting.recv().await else { return false };
    let mut bytes = first.bytes;
    batch.push(first);
    while batch.len() < COMMANDS_PER_ENTRY_MAX && bytes < ENTRY_BYTES_SOFT_MAX {
        let Ok(another) = waiting.try_recv() else { break };
        bytes += another.bytes;
        batch.push(another);
    }
    true
}

/// Refuses what waited behind a proposal that nobody has answered. It was not proposed, which can be said only now:
/// those who wait would give up before a deadline of its own, and not know.
fn refuse_waiting(waiting: &mut mpsc::Receiver<Waiting>) {
    while let Ok(Waiting { answer, .. }) = waiting.try_recv() {
        refuse(vec![answer], &NoAuthority::QuorumUnavailable.into());
    }
}

fn refuse(answers: Vec<oneshot::Sender<Proposed>>, refusal: &Refusal) {
    for answer in answers {
        let _ = answer.send(Err(refusal.clone()));
    }
}
