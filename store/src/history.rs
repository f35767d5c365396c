//! Histories: records are inserted once, and the line and view of their secret move with them.
//! Keeps H2 (twice is once, nothing inserted is replaced), E7 (a destroyed payload is not stored again)
//! and, with `rebuild.rs`, H4 (views equal what is rebuilt).
//! Knows nothing of agreement: a number comes with the record or it does not.

use covault_model::{
    id::{PayloadHash, RecordId, VersionId},
    limits::{DEPTH_MAX, PARENTS_MAX},
    line::Place,
    marks::{Mark, Stamp, Stamped},
    mutant::Mutant,
    name::{LabelKey, LabelValue, SecretPath},
    record::{Body, Parent, Record, VersionBody},
    registry::{Registry, number_of},
};

use crate::{
    changes::{Change, Newest},
    error::StoreError,
    keys::{self, Kind},
    rows::{HeadRow, LineRow, SecretView, to_row},
    txn::Txn,
};

impl Txn<'_> {
    /// Inserts a version of the secret at `path`, or gives one that is there the number or payload it came
    /// without. `false` when nothing changed. That the record is of that secret is for the caller to know.
    pub fn insert_version(
        &mut self,
        path: &SecretPath,
        record: &Record,
        payload: Option<&[u8]>,
        number: Option<u64>,
    ) -> Result<bool, StoreError> {
        let Body::Version(body) = &record.header().body else {
            return Err(StoreError::Inconsistent("a record of marks came as a version"));
        };
        let place = Place { time: record.header().time, id: record.id() };
        if let Some(row) = self.rows().line_row(path, &place)? {
            let stored = self.store_payload(path, body, payload)?;
            return Ok(self.number_version(path, &place, row, number)? || stored);
        }
        self.store_payload(path, body, payload)?;
        let destroyed = self.rows().is_destroyed(&body.payload)?;
        let deleted = self.rows().deleted(path, &place.id)?.is_some_and(|mark| mark.1);
        let row = LineRow {
            number,
            author: record.header().author,
            caller: record.header().caller.clone(),
            payload: body.payload,
            content_type: body.content_type.clone(),
            expires_at: body.expires_at,
            restores: body.restores,
            deleted,
            destroyed,
        };
        let mut view = self.insert_record(path, record)?;
        view.versions += 1;
        self.put_line(path, &place, &row)?;
        if view.current.as_ref().is_none_or(|(last, _)| *last < place) {
            view.current = Some((place, row));
        }
        self.counts_mut().versions += 1;
        self.counts_mut().provisional += u64::from(number.is_none());
        self.put_view(path, &view)?;
        Ok(true)
    }

    /// Inserts a record of marks of the secret at `path`. `false` when it was there already.
    pub fn insert_marks(&mut self, path: &SecretPath, record: &Record) -> Result<bool, StoreError> {
        let Body::Marks(marks) = &record.header().body else {
            return Err(StoreError::Inconsistent("a version came as a record of marks"));
        };
        if self.rows().has_record(path, &record.id())? {
            return Ok(false);
        }
        let stamp = Stamp(record.header().time, record.id());
        let mut view = self.insert_record(path, record)?;
        for mark in marks {
            match mark {
                Mark::Label(..) if Mutant::StaleView.is_on() => {}
                Mark::Label(key, value) => merge_label(&mut view, key, stamp, value.clone()),
                Mark::Description(text) => Stamped::merge(&mut view.description, stamp, text.clone()),
                Mark::Deleted(version, deleted) => {
                    self.merge_deleted(path, &mut view, version, stamp, *deleted)?;
                }
            }
        }
        self.put_view(path, &view)?;
        Ok(true)
    }

    /// Erases a payload for good, whether or not its version has arrived.
    pub(crate) fn destroy(
        &mut self,
        path: &SecretPath,
        place: &Place,
        payload: &PayloadHash,
    ) -> Result<(), StoreError> {
        let tables = *self.tables();
        if Mutant::DestroyedStays.is_on() {
            return Ok(());
        }
        self.put(tables.destroyed, payload.as_bytes(), place.id.as_bytes())?;
        self.delete(tables.histories, &keys::payload(path, payload))?;
        match self.rows().line_row(path, place)? {
            Some(row) if row.payload == *payload => {
                self.replace_line(path, place, LineRow { destroyed: true, ..row })
            }
            _ => Ok(()),
        }
    }

    /// Makes the line of a secret say what the registry, replaced meanwhile, says of its versions, and
    /// erases what was destroyed.
    pub(crate) fn follow_registry(&mut self, path: &SecretPath) -> Result<(), StoreError> {
        let entry = self.rows().secret(path)?;
        for (place, row) in self.rows().versions(path, None, usize::MAX)? {
            let number = match &entry {
                Some(entry) => number_of(&self.rows(), path, entry, &place)?,
                None => None,
            };
            let destroyed = self.rows().is_destroyed(&row.payload)?;
            if destroyed {
                self.delete(self.tables().histories, &keys::payload(path, &row.payload))?;
            }
            let counts = self.counts_mut();
            counts.provisional = counts.provisional.saturating_sub(u64::from(row.number.is_none()));
            counts.provisional += u64::from(number.is_none());
            if (row.number, row.destroyed) != (number, destroyed) {
                self.replace_line(path, &place, LineRow { number, destroyed, ..row })?;
            }
        }
        Ok(())
    }

    fn number_version(
        &mut self,
        path: &SecretPath,
        place: &Place,
        row: LineRow,
        number: Option<u64>,
    ) -> Result<bool, StoreError> {
        match (row.number, number) {
            (Some(held), Some(other)) if held != other => {
                return Err(StoreError::Inconsistent("a version came with another number"));
            }
            (None, Some(_)) => {}
            _ => return Ok(false),
        }
        let counts = self.counts_mut();
        counts.provisional = counts.provisional.saturating_sub(1);
        self.replace_line(path, place, LineRow { number, ..row })?;
        Ok(true)
    }

    /// Stores a version's payload unless it is there, was destroyed or has not come. `true` when stored.
    fn store_payload(
        &mut self,
        path: &SecretPath,
        body: &VersionBody,
        payload: Option<&[u8]>,
    ) -> Result<bool, StoreError> {
        let Some(bytes) = payload else { return Ok(false) };
        if PayloadHash::of(bytes) != body.payload {
            return Err(StoreError::Inconsistent("a payload is not the one its record names"));
        }
        if self.rows().is_destroyed(&body.payload)? || self.rows().payload(path, &body.payload)?.is_some() {
            return Ok(false);
        }
        self.put(self.tables().histories, &keys::payload(path, &body.payload), bytes)?;
        Ok(true)
    }

    /// Stores the record's bytes and moves the heads; gives the view for the caller to finish and put.
    fn insert_record(&mut self, path: &SecretPath, record: &Record) -> Result<SecretView, StoreError> {
        let header = record.header();
        self.put(self.tables().histories, &keys::record(path, &record.id()), &record.to_bytes())?;
        self.saw_time(header.time);
        let view = self.rows().secret_view(path)?;
        let before = view.as_ref().map(Newest::of);
        let mut view = view.unwrap_or_else(SecretView::empty);
        for Parent(parent, _) in &header.parents {
            match view.heads.binary_search_by(|head| head.id.cmp(parent)) {
                Ok(at) => drop(view.heads.remove(at)),
                Err(_) if self.rows().has_record(path, parent)? => {}
                Err(_) => insert_sorted(&mut view.awaited, *parent),
            }
        }
        match view.awaited.binary_search(&record.id()) {
            Ok(at) => drop(view.awaited.remove(at)),
            Err(_) => {
                let at = view.heads.partition_point(|head| head.id < record.id());
                view.heads.insert(at, HeadRow { id: record.id(), depth: header.depth });
            }
        }
        self.changed_mut().note(Change {
            path: path.clone(),
            secret: header.secret,
            before,
            now: Newest::of(&view),
        });
        Ok(view)
    }

    fn merge_deleted(
        &mut self,
        path: &SecretPath,
        view: &mut SecretView,
        version: &VersionId,
        stamp: Stamp,
        deleted: bool,
    ) -> Result<(), StoreError> {
        let mut mark = self.rows().deleted(path, version)?;
        Stamped::merge(&mut mark, stamp, deleted);
        let Some(Stamped(_, deleted)) = mark else { return Ok(()) };
        self.put(self.tables().histories, &keys::deleted(path, version), &to_row(&mark))?;
        let Some(place) = self.rows().place_of(path, version)? else { return Ok(()) };
        let Some(row) = self.rows().line_row(path, &place)? else { return Ok(()) };
        let row = LineRow { deleted, ..row };
        self.put_line(path, &place, &row)?;
        if let Some((last, current)) = &mut view.current
            && *last == place
        {
            *current = row;
        }
        Ok(())
    }

    fn replace_line(&mut self, path: &SecretPath, place: &Place, row: LineRow) -> Result<(), StoreError> {
        self.put_line(path, place, &row)?;
        let Some(mut view) = self.rows().secret_view(path)? else { return Ok(()) };
        if view.current.as_ref().is_some_and(|(last, _)| last == place) {
            view.current = Some((*place, row));
            self.put_view(path, &view)?;
        }
        Ok(())
    }

    fn put_line(&mut self, path: &SecretPath, place: &Place, row: &LineRow) -> Result<(), StoreError> {
        self.put(self.tables().histories, &keys::line(path, place), &to_row(row))
    }

    fn put_view(&mut self, path: &SecretPath, view: &SecretView) -> Result<(), StoreError> {
        self.put(self.tables().histories, &keys::prefix(path, Kind::View), &to_row(view))
    }
}

impl SecretView {
    /// The records that a new one should name as its parents, rising by id, and its depth. Of more heads
    /// than a record may name, those with the greatest depth; but for one that is so deep that a version after it, with
    /// marks after that, would not fit: nobody comes to that but somebody who lies, of a record whose parents are not here.
    pub fn parents(&self) -> (Vec<RecordId>, u64) {
        let can_be_followed = |head: &&HeadRow| head.depth <= DEPTH_MAX - 2;
        let mut heads: Vec<&HeadRow> = self.heads.iter().filter(can_be_followed).collect();
        heads.sort_by_key(|head| std::cmp::Reverse((head.depth, head.id)));
        heads.truncate(PARENTS_MAX);
        let depth = 1 + heads.first().map_or(0, |head| head.depth);
        let mut parents: Vec<RecordId> = heads.iter().map(|head| head.id).collect();
        parents.sort_unstable();
        (parents, depth)
    }
}

fn merge_label(view: &mut SecretView, key: &LabelKey, stamp: Stamp, value: Option<LabelValue>) {
    let mut held = view.labels.remove(key);
    Stamped::merge(&mut held, stamp, value);
    if let Some(held) = held {
        view.labels.insert(key.clone(), held);
    }
}

fn insert_sorted<T: Ord>(list: &mut Vec<T>, item: T) {
    if let Err(at) = list.binary_search(&item) {
        list.insert(at, item);
    }
}
