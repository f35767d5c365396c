//! The task that offers to the registry, once a second, what this node kept while no majority answered, and looks
//! whether the mappings it issued then have spread. Keeps X7 with `src/vault/keep.rs`. Knows nothing of what is offered.

use std::time::Duration;

use tokio::{
    sync::oneshot,
    task::JoinHandle,
    time::{MissedTickBehavior, interval},
};

use crate::vault::Vault;

const EVERY: Duration = Duration::from_secs(1);

/// The running task.
pub(super) struct Offers {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Offers {
    /// Begins.
    pub fn start(vault: Vault) -> Self {
        let (stop, stopped) = oneshot::channel();
        Self { stop, task: tokio::spawn(run(vault, stopped)) }
    }

    /// Stops. An offer that is on its way is given up; it is made again at the next start.
    pub async fn stop(self) {
        drop(self.stop);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "offering did not stop cleanly");
        }
    }
}

async fn run(vault: Vault, mut stopped: oneshot::Receiver<()>) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let offered = async {
            ticks.tick().await;
            vault.offer_kept().await?;
            vault.look_for_spread().await
        };
        tokio::select! {
            biased;
            _ = &mut stopped => return,
            offered = offered => {
                if let Err(refusal) = offered {
                    tracing::debug!(code = refusal.code(), "what was kept could not be offered yet");
                }
            }
        }
    }
}
