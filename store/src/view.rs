//! One consistent, short look at the store. Never hold one across an await: a held read keeps every page
//! that later writes replace.

use std::{iter, ops::Bound};

use covault_model::{
    hlc::Hlc,
    id::{PayloadHash, RecordId, VersionId},
    line::Place,
    marks::Stamped,
    name::{CallerName, NamePrefix, SecretName, SecretPath},
    record::Record,
    registry::SecretEntry,
};
use heed::RoTxn;

use crate::{
    error::StoreError,
    keys::{self, Kind},
    looks::{Look, Seen},
    open::Store,
    rows::{Counts, LineRow, SecretView, from_row},
    tables::{Meta, Tables},
    unfiled::Piles,
};

/// A read transaction.
pub struct View<'s> {
    look: Look<'s>,
    tables: &'s Tables,
}

impl Store {
    /// Looks at what is committed now.
    pub fn view(&self) -> Result<View<'_>, StoreError> {
        let tables = self.tables();
        Ok(View { look: self.looks().next(tables)?, tables })
    }

    /// The number of the last commit. Equal numbers at two times mean that nothing changed in between. Zero in a store that
    /// only looks: it does not hear of commits.
    pub fn last_commit(&self) -> u64 {
        self.looks().commits()
    }
}

impl View<'_> {
    /// The rows as of this look.
    pub fn rows(&self) -> Rows<'_> {
        let Seen { txn, piles } = self.look.seen();
        Rows { txn, tables: self.tables, piles }
    }
}

/// How far [`Rows::current`] goes from row to row: to the value of a secret of one version with some marks. Beyond that a
/// search takes less time.
const NEAR_ROWS: usize = 8;

/// What is read together of a secret.
#[derive(Debug, Default)]
pub struct Current<'t> {
    /// Its entry; absent while its name does not exist.
    pub entry: Option<SecretEntry>,
    /// Its view; absent while nothing of it has arrived.
    pub view: Option<SecretView>,
    /// The sealed payload of the view's current version, unless it was destroyed or never arrived.
    pub payload: Option<&'t [u8]>,
}

/// Rows as some transaction sees them: a look, or a write in progress.
#[derive(Clone, Copy)]
pub struct Rows<'t> {
    pub(crate) txn: &'t RoTxn<'t>,
    pub(crate) tables: &'t Tables,
    pub(crate) piles: &'t Piles,
}

impl<'t> Rows<'t> {
    /// One of the single values.
    pub fn meta(&self, key: Meta) -> Result<Option<&'t [u8]>, StoreError> {
        Ok(self.tables.meta.get(self.txn, &[key as u8])?)
    }

    /// The latest hybrid time of any record stored.
    pub fn clock(&self) -> Result<Hlc, StoreError> {
        self.meta(Meta::Clock)?.map_or(Ok(Hlc::default()), |row| from_row("meta", row))
    }

    /// How many versions there are.
    pub fn counts(&self) -> Result<Counts, StoreError> {
        self.meta(Meta::Counts)?.map_or(Ok(Counts::default()), |row| from_row("meta", row))
    }

    /// How many names exist.
    pub fn secrets(&self) -> Result<u64, StoreError> {
        Ok(self.counts()?.secrets)
    }

    /// What a secret is now.
    pub fn secret_view(&self, path: &SecretPath) -> Result<Option<SecretView>, StoreError> {
        let row = self.tables.histories.get(self.txn, &keys::prefix(path, Kind::View))?;
        row.map(|row| from_row("histories", row)).transpose()
    }

    /// What a secret is now, with its value: rows that stand near each other, found by one search where no more than a few
    /// versions and marks lie between.
    pub fn current(&self, path: &SecretPath) -> Result<Current<'t>, StoreError> {
        let (first, end) = (keys::prefix(path, Kind::Entry), keys::end(path));
        let bounds = (Bound::Included(first.as_slice()), Bound::Excluded(end.as_slice()));
        let (mut current, mut wanted) = (Current::default(), None);
        for row in self.tables.histories.range(self.txn, &bounds)?.take(NEAR_ROWS) {
            let (key, row) = row?;
            match keys::kind_of(path, key) {
                Some(kind) if kind == Kind::Entry as u8 => current.entry = Some(from_row("histories", row)?),
                Some(kind) if kind == Kind::View as u8 => {
                    let view: SecretView = from_row("histories", row)?;
                    wanted = view.current.as_ref().map(|(_, row)| keys::payload(path, &row.payload));
                    current.view = Some(view);
                }
                _ if wanted.as_deref() == Some(key) => {
                    current.payload = Some(row);
                    return Ok(current);
                }
                _ => {}
            }
        }
        if let Some(wanted) = wanted {
            current.payload = self.tables.histories.get(self.txn, &wanted)?;
        }
        Ok(current)
    }

    /// A version of the line.
    pub fn line_row(&self, path: &SecretPath, place: &Place) -> Result<Option<LineRow>, StoreError> {
        let row = self.tables.histories.get(self.txn, &keys::line(path, place))?;
        row.map(|row| from_row("histories", row)).transpose()
    }

    /// The version in force at `at`: the last of the line at or before it.
    pub fn version_at(&self, path: &SecretPath, at: &Place) -> Result<Option<(Place, LineRow)>, StoreError> {
        let found = self.tables.histories.get_lower_than_or_equal_to(self.txn, &keys::line(path, at))?;
        read_line_row(path, found)
    }

    /// The place of the version with this id, if it belongs to this secret.
    pub fn place_of(&self, path: &SecretPath, id: &VersionId) -> Result<Option<Place>, StoreError> {
        let record = self.record(path, id)?;
        let version = record.filter(|record| record.version().is_some());
        Ok(version.map(|record| Place { time: record.header().time, id: *id }))
    }

    /// The place that follows `place` in the line.
    pub fn next_place(&self, path: &SecretPath, place: &Place) -> Result<Option<Place>, StoreError> {
        let found = self.tables.histories.get_greater_than(self.txn, &keys::line(path, place))?;
        Ok(found.and_then(|(key, _)| keys::read_line(path, key)))
    }

    /// Up to `limit` versions before `before` (or from the end), newest first.
    pub fn versions(
        &self,
        path: &SecretPath,
        before: Option<&Place>,
        limit: usize,
    ) -> Result<Vec<(Place, LineRow)>, StoreError> {
        let last = Place { time: Hlc(u64::MAX), id: RecordId([0xff; 32]) };
        let mut found = match before {
            Some(place) => self.tables.histories.get_lower_than(self.txn, &keys::line(path, place))?,
            None => self.tables.histories.get_lower_than_or_equal_to(self.txn, &keys::line(path, &last))?,
        };
        let mut versions = Vec::new();
        while versions.len() < limit
            && let Some((place, row)) = read_line_row(path, found)?
        {
            found = self.tables.histories.get_lower_than(self.txn, &keys::line(path, &place))?;
            versions.push((place, row));
        }
        Ok(versions)
    }

    /// A record of a secret.
    pub fn record(&self, path: &SecretPath, id: &RecordId) -> Result<Option<Record>, StoreError> {
        let bytes = self.tables.histories.get(self.txn, &keys::record(path, id))?;
        bytes.map(read_record).transpose()
    }

    /// Whether a record of a secret has arrived.
    pub fn has_record(&self, path: &SecretPath, id: &RecordId) -> Result<bool, StoreError> {
        Ok(self.tables.histories.get(self.txn, &keys::record(path, id))?.is_some())
    }

    /// All records of a secret, by id.
    pub fn records(&self, path: &SecretPath) -> Result<Vec<Record>, StoreError> {
        let rows = self.tables.histories.prefix_iter(self.txn, &keys::prefix(path, Kind::Record))?;
        rows.map(|row| read_record(row?.1)).collect()
    }

    /// The sealed payload of a version, unless it was destroyed or never arrived.
    pub fn payload(&self, path: &SecretPath, hash: &PayloadHash) -> Result<Option<&'t [u8]>, StoreError> {
        Ok(self.tables.histories.get(self.txn, &keys::payload(path, hash))?)
    }

    /// The delete mark of a version.
    pub fn deleted(&self, path: &SecretPath, id: &VersionId) -> Result<Option<Stamped<bool>>, StoreError> {
        let row = self.tables.histories.get(self.txn, &keys::deleted(path, id))?;
        row.map(|row| from_row("histories", row)).transpose()
    }

    /// Up to `limit` names of `owner` that begin with `prefix` and come after `after`, in order.
    pub fn names(
        &self,
        owner: &CallerName,
        prefix: &NamePrefix,
        after: Option<&SecretName>,
        limit: usize,
    ) -> Result<Vec<SecretName>, StoreError> {
        let after = after.map(|name| keys::end(&SecretPath { owner: owner.clone(), name: name.clone() }));
        let first = keys::scoped(owner, prefix.as_bytes());
        let from = after.filter(|after| first <= *after).unwrap_or(first);
        let mut names = Vec::new();
        for found in self.walk(from) {
            let (path, exists) = found?;
            if names.len() == limit || path.owner != *owner || !prefix.covers(&path.name) {
                break;
            }
            names.extend(exists.then_some(path.name));
        }
        Ok(names)
    }

    /// Every secret whose name exists, by owner and name, handed to `each` until it says stop.
    pub fn each_secret(
        &self,
        mut each: impl FnMut(SecretPath) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        for found in self.walk(keys::FIRST.to_vec()) {
            let (path, exists) = found?;
            if exists && !each(path)? {
                break;
            }
        }
        Ok(())
    }

    /// Up to `limit` secrets after `after` (or from the first) whose names exist, by owner and name, each
    /// with its view if any of its records has arrived.
    pub fn secrets_after(
        &self,
        after: Option<&SecretPath>,
        limit: usize,
    ) -> Result<Vec<(SecretPath, Option<SecretView>)>, StoreError> {
        let from = after.map_or_else(|| keys::FIRST.to_vec(), keys::end);
        let mut found = Vec::new();
        for each in self.walk(from) {
            let (path, exists) = each?;
            if exists {
                let view = self.secret_view(&path)?;
                found.push((path, view));
            }
            if found.len() == limit {
                break;
            }
        }
        Ok(found)
    }

    /// Up to `limit` secrets whose names exist, by owner and name: from or after one, and before `until`.
    pub fn secrets_within(
        &self,
        (from, until): (Bound<&SecretPath>, Option<&SecretPath>),
        limit: usize,
    ) -> Result<Vec<SecretPath>, StoreError> {
        let from = match from {
            Bound::Unbounded => keys::FIRST.to_vec(),
            Bound::Included(first) => keys::prefix(first, Kind::Entry),
            Bound::Excluded(before) => keys::end(before),
        };
        let mut secrets = Vec::new();
        for found in self.walk(from) {
            let (path, exists) = found?;
            if secrets.len() == limit || until.is_some_and(|until| *until <= path) {
                break;
            }
            secrets.extend(exists.then_some(path));
        }
        Ok(secrets)
    }

    /// Every secret of which anything is kept, agreed or not, by owner and name.
    pub(crate) fn histories(&self) -> Result<Vec<SecretPath>, StoreError> {
        self.walk(keys::FIRST.to_vec()).map(|found| Ok(found?.0)).collect()
    }

    /// Secrets of which anything is kept, from a key on, and whether their names exist. Goes from secret
    /// to secret, whatever their histories hold. After an error it does not go on.
    fn walk(&self, from: Vec<u8>) -> impl Iterator<Item = Result<(SecretPath, bool), StoreError>> {
        let mut next = Some(from);
        iter::from_fn(move || {
            let from = next.take()?;
            match self.tables.histories.get_greater_than_or_equal_to(self.txn, &from) {
                Err(error) => Some(Err(error.into())),
                Ok(None) => None,
                Ok(Some((key, _))) => {
                    let Some((path, kind)) = keys::read_path(key) else {
                        return Some(Err(StoreError::Inconsistent("a row of histories is of no secret")));
                    };
                    next = Some(keys::end(&path));
                    Some(Ok((path, kind == Kind::Entry as u8)))
                }
            }
        })
    }
}

fn read_line_row(
    path: &SecretPath,
    found: Option<(&[u8], &[u8])>,
) -> Result<Option<(Place, LineRow)>, StoreError> {
    let Some((key, row)) = found else { return Ok(None) };
    let Some(place) = keys::read_line(path, key) else { return Ok(None) };
    Ok(Some((place, from_row("histories", row)?)))
}

fn read_record(bytes: &[u8]) -> Result<Record, StoreError> {
    Record::from_trusted_bytes(bytes).map_err(|why| StoreError::Corrupt { table: "histories", why })
}
