//! One consistent, short look at the store. Never hold one across an await: a held read keeps every page
//! that later writes replace.

use std::ops::Bound;

use covault_model::{
    hlc::Hlc,
    id::{PayloadHash, RecordId, SecretId, VersionId},
    line::Place,
    marks::Stamped,
    name::{CallerName, NamePrefix, SecretName},
    record::Record,
};
use heed::{RoTxn, WithoutTls};

use crate::{
    error::StoreError,
    keys::{self, Kind},
    open::Store,
    rows::{Counts, LineRow, SecretView, from_row},
    tables::{Meta, Tables},
};

/// A name in a namespace, with the secret it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameRow {
    /// The name.
    pub name: SecretName,
    /// The secret.
    pub secret: SecretId,
}

/// A read transaction.
pub struct View<'s> {
    txn: RoTxn<'s, WithoutTls>,
    tables: &'s Tables,
}

impl Store {
    /// Looks at what is committed now.
    pub fn view(&self) -> Result<View<'_>, StoreError> {
        Ok(View { txn: self.env().read_txn()?, tables: self.tables() })
    }

    /// The number of the last commit. Equal numbers at two times mean that nothing changed in between.
    pub fn last_commit(&self) -> u64 {
        self.env().info().last_txn_id as u64
    }
}

impl View<'_> {
    /// The rows as of this look.
    pub fn rows(&self) -> Rows<'_> {
        Rows { txn: &self.txn, tables: self.tables }
    }
}

/// Rows as some transaction sees them: a look, or a write in progress.
#[derive(Clone, Copy)]
pub struct Rows<'t> {
    pub(crate) txn: &'t RoTxn<'t>,
    pub(crate) tables: &'t Tables,
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
        self.meta(Meta::Counts)?
            .map_or(Ok(Counts { versions: 0, provisional: 0 }), |row| from_row("meta", row))
    }

    /// How many names exist.
    pub fn secrets(&self) -> Result<u64, StoreError> {
        Ok(self.tables.names.len(self.txn)?)
    }

    /// What a secret is now.
    pub fn secret_view(&self, secret: &SecretId) -> Result<Option<SecretView>, StoreError> {
        let row = self.tables.histories.get(self.txn, &keys::prefix(secret, Kind::View))?;
        row.map(|row| from_row("histories", row)).transpose()
    }

    /// A version of the line.
    pub fn line_row(&self, secret: &SecretId, place: &Place) -> Result<Option<LineRow>, StoreError> {
        let row = self.tables.histories.get(self.txn, &keys::line(secret, place))?;
        row.map(|row| from_row("histories", row)).transpose()
    }

    /// The version in force at `at`: the last of the line at or before it.
    pub fn version_at(&self, secret: &SecretId, at: &Place) -> Result<Option<(Place, LineRow)>, StoreError> {
        let found = self.tables.histories.get_lower_than_or_equal_to(self.txn, &keys::line(secret, at))?;
        read_line_row(secret, found)
    }

    /// The place of the version with this id, if it belongs to this secret.
    pub fn place_of(&self, secret: &SecretId, id: &VersionId) -> Result<Option<Place>, StoreError> {
        let record = self.record(secret, id)?;
        let version = record.filter(|record| record.version().is_some());
        Ok(version.map(|record| Place { time: record.header().time, id: *id }))
    }

    /// The place that follows `place` in the line.
    pub fn next_place(&self, secret: &SecretId, place: &Place) -> Result<Option<Place>, StoreError> {
        let found = self.tables.histories.get_greater_than(self.txn, &keys::line(secret, place))?;
        Ok(found.and_then(|(key, _)| keys::read_line(secret, key)))
    }

    /// Up to `limit` versions before `before` (or from the end), newest first.
    pub fn versions(
        &self,
        secret: &SecretId,
        before: Option<&Place>,
        limit: usize,
    ) -> Result<Vec<(Place, LineRow)>, StoreError> {
        let last = Place { time: Hlc(u64::MAX), id: RecordId([0xff; 32]) };
        let mut found = match before {
            Some(place) => self.tables.histories.get_lower_than(self.txn, &keys::line(secret, place))?,
            None => self.tables.histories.get_lower_than_or_equal_to(self.txn, &keys::line(secret, &last))?,
        };
        let mut versions = Vec::new();
        while versions.len() < limit
            && let Some((place, row)) = read_line_row(secret, found)?
        {
            found = self.tables.histories.get_lower_than(self.txn, &keys::line(secret, &place))?;
            versions.push((place, row));
        }
        Ok(versions)
    }

    /// A record of a secret.
    pub fn record(&self, secret: &SecretId, id: &RecordId) -> Result<Option<Record>, StoreError> {
        let bytes = self.tables.histories.get(self.txn, &keys::record(secret, id))?;
        bytes.map(read_record).transpose()
    }

    /// Whether a record of a secret has arrived.
    pub fn has_record(&self, secret: &SecretId, id: &RecordId) -> Result<bool, StoreError> {
        Ok(self.tables.histories.get(self.txn, &keys::record(secret, id))?.is_some())
    }

    /// All records of a secret, by id.
    pub fn records(&self, secret: &SecretId) -> Result<Vec<Record>, StoreError> {
        let rows = self.tables.histories.prefix_iter(self.txn, &keys::prefix(secret, Kind::Record))?;
        rows.map(|row| read_record(row?.1)).collect()
    }

    /// The sealed payload of a version, unless it was destroyed or never arrived.
    pub fn payload(&self, secret: &SecretId, hash: &PayloadHash) -> Result<Option<&'t [u8]>, StoreError> {
        Ok(self.tables.histories.get(self.txn, &keys::payload(secret, hash))?)
    }

    /// The delete mark of a version.
    pub fn deleted(&self, secret: &SecretId, id: &VersionId) -> Result<Option<Stamped<bool>>, StoreError> {
        let row = self.tables.histories.get(self.txn, &keys::deleted(secret, id))?;
        row.map(|row| from_row("histories", row)).transpose()
    }

    /// Up to `limit` names of `owner` that begin with `prefix` and come after `after`, in order.
    pub fn names(
        &self,
        owner: &CallerName,
        prefix: &NamePrefix,
        after: Option<&SecretName>,
        limit: usize,
    ) -> Result<Vec<NameRow>, StoreError> {
        let covered = keys::scoped(owner, prefix.as_bytes());
        let from = after.map(|after| keys::scoped(owner, after.as_bytes())).filter(|from| covered <= *from);
        let start = from.as_deref().map_or(Bound::Included(covered.as_slice()), Bound::Excluded);
        let rows = self.tables.names.range(self.txn, &(start, Bound::Unbounded))?;
        let mut names = Vec::new();
        for row in rows {
            let (key, value) = row?;
            if names.len() == limit || !key.starts_with(&covered) {
                break;
            }
            names.push(read_name_row(key, value)?);
        }
        Ok(names)
    }

    /// The secret that a name stands for.
    pub(crate) fn secret_named(
        &self,
        owner: &CallerName,
        name: &SecretName,
    ) -> Result<Option<SecretId>, StoreError> {
        let key = keys::scoped(owner, name.as_bytes());
        let row = self.tables.names.get(self.txn, &key)?;
        row.map(|value| read_name_row(&key, value).map(|row| row.secret)).transpose()
    }

    /// Every name there is with its secret, by owner and name, handed to `each` until it says stop.
    pub fn each_secret(
        &self,
        mut each: impl FnMut(SecretId) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        for row in self.tables.names.iter(self.txn)? {
            let (key, value) = row?;
            if !each(read_name_row(key, value)?.secret)? {
                break;
            }
        }
        Ok(())
    }

    /// Every secret of which anything is kept, agreed or not, by id.
    pub(crate) fn histories(&self) -> Result<Vec<SecretId>, StoreError> {
        let mut secrets = Vec::new();
        let mut next = self.tables.histories.first(self.txn)?;
        while let Some((key, _)) = next {
            let secret = key.first_chunk().map(|id| SecretId(*id));
            let secret = secret.ok_or(StoreError::Inconsistent("a row of histories is of no secret"))?;
            next = self.tables.histories.get_greater_than(self.txn, &keys::end(&secret))?;
            secrets.push(secret);
        }
        Ok(secrets)
    }
}

fn read_line_row(
    secret: &SecretId,
    found: Option<(&[u8], &[u8])>,
) -> Result<Option<(Place, LineRow)>, StoreError> {
    let Some((key, row)) = found else { return Ok(None) };
    let Some(place) = keys::read_line(secret, key) else { return Ok(None) };
    Ok(Some((place, from_row("histories", row)?)))
}

fn read_record(bytes: &[u8]) -> Result<Record, StoreError> {
    Record::from_trusted_bytes(bytes).map_err(|why| StoreError::Corrupt { table: "histories", why })
}

fn read_name_row(key: &[u8], value: &[u8]) -> Result<NameRow, StoreError> {
    let secret = value.try_into().map(SecretId);
    match (keys::read_name(key), secret) {
        (Some(name), Ok(secret)) => Ok(NameRow { name, secret }),
        _ => Err(StoreError::Inconsistent("a row of names is not a name and a secret id")),
    }
}
