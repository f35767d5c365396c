//! Who stamps and signs: this node's key and its hybrid clock. Keeps V4 with `covault_model::hlc`.
//! Knows nothing of values.

use std::sync::{Mutex, PoisonError};

use covault_model::{
    hlc::{Hlc, HybridClock, Millis},
    id::{NodeId, SecretId},
    issue::{Issue, IssueHeader},
    key::NodeKey,
    name::CallerName,
    record::{Body, Header, Idempotency, Parent, Record},
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

    /// A time later than every one given before and than `seen`.
    pub(super) fn stamp(&self, now: Millis, seen: Hlc) -> Hlc {
        let mut clock = self.clock.lock().unwrap_or_else(PoisonError::into_inner);
        let _held_back_elsewhere = clock.observe(seen, now);
        clock.tick(now)
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
