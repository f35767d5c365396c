//! Versions that the registry names and that have not come here yet: a registry that came as a snapshot says at
//! once what was agreed, and the histories follow. Whoever needs such a version now has it fetched.
//! Keeps X6: what the registry names is fetched, or not known, but never "not found".
//! Knows nothing of how records travel.

use covault_model::{
    id::VersionId,
    isolation::{Access, Session},
    line::{Place, last_place_at},
    name::SecretPath,
    record::Record,
    refusal::{NoAuthority, Refusal},
    registry::{Registry, SecretEntry},
};
use covault_store::{Rows, StoreError};

use super::{Vault, Which, read::find, storage_refusal};

impl Vault {
    /// Has the version that is meant fetched if it was agreed and is not here. Refuses when it was agreed and
    /// cannot be had now; says nothing to a caller who may not read the secret.
    pub(super) async fn fetch_named(
        &self,
        session: &Session,
        path: &SecretPath,
        which: Which,
    ) -> Result<(), Refusal> {
        let Some(id) = self.named_and_lacked(session, path, which)? else { return Ok(()) };
        self.parts.records.fetch(path, &[id]).await;
        match self.named_and_lacked(session, path, which)? {
            None => Ok(()),
            Some(_) => Err(NoAuthority::Unconfirmed.into()),
        }
    }

    /// Has these versions here, as far as there are any: what a look does not find after this is not there, since a
    /// majority was asked. Says nothing to a caller who may not read the secret.
    pub(super) async fn have(
        &self,
        session: &Session,
        path: &SecretPath,
        which: &[Which],
    ) -> Result<(), Refusal> {
        self.settled(path).await?;
        let mut all_here = true;
        for which in which {
            self.fetch_named(session, path, *which).await?;
            all_here &= find(self.look()?.rows(), path, *which)?.is_some();
        }
        if all_here {
            return Ok(());
        }
        self.confirm().await?;
        for which in which {
            self.fetch_named(session, path, *which).await?;
        }
        Ok(())
    }

    /// A version of which this node knows by its id, fetched if it has not arrived: the answer to a request that is asked
    /// again is made of it. Unknown if it cannot be had now.
    pub(super) async fn named_record(&self, path: &SecretPath, id: &VersionId) -> Result<Record, Refusal> {
        if let Some(here) = self.look()?.rows().record(path, id).map_err(storage_refusal)? {
            return Ok(here);
        }
        self.parts.records.fetch(path, &[*id]).await;
        let fetched = self.look()?.rows().record(path, id).map_err(storage_refusal)?;
        fetched.ok_or_else(|| NoAuthority::OutcomeUnknown(Some(*id)).into())
    }

    fn named_and_lacked(
        &self,
        session: &Session,
        path: &SecretPath,
        which: Which,
    ) -> Result<Option<VersionId>, Refusal> {
        let view = self.look()?;
        if self.permit(view.rows(), session, path, Access::Read).is_err() {
            return Ok(None);
        }
        lacked(view.rows(), path, which).map_err(storage_refusal)
    }
}

/// The version that is meant, if the registry names it and it is not here.
fn lacked(rows: Rows<'_>, path: &SecretPath, which: Which) -> Result<Option<VersionId>, StoreError> {
    let Some(entry) = rows.secret(path)? else { return Ok(None) };
    let named = match which {
        Which::Current => Some(entry.last),
        Which::Number(number) => rows.numbered(path, number)?,
        Which::At(at) => last_named(&rows, path, &entry, &last_place_at(at))?,
        Which::Id(id) => named_so(&rows, path, &entry, &id)?,
    };
    let Some(Place { id, .. }) = named else { return Ok(None) };
    Ok((!rows.has_record(path, &id)?).then_some(id))
}

/// Whether the registry names a later version than the one at `found`, which was found for `which`, and that is not here:
/// what was found was current before it.
pub(super) fn is_outdated(
    rows: Rows<'_>,
    path: &SecretPath,
    which: Which,
    found: &Place,
) -> Result<bool, Refusal> {
    let is_later = match which {
        Which::Number(_) | Which::Id(_) => Ok(false),
        Which::Current | Which::At(_) => {
            rows.secret(path).map(|entry| entry.is_some_and(|entry| *found < entry.last))
        }
    };
    if !is_later.map_err(storage_refusal)? {
        return Ok(false);
    }
    lacked(rows, path, which).map(|lacked| lacked.is_some()).map_err(storage_refusal)
}

/// The agreed version with this id. The registry has no index of them, so this looks at all; what is here
/// already is not looked for.
fn named_so(
    rows: &Rows<'_>,
    path: &SecretPath,
    entry: &SecretEntry,
    id: &VersionId,
) -> Result<Option<Place>, StoreError> {
    if rows.has_record(path, id)? {
        return Ok(None);
    }
    for number in 1..=entry.agreed {
        let named = rows.numbered(path, number)?.filter(|place| place.id == *id);
        if named.is_some() {
            return Ok(named);
        }
    }
    Ok(None)
}

/// The last agreed version at or before `at`. Times rise with numbers (E3).
fn last_named(
    registry: &Rows<'_>,
    path: &SecretPath,
    entry: &SecretEntry,
    at: &Place,
) -> Result<Option<Place>, StoreError> {
    let (mut low, mut high) = (0, entry.agreed);
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        match registry.numbered(path, middle)? {
            Some(place) if place <= *at => low = middle,
            _ => high = middle - 1,
        }
    }
    registry.numbered(path, low)
}
