//! Views derived again from the records and compared with those that are kept. Keeps H4.
//! The fold is `covault_model::history`, which shares nothing with the incremental code in `history.rs`.
//! Knows nothing of how a difference comes about.

use std::fmt;

use covault_model::{
    history::{SecretState, VersionFacts},
    id::{RecordId, SecretId},
    line::Place,
    registry::{Registry, number_of},
};

use crate::{
    error::StoreError,
    open::Store,
    rows::{HeadRow, LineRow, SecretView},
    txn::ChangeOf,
    view::Rows,
};

/// What a comparison saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RebuildReport {
    /// Secrets compared.
    pub secrets: u64,
    /// Versions compared.
    pub versions: u64,
    /// Where the kept view is not what the records say.
    pub differences: Vec<Difference>,
}

/// One place where a kept view is not what the records say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// The view of this secret.
    View(SecretId),
    /// This version in its secret's line.
    Line(SecretId, RecordId),
    /// This version's payload is neither there nor destroyed.
    Payload(SecretId, RecordId),
    /// A record's signature does not verify.
    Signature(SecretId, RecordId),
    /// The entry's last agreed version is not the one with the last number.
    Entry(SecretId),
    /// The counts.
    Counts,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::View(secret) => write!(f, "the view of secret {secret} is not what its records say"),
            Self::Line(secret, id) => {
                write!(f, "version {id} of secret {secret} is not what its record says")
            }
            Self::Payload(secret, id) => {
                write!(f, "the payload of version {id} of secret {secret} is missing")
            }
            Self::Signature(secret, id) => {
                write!(f, "the signature of record {id} of secret {secret} does not verify")
            }
            Self::Entry(secret) => write!(f, "the entry of secret {secret} does not fit its numbers"),
            Self::Counts => f.write_str("the counts do not fit the histories"),
        }
    }
}

impl Store {
    /// Derives every view again from records and registry and compares it with the one kept.
    pub fn compare_with_rebuild(&self) -> Result<RebuildReport, StoreError> {
        let view = self.view()?;
        let rows = view.rows();
        let mut report = RebuildReport { secrets: 0, versions: 0, differences: Vec::new() };
        let mut provisional = 0;
        rows.each_secret(|secret| {
            report.secrets += 1;
            let (versions, without_number) =
                compare_secret(&rows, &secret, self.change_of(), &mut report.differences)?;
            report.versions += versions;
            provisional += without_number;
            Ok(true)
        })?;
        let counts = rows.counts()?;
        if (counts.versions, counts.provisional) != (report.versions, provisional) {
            report.differences.push(Difference::Counts);
        }
        Ok(report)
    }
}

fn compare_secret(
    rows: &Rows<'_>,
    secret: &SecretId,
    change_of: ChangeOf,
    differences: &mut Vec<Difference>,
) -> Result<(u64, u64), StoreError> {
    let mut state = SecretState::default();
    for record in rows.records(secret)? {
        if !record.signature_verifies() {
            differences.push(Difference::Signature(*secret, record.id()));
        }
        state.insert(&record, change_of(&record));
    }
    let mut without_number = 0;
    let mut current = None;
    for (place, facts) in &state.line {
        let row = derive_row(rows, secret, place, facts, &state)?;
        without_number += u64::from(row.number.is_none());
        if rows.line_row(secret, place)?.as_ref() != Some(&row) {
            differences.push(Difference::Line(*secret, place.id));
        }
        if !row.destroyed && rows.payload(secret, &row.payload)?.is_none() {
            differences.push(Difference::Payload(*secret, place.id));
        }
        current = Some((*place, row));
    }
    if !entry_fits(rows, secret)? {
        differences.push(Difference::Entry(*secret));
    }
    let kept = rows.secret_view(secret)?;
    if !kept.is_some_and(|kept| view_fits(&kept, &state, current.as_ref())) {
        differences.push(Difference::View(*secret));
    }
    Ok((state.line.len() as u64, without_number))
}

fn derive_row(
    rows: &Rows<'_>,
    secret: &SecretId,
    place: &Place,
    facts: &VersionFacts,
    state: &SecretState,
) -> Result<LineRow, StoreError> {
    let number = match rows.secret(secret)? {
        Some(entry) => number_of(rows, secret, &entry, place)?,
        None => None,
    };
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

fn entry_fits(rows: &Rows<'_>, secret: &SecretId) -> Result<bool, StoreError> {
    let Some(entry) = rows.secret(secret)? else { return Ok(false) };
    let last = rows.numbered(secret, entry.agreed)?;
    let beyond = rows.numbered(secret, entry.agreed + 1)?;
    Ok(SecretId::of(&entry.owner, &entry.name) == *secret && last == Some(entry.last) && beyond.is_none())
}

fn view_fits(kept: &SecretView, state: &SecretState, current: Option<&(Place, LineRow)>) -> bool {
    let heads: Vec<HeadRow> = state
        .heads
        .iter()
        .map(|(id, head)| HeadRow { id: *id, change: head.change, depth: head.depth })
        .collect();
    kept.current.as_ref() == current
        && kept.versions == state.line.len() as u64
        && kept.labels == state.labels
        && kept.description == state.description
        && kept.heads == heads
}
