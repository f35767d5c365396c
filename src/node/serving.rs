//! What a node answers an API process: how it stands, and what a client's request that the process brings comes to.
//! Who the client is, the token says, which the vault checks; that the process brings it counts for nothing. Keeps A2.
//! Knows nothing of what is in a request.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use covault_model::DecodeError;
use covault_net::Reply;
use tokio::{sync::Semaphore, time::timeout};

use crate::{
    consensus::Consensus,
    relay::{Ask, NOT_SERVING, Serving, Standing, Told},
    vault::Vault,
};

/// Requests carried out at a time: more than all lanes of API processes hold together.
const IN_HAND_MAX: u32 = 4096;
/// How long those in hand may take to finish once the node stops.
const DRAIN: Duration = Duration::from_secs(10);

/// What serves API processes on this node.
#[derive(Clone)]
pub(super) struct ApiService {
    consensus: Consensus,
    /// Absent until the node serves.
    vault: Arc<OnceLock<Vault>>,
    /// Carries requests out; absent while nobody has said how.
    serving: Arc<OnceLock<Serving>>,
    /// What is left of the room for requests; nothing once the node stops.
    room: Arc<Semaphore>,
}

impl ApiService {
    /// A service that begins when `vault` is there and [`ApiService::open`] was called.
    pub fn new(consensus: Consensus, vault: Arc<OnceLock<Vault>>) -> Self {
        let room = Arc::new(Semaphore::new(IN_HAND_MAX as usize));
        Self { consensus, vault, serving: Arc::default(), room }
    }

    /// From now on requests are carried out, in this way.
    pub fn open(&self, serving: Serving) {
        // It is set once, after the start.
        let _ = self.serving.set(serving);
    }

    /// Takes no more requests, and lets those in hand finish.
    pub async fn close(&self) {
        if let Ok(Ok(all)) = timeout(DRAIN, self.room.acquire_many(IN_HAND_MAX)).await {
            all.forget();
        }
    }

    /// Answers; refuses when this node does not carry out requests. One that was carried out is in hand until the
    /// process has what came of it.
    pub async fn answer(&self, ask: &[u8], reply: Reply) -> Result<(), DecodeError> {
        let majority = match Ask::from_bytes(ask)? {
            Ask::Standing => self.consensus.has_majority(),
            Ask::Confirmed => self.consensus.confirm().await.is_ok(),
            Ask::CarryOut(asked) => {
                let (Some(serving), Ok(_in_hand)) = (self.serving.get(), self.room.try_acquire()) else {
                    reply.refuse(NOT_SERVING);
                    return Ok(());
                };
                let told = Told::CarriedOut(Box::new(serving(asked).await));
                reply.deliver(told.to_bytes().into()).await;
                return Ok(());
            }
        };
        reply.send(Told::Standing(self.standing(majority)).to_bytes().into());
        Ok(())
    }

    /// A node that carries out nothing has no majority to offer.
    fn standing(&self, majority: bool) -> Standing {
        let serves = self.serving.get().is_some() && self.room.available_permits() != 0;
        let vault = self.vault.get().filter(|_| majority && serves);
        let members = vault.map(|vault| vault.reachable().unwrap_or_default());
        Standing { majority: members.is_some(), members: members.unwrap_or_default() }
    }
}
