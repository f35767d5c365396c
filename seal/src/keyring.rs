//! The master keys of a node: by name, one of them active. Keeps S3: a key that is missing, wrong, unreadable
//! or open to others is refused by name of the problem, and nothing is ever sealed under a doubtful one.
//!
//! A new active key takes over by standing in the ring beside the old ones: what they sealed stays readable.
//! Knows nothing of clusters or of which check values are agreed.

mod error;
mod source;
mod text;

use std::{collections::BTreeMap, path::Path};

use covault_model::{
    id::{ClusterId, hex},
    issue::Scope,
    name::MasterKeyName,
    registry::KeyCheck,
};
use zeroize::Zeroizing;

use crate::{
    epoch_key::EpochKey,
    master_key::{MASTER_KEY_LEN, MasterKey},
    plaintext::Plaintext,
};

pub use error::KeyringError;
pub use source::{CREDENTIAL_NAME, KeyringSource};

/// Master keys by name. Has at least one when read or generated; [`without`](Self::without) may empty it.
pub struct Keyring {
    active: MasterKeyName,
    keys: BTreeMap<MasterKeyName, MasterKey>,
}

/// What a ring holds under a name, measured by the check value that is known of that name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The key.
    Right,
    /// Another key.
    Wrong,
    /// Nothing.
    Missing,
}

impl Keyring {
    /// Reads the ring from where it is kept.
    pub fn load(source: &KeyringSource) -> Result<Self, KeyringError> {
        Self::parse(&source.read()?, &source.to_string())
    }

    /// Reads the text of a ring. `place` says where it is from, for errors; they never repeat the text.
    pub fn parse(text: &[u8], place: &str) -> Result<Self, KeyringError> {
        text::parse(text, place)
    }

    /// A ring with one fresh key, its name drawn too, so that no two rings mean
    /// different keys by one name.
    pub fn generate(chance: &mut dyn FnMut(&mut [u8])) -> Self {
        let (mut bytes, mut suffix) = (Zeroizing::new([0; MASTER_KEY_LEN]), [0; 8]);
        chance(bytes.as_mut_slice());
        chance(&mut suffix);
        let name = MasterKeyName::parse(&format!("mk-{}", hex(&suffix)))
            .expect("letters, a dash and sixteen digits are a name");
        Self { active: name.clone(), keys: BTreeMap::from([(name, MasterKey::new(&bytes))]) }
    }

    /// The text that [`parse`](Self::parse) reads, keys and all.
    pub fn to_text(&self) -> Plaintext {
        Plaintext::new(text::write(self).to_vec())
    }

    /// Writes the ring to a new file that only its owner may read, and syncs it. Refused if `path` exists.
    pub fn write_new(&self, path: &Path) -> Result<(), KeyringError> {
        source::write_new(path, &text::write(self))
    }

    /// The name of the key that seals. The key itself may have been taken out by [`without`](Self::without).
    pub fn active(&self) -> &MasterKeyName {
        &self.active
    }

    /// The names of the keys, in order.
    pub fn names(&self) -> impl Iterator<Item = &MasterKeyName> {
        self.keys.keys()
    }

    /// The check value of the key of this name: a constant that only that key gives.
    pub fn check(&self, name: &MasterKeyName) -> Option<KeyCheck> {
        self.key(name).map(MasterKey::check)
    }

    /// Whether the key of this name is the one that `check` was made from.
    pub fn knows(&self, name: &MasterKeyName, check: &KeyCheck) -> Verdict {
        match self.check(name) {
            None => Verdict::Missing,
            Some(own) if own == *check => Verdict::Right,
            Some(_) => Verdict::Wrong,
        }
    }

    /// The ring without the keys of these names: wrong ones must not seal, nor be tried.
    #[must_use]
    pub fn without(mut self, names: &[MasterKeyName]) -> Self {
        self.keys.retain(|name, _| !names.contains(name));
        self
    }

    /// A digest that only a holder of the key can compute, so that one kept on disk cannot be used to try
    /// guesses of what was digested. `context` says what it is for; `parts` never run into each other.
    pub fn digest(&self, key: &MasterKeyName, context: &str, parts: &[&[u8]]) -> Option<[u8; 32]> {
        self.key(key).map(|key| key.digest(context, parts))
    }

    /// What the tokens of an owner and epoch come of, which is a function of the master key of this name.
    pub fn epoch_key(&self, key: &MasterKeyName, cluster: ClusterId, scope: &Scope) -> Option<EpochKey> {
        self.key(key).map(|master| EpochKey::new(master, cluster, scope))
    }

    /// The key of this name.
    pub(crate) fn key(&self, name: &str) -> Option<&MasterKey> {
        self.keys.get(name)
    }
}
