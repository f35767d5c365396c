//! That a secret has another version, and who is told.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use crate::types::ProviderType;

/// A secret has another version than it was known to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RotationEvent {
    /// Its store.
    pub provider: ProviderType,
    /// Its path.
    pub path: String,
    /// The version before.
    pub previous_version: String,
    /// The version that is current.
    pub version: String,
}

/// Is told of each change, by whoever noticed it, after the cache has the new version. It should be quick: hand work on
/// to a task.
pub type RotationListener = Arc<dyn Fn(&RotationEvent) + Send + Sync>;

/// All who are told.
#[derive(Clone, Default)]
pub(crate) struct Listeners(pub Vec<RotationListener>);

impl Listeners {
    /// Tells all. One that panics is reported, and keeps neither the others nor the reader from anything.
    pub fn tell(&self, event: &RotationEvent) {
        for listener in &self.0 {
            if catch_unwind(AssertUnwindSafe(|| listener(event))).is_err() {
                tracing::error!(secret_path = event.path, "a listener for rotations panicked");
            }
        }
    }
}
