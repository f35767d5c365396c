//! Issues on their way to each peer. A few messages are under way to a peer at a time; what comes meanwhile waits, and goes
//! together in the next: the more requests there are, the fewer messages for each. A peer that is silent holds up what
//! is for itself, and nothing else. A push promises nothing; whoever must know waits to be told.
//! Knows nothing of what is in an issue.

use std::{
    collections::{BTreeMap, VecDeque},
    slice,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use covault_model::{id::NodeId, issue::Issue};
use covault_net::Channel;
use serde_bytes::ByteBuf;
use tokio::sync::oneshot;

use super::{
    message::{Ask, RECORDS_BYTES_MAX, RECORDS_MAX, Told, write},
    records::Records,
    search::ASK_DEADLINE,
};

/// Messages under way to one peer at a time.
const UNDER_WAY_MAX: usize = 4;
/// Bytes that wait for one peer (32 MiB). What does not fit is not sent; the peer's search finds it.
const WAITING_BYTES_MAX: usize = 32 << 20;

/// What waits for each peer.
#[derive(Default)]
pub(super) struct Outboxes(Mutex<BTreeMap<NodeId, Outbox>>);

#[derive(Default)]
struct Outbox {
    waiting: VecDeque<Addressed>,
    /// Of all that waits.
    bytes: usize,
    /// Messages.
    under_way: usize,
}

/// Issues that fit in one message.
#[derive(Clone)]
pub(super) struct Parcel(Arc<Vec<ByteBuf>>);

/// A parcel for one peer, and who is told once the peer keeps all of it.
struct Addressed {
    parcel: Parcel,
    kept: oneshot::Sender<()>,
}

impl Parcel {
    /// All of these issues, in as few parcels as may be.
    pub fn of(issues: &[Issue]) -> Vec<Self> {
        let mut rest = issues.iter().map(Issue::to_bytes).peekable();
        let mut parcels = Vec::new();
        while rest.peek().is_some() {
            let (mut issues, mut bytes) = (Vec::<ByteBuf>::new(), 0);
            while issues.len() < RECORDS_MAX
                && let Some(issue) = rest.next_if(|next| bytes + next.len() <= RECORDS_BYTES_MAX)
            {
                bytes += issue.len();
                issues.push(issue.into());
            }
            parcels.push(Self(Arc::new(issues)));
        }
        parcels
    }

    fn bytes(&self) -> usize {
        self.0.iter().map(|issue| issue.len()).sum()
    }
}

impl Outboxes {
    fn held(&self) -> MutexGuard<'_, BTreeMap<NodeId, Outbox>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether one more message may set out for it.
    fn put(&self, peer: NodeId, sent: Addressed) -> bool {
        let mut held = self.held();
        let outbox = held.entry(peer).or_default();
        let bytes = outbox.bytes + sent.parcel.bytes();
        if WAITING_BYTES_MAX < bytes {
            return false;
        }
        outbox.bytes = bytes;
        outbox.waiting.push_back(sent);
        let may = outbox.under_way < UNDER_WAY_MAX;
        outbox.under_way += usize::from(may);
        may
    }

    /// What goes in the next message to a peer. Nothing when nothing waits; then one message less is under way.
    fn take(&self, peer: NodeId) -> Option<Vec<Addressed>> {
        let mut held = self.held();
        let outbox = held.get_mut(&peer)?;
        let (mut taken, mut issues, mut bytes) = (Vec::new(), 0, 0);
        while let Some(next) = outbox.waiting.pop_front() {
            issues += next.parcel.0.len();
            bytes += next.parcel.bytes();
            if !taken.is_empty() && (RECORDS_MAX < issues || RECORDS_BYTES_MAX < bytes) {
                bytes -= next.parcel.bytes();
                outbox.waiting.push_front(next);
                break;
            }
            taken.push(next);
        }
        outbox.bytes -= bytes;
        outbox.under_way -= usize::from(taken.is_empty());
        (!taken.is_empty()).then_some(taken)
    }
}

impl Records {
    /// Sends issues to a peer, soon. The receiver is told once the peer keeps all of them, and dropped if it does not.
    pub(super) fn post(&self, peer: NodeId, parcel: Parcel) -> oneshot::Receiver<()> {
        let (kept, receiver) = oneshot::channel();
        if self.outboxes().put(peer, Addressed { parcel, kept }) {
            let records = self.clone();
            tokio::spawn(async move {
                while let Some(sent) = records.outboxes().take(peer) {
                    records.deliver(peer, sent).await;
                }
            });
        }
        receiver
    }

    async fn deliver(&self, peer: NodeId, sent: Vec<Addressed>) {
        let Some(all) = self.are_kept(peer, &sent).await else { return };
        let several = 1 < sent.len();
        for sent in sent {
            // One of them that the peer does not take must not speak for the others.
            if all || (several && self.are_kept(peer, slice::from_ref(&sent)).await == Some(true)) {
                // Who is not waiting any more need not be told.
                let _ = sent.kept.send(());
            }
        }
    }

    /// Whether a peer, now that it was sent these, keeps all of them; nothing when it does not say.
    async fn are_kept(&self, peer: NodeId, sent: &[Addressed]) -> Option<bool> {
        let issues: Vec<ByteBuf> = sent.iter().flat_map(|sent| sent.parcel.0.iter().cloned()).collect();
        let count = issues.len() as u64;
        let ask = write(&Ask::PushIssues(issues)).into();
        let told = self.endpoint()?.call(peer, Channel::Records, ask, ASK_DEADLINE).await.ok()?;
        match Told::read(&told) {
            Ok(Told::Kept(kept)) => Some(kept == count),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: NodeId = NodeId([1; NodeId::LEN]);

    fn put(outboxes: &Outboxes, issues: usize, bytes: usize) -> bool {
        let parcel = Parcel(Arc::new(vec![ByteBuf::from(vec![0; bytes]); issues]));
        outboxes.put(PEER, Addressed { parcel, kept: oneshot::channel().0 })
    }

    fn take(outboxes: &Outboxes) -> Option<usize> {
        outboxes.take(PEER).map(|taken| taken.len())
    }

    #[test]
    fn what_waits_goes_together_as_far_as_a_message_holds_it() {
        let outboxes = Outboxes::default();
        let set_out = (0..10).filter(|_| put(&outboxes, 1, 10)).count();
        assert_eq!(set_out, UNDER_WAY_MAX, "the others wait for one of these to be back");
        assert_eq!(take(&outboxes), Some(10));
        put(&outboxes, RECORDS_MAX, 1);
        put(&outboxes, 1, 1);
        put(&outboxes, 2, RECORDS_BYTES_MAX / 2);
        put(&outboxes, 1, 1);
        assert_eq!([(); 4].map(|()| take(&outboxes)), [Some(1), Some(1), Some(1), Some(1)]);
        assert_eq!(outboxes.held()[&PEER].bytes, 0);
    }

    #[test]
    fn a_message_that_finds_nothing_more_ends_and_another_may_set_out() {
        let outboxes = Outboxes::default();
        assert!((0..UNDER_WAY_MAX).all(|_| put(&outboxes, 1, 1)));
        assert!(!put(&outboxes, 1, 1));
        assert_eq!((take(&outboxes), take(&outboxes)), (Some(UNDER_WAY_MAX + 1), None));
        assert!(put(&outboxes, 1, 1));
        assert!(!put(&outboxes, 1, 1));
    }

    #[test]
    fn no_more_waits_for_a_peer_than_there_is_room_for() {
        let outboxes = Outboxes::default();
        let mebibytes = WAITING_BYTES_MAX >> 20;
        for _ in 0..2 * mebibytes {
            put(&outboxes, 1, 1 << 20);
        }
        assert_eq!(outboxes.held()[&PEER].waiting.len(), mebibytes);
    }
}
