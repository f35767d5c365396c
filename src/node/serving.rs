//! What a node answers an API process: how it stands, and what a client's request that the process brings comes to.
//! Who the client is, the token says, which the vault checks; that the process brings it counts for nothing. Keeps A2.
//! Knows nothing of what is in a request.

use std::sync::{Arc, OnceLock};

use covault_model::DecodeError;

use crate::{
    consensus::Consensus,
    relay::{Ask, Serving, Standing, Told},
    vault::Vault,
};

/// What serves API processes on this node.
#[derive(Clone)]
pub(super) struct ApiService {
    pub consensus: Consensus,
    /// Absent until the node serves.
    pub vault: Arc<OnceLock<Vault>>,
    /// Carries requests out; absent while nobody has said how.
    pub serving: Arc<OnceLock<Serving>>,
}

impl ApiService {
    /// The bytes of an answer; none when this node does not carry out requests.
    pub async fn answer(&self, ask: &[u8]) -> Result<Option<Vec<u8>>, DecodeError> {
        let told = match Ask::from_bytes(ask)? {
            Ask::Standing => Told::Standing(self.standing(self.consensus.has_majority())),
            Ask::Confirmed => Told::Standing(self.standing(self.consensus.confirm().await.is_ok())),
            Ask::CarryOut(asked) => match self.serving.get() {
                Some(serving) => Told::CarriedOut(Box::new(serving(asked).await)),
                None => return Ok(None),
            },
        };
        Ok(Some(told.to_bytes()))
    }

    /// A node that carries out nothing has no majority to offer.
    fn standing(&self, majority: bool) -> Standing {
        let vault = self.vault.get().filter(|_| majority && self.serving.get().is_some());
        let members = vault.map(|vault| vault.reachable().unwrap_or_default());
        Standing { majority: members.is_some(), members: members.unwrap_or_default() }
    }
}
