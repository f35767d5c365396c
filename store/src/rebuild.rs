//! Views derived again from the records and compared with those that are kept. Keeps H4.
//! The fold is `covault_model::history`, which shares nothing with the incremental code in `history.rs`.
//! Knows nothing of how a difference comes about.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use covault_model::{
    history::{SecretState, VersionFacts},
    id::{IssueId, PayloadHash, RecordId},
    issue::Scope,
    line::Place,
    name::SecretPath,
    registry::{Registry, number_at},
};

use crate::{
    error::StoreError,
    open::Store,
    rows::{HeadRow, LineRow, SecretView},
    view::Rows,
};

/// What a comparison saw.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RebuildReport {
    /// Secrets compared.
    pub secrets: u64,
    /// Versions compared.
    pub versions: u64,
    /// Versions among them that have no number.
    pub provisional: u64,
    /// Versions that have a number and whose records have not arrived.
    pub lacking: u64,
    /// Where the kept view is not what the records say.
    pub differences: Vec<Difference>,
}

/// One place where a kept view is not what the records say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// The view of this secret.
    View(SecretPath),
    /// This version in its secret's line.
    Line(SecretPath, RecordId),
    /// This version's payload is missing, not the one its record names, or there although destroyed.
    Payload(SecretPath, RecordId),
    /// A record's signature does not verify, or the record is of another secret.
    Record(SecretPath, RecordId),
    /// The secret's entry and numbers do not fit each other.
    Entry(SecretPath),
    /// The counts, or how many names there are.
    Counts,
    /// An issue of this epoch is not signed, or of another one.
    Issue(Scope, IssueId),
    /// The mappings or digests of this epoch are not what its issues say.
    Mappings(Scope),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::View(SecretPath { owner, name }) => {
                write!(f, "the view of {name} of {owner} is not what its records say")
            }
            Self::Line(SecretPath { owner, name }, id) => {
                write!(f, "version {id} of {name} of {owner} is not what its record says")
            }
            Self::Payload(SecretPath { owner, name }, id) => {
                write!(f, "the payload of version {id} of {name} of {owner} is missing or another")
            }
            Self::Record(SecretPath { owner, name }, id) => {
                write!(f, "record {id} under {name} of {owner} is of another secret or not signed")
            }
            Self::Entry(SecretPath { owner, name }) => {
                write!(f, "the entry of {name} of {owner} does not fit its numbers")
            }
            Self::Issue(Scope { owner, epoch }, id) => {
                write!(f, "issue {id} under epoch {epoch} of {owner} is of another one or not signed")
            }
            Self::Mappings(Scope { owner, epoch }) => {
                write!(f, "the mappings of epoch {epoch} of {owner} are not what its issues say")
            }
            Self::Counts => f.write_str("the counts do not fit the histories"),
        }
    }
}

impl Store {
    /// Derives every view again from records and registry and compares it with the one kept.
    pub fn compare_with_rebuild(&self) -> Result<RebuildReport, StoreError> {
        let view = self.view()?;
        let rows = view.rows();
        let mut report = RebuildReport::default();
        for path in rows.histories()? {
            let agreed = rows.secret(&path)?.map_or(0, |entry| entry.agreed);
            let (versions, without_number) = compare_secret(&rows, &path, &mut report.differences)?;
            report.secrets += u64::from(agreed != 0);
            report.versions += versions;
            report.provisional += without_number;
            report.lacking += agreed.saturating_sub(versions - without_number);
        }
        let counts = rows.counts()?;
        let kept = (counts.versions, counts.provisional, rows.secrets()?);
        if kept != (report.versions, report.provisional, report.secrets) {
            report.differences.push(Difference::Counts);
        }
        rows.compare_mappings(&mut report.differences)?;
        Ok(report)
    }
}

fn compare_secret(
    rows: &Rows<'_>,
    path: &SecretPath,
    differences: &mut Vec<Difference>,
) -> Result<(u64, u64), StoreError> {
    let (mut state, secret) = (SecretState::default(), path.id());
    let (mut arrived, mut named) = (BTreeSet::new(), BTreeSet::new());
    for record in rows.records(path)? {
        if record.header().secret != secret || !record.signature_verifies() {
            differences.push(Difference::Record(path.clone(), record.id()));
        }
        state.insert(&record);
        arrived.insert(record.id());
        named.extend(record.header().parents.iter().map(|parent| parent.0));
    }
    let line = compare_line(rows, path, &state, differences)?;
    if !entry_fits(rows, path)? {
        differences.push(Difference::Entry(path.clone()));
    }
    let awaited: Vec<RecordId> = named.difference(&arrived).copied().collect();
    let fits = match rows.secret_view(path)? {
        Some(kept) => view_fits(&kept, &state, line.last_key_value(), &awaited),
        // The registry may name a secret whose records have not arrived.
        None => arrived.is_empty(),
    };
    if !fits {
        differences.push(Difference::View(path.clone()));
    }
    let without_number = line.values().filter(|row| row.number.is_none()).count();
    Ok((line.len() as u64, without_number as u64))
}

/// Compares the line that is kept with the one that follows from records and registry; gives the latter.
fn compare_line(
    rows: &Rows<'_>,
    path: &SecretPath,
    state: &SecretState,
    differences: &mut Vec<Difference>,
) -> Result<BTreeMap<Place, LineRow>, StoreError> {
    let kept: BTreeMap<Place, LineRow> = rows.versions(path, None, usize::MAX)?.into_iter().collect();
    let mut line = BTreeMap::new();
    for (place, facts) in &state.line {
        let row = derive_row(rows, path, place, facts, state)?;
        let payload = rows.payload(path, &row.payload)?.map(PayloadHash::of);
        if payload != (!row.destroyed).then_some(row.payload) {
            differences.push(Difference::Payload(path.clone(), place.id));
        }
        line.insert(*place, row);
    }
    let places: BTreeSet<&Place> = kept.keys().chain(line.keys()).collect();
    let unequal = places.into_iter().filter(|place| kept.get(place) != line.get(place));
    differences.extend(unequal.map(|place| Difference::Line(path.clone(), place.id)));
    Ok(line)
}

fn derive_row(
    rows: &Rows<'_>,
    path: &SecretPath,
    place: &Place,
    facts: &VersionFacts,
    state: &SecretState,
) -> Result<LineRow, StoreError> {
    let number = number_at(rows, path, place)?;
    let body = facts.body.clone();
    Ok(LineRow {
        number,
        author: facts.author,
        caller: facts.caller.clone(),
        destroyed: rows.is_destroyed(&body.payload)?,
        payload: body.payload,
        content_type: body.content_type,
        expires_at: body.expires_at,
        restores: body.restores,
        deleted: state.deleted.get(&place.id).is_some_and(|mark| mark.1),
    })
}

/// Whether the entry is that of the last number there is; without an entry there is no number.
fn entry_fits(rows: &Rows<'_>, path: &SecretPath) -> Result<bool, StoreError> {
    let Some(entry) = rows.secret(path)? else { return Ok(rows.numbered(path, 1)?.is_none()) };
    let last = rows.numbered(path, entry.agreed)?;
    let beyond = rows.numbered(path, entry.agreed.saturating_add(1))?;
    Ok(last == Some(entry.last) && beyond.is_none())
}

fn view_fits(
    kept: &SecretView,
    state: &SecretState,
    current: Option<(&Place, &LineRow)>,
    awaited: &[RecordId],
) -> bool {
    let heads: Vec<HeadRow> =
        state.heads.iter().map(|(id, depth)| HeadRow { id: *id, depth: *depth }).collect();
    kept.current.as_ref().map(|(place, row)| (place, row)) == current
        && kept.versions == state.line.len() as u64
        && kept.labels == state.labels
        && kept.description == state.description
        && kept.heads == heads
        && kept.awaited == awaited
}
