//! What the references of a file stand for. Each value is read once, however many references lead into it.
//! Keeps S1: what is picked is wiped. Knows nothing of where values come from.

use std::collections::{BTreeMap, BTreeSet};

use zeroize::Zeroizing;

use super::{call::Reference, key, mistake::Reason};

/// The text of a reference, or why it has none.
type Found = Result<Zeroizing<String>, Reason>;

/// What references stand for.
pub struct Picked<'f>(BTreeMap<&'f Reference, Found>);

impl<'f> Picked<'f> {
    /// Of these references, given the values of the secrets that they name.
    pub fn of<'v>(
        references: impl IntoIterator<Item = &'f Reference>,
        value: impl Fn(&'f Reference) -> Result<&'v [u8], Reason>,
    ) -> Self {
        // Rising, so that those into the same version of a secret are side by side.
        let distinct: BTreeSet<&Reference> = references.into_iter().collect();
        let distinct: Vec<&Reference> = distinct.into_iter().collect();
        let mut picked = BTreeMap::new();
        for same in distinct.chunk_by(|one, next| one.name == next.name && one.version == next.version) {
            match value(same[0]) {
                Ok(value) => pick(value, same, &mut picked),
                Err(reason) => picked.extend(same.iter().map(|one| (*one, Err(reason)))),
            }
        }
        Self(picked)
    }

    /// What this reference stands for; nothing when it was not among those.
    pub fn get(&self, reference: &Reference) -> Option<Result<&str, Reason>> {
        self.0.get(reference).map(|found| found.as_ref().map(|text| text.as_str()).map_err(|reason| *reason))
    }
}

/// Picks what these references stand for, all of them into this value.
fn pick<'f>(value: &[u8], all: &[&'f Reference], picked: &mut BTreeMap<&'f Reference, Found>) {
    let Ok(text) = str::from_utf8(value) else {
        return picked.extend(all.iter().map(|one| (*one, Err(Reason::NotText))));
    };
    let keys: BTreeSet<&str> = all.iter().filter_map(|one| one.key.as_deref()).collect();
    let mut found = if keys.is_empty() { Ok(BTreeMap::new()) } else { key::pick(text, &keys) };
    picked.extend(all.iter().map(|one| {
        let text = match (&one.key, &mut found) {
            (None, _) => Ok(Zeroizing::new(text.to_owned())),
            (Some(key), Ok(found)) => found.remove(key.as_str()).unwrap_or(Err(Reason::NoKey)),
            (Some(_), Err(reason)) => Err(*reason),
        };
        (*one, text)
    }));
}
