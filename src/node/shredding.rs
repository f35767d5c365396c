//! Erasing what epochs held that were destroyed, some rows at a time, so that writes go on meanwhile. That an epoch
//! is destroyed is agreed, and its tokens are found no more from that moment; this gives the disk back. A node
//! that was away begins when it hears of it. Knows nothing of what is erased.

use std::{collections::BTreeSet, sync::Arc};

use covault_model::issue::Scope;
use covault_store::{Store, StoreError};
use tokio::sync::oneshot;

/// Rows erased in one write.
const ROWS_PER_WRITE: usize = 4096;
/// Writes in one step.
const WRITES_PER_STEP: usize = 16;

/// What was erased since the node's start.
#[derive(Default)]
pub(super) struct Shredding {
    /// Nothing is left of these, and nothing of them is taken in any more.
    done: BTreeSet<Scope>,
}

impl Shredding {
    /// Erases some of what is to be erased. To be called every second.
    pub async fn step(&mut self, store: &Arc<Store>) {
        if let Err(error) = self.try_step(store).await {
            tracing::error!(%error, "a destroyed epoch cannot be erased yet");
        }
    }

    async fn try_step(&mut self, store: &Arc<Store>) -> Result<(), StoreError> {
        let destroyed = store.view()?.rows().destroyed_epochs()?;
        let mut writes = WRITES_PER_STEP;
        for scope in destroyed.into_iter().filter(|scope| !self.done.contains(scope)).collect::<Vec<_>>() {
            while shred(store, &scope).await? != 0 {
                writes -= 1;
                if writes == 0 {
                    return Ok(());
                }
            }
            tracing::info!(owner = %scope.owner, epoch = %scope.epoch, "nothing is left of a destroyed epoch");
            self.done.insert(scope);
        }
        Ok(())
    }
}

async fn shred(store: &Arc<Store>, scope: &Scope) -> Result<usize, StoreError> {
    let (sender, erased) = oneshot::channel();
    let scope = scope.clone();
    store.write(move |txn| txn.shred(&scope, ROWS_PER_WRITE), move |result| drop(sender.send(result)));
    erased.await.unwrap_or(Err(StoreError::Closed))
}
