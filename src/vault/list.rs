//! Lists: secrets by name, versions newest first. Keeps X6 of a history that has not arrived. Knows nothing of values.

use covault_model::{
    isolation::Access,
    limits::PAGE_MAX,
    line::Place,
    mutant::Mutant,
    name::{CallerName, NamePrefix, SecretName, SecretPath},
    refusal::Refusal,
};
use covault_store::Rows;

use super::{
    Asker, HistoryQuery, ListQuery, Page, SecretPage, Vault, VersionPage, Which,
    audited::About,
    read::{find, passed_over, summarize, version_of_row},
    storage_refusal,
};
use crate::audit::{Action, Subject};

/// Names one page may look at. A page may come back with few rows, or none, and still say where to go on.
const NAMES_PER_PAGE_MAX: usize = 10_000;

impl Vault {
    /// Secrets of one owner by name, without values. Shows only what the caller may read.
    pub async fn list(&self, asker: &Asker, query: ListQuery) -> Result<SecretPage, Refusal> {
        let about = About {
            action: Action::SecretList,
            owner: Some(&query.owner),
            subject: Subject::Prefix(&query.prefix),
        };
        let list = async {
            self.parts.consensus.settle().await?;
            self.list_page(asker, &query)
        };
        self.audited(asker, about, |_| None, list).await
    }

    fn list_page(&self, asker: &Asker, query: &ListQuery) -> Result<SecretPage, Refusal> {
        let view = self.look()?;
        let rows = view.rows();
        let prefixes = self.readable_under(rows, &asker.session, &query.owner, &query.prefix)?;
        let limit = query.limit.min(PAGE_MAX);
        let (mut items, mut after, mut seen) = (Vec::new(), query.after.clone(), 0);
        while items.len() < limit && seen < NAMES_PER_PAGE_MAX {
            let names = names(rows, &query.owner, &prefixes, after.as_ref(), limit + 1 - items.len())?;
            if names.is_empty() {
                return Ok(Page { items, next: None });
            }
            for name in names {
                if items.len() == limit {
                    break;
                }
                seen += 1;
                after = Some(name.clone());
                let path = SecretPath { owner: query.owner.clone(), name };
                let Some(found) = find(view.rows(), &path, Which::Current)? else { continue };
                let summary = summarize(view.rows(), &path, found)?;
                let fits = |(key, value)| summary.labels.get(key) == Some(value);
                if query.label.as_ref().map(|(key, value)| (key, value)).is_none_or(fits) {
                    items.push(summary);
                }
            }
        }
        let more = names(rows, &query.owner, &prefixes, after.as_ref(), 1)?;
        Ok(Page { items, next: after.filter(|_| !more.is_empty()) })
    }

    /// Versions of a secret, newest first, with their validity.
    pub async fn history(
        &self,
        asker: &Asker,
        target: &SecretPath,
        query: HistoryQuery,
    ) -> Result<VersionPage, Refusal> {
        let about = About::secret(Action::SecretHistory, target);
        let history = async {
            if !Mutant::OpenHistory.is_on() {
                self.permit_existing(&asker.session, target, Access::Read).await?;
            }
            self.settled(target).await?;
            let page = self.history_page(target, query)?;
            if !page.items.is_empty() || query.before.is_some() {
                return Ok(page);
            }
            // It exists, so nothing of it has arrived yet.
            self.fetch_named(&asker.session, target, Which::Current).await?;
            self.history_page(target, query)
        };
        self.audited(asker, about, |_| None, history).await
    }

    fn history_page(&self, target: &SecretPath, query: HistoryQuery) -> Result<VersionPage, Refusal> {
        let view = self.look()?;
        let rows = view.rows();
        let limit = query.limit.min(PAGE_MAX);
        let mut found = rows.versions(target, query.before.as_ref(), limit + 1).map_err(storage_refusal)?;
        let more = limit < found.len();
        found.truncate(limit);
        let mut next: Option<Place> = match found.first() {
            Some((place, _)) => rows.next_place(target, place).map_err(storage_refusal)?,
            None => None,
        };
        let mut items = Vec::with_capacity(found.len());
        let mut last = None;
        for (place, row) in found {
            let passed = row.number.is_none() && passed_over(view.rows(), target, &place)?;
            items.push(version_of_row(&place, row, next.as_ref(), passed));
            (next, last) = (Some(place), Some(place));
        }
        Ok(Page { items, next: last.filter(|_| more) })
    }
}

/// Names of `owner` under prefixes that rise, after one of them.
fn names(
    rows: Rows<'_>,
    owner: &CallerName,
    prefixes: &[NamePrefix],
    after: Option<&SecretName>,
    limit: usize,
) -> Result<Vec<SecretName>, Refusal> {
    let mut names = Vec::new();
    for prefix in prefixes {
        names.extend(rows.names(owner, prefix, after, limit - names.len()).map_err(storage_refusal)?);
        if names.len() == limit {
            break;
        }
    }
    Ok(names)
}
