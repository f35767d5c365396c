//! What is agreed, on its way to the others. Raft has two questions for each entry: take it, and, once a majority has,
//! carry it out. The second one costs a follower and its leader as much as the first, and the next entry waits behind
//! its answer; yet that entry would have said the same. So the second waits a moment for the next first, unless a
//! node asked a moment ago: then a client of that node may be waiting for it.
//!
//! What lies beyond the leader's sync is held back whoever waits, and told once it is synced. Keeps R5. Knows
//! nothing of how Raft asks.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

use super::types::Raft;

/// How long news may wait for an entry to go with; far less than the time between two heartbeats.
pub const WAITS: Duration = Duration::from_millis(5);
/// How long after a question of another node its clients are taken to wait for news.
const ASKED_LATELY: Duration = Duration::from_millis(250);

/// What this node, if it leads, has not told yet. Clones share it.
#[derive(Clone, Default)]
pub struct News(Arc<Parts>);

#[derive(Default)]
struct Parts {
    /// When another node last asked this one to order something or up to where to read.
    asked: Mutex<Option<Instant>>,
    /// Whether somebody was not told what is agreed, since it lies beyond the sync.
    held_back: AtomicBool,
    /// Notified once that can be told.
    now: Notify,
    /// Notified when news waits.
    later: Notify,
}

impl News {
    /// Another node asks for something that it waits for.
    pub fn is_asked_for(&self) {
        *self.0.asked.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Whether news may wait now; if so it is told in a moment, whatever comes.
    pub fn put_off(&self) -> bool {
        let asked = *self.0.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let may_wait = asked.is_none_or(|at| ASKED_LATELY < at.elapsed());
        if may_wait {
            self.0.later.notify_one();
        }
        may_wait
    }

    /// Somebody is not told what is agreed, until [`Self::release`].
    pub fn hold_back(&self) {
        self.0.held_back.store(true, Ordering::Release);
    }

    /// What was held back can be told.
    pub fn release(&self) {
        if self.0.held_back.swap(false, Ordering::AcqRel) {
            self.0.now.notify_one();
        }
    }

    /// Has the leader tell all of it when it is due. Ends when Raft does.
    pub async fn spread(self, raft: Raft) {
        let mut metrics = raft.server_metrics();
        let mut due = None;
        loop {
            tokio::select! {
                biased;
                changed = metrics.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => return,
                },
                () = self.0.now.notified() => {}
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
                () = self.0.later.notified(), if due.is_none() => {
                    due = Some(Instant::now() + WAITS);
                    continue;
                }
            }
            due = None;
            if raft.trigger().heartbeat().await.is_err() {
                return;
            }
        }
    }
}
