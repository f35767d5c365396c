//! Random work for a store: commands, and records that come without one, as a cluster of a few callers, a few
//! names and one node would make them. Every step says what the rules, with the registry in memory, make of
//! it. Knows nothing of the store but its answers.

#[path = "../../../model/tests/support/registry.rs"]
mod registry;

use std::collections::BTreeMap;

use covault_model::{
    command::{Action, Command, Condition, NewSecret, NewVersion, SealedVersion},
    history::SecretState,
    hlc::{Hlc, Millis},
    id::{ChangeHash, ClusterId, CommandId, Digest, PayloadHash, TokenHash, TokenId, VersionId},
    isolation::{Access, Role},
    key::NodeKey,
    marks::Mark,
    name::{
        CallerName, Description, LabelKey, LabelValue, MasterKeyName, NamePrefix, SecretName, SecretPath,
    },
    plan::{Plan, Write, plan},
    record::{Body, Header, Idempotency, Parent, Record, VersionBody},
    registry::{Grant, KeyCheck, Registry, TokenEntry},
};
use covault_store::Applied;

use self::registry::MemoryRegistry;

/// One thing to do: what, to which, how, and chance.
pub type Drawn = (u8, u8, u8, u8);

/// What is done to a store.
#[derive(Debug, Clone)]
pub enum Step {
    /// A command, with what must come of it.
    Command(Box<Command>, Applied),
    /// A version that was not agreed.
    Version(SecretPath, SealedVersion),
    /// A record of marks.
    Marks(SecretPath, Record),
}

/// What was done so far, in memory.
pub struct World {
    /// The registry.
    pub registry: MemoryRegistry,
    /// The versions of every secret, in the order they came.
    pub versions: BTreeMap<SecretPath, Vec<SealedVersion>>,
    states: BTreeMap<SecretPath, SecretState>,
    node: NodeKey,
    time: u64,
}

/// The callers that own names.
pub fn callers() -> [CallerName; 3] {
    ["ann", "an", "bob"].map(|name| CallerName::parse(name).expect("a caller's name"))
}

/// The names that each of them may create.
pub fn names() -> [SecretName; 3] {
    ["a", "a/b", "z"].map(|name| SecretName::parse(name).expect("a secret's name"))
}

/// The master keys that may become known.
pub fn master_keys() -> [MasterKeyName; 2] {
    ["one", "two"].map(|name| MasterKeyName::parse(name).expect("a master key's name"))
}

impl World {
    /// A cluster that was just founded, and how.
    pub fn founded() -> (Self, Step) {
        let mut world = Self {
            registry: MemoryRegistry::default(),
            versions: BTreeMap::new(),
            states: BTreeMap::new(),
            node: NodeKey::from_seed(&[7; 32]),
            time: 1000,
        };
        let token = (TokenId([0xff; 8]), token_of(&callers()[0]));
        let found = world.command(Action::Found { cluster: ClusterId([9; 16]), token }, 0, 0);
        (world, found)
    }

    /// Does what was drawn.
    pub fn step(&mut self, (what, which, how, chance): Drawn) -> Step {
        let owner = callers()[usize::from(which) % 3].clone();
        let name = names()[usize::from(which / 3) % 3].clone();
        let path = SecretPath { owner: owner.clone(), name };
        self.time += u64::from(chance % 16) + 1;
        match what % 14 {
            0 | 1 => self.create(&path, how, chance),
            2..=4 => self.update(&path, how, chance),
            5 if self.versions.contains_key(&path) => self.provisional(&path),
            6 => self.adopt(&path, chance),
            7 if self.versions.contains_key(&path) => self.mark(&path, how),
            8 => self.destroy(&path, how, chance),
            _ => self.administer(&owner, what, how, chance),
        }
    }

    fn create(&mut self, first: &SecretPath, how: u8, chance: u8) -> Step {
        let mut new = Vec::new();
        for name in
            std::iter::once(first.name.clone()).chain(names().into_iter().take(usize::from(how % 4) / 2))
        {
            let path = SecretPath { owner: first.owner.clone(), name };
            let version = self.version(&path, chance == 7);
            let marks = (how % 2 == 1).then(|| self.marks(&path, &version.record, how));
            new.push(NewSecret { path, version, marks });
        }
        self.command(Action::Create(new), how, chance)
    }

    fn update(&mut self, path: &SecretPath, how: u8, chance: u8) -> Step {
        let version = self.version(path, how % 8 == 7);
        let last = |world: &Self| -> Option<VersionId> {
            let Ok(entry) = world.registry.secret(path);
            entry.map(|entry| entry.last.id)
        };
        let condition = match how % 5 {
            0 => Some(Condition::Exists),
            1 => Some(Condition::OneOf(last(self).into_iter().collect())),
            2 => Some(Condition::OneOf(vec![version.record.id()])),
            _ => None,
        };
        let marks = chance.is_multiple_of(4).then(|| self.marks(path, &version.record, chance));
        self.command(
            Action::Agree(NewVersion { path: path.clone(), version, condition, marks }.into()),
            how,
            chance,
        )
    }

    fn provisional(&mut self, path: &SecretPath) -> Step {
        let version = self.version(path, false);
        self.keep(path, &version.record);
        self.versions.entry(path.clone()).or_default().push(version.clone());
        Step::Version(path.clone(), version)
    }

    fn adopt(&mut self, path: &SecretPath, chance: u8) -> Step {
        let version = self.versions.get(path).and_then(|versions| versions.last()).cloned();
        let version = version.unwrap_or_else(|| self.version(path, false));
        let new = NewVersion { path: path.clone(), version, condition: None, marks: None };
        self.command(Action::Agree(new.into()), 1, chance)
    }

    fn mark(&mut self, path: &SecretPath, how: u8) -> Step {
        let last = self.versions[path][usize::from(how) % self.versions[path].len()].record.clone();
        let record = self.marks(path, &last, how);
        self.keep(path, &record);
        Step::Marks(path.clone(), record)
    }

    fn destroy(&mut self, path: &SecretPath, how: u8, chance: u8) -> Step {
        let versions = self.versions.get(path).map_or(&[][..], Vec::as_slice);
        let chosen = versions.iter().skip(usize::from(how % 4)).step_by(1 + usize::from(chance % 3));
        let what =
            chosen.take(2).map(|version| (version.place(), PayloadHash::of(&version.payload))).collect();
        self.command(Action::Destroy(path.clone(), what), how, chance)
    }

    fn administer(&mut self, by: &CallerName, what: u8, how: u8, chance: u8) -> Step {
        let token = TokenId([how % 8; 8]);
        let grant = |access| Grant {
            owner: by.clone(),
            prefix: NamePrefix::parse(["", "a", "a/"][usize::from(how / 3) % 3]).expect("a prefix"),
            grantee: callers()[usize::from(chance) % 3].clone(),
            access,
            created_at: Millis(1),
        };
        let role = if how.is_multiple_of(2) { Role::Admin } else { Role::Member };
        let Ok(taken) = self.registry.token(&token);
        let action = match (what % 14, how % 3) {
            (9, _) if taken.is_none() => Action::AddCaller(role, token, token_of(by)),
            (10, 0) => Action::RemoveCaller(by.clone()),
            (11, 0 | 1) if taken.is_none() => Action::AddToken(token, token_of(by)),
            (9..=11, _) => Action::RemoveToken(by.clone(), token),
            (12, 0) => Action::AddGrant(grant(Access::Read)),
            (12, 1) => Action::AddGrant(grant(Access::Write)),
            (12, _) => Action::RemoveGrant(by.clone(), grant(Access::Write).id()),
            _ => Action::KnowKey(master_keys()[usize::from(how % 2)].clone(), KeyCheck(vec![chance % 2])),
        };
        self.command(action, how, chance)
    }

    fn command(&mut self, action: Action, how: u8, chance: u8) -> Step {
        let key = |key| Idempotency(Digest([key % 4; 32]), Digest([how; 32]));
        let idempotency = (200 <= chance).then(|| key(chance));
        let by = callers()[0].clone();
        let command = Command { id: CommandId([chance; 16]), by, at: Millis(self.time), idempotency, action };
        let Ok(planned) = plan(&self.registry, &command);
        if let Ok(plan) = &planned {
            self.registry.carry_out(plan);
            self.keep_planned(plan);
        }
        let replayed = planned.as_ref().is_ok_and(|plan| plan.replayed);
        let applied = Applied { outcome: planned.map(|plan| plan.outcome), replayed };
        Step::Command(Box::new(command), applied)
    }

    fn keep_planned(&mut self, plan: &Plan<'_>) {
        for write in &plan.writes {
            match write {
                Write::Version(path, version, _) => {
                    self.keep(path, &version.record);
                    let versions = self.versions.entry((*path).clone()).or_default();
                    if !versions.contains(version) {
                        versions.push((*version).clone());
                    }
                }
                Write::Marks(path, record) => self.keep(path, record),
                _ => {}
            }
        }
    }

    fn keep(&mut self, path: &SecretPath, record: &Record) {
        self.states.entry(path.clone()).or_default().insert(record);
    }

    fn version(&mut self, path: &SecretPath, stale: bool) -> SealedVersion {
        self.time += 1;
        let time = if stale { self.time / 2 } else { self.time };
        let payload = self.time.to_be_bytes().repeat(1 + usize::from(self.time.is_multiple_of(9)) * 400);
        let body = VersionBody {
            payload: PayloadHash::of(&payload),
            payload_len: u32::try_from(payload.len()).expect("small payloads"),
            content_type: None,
            expires_at: self.time.is_multiple_of(2).then_some(Millis(self.time)),
            restores: None,
        };
        SealedVersion { record: self.record(path, time, Body::Version(body)), payload }
    }

    fn marks(&mut self, path: &SecretPath, version: &Record, how: u8) -> Record {
        let key = |key: u8| LabelKey::parse(["env", "team"][usize::from(key % 2)]).expect("a label's key");
        let value = |value: u8| (!value.is_multiple_of(3)).then(|| LabelValue::parse("v").expect("a value"));
        let text = Description::parse(["one", "two"][usize::from(how % 2)]).expect("a description");
        let marks = match how % 4 {
            0 => vec![Mark::Deleted(version.id(), how < 128)],
            1 => vec![Mark::Label(key(how / 4), value(how))],
            2 => vec![Mark::Description((how < 128).then_some(text)), Mark::Label(key(how / 8), None)],
            _ => vec![Mark::Description(Some(text)), Mark::Deleted(version.id(), how < 128)],
        };
        self.time += 1;
        let time = if how.is_multiple_of(5) { self.time / 2 } else { self.time };
        self.record(path, time, Body::Marks(marks))
    }

    fn record(&self, path: &SecretPath, time: u64, body: Body) -> Record {
        let state = self.states.get(path);
        let heads = state.into_iter().flat_map(|state| state.heads.keys());
        // The record's own id stands for the document change that inserts it.
        let parents = heads.take(3).map(|id| Parent(*id, ChangeHash(id.0))).collect();
        let deepest = |state: &SecretState| state.heads.values().copied().max().unwrap_or(0);
        let header = Header {
            secret: path.id(),
            parents,
            depth: 1 + state.map_or(0, deepest),
            time: Hlc(time),
            author: self.node.node_id(),
            caller: callers()[0].clone(),
            idempotency: None,
            body,
        };
        Record::sign(header, &self.node)
    }
}

fn token_of(caller: &CallerName) -> TokenEntry {
    let hash = TokenHash::of(caller.as_bytes());
    TokenEntry { caller: caller.clone(), hash, created_at: Millis(1), expires_at: None }
}
