//! What this node can seal and open. Keeps S3: a key that the cluster knows under another check value is
//! wrong and never used. Knows nothing of where keyrings come from.

use covault_model::{
    name::MasterKeyName,
    refusal::{NodeFault, Refusal},
    registry::KeyCheck,
};
use covault_seal::{Keyring, SealError, Verdict};

use super::KeyStatus;

/// The usable keys of this node.
pub struct Keys {
    ring: Option<Keyring>,
    unavailable: Vec<MasterKeyName>,
}

/// What is wrong with a keyring, seen from the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyVerdict {
    /// Every key that the cluster knows is there, and right.
    Complete,
    /// These keys are not in the ring.
    Missing(Vec<MasterKeyName>),
    /// These keys have another value than the cluster's.
    Wrong(Vec<MasterKeyName>),
}

impl Keys {
    /// Compares `ring` with what the cluster knows, and keeps what is right of it.
    pub fn judge(ring: Option<Keyring>, known: &[(MasterKeyName, KeyCheck)]) -> (Self, KeyVerdict) {
        let Some(ring) = ring else {
            let all: Vec<_> = known.iter().map(|(name, _)| name.clone()).collect();
            return (Self { ring: None, unavailable: all.clone() }, KeyVerdict::Missing(all));
        };
        let with = |wanted: Verdict| -> Vec<MasterKeyName> {
            let is = |(name, check): &&(MasterKeyName, KeyCheck)| ring.knows(name, check) == wanted;
            known.iter().filter(is).map(|(name, _)| name.clone()).collect()
        };
        let (wrong, missing) = (with(Verdict::Wrong), with(Verdict::Missing));
        let verdict = match (wrong.is_empty(), missing.is_empty()) {
            (false, _) => KeyVerdict::Wrong(wrong.clone()),
            (true, false) => KeyVerdict::Missing(missing.clone()),
            (true, true) => KeyVerdict::Complete,
        };
        let ring = ring.without(&wrong);
        (Self { ring: Some(ring), unavailable: [wrong, missing].concat() }, verdict)
    }

    /// The active key with its check value, to be made known to the cluster.
    pub fn active_check(&self) -> Option<(MasterKeyName, KeyCheck)> {
        let ring = self.ring.as_ref()?;
        Some((ring.active().clone(), ring.check(ring.active())?))
    }

    /// What there is, for the status.
    pub fn status(&self) -> KeyStatus {
        let active = self.active_check().map(|(name, _)| name);
        let usable = self.ring.iter().flat_map(|ring| ring.names().cloned()).collect();
        KeyStatus { active, usable, unavailable: self.unavailable.clone() }
    }

    /// The ring, or why nothing can be sealed or opened.
    pub(super) fn ring(&self) -> Result<&Keyring, Refusal> {
        self.ring.as_ref().ok_or_else(|| NodeFault::MasterKeyUnavailable(None).into())
    }

    /// Refuses unless new values can be sealed.
    pub(super) fn require_active(&self) -> Result<(), Refusal> {
        let ring = self.ring()?;
        match ring.check(ring.active()) {
            Some(_) => Ok(()),
            None => Err(NodeFault::MasterKeyUnavailable(Some(ring.active().clone())).into()),
        }
    }
}

/// What a caller is told when a value cannot be sealed or opened.
pub(super) fn seal_refusal(error: &SealError) -> Refusal {
    match error {
        SealError::MasterKeyUnavailable(name) => NodeFault::MasterKeyUnavailable(Some(name.clone())).into(),
        SealError::TooLarge => {
            covault_model::refusal::CallerMistake::TooMany(covault_model::refusal::Limit::ValueBytes).into()
        }
        SealError::Payload(_) | SealError::NotAuthentic => {
            tracing::error!(%error, "a stored value cannot be opened");
            NodeFault::Corrupt.into()
        }
    }
}
