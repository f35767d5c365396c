//! Which histories changed, told to one who keeps something in memory that follows from them and would else have to
//! walk all of them to bring it up to date. What is committed is told after it is committed, so whoever begins to
//! follow and looks then misses nothing, and may be told of what it has seen already.
//! Knows nothing of what is kept.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use covault_model::{
    id::{RecordId, SecretId},
    name::SecretPath,
};

use crate::rows::SecretView;

/// Changes that wait to be taken. Of more than these only that they were too many is kept.
const WAITING_MAX: usize = 1 << 16;

/// The records that say between them which ones a secret has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Newest {
    /// Those that no other names as a parent, rising.
    pub heads: Vec<RecordId>,
    /// Those that others name and that have not arrived, rising.
    pub awaited: Vec<RecordId>,
}

impl Newest {
    /// Of the secret whose view this is.
    pub fn of(view: &SecretView) -> Self {
        Self { heads: view.heads.iter().map(|head| head.id).collect(), awaited: view.awaited.clone() }
    }
}

/// One more record of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The secret.
    pub path: SecretPath,
    /// Its id.
    pub secret: SecretId,
    /// What it had before; absent when this was its first record.
    pub before: Option<Newest>,
    /// What it has now.
    pub now: Newest,
}

/// What one transaction changed.
#[derive(Debug, Default)]
pub(crate) struct Changed {
    /// In the order in which it was changed.
    each: Vec<Change>,
    /// Whether there is more to it than that.
    more: bool,
}

impl Changed {
    /// Notes a change.
    pub fn note(&mut self, change: Change) {
        self.each.push(change);
    }

    /// Notes that everything may have changed.
    pub fn note_all(&mut self) {
        self.more = true;
    }

    /// And then those.
    pub fn extend(&mut self, then: Self) {
        self.each.extend(then.each);
        self.more |= then.more;
    }
}

/// What was committed and was not taken yet; absent while that is not known, or nobody wants to know.
#[derive(Debug, Default)]
pub(crate) struct Feed(Mutex<Option<VecDeque<Change>>>);

impl Feed {
    /// Begins with nothing, whatever was before.
    pub fn follow(&self) {
        *self.waiting() = Some(VecDeque::new());
    }

    /// Adds what was committed.
    pub fn add(&self, changed: Changed) {
        let mut feed = self.waiting();
        if let Some(waiting) = &mut *feed {
            waiting.extend(changed.each);
            if changed.more || WAITING_MAX < waiting.len() {
                *feed = None;
            }
        }
    }

    /// So many of what came first and was not taken, in order; `None` when that is not known.
    pub fn take(&self, at_most: usize) -> Option<Vec<Change>> {
        self.waiting().as_mut().map(|waiting| {
            let first = waiting.drain(..at_most.min(waiting.len())).collect();
            if waiting.is_empty() {
                waiting.shrink_to_fit();
            }
            first
        })
    }

    fn waiting(&self) -> MutexGuard<'_, Option<VecDeque<Change>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
