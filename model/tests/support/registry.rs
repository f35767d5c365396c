//! The registry in memory: what the store's tables are to a node, ordered maps are to a test.
//! Carries out plans exactly as they say and panics where a plan would replace what is inserted once,
//! so every test that uses it also watches E1, E2 and I1. Knows nothing of disk or Raft.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
};

use covault_model::{
    epoch::Epochs,
    field::FieldRule,
    id::{ClusterId, Digest, GrantId, PayloadHash, RecordId, TokenId},
    line::Place,
    name::{CallerName, MasterKeyName, SecretPath},
    plan::{Plan, Write},
    record::Record,
    registry::{CallerEntry, Grant, KeyCheck, Registry, Remembered, SecretEntry, TokenEntry},
    roster::Roster,
};

/// Every row of one cluster, with the histories that commit with them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemoryRegistry {
    cluster: Option<ClusterId>,
    key_checks: BTreeMap<MasterKeyName, KeyCheck>,
    secrets: BTreeMap<SecretPath, SecretEntry>,
    numbers: BTreeMap<(SecretPath, u64), Place>,
    /// All records of all histories.
    pub records: BTreeMap<RecordId, Record>,
    /// The sealed payloads that are still there.
    pub payloads: BTreeMap<PayloadHash, Vec<u8>>,
    destroyed: BTreeSet<PayloadHash>,
    callers: BTreeMap<CallerName, CallerEntry>,
    tokens: BTreeMap<TokenId, TokenEntry>,
    grants: BTreeMap<GrantId, Grant>,
    remembered: BTreeMap<(CallerName, Digest), Remembered>,
    roster: Roster,
    first_key: Option<MasterKeyName>,
    epochs: BTreeMap<CallerName, Epochs>,
    fields: BTreeMap<CallerName, Vec<FieldRule>>,
}

impl MemoryRegistry {
    /// Writes all that `plan` says, in its order.
    pub fn carry_out(&mut self, plan: &Plan<'_>) {
        for write in &plan.writes {
            self.write(write.clone());
        }
    }

    fn write(&mut self, write: Write<'_>) {
        match write {
            Write::Cluster(id) => once(self.cluster.replace(id)),
            Write::KeyCheck(name, check) => once(self.key_checks.insert(name.clone(), check.clone())),
            Write::Secret(path, entry) => drop(self.secrets.insert(path.clone(), entry)),
            Write::Number(path, number, place) => once(self.numbers.insert((path.clone(), number), place)),
            Write::Version(_, version, _) => {
                let payload = PayloadHash::of(&version.payload);
                if !self.destroyed.contains(&payload) {
                    self.payloads.insert(payload, version.payload.clone());
                }
                self.records.insert(version.record.id(), version.record.clone());
            }
            Write::Marks(_, record) => drop(self.records.insert(record.id(), record.clone())),
            Write::Destroy(_, _, payload) => {
                self.payloads.remove(&payload);
                self.destroyed.insert(payload);
            }
            Write::Caller(name, entry) => drop(self.callers.insert(name.clone(), entry)),
            Write::Token(id, token) => drop(self.tokens.insert(id, token.clone())),
            Write::NoToken(id, caller) => {
                let gone = self.tokens.remove(&id);
                assert!(
                    gone.is_some_and(|token| token.caller == caller),
                    "a token of another was taken away"
                );
            }
            Write::Grant(id, grant) => once(self.grants.insert(id, grant.clone())),
            Write::NoGrant(id, owner) => {
                let gone = self.grants.remove(&id);
                assert!(gone.is_some_and(|grant| grant.owner == owner), "a grant of another was taken back");
            }
            Write::Roster(roster) => self.roster = roster,
            Write::FirstKey(name) => once(self.first_key.replace(name)),
            Write::Epochs(owner, epochs) => drop(self.epochs.insert(owner.clone(), epochs)),
            Write::Fields(owner, fields) => drop(self.fields.insert(owner.clone(), fields.to_vec())),
            Write::Remember(caller, key, remembered) => {
                once(self.remembered.insert((caller.clone(), key), remembered));
            }
        }
    }
}

fn once<T>(before: Option<T>) {
    assert!(before.is_none(), "a row that is inserted once was replaced");
}

impl Registry for MemoryRegistry {
    type Error = Infallible;

    fn cluster(&self) -> Result<Option<ClusterId>, Infallible> {
        Ok(self.cluster)
    }

    fn secret(&self, path: &SecretPath) -> Result<Option<SecretEntry>, Infallible> {
        Ok(self.secrets.get(path).cloned())
    }

    fn numbered(&self, path: &SecretPath, number: u64) -> Result<Option<Place>, Infallible> {
        Ok(self.numbers.get(&(path.clone(), number)).copied())
    }

    fn is_destroyed(&self, payload: &PayloadHash) -> Result<bool, Infallible> {
        Ok(self.destroyed.contains(payload))
    }

    fn caller(&self, name: &CallerName) -> Result<Option<CallerEntry>, Infallible> {
        Ok(self.callers.get(name).cloned())
    }

    fn callers(&self) -> Result<Vec<(CallerName, CallerEntry)>, Infallible> {
        Ok(self.callers.iter().map(|(name, entry)| (name.clone(), entry.clone())).collect())
    }

    fn token(&self, id: &TokenId) -> Result<Option<TokenEntry>, Infallible> {
        Ok(self.tokens.get(id).cloned())
    }

    fn tokens_of(&self, caller: &CallerName) -> Result<Vec<(TokenId, TokenEntry)>, Infallible> {
        let held = self.tokens.iter().filter(|(_, token)| token.caller == *caller);
        Ok(held.map(|(id, token)| (*id, token.clone())).collect())
    }

    fn grants_by(&self, owner: &CallerName) -> Result<Vec<(GrantId, Grant)>, Infallible> {
        let given = self.grants.iter().filter(|(_, grant)| grant.owner == *owner);
        Ok(given.map(|(id, grant)| (*id, grant.clone())).collect())
    }

    fn remembered(&self, caller: &CallerName, key: &Digest) -> Result<Option<Remembered>, Infallible> {
        Ok(self.remembered.get(&(caller.clone(), *key)).cloned())
    }

    fn key_check(&self, key: &MasterKeyName) -> Result<Option<KeyCheck>, Infallible> {
        Ok(self.key_checks.get(key).cloned())
    }

    fn first_key(&self) -> Result<Option<MasterKeyName>, Infallible> {
        Ok(self.first_key.clone())
    }

    fn known_keys(&self) -> Result<Vec<MasterKeyName>, Infallible> {
        Ok(self.key_checks.keys().cloned().collect())
    }

    fn epochs(&self, owner: &CallerName) -> Result<Option<Epochs>, Infallible> {
        Ok(self.epochs.get(owner).cloned())
    }

    fn fields(&self, owner: &CallerName) -> Result<Vec<FieldRule>, Infallible> {
        Ok(self.fields.get(owner).cloned().unwrap_or_default())
    }

    fn roster(&self) -> Result<Roster, Infallible> {
        Ok(self.roster.clone())
    }
}
