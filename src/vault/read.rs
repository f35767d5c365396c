//! Reading a value. A hit is answered from this node's view; a miss only after a majority has confirmed
//! it, so that a "not found" is always true. What was answered and is not committed yet is asked of the one who
//! writes it. Keeps D4. Knows nothing of how views come about.

use covault_model::{
    hlc::{Hlc, Millis},
    isolation::{Access, Session},
    line::{Place, Standing as LineStanding, State, last_place_at},
    name::SecretPath,
    refusal::{CallerMistake, NodeFault, Refusal},
    registry::Registry,
};
use covault_seal::Context;
use covault_store::{LineRow, Rows, SecretView, StoreError, View};
use tokio::sync::oneshot;

use super::{
    Asker, Consistency, Opened, Standing, Summary, Vault, Version, Which, audited::About, named::is_outdated,
    storage_refusal,
};
use crate::audit::{Action, VersionRef};

/// A version that was asked for, found in its secret.
pub(super) struct Found {
    /// The secret; its last version is taken out where that is the one found.
    pub view: SecretView,
    pub is_last: bool,
    pub place: Place,
    pub row: LineRow,
}

impl Vault {
    /// The value of a version of a secret.
    pub async fn read(
        &self,
        asker: &Asker,
        target: &SecretPath,
        which: Which,
        consistency: Consistency,
    ) -> Result<Opened, Refusal> {
        let about = About::secret(Action::SecretRead, target);
        let version = |opened: &Opened| {
            let version = &opened.summary.version;
            Some(version.number.map_or(VersionRef::Id(version.id), VersionRef::Number))
        };
        self.audited(asker, about, version, self.read_unaudited(&asker.session, target, which, consistency))
            .await
    }

    pub(super) async fn read_unaudited(
        &self,
        session: &Session,
        target: &SecretPath,
        which: Which,
        consistency: Consistency,
    ) -> Result<Opened, Refusal> {
        if consistency == Consistency::Local
            && let Some(opened) = self.open_at_once(session, target, which)?
        {
            return Ok(opened);
        }
        // In a box: a hit that waits for nothing would carry the room for it as well.
        Box::pin(self.open_confirmed(session, target, which, consistency)).await
    }

    /// A hit that waits for nothing; absent for what only the writer knows, and for a miss.
    fn open_at_once(
        &self,
        session: &Session,
        target: &SecretPath,
        which: Which,
    ) -> Result<Option<Opened>, Refusal> {
        if !self.is_settled(target) {
            return Ok(None);
        }
        found(self.open_as_of(self.look()?.rows(), session, target, which))
    }

    /// What is not found at once, or was to be confirmed, is looked for again with what a majority knows.
    async fn open_confirmed(
        &self,
        session: &Session,
        target: &SecretPath,
        which: Which,
        consistency: Consistency,
    ) -> Result<Opened, Refusal> {
        if consistency == Consistency::Local
            && !self.is_settled(target)
            && let Some(opened) = found(self.open_version(session, target, which).await)?
        {
            return Ok(opened);
        }
        self.confirm().await?;
        self.fetch_named(session, target, which).await?;
        self.open_version(session, target, which).await
    }

    async fn open_version(
        &self,
        session: &Session,
        target: &SecretPath,
        which: Which,
    ) -> Result<Opened, Refusal> {
        if self.is_settled(target) {
            return self.open_as_of(self.look()?.rows(), session, target, which);
        }
        let (vault, session, target) = (self.clone(), session.clone(), target.clone());
        self.ask(move |rows| vault.open_as_of(rows, &session, &target, which)).await
    }

    pub(super) fn open_as_of(
        &self,
        rows: Rows<'_>,
        session: &Session,
        target: &SecretPath,
        which: Which,
    ) -> Result<Opened, Refusal> {
        self.permit(rows, session, target, Access::Read)?;
        let (found, sealed) = find_with_value(rows, target, which)?;
        readable(&found.row, || self.now())?;
        let sealed = sealed.ok_or(Refusal::from(NodeFault::Corrupt))?;
        let context = Context {
            cluster: self.parts.cluster,
            secret: target.id(),
            time: found.place.time,
            author: found.row.author,
        };
        let value = covault_seal::open(self.parts.keys.ring()?, &context, sealed)
            .map_err(|error| self.parts.keys.open_refusal(rows, &error))?;
        let summary = summarize(rows, target, found)?;
        Ok(Opened { summary, value })
    }

    /// How this node stands with its majority.
    pub fn standing(&self) -> Standing {
        let consensus = &self.parts.consensus;
        if consensus.has_majority() {
            Standing::Majority
        } else {
            Standing::Minority(consensus.majority_heard())
        }
    }

    /// Whether a look sees all that this node has answered about a secret.
    pub(super) fn is_settled(&self, target: &SecretPath) -> bool {
        let store = &self.parts.store;
        store.is_all_settled() || store.is_settled(&target.id())
    }

    /// Returns once a look sees all that this node has answered about a secret.
    pub(super) async fn settled(&self, target: &SecretPath) -> Result<(), Refusal> {
        if self.is_settled(target) { Ok(()) } else { self.parts.consensus.settle().await }
    }

    /// What `look` finds in the rows as this node has answered, committed or not.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        look: impl FnOnce(Rows<'_>) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let (sender, answer) = oneshot::channel();
        self.parts.store.ask(move |rows| Ok(look(rows)), move |result| drop(sender.send(result)));
        answer.await.unwrap_or(Err(StoreError::Closed)).map_err(storage_refusal)?
    }

    /// Waits until a majority has confirmed what this node knows.
    pub(super) async fn confirm(&self) -> Result<(), Refusal> {
        self.parts.consensus.confirm().await
    }

    /// A look at what is committed now.
    pub(super) fn look(&self) -> Result<View<'_>, Refusal> {
        self.parts.store.view().map_err(storage_refusal)
    }

    /// Refuses unless the caller may do this and the secret exists; that it does not, or may not, is confirmed first.
    pub(super) async fn permit_existing(
        &self,
        session: &Session,
        target: &SecretPath,
        wanted: Access,
    ) -> Result<(), Refusal> {
        match self.may_and_exists(session, target, wanted).await {
            Ok(true) => return Ok(()),
            Ok(false) | Err(Refusal::Caller(CallerMistake::Forbidden)) => self.confirm().await?,
            Err(other) => return Err(other),
        }
        if self.may_and_exists(session, target, wanted).await? {
            Ok(())
        } else {
            Err(CallerMistake::NotFound.into())
        }
    }

    async fn may_and_exists(
        &self,
        session: &Session,
        target: &SecretPath,
        wanted: Access,
    ) -> Result<bool, Refusal> {
        if self.is_settled(target) {
            return self.may_and_exists_as_of(self.look()?.rows(), session, target, wanted);
        }
        let (vault, session, target) = (self.clone(), session.clone(), target.clone());
        self.ask(move |rows| vault.may_and_exists_as_of(rows, &session, &target, wanted)).await
    }

    fn may_and_exists_as_of(
        &self,
        rows: Rows<'_>,
        session: &Session,
        target: &SecretPath,
        wanted: Access,
    ) -> Result<bool, Refusal> {
        let exists = rows.secret(target).map_err(storage_refusal)?.is_some();
        match self.permit(rows, session, target, wanted) {
            Ok(()) => Ok(exists),
            // Who may not even read it is answered as if it were not there, which is confirmed first.
            Err(Refusal::Caller(CallerMistake::NotFound)) => {
                let may_read =
                    wanted == Access::Write && self.permit(rows, session, target, Access::Read).is_ok();
                if exists && may_read { Err(CallerMistake::Forbidden.into()) } else { Ok(false) }
            }
            Err(other) => Err(other),
        }
    }
}

/// Tells a miss, which has to be confirmed, from what ends a read.
fn found(opened: Result<Opened, Refusal>) -> Result<Option<Opened>, Refusal> {
    match opened {
        Err(Refusal::Caller(CallerMistake::NotFound)) => Ok(None),
        other => other.map(Some),
    }
}

/// A version, and its sealed value.
type WithValue<'t> = (Found, Option<&'t [u8]>);

/// The version that is meant.
fn find_with_value<'t>(rows: Rows<'t>, path: &SecretPath, which: Which) -> Result<WithValue<'t>, Refusal> {
    if matches!(which, Which::Current)
        && let Some(found) = current_and_agreed(rows, path)?
    {
        return Ok(found);
    }
    let found = find(rows, path, which)?.ok_or(Refusal::from(CallerMistake::NotFound))?;
    if is_outdated(rows, path, which, &found.place)? {
        return Err(CallerMistake::NotFound.into());
    }
    let sealed = rows.payload(path, &found.row.payload).map_err(storage_refusal)?;
    Ok((found, sealed))
}

/// The last version, where it is the last that was agreed too, as it mostly is: then its rows are read together.
fn current_and_agreed<'t>(rows: Rows<'t>, path: &SecretPath) -> Result<Option<WithValue<'t>>, Refusal> {
    let current = rows.current(path).map_err(storage_refusal)?;
    let (Some(entry), Some(mut view)) = (current.entry, current.view) else { return Ok(None) };
    let last = view.current.take_if(|(place, row)| row.number.is_some() && *place == entry.last);
    Ok(last.map(|(place, row)| (Found { view, is_last: true, place, row }, current.payload)))
}

/// The version that is meant, if it is there.
pub(super) fn find(rows: Rows<'_>, path: &SecretPath, which: Which) -> Result<Option<Found>, Refusal> {
    let Some(mut view) = rows.secret_view(path).map_err(storage_refusal)? else { return Ok(None) };
    let place = match which {
        Which::Current => {
            let Some((place, row)) = view.current.take() else { return Ok(None) };
            let agreed = if row.number.is_none() { agreed_at(rows, path, place.time)? } else { None };
            let (place, row) = agreed.unwrap_or((place, row));
            return Ok(Some(Found { view, is_last: true, place, row }));
        }
        Which::At(at) => {
            let found = rows.version_at(path, &last_place_at(at)).map_err(storage_refusal)?;
            return Ok(found.map(|(place, row)| Found::among(view, place, row)));
        }
        Which::Number(number) => rows.numbered(path, number),
        Which::Id(id) => rows.place_of(path, &id),
    };
    let Some(place) = place.map_err(storage_refusal)? else { return Ok(None) };
    let row = rows.line_row(path, &place).map_err(storage_refusal)?;
    Ok(row.map(|row| Found::among(view, place, row)))
}

/// The last agreed version if it is of this time: it holds, whatever else was kept at that very time.
fn agreed_at(rows: Rows<'_>, path: &SecretPath, time: Hlc) -> Result<Option<(Place, LineRow)>, Refusal> {
    let find = || {
        let last = rows.secret(path)?.map(|entry| entry.last).filter(|last| last.time == time);
        let row = last.map(|last| rows.line_row(path, &last)).transpose()?.flatten();
        Ok(last.zip(row))
    };
    find().map_err(storage_refusal)
}

impl Found {
    fn among(view: SecretView, place: Place, row: LineRow) -> Self {
        let is_last = view.current.as_ref().is_some_and(|(last, _)| *last == place);
        Self { view, is_last, place, row }
    }
}

/// Refuses a version whose value is not to be served.
fn readable(row: &LineRow, now: impl FnOnce() -> Millis) -> Result<(), Refusal> {
    if row.destroyed {
        Err(CallerMistake::VersionDestroyed.into())
    } else if row.deleted {
        Err(CallerMistake::VersionDeleted.into())
    } else if row.expires_at.is_some_and(|end| end <= now()) {
        Err(CallerMistake::VersionExpired.into())
    } else {
        Ok(())
    }
}

/// A secret, as seen from one of its versions.
pub(super) fn summarize(rows: Rows<'_>, path: &SecretPath, found: Found) -> Result<Summary, Refusal> {
    let Found { view: secret_view, is_last, place, row } = found;
    let next = if is_last { None } else { rows.next_place(path, &place).map_err(storage_refusal)? };
    let passed_over = row.number.is_none() && passed_over(rows, path, &place)?;
    let labels = secret_view.labels.into_iter().filter_map(|(key, held)| Some((key, held.1?))).collect();
    let description = secret_view.description.and_then(|held| held.1);
    Ok(Summary {
        name: path.name.clone(),
        version: version_of_row(&place, row, next.as_ref(), passed_over),
        labels,
        description,
    })
}

/// Whether a version of a later time than that at `place` was agreed, or another of the same time, so that this one
/// cannot be.
pub(super) fn passed_over(rows: Rows<'_>, path: &SecretPath, place: &Place) -> Result<bool, Refusal> {
    let entry = rows.secret(path).map_err(storage_refusal)?;
    Ok(entry.is_some_and(|entry| place.time <= entry.last.time))
}

/// A version in the answer's words.
pub(super) fn version_of_row(
    place: &Place,
    row: LineRow,
    next: Option<&Place>,
    passed_over: bool,
) -> Version {
    let standing = LineStanding {
        agreed: row.number.is_some(),
        passed_over,
        last: next.is_none(),
        deleted: row.deleted,
        destroyed: row.destroyed,
    };
    Version {
        number: row.number,
        id: place.id,
        valid_from: place.time.millis(),
        valid_to: next.map(|next| next.time.millis()),
        created_at: place.time.millis(),
        author: row.author,
        caller: row.caller,
        state: State::of(standing),
        content_type: row.content_type,
        expires_at: row.expires_at,
        restores: row.restores,
    }
}
