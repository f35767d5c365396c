//! Who stamps and signs: this node's key and its hybrid clock. Keeps V4 with `covault_model::hlc`.
//! Knows nothing of values.

use std::sync::{Mutex, MutexGuard, PoisonError};

use covault_model::{
    hlc::{Hlc, HybridClock, Millis},
    id::{NodeId, SecretId},
    issue::{Issue, IssueHeader},
    key::NodeKey,
    name::CallerName,
    record::{Body, Header, Idempotency, Parent, Record},
    refusal::{NoAuthority, Refusal},
};

/// The author of this node's records.
pub struct Author {
    key: NodeKey,
    node: NodeId,
    clock: Mutex<HybridClock>,
}

/// What a record follows, and for whom it is made.
pub(super) struct Draft<'a> {
    pub secret: SecretId,
    pub parents: Vec<Parent>,
    pub depth: u64,
    pub caller: &'a CallerName,
    pub idempotency: Option<Idempotency>,
}

impl Author {
    /// An author with `key`, whose times all come after `last`.
    pub fn new(key: NodeKey, last: Hlc) -> Self {
        Self { node: key.node_id(), key, clock: Mutex::new(HybridClock::resume_after(last)) }
    }

    /// The node that signs.
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// A time later than every one given before.
    pub(super) fn stamp(&self, now: Millis) -> Hlc {
        self.clock().tick(now)
    }

    /// A time later than every one given before and than `seen`. None is given after one that lies beyond the skew bound,
    /// as when all clocks were ahead and were set right: others would hold it back.
    pub(super) fn stamp_after(&self, now: Millis, seen: Hlc) -> Result<Hlc, Refusal> {
        let mut clock = self.clock();
        let counts = clock.observe(seen, now);
        let time = clock.tick(now);
        if counts || seen < time { Ok(time) } else { Err(NoAuthority::StaleTime.into()) }
    }

    fn clock(&self) -> MutexGuard<'_, HybridClock> {
        self.clock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Signs a record that was stamped with `time`.
    pub(super) fn sign(&self, draft: Draft<'_>, time: Hlc, body: Body) -> Record {
        let Draft { secret, parents, depth, caller, idempotency } = draft;
        let header = Header {
            secret,
            parents,
            depth,
            time,
            author: self.node,
            caller: caller.clone(),
            idempotency,
            body,
        };
        Record::sign(header, &self.key)
    }

    /// Signs an issue that was stamped.
    pub(super) fn sign_issue(&self, header: IssueHeader) -> Issue {
        Issue::sign(header, &self.key)
    }
}
