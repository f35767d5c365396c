//! What this node can seal and open. Keeps S3: a key that the cluster knows under another check value is
//! wrong and never used. Knows nothing of where keyrings come from.

use covault_model::{
    name::MasterKeyName,
    refusal::{NodeFault, Refusal},
    registry::{KeyCheck, Registry},
};
use covault_seal::{Keyring, SealError, Verdict};
use covault_store::Rows;

use super::{KeyStatus, storage_refusal};

/// The keys of this node. One that the cluster came to know under another value since it started is still among them.
pub struct Keys {
    ring: Option<Keyring>,
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
            return (Self { ring: None }, KeyVerdict::Missing(all));
        };
        let (wrong, missing) = (judged(&ring, known, Verdict::Wrong), judged(&ring, known, Verdict::Missing));
        let ring = ring.without(&wrong);
        let verdict = match (wrong.is_empty(), missing.is_empty()) {
            (false, _) => KeyVerdict::Wrong(wrong),
            (true, false) => KeyVerdict::Missing(missing),
            (true, true) => KeyVerdict::Complete,
        };
        (Self { ring: Some(ring) }, verdict)
    }

    /// Refuses a key that the cluster knows under another value. The ring may have had it before the cluster knew it.
    pub(super) fn require_right(&self, rows: Rows<'_>, name: &MasterKeyName) -> Result<(), Refusal> {
        let known = rows.key_check(name).map_err(storage_refusal)?;
        match known.map(|check| self.ring().map(|ring| ring.knows(name, &check))).transpose()? {
            None | Some(Verdict::Right) => Ok(()),
            Some(_) => Err(NodeFault::MasterKeyUnavailable(Some(name.clone())).into()),
        }
    }

    /// Why a stored value cannot be opened: perhaps a key of the ring is not the one that the cluster has come to know.
    pub(super) fn open_refusal(&self, rows: Rows<'_>, error: &SealError) -> Refusal {
        if matches!(error, SealError::NotAuthentic)
            && let Ok(ring) = self.ring()
            && let Some(Err(wrong)) =
                ring.names().map(|name| self.require_right(rows, name)).find(Result::is_err)
        {
            return wrong;
        }
        seal_refusal(error)
    }

    /// The active key with its check value, to be made known to the cluster.
    pub fn active_check(&self) -> Option<(MasterKeyName, KeyCheck)> {
        let ring = self.ring.as_ref()?;
        Some((ring.active().clone(), ring.check(ring.active())?))
    }

    /// What there is, for the status, of what the cluster knows.
    pub fn status(&self, known: &[(MasterKeyName, KeyCheck)]) -> KeyStatus {
        let Some(ring) = &self.ring else {
            let unavailable = known.iter().map(|(name, _)| name.clone()).collect();
            return KeyStatus { active: None, usable: Vec::new(), unavailable };
        };
        let wrong = judged(ring, known, Verdict::Wrong);
        let usable = ring.names().filter(|name| !wrong.contains(name)).cloned().collect();
        let unavailable = [wrong, judged(ring, known, Verdict::Missing)].concat();
        KeyStatus { active: self.active_check().map(|(name, _)| name), usable, unavailable }
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

/// The keys that the cluster knows of which this is to be said of the ring.
fn judged(ring: &Keyring, known: &[(MasterKeyName, KeyCheck)], verdict: Verdict) -> Vec<MasterKeyName> {
    let is = |(name, check): &&(MasterKeyName, KeyCheck)| ring.knows(name, check) == verdict;
    known.iter().filter(is).map(|(name, _)| name.clone()).collect()
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
