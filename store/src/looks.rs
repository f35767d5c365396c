//! Looks that are kept for the next one while nothing is committed: to begin one takes more time than most of them last.
//! Keeps D4: once a commit was told of, no look from before it is given out.
//! Knows nothing of what is looked at.

use std::{
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use heed::{Env, RoTxn, WithoutTls};

use crate::{
    error::StoreError,
    tables::Tables,
    unfiled::{Piles, Unfiled},
};

/// Looks kept at a time: as many as threads look at once, on most machines.
const KEPT_MAX: usize = 16;

/// The looks of one store.
pub(crate) struct Looks {
    env: Env<WithoutTls>,
    /// Absent where another process commits: nobody would say when what is kept is out of date, or what is in its piles.
    own: Option<Own>,
}

/// What is known where this process alone commits.
struct Own {
    unfiled: Arc<Unfiled>,
    /// Rises with each commit, before anybody is told of it.
    commits: AtomicU64,
    kept: Mutex<Vec<Seen>>,
}

/// What a look sees.
pub(crate) struct Seen {
    pub txn: RoTxn<'static, WithoutTls>,
    pub piles: Arc<Piles>,
}

/// A look; kept when it is dropped, unless something was committed since it began.
pub(crate) struct Look<'s> {
    looks: &'s Looks,
    commits: u64,
    /// There until it is dropped.
    seen: Option<Seen>,
}

impl std::fmt::Debug for Looks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Looks")
    }
}

impl Looks {
    /// Looks of the process that commits.
    pub fn own(env: Env<WithoutTls>, unfiled: Arc<Unfiled>) -> Self {
        let own = Own { unfiled, commits: AtomicU64::new(1), kept: Mutex::default() };
        Self { env, own: Some(own) }
    }

    /// Looks beside a process that commits.
    pub fn beside(env: Env<WithoutTls>) -> Self {
        Self { env, own: None }
    }

    /// A look at what is committed now.
    pub fn next(&self, tables: &Tables) -> Result<Look<'_>, StoreError> {
        let Some(own) = &self.own else {
            let txn = self.env.clone().static_read_txn()?;
            let piles = Unfiled::load(&txn, tables)?.piles();
            return Ok(Look { looks: self, commits: 0, seen: Some(Seen { txn, piles }) });
        };
        let (commits, kept) = own.take();
        let seen = kept.map_or_else(|| own.begin(&self.env), Ok)?;
        Ok(Look { looks: self, commits, seen: Some(seen) })
    }

    /// Lets go of what was kept: something was committed, and its piles are there. To be called before anybody is told.
    pub fn committed(&self) {
        let Some(own) = &self.own else { return };
        let mut kept = own.kept();
        own.commits.fetch_add(1, Ordering::Release);
        let old = mem::take(&mut *kept);
        drop(kept);
        drop(old);
    }

    /// How many commits looks know of.
    pub fn commits(&self) -> u64 {
        self.own.as_ref().map_or(0, |own| own.commits.load(Ordering::Acquire))
    }
}

impl Own {
    fn take(&self) -> (u64, Option<Seen>) {
        let mut kept = self.kept();
        (self.commits.load(Ordering::Acquire), kept.pop())
    }

    fn begin(&self, env: &Env<WithoutTls>) -> Result<Seen, StoreError> {
        // The piles first: what is filed after this look began is still in them.
        let piles = self.unfiled.piles();
        Ok(Seen { txn: env.clone().static_read_txn()?, piles })
    }

    fn keep(&self, seen: Seen, commits: u64) {
        let mut kept = self.kept();
        if self.commits.load(Ordering::Acquire) == commits && kept.len() < KEPT_MAX {
            kept.push(seen);
        } else {
            // Closed without the lock.
            drop(kept);
            drop(seen);
        }
    }

    fn kept(&self) -> MutexGuard<'_, Vec<Seen>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Look<'_> {
    /// What it sees.
    pub fn seen(&self) -> &Seen {
        self.seen.as_ref().expect("it is taken out when the look is dropped, and not before")
    }
}

impl Drop for Look<'_> {
    fn drop(&mut self) {
        if let (Some(own), Some(seen)) = (&self.looks.own, self.seen.take()) {
            own.keep(seen, self.commits);
        }
    }
}
