//! The registry as tables: reads for the rules, and the writes that a plan asks for.
//! Decides nothing: `covault_model::plan` does. Keeps E7 here by never storing a destroyed payload again.

use covault_model::{
    command::Command,
    epoch::Epochs,
    field::FieldRule,
    id::{ClusterId, Digest, GrantId, PayloadHash, TokenId},
    line::Place,
    name::{CallerName, MasterKeyName, SecretPath},
    plan::{Plan, Write, plan},
    refusal::Refusal,
    registry::{
        CallerEntry, Grant, KeyCheck, Outcome, Registry, Remembered, SecretEntry, TokenEntry, number_at,
    },
    roster::Roster,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    error::StoreError,
    keys::{self, Kind},
    rows::{from_row, to_row},
    tables::{Meta, Table, Tables},
    txn::Txn,
    view::Rows,
};

/// What became of one command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// What it did, or why it was refused.
    pub outcome: Result<Outcome, Refusal>,
    /// Whether it had been done before under the same idempotency key.
    pub replayed: bool,
}

impl Rows<'_> {
    fn row<T: DeserializeOwned>(
        &self,
        table: Table,
        name: &'static str,
        key: &[u8],
    ) -> Result<Option<T>, StoreError> {
        table.get(self.txn, key)?.map(|row| from_row(name, row)).transpose()
    }

    /// The master keys that the cluster knows, by name.
    pub fn key_checks(&self) -> Result<Vec<(MasterKeyName, KeyCheck)>, StoreError> {
        self.tables
            .keys
            .iter(self.txn)?
            .map(|row| {
                let (key, value) = row?;
                let name = std::str::from_utf8(key).ok().and_then(|text| MasterKeyName::parse(text).ok());
                let name = name.ok_or(StoreError::Inconsistent("a master key's name is not one"))?;
                Ok((name, from_row("keys", value)?))
            })
            .collect()
    }
}

impl Registry for Rows<'_> {
    type Error = StoreError;

    fn cluster(&self) -> Result<Option<ClusterId>, StoreError> {
        self.meta(Meta::Cluster)?.map(|row| from_row("meta", row)).transpose()
    }

    fn secret(&self, path: &SecretPath) -> Result<Option<SecretEntry>, StoreError> {
        self.row(self.tables.histories, "histories", &keys::prefix(path, Kind::Entry))
    }

    fn numbered(&self, path: &SecretPath, number: u64) -> Result<Option<Place>, StoreError> {
        self.row(self.tables.histories, "histories", &keys::number(path, number))
    }

    fn is_destroyed(&self, payload: &PayloadHash) -> Result<bool, StoreError> {
        Ok(self.tables.destroyed.get(self.txn, payload.as_bytes())?.is_some())
    }

    fn caller(&self, name: &CallerName) -> Result<Option<CallerEntry>, StoreError> {
        self.row(self.tables.callers, "callers", name.as_bytes())
    }

    fn callers(&self) -> Result<Vec<(CallerName, CallerEntry)>, StoreError> {
        self.tables
            .callers
            .iter(self.txn)?
            .map(|row| {
                let (key, value) = row?;
                let name = std::str::from_utf8(key).ok().and_then(|text| CallerName::parse(text).ok());
                let name = name.ok_or(StoreError::Inconsistent("a caller's name is not one"))?;
                Ok((name, from_row("callers", value)?))
            })
            .collect()
    }

    fn token(&self, id: &TokenId) -> Result<Option<TokenEntry>, StoreError> {
        self.row(self.tables.tokens, "tokens", id.as_bytes())
    }

    fn tokens_of(&self, caller: &CallerName) -> Result<Vec<(TokenId, TokenEntry)>, StoreError> {
        let mut tokens = Vec::new();
        for row in self.tables.caller_tokens.prefix_iter(self.txn, &keys::scoped(caller, &[]))? {
            let id = row?.0.last_chunk().copied().map(TokenId);
            let id = id.ok_or(StoreError::Inconsistent("a caller's token id is not one"))?;
            let token = self.token(&id)?.ok_or(StoreError::Inconsistent("a caller's token is missing"))?;
            tokens.push((id, token));
        }
        Ok(tokens)
    }

    fn grants_by(&self, owner: &CallerName) -> Result<Vec<(GrantId, Grant)>, StoreError> {
        self.tables
            .grants
            .prefix_iter(self.txn, &keys::scoped(owner, &[]))?
            .map(|row| {
                let grant: Grant = from_row("grants", row?.1)?;
                Ok((grant.id(), grant))
            })
            .collect()
    }

    fn remembered(&self, caller: &CallerName, key: &Digest) -> Result<Option<Remembered>, StoreError> {
        self.row(self.tables.remembered, "remembered", &keys::scoped(caller, key.as_bytes()))
    }

    fn key_check(&self, key: &MasterKeyName) -> Result<Option<KeyCheck>, StoreError> {
        self.row(self.tables.keys, "keys", key.as_bytes())
    }

    fn first_key(&self) -> Result<Option<MasterKeyName>, StoreError> {
        self.meta(Meta::FirstKey)?.map(|row| from_row("meta", row)).transpose()
    }

    fn known_keys(&self) -> Result<Vec<MasterKeyName>, StoreError> {
        Ok(self.key_checks()?.into_iter().map(|(name, _)| name).collect())
    }

    fn epochs(&self, owner: &CallerName) -> Result<Option<Epochs>, StoreError> {
        self.row(self.tables.epochs, "epochs", owner.as_bytes())
    }

    fn fields(&self, owner: &CallerName) -> Result<Vec<FieldRule>, StoreError> {
        Ok(self.row(self.tables.fields, "fields", owner.as_bytes())?.unwrap_or_default())
    }

    fn roster(&self) -> Result<Roster, StoreError> {
        let roster = self.meta(Meta::Roster)?.map(|row| from_row("meta", row)).transpose()?;
        Ok(roster.unwrap_or_default())
    }
}

impl Txn<'_> {
    /// Plans `command` against what this transaction sees, and writes what the plan says.
    pub fn apply(&mut self, command: &Command) -> Result<Applied, StoreError> {
        match plan(&self.rows(), command)? {
            Err(refusal) => Ok(Applied { outcome: Err(refusal), replayed: false }),
            Ok(Plan { writes, outcome, replayed }) => {
                for write in writes {
                    self.carry_out(write)?;
                }
                Ok(Applied { outcome: Ok(outcome), replayed })
            }
        }
    }

    /// Inserts what `command` brings of the versions that the registry names: a registry that came as a snapshot has
    /// carried it out, without its records.
    pub fn insert_named(&mut self, command: &Command) -> Result<(), StoreError> {
        for (path, version, marks) in command.sealed() {
            let number = number_at(&self.rows(), path, &version.place())?;
            if number.is_some() {
                self.insert_version(path, &version.record, Some(&version.payload), number)?;
                marks.iter().try_for_each(|marks| self.insert_marks(path, marks).map(drop))?;
            }
        }
        Ok(())
    }

    fn carry_out(&mut self, write: Write<'_>) -> Result<(), StoreError> {
        let Tables { histories, callers, tokens, caller_tokens, grants, remembered, keys: known, .. } =
            *self.tables();
        match write {
            Write::Cluster(id) => self.put_meta(Meta::Cluster, &to_row(&id)),
            Write::KeyCheck(name, check) => self.put(known, name.as_bytes(), &to_row(check)),
            Write::Secret(path, entry) => {
                self.counts_mut().secrets += u64::from(entry.agreed == 1);
                self.put(histories, &keys::prefix(path, Kind::Entry), &to_row(&entry))
            }
            Write::Number(path, number, place) => {
                self.put(histories, &keys::number(path, number), &to_row(&place))
            }
            Write::Version(path, version, number) => {
                self.insert_version(path, &version.record, Some(&version.payload), Some(number)).map(drop)
            }
            Write::Marks(path, record) => self.insert_marks(path, record).map(drop),
            Write::Destroy(path, place, payload) => self.destroy(path, &place, &payload),
            Write::Caller(name, entry) => self.put(callers, name.as_bytes(), &to_row(&entry)),
            Write::Token(id, entry) => {
                self.put(caller_tokens, &keys::scoped(&entry.caller, id.as_bytes()), &[])?;
                self.put(tokens, id.as_bytes(), &to_row(entry))
            }
            Write::NoToken(id, caller) => {
                self.delete(caller_tokens, &keys::scoped(&caller, id.as_bytes()))?;
                self.delete(tokens, id.as_bytes())
            }
            Write::Grant(id, grant) => {
                self.put(grants, &keys::scoped(&grant.owner, id.as_bytes()), &to_row(grant))
            }
            Write::NoGrant(id, owner) => self.delete(grants, &keys::scoped(&owner, id.as_bytes())),
            Write::Roster(roster) => self.put_meta(Meta::Roster, &to_row(&roster)),
            Write::FirstKey(name) => self.put_meta(Meta::FirstKey, &to_row(&name)),
            Write::Epochs(owner, epochs) => {
                self.put(self.tables().epochs, owner.as_bytes(), &to_row(&epochs))
            }
            Write::Fields(owner, fields) => {
                self.put(self.tables().fields, owner.as_bytes(), &to_row(&fields))
            }
            Write::Remember(caller, key, what) => {
                self.put(remembered, &keys::scoped(caller, key.as_bytes()), &to_row(&what))
            }
        }
    }

    /// Replaces who may become a member, and who ever was one: for a store that was restored, before anything
    /// is agreed on it.
    pub fn replace_roster(&mut self, roster: &Roster) -> Result<(), StoreError> {
        self.put_meta(Meta::Roster, &to_row(roster))
    }

    /// Remembers what a request that needs no agreement came to. The first outcome under a key holds.
    pub fn remember(
        &mut self,
        caller: &CallerName,
        key: &Digest,
        what: &Remembered,
    ) -> Result<(), StoreError> {
        if self.rows().remembered(caller, key)?.is_some() {
            return Ok(());
        }
        self.put(self.tables().remembered, &keys::scoped(caller, key.as_bytes()), &to_row(what))
    }
}
