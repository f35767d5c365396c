//! One write in progress. Everything it changes is committed together or not at all (D2).
//! Knows nothing of who asked for it.

use covault_model::hlc::Hlc;
use heed::RwTxn;

use crate::{
    changes::Changed,
    error::StoreError,
    rows::{Counts, to_row},
    tables::{Meta, Table, Tables},
    unfiled::{News, Piles},
    view::Rows,
};

/// A write transaction, nested in the one that commits.
pub struct Txn<'e> {
    txn: RwTxn<'e>,
    tables: &'e Tables,
    piles: &'e Piles,
    clock: Hlc,
    counts: Counts,
    changed: Changed,
    news: Vec<News>,
    counts_before: Counts,
    clock_before: Hlc,
}

impl<'e> Txn<'e> {
    pub(crate) fn begin(txn: RwTxn<'e>, tables: &'e Tables, piles: &'e Piles) -> Result<Self, StoreError> {
        let rows = Rows { txn: &txn, tables, piles };
        let (clock, counts) = (rows.clock()?, rows.counts()?);
        let (clock_before, counts_before) = (clock, counts.clone());
        let (changed, news) = (Changed::default(), Vec::new());
        Ok(Self { txn, tables, piles, clock, counts, changed, news, counts_before, clock_before })
    }

    /// Writes what was counted along the way. Part of the job, so that no room for it fails the job alone.
    pub(crate) fn settle(&mut self) -> Result<(), StoreError> {
        if self.clock != self.clock_before {
            let row = to_row(&self.clock);
            self.put_meta(Meta::Clock, &row)?;
        }
        if self.counts != self.counts_before {
            let row = to_row(&self.counts);
            self.put_meta(Meta::Counts, &row)?;
        }
        Ok(())
    }

    /// Keeps it in the transaction that it is nested in; gives which histories it changed, and what it did about
    /// mappings.
    pub(crate) fn commit(self) -> Result<(Changed, Vec<News>), StoreError> {
        self.txn.commit()?;
        Ok((self.changed, self.news))
    }

    /// What this transaction sees: what was committed, and its own writes. Clock and counts follow when
    /// the job has ended, new mappings when it is committed.
    pub fn rows(&self) -> Rows<'_> {
        Rows { txn: &self.txn, tables: self.tables, piles: self.piles }
    }

    /// Sets one of the single values.
    pub fn put_meta(&mut self, key: Meta, value: &[u8]) -> Result<(), StoreError> {
        self.put(self.tables.meta, &[key as u8], value)
    }

    /// Takes one of the single values away.
    pub fn remove_meta(&mut self, key: Meta) -> Result<(), StoreError> {
        self.delete(self.tables.meta, &[key as u8])
    }

    pub(crate) fn tables(&self) -> &'e Tables {
        self.tables
    }

    pub(crate) fn counts_mut(&mut self) -> &mut Counts {
        &mut self.counts
    }

    pub(crate) fn changed_mut(&mut self) -> &mut Changed {
        &mut self.changed
    }

    pub(crate) fn note(&mut self, news: News) {
        self.news.push(news);
    }

    pub(crate) fn saw_time(&mut self, time: Hlc) {
        self.clock = self.clock.max(time);
    }

    pub(crate) fn put(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        Ok(table.put(&mut self.txn, key, value)?)
    }

    pub(crate) fn delete(&mut self, table: Table, key: &[u8]) -> Result<(), StoreError> {
        table.delete(&mut self.txn, key)?;
        Ok(())
    }

    pub(crate) fn raw(&mut self) -> &mut RwTxn<'e> {
        &mut self.txn
    }
}
