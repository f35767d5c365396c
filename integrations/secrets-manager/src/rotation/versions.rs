//! Which version of a secret was current when it was fetched last, so that another one is noticed.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::cache::CacheKey;

/// The versions, of a bounded number of secrets.
pub(crate) struct Versions {
    known: Mutex<HashMap<CacheKey<'static>, Arc<str>>>,
    most: usize,
}

impl Versions {
    /// None known yet, and `most` at most.
    pub fn new(most: usize) -> Self {
        Self { known: Mutex::new(HashMap::new()), most }
    }

    /// Takes note of a version. Gives the one that was known before, if it is another.
    pub fn exchange(&self, key: &CacheKey<'_>, version: &Arc<str>) -> Option<Arc<str>> {
        let mut known = self.known();
        let key = key.clone().into_owned();
        if self.most <= known.len() && !known.contains_key(&key) {
            let any = known.keys().next().cloned();
            any.and_then(|any| known.remove(&any));
        }
        known.insert(key, version.clone()).filter(|before| before != version)
    }

    /// Whether `version` is the one that is known.
    pub fn is(&self, key: &CacheKey<'_>, version: &str) -> bool {
        self.known().get(&key.clone().into_owned()).is_some_and(|known| &**known == version)
    }

    /// Forgets a secret.
    pub fn remove(&self, key: &CacheKey<'_>) {
        self.known().remove(&CacheKey::current(key.provider, &key.path).into_owned());
    }

    fn known(&self) -> MutexGuard<'_, HashMap<CacheKey<'static>, Arc<str>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
