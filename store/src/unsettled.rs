//! What was answered and is not committed yet: who reads it must have it committed first. Keeps D4 with whoever
//! looks.
//! Knows nothing of what was written.

use std::{
    collections::BTreeSet,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use covault_model::id::SecretId;

/// The secrets of gathered writes. The writer changes it; everybody looks.
#[derive(Debug, Default)]
pub(crate) struct Unsettled {
    /// Bytes of all gathered writes, none of them of zero bytes.
    bytes: AtomicU64,
    secrets: Mutex<BTreeSet<SecretId>>,
}

impl Unsettled {
    /// Notes a write, before anybody is told of it.
    pub fn add(&self, secrets: &[SecretId], bytes: u64) {
        self.secrets().extend(secrets);
        self.bytes.fetch_add(bytes.max(1), Ordering::Release);
    }

    /// Everything that was noted is committed.
    pub fn clear(&self) {
        self.secrets().clear();
        self.bytes.store(0, Ordering::Release);
    }

    /// Bytes that are not committed yet.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Acquire)
    }

    /// How many secrets they are of.
    pub fn len(&self) -> usize {
        self.secrets().len()
    }

    /// Whether what was answered about this secret is committed.
    pub fn has(&self, secret: &SecretId) -> bool {
        self.bytes() != 0 && self.secrets().contains(secret)
    }

    fn secrets(&self) -> MutexGuard<'_, BTreeSet<SecretId>> {
        self.secrets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
