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
    id::{ClusterId, CommandId, Digest, PayloadHash, SecretId, TokenHash, TokenId, VersionId},
    isolation::{Access, Role},
    key::NodeKey,
    marks::Mark,
    name::{CallerName, Description, LabelKey, LabelValue, MasterKeyName, NamePrefix, SecretName},
    plan::{Plan, Write, plan},
    record::{Body, Header, Idempotency, Record, VersionBody},
    registry::{Grant, KeyCheck, Registry, TokenEntry},
};
use covault_store::Applied;

use self::registry::MemoryRegistry;
use super::scratch::change_of;

/// One thing to do: what, to which, how, and chance.
pub type Drawn = (u8, u8, u8, u8);

/// What is done to a store.
#[derive(Debug, Clone)]
pub enum Step {
    /// A command, with what must come of it.
    Command(Box<Command>, Applied),
    /// A version that was not agreed.
    Version(SealedVersion),
    /// A record of marks.
    Marks(Record),
}

/// What was done so far, in memory.
pub struct World {
    /// The registry.
    pub registry: MemoryRegistry,
    /// The versions of every secret, in the order they came.
    pub versions: BTreeMap<SecretId, Vec<SealedVersion>>,
    states: BTreeMap<SecretId, SecretState>,
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
        let id = SecretId::of(&owner, &name);
        self.time += u64::from(chance % 16) + 1;
        match what % 14 {
            0 | 1 => self.create(&owner, &name, how, chance),
            2..=4 => self.update(&id, how, chance),
            5 if self.versions.contains_key(&id) => self.provisional(id),
            6 => self.adopt(&id, chance),
            7 if self.versions.contains_key(&id) => self.mark(&id, how),
            8 => self.destroy(id, how, chance),
            _ => self.administer(&owner, what, how, chance),
        }
    }

    fn create(&mut self, owner: &CallerName, first: &SecretName, how: u8, chance: u8) -> Step {
        let mut new = Vec::new();
        for name in std::iter::once(first.clone()).chain(names().into_iter().take(usize::from(how % 4) / 2)) {
            let id = SecretId::of(owner, &name);
            let version = self.version(id, chance == 7);
            let marks = (how % 2 == 1).then(|| self.marks(id, &version.record, how));
            new.push(NewSecret { owner: owner.clone(), name, version, marks });
        }
        self.command(Action::Create(new), how, chance)
    }

    fn update(&mut self, id: &SecretId, how: u8, chance: u8) -> Step {
        let version = self.version(*id, how % 8 == 7);
        let last = |world: &Self| -> Option<VersionId> {
            let Ok(entry) = world.registry.secret(id);
            entry.map(|entry| entry.last.id)
        };
        let condition = match how % 5 {
            0 => Some(Condition::Exists),
            1 => Some(Condition::OneOf(last(self).into_iter().collect())),
            2 => Some(Condition::OneOf(vec![version.record.id()])),
            _ => None,
        };
        let marks = chance.is_multiple_of(4).then(|| self.marks(*id, &version.record, chance));
        self.command(Action::Agree(NewVersion { version, condition, marks }.into()), how, chance)
    }

    fn provisional(&mut self, id: SecretId) -> Step {
        let version = self.version(id, false);
        self.keep(id, &version.record);
        self.versions.entry(id).or_default().push(version.clone());
        Step::Version(version)
    }

    fn adopt(&mut self, id: &SecretId, chance: u8) -> Step {
        let version = self.versions.get(id).and_then(|versions| versions.last()).cloned();
        let version = version.unwrap_or_else(|| self.version(*id, false));
        let new = NewVersion { version, condition: None, marks: None };
        self.command(Action::Agree(new.into()), 1, chance)
    }

    fn mark(&mut self, id: &SecretId, how: u8) -> Step {
        let last = self.versions[id][usize::from(how) % self.versions[id].len()].record.clone();
        let record = self.marks(*id, &last, how);
        self.keep(*id, &record);
        Step::Marks(record)
    }

    fn destroy(&mut self, id: SecretId, how: u8, chance: u8) -> Step {
        let versions = self.versions.get(&id).map_or(&[][..], Vec::as_slice);
        let chosen = versions.iter().skip(usize::from(how % 4)).step_by(1 + usize::from(chance % 3));
        let what =
            chosen.take(2).map(|version| (version.place(), PayloadHash::of(&version.payload))).collect();
        self.command(Action::Destroy(id, what), how, chance)
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
        let replayed = planned.as_ref().is_ok_and(|plan| plan.replayed);
        if let Ok(plan) = &planned {
            self.registry.carry_out(plan);
            self.keep_planned(plan);
        }
        Step::Command(Box::new(command), Applied { outcome: planned.map(|plan| plan.outcome), replayed })
    }

    fn keep_planned(&mut self, plan: &Plan) {
        for write in &plan.writes {
            match write {
                Write::Version(version, _) => {
                    let id = version.record.header().secret;
                    self.keep(id, &version.record);
                    let versions = self.versions.entry(id).or_default();
                    if !versions.contains(version) {
                        versions.push(version.clone());
                    }
                }
                Write::Marks(record) => self.keep(record.header().secret, record),
                _ => {}
            }
        }
    }

    fn keep(&mut self, id: SecretId, record: &Record) {
        self.states.entry(id).or_default().insert(record, change_of(record));
    }

    fn version(&mut self, id: SecretId, stale: bool) -> SealedVersion {
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
        SealedVersion { record: self.record(id, time, Body::Version(body)), payload }
    }

    fn marks(&mut self, id: SecretId, version: &Record, how: u8) -> Record {
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
        self.record(id, time, Body::Marks(marks))
    }

    fn record(&self, secret: SecretId, time: u64, body: Body) -> Record {
        let state = self.states.get(&secret);
        let parents: Vec<_> = state.map(|state| state.parents().take(3).collect()).unwrap_or_default();
        let deepest = |state: &SecretState| state.heads.values().map(|head| head.depth).max().unwrap_or(0);
        let header = Header {
            secret,
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
