//! The epochs of an owner's tokens, one after the other. Keeps T2: exactly one is active, the last; which one
//! is agreed, an epoch is never taken back, and one that was destroyed stays so.
//! Knows nothing of tokens, keys' values or mappings.

use alloc::{vec, vec::Vec};
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    hlc::Millis,
    id::CommandId,
    limits::EPOCHS_PER_OWNER_MAX,
    mutant::Mutant,
    name::{CallerName, MasterKeyName},
    refusal::{CallerMistake, Limit, Refusal},
    registry::Registry,
};

/// The number of an epoch among those of its owner, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u32);

impl Epoch {
    /// The one that every caller begins with; no command makes it.
    pub const FIRST: Self = Self(1);
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The command that changes epochs, and when it was proposed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// Its id.
    pub id: CommandId,
    /// When, by the proposing node's clock.
    pub at: Millis,
}

/// One epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochEntry {
    /// The master key that its tokens come of.
    pub key: MasterKeyName,
    /// Since when it is, or was, the active one.
    pub since: Millis,
    /// The command that activated it; absent for the first one, which none did.
    pub by: Option<CommandId>,
    /// When it was destroyed; absent unless it was.
    pub destroyed_at: Option<Millis>,
}

/// All epochs of one owner. Grows; an entry changes only by being destroyed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<EpochEntry>", into = "Vec<EpochEntry>")]
pub struct Epochs(Vec<EpochEntry>);

/// A row of epochs that says of none that it is active.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoEpochs;

impl fmt::Display for NoEpochs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an owner has at least one epoch")
    }
}

impl TryFrom<Vec<EpochEntry>> for Epochs {
    type Error = NoEpochs;
    fn try_from(entries: Vec<EpochEntry>) -> Result<Self, NoEpochs> {
        let fits = !entries.is_empty() && entries.len() <= EPOCHS_PER_OWNER_MAX;
        if fits { Ok(Self(entries)) } else { Err(NoEpochs) }
    }
}

impl From<Epochs> for Vec<EpochEntry> {
    fn from(epochs: Epochs) -> Self {
        epochs.0
    }
}

impl Epochs {
    /// What every owner begins with: one epoch, of the cluster's first key.
    pub fn first(key: MasterKeyName, since: Millis) -> Self {
        Self(vec![EpochEntry { key, since, by: None, destroyed_at: None }])
    }

    /// The active one.
    pub fn active(&self) -> Epoch {
        Epoch(self.0.len() as u32)
    }

    /// The epoch of this number, unless there never was one.
    pub fn get(&self, epoch: Epoch) -> Option<&EpochEntry> {
        self.0.get((epoch.0 as usize).checked_sub(1)?)
    }

    /// Whether tokens of this epoch may exist: it is, or was, active and was not destroyed.
    pub fn holds(&self, epoch: Epoch) -> bool {
        self.get(epoch).is_some_and(|entry| entry.destroyed_at.is_none())
    }

    /// All of them, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (Epoch, &EpochEntry)> {
        self.0.iter().enumerate().map(|(at, entry)| (Epoch(at as u32 + 1), entry))
    }

    /// Activates the one after the active one. `None` when this very command did so before.
    pub fn activate(&self, epoch: Epoch, key: &MasterKeyName, turn: Turn) -> Result<Option<Self>, Refusal> {
        if self.get(epoch).is_some_and(|entry| entry.by == Some(turn.id)) {
            return Ok(None);
        }
        let follows = Some(epoch.0) == self.active().0.checked_add(1);
        if !follows && !Mutant::UnconditionalEpoch.is_on() {
            return Err(CallerMistake::EpochConflict.into());
        }
        if EPOCHS_PER_OWNER_MAX <= self.0.len() {
            return Err(CallerMistake::TooMany(Limit::Epochs).into());
        }
        let last = self.0.last().map_or(turn.at, |last| last.since);
        let since = turn.at.max(last);
        let entry = EpochEntry { key: key.clone(), since, by: Some(turn.id), destroyed_at: None };
        Ok(Some(Self([self.0.as_slice(), &[entry]].concat())))
    }

    /// Destroys one that is not active any more. `None` when it was before.
    pub fn destroy(&self, epoch: Epoch, at: Millis) -> Result<Option<Self>, Refusal> {
        let entry = self.get(epoch).ok_or(CallerMistake::NotFound)?;
        if entry.destroyed_at.is_some() {
            return Ok(None);
        }
        if epoch == self.active() {
            return Err(CallerMistake::EpochConflict.into());
        }
        let mut changed = self.clone();
        changed.0[epoch.0 as usize - 1].destroyed_at = Some(at);
        Ok(Some(changed))
    }
}

/// The epochs of a caller that exists, or existed; none while the cluster knows no master key.
pub fn epochs_of<R: Registry>(registry: &R, owner: &CallerName) -> Result<Option<Epochs>, R::Error> {
    if let Some(epochs) = registry.epochs(owner)? {
        return Ok(Some(epochs));
    }
    let Some(caller) = registry.caller(owner)? else { return Ok(None) };
    let first = match registry.first_key()? {
        Some(key) => Some(key),
        None => registry.known_keys()?.into_iter().next(),
    };
    Ok(first.map(|key| Epochs::first(key, caller.created_at)))
}
