//! From a command and the registry to what is to be written: the one place where existence is decided.
//!
//! Keeps E1 (a name is created once), E2 (numbers without gaps, never moved), E3 (times rise with
//! numbers), E4 (one conditional update wins), E5 (a pure function of state and command), E6 (all or
//! none), E7 (destroyed stays destroyed), I1 (one key, one request, one outcome) and, with `roster`, M1 to M3.
//!
//! A command that was agreed before changes nothing when it comes again: what it makes is known by its own
//! ids (version, token, grant), so proposing twice is proposing once.
//!
//! [`decide`] runs before agreement on one node, [`plan`] after it on every node alike; both are the same
//! function of the registry as it then is, since two good decisions may have raced. A plan is values:
//! whoever keeps the rows writes them. Knows nothing of disk, Raft or time.

use alloc::{collections::BTreeSet, vec, vec::Vec};

use crate::{
    command::{Action, Command, Condition, NewSecret, NewVersion, SealedVersion},
    epoch::{Epochs, Turn, epochs_of},
    field::FieldRule,
    id::{ClusterId, Digest, GrantId, PayloadHash, TokenId},
    isolation::Role,
    limits::{CREATE_MAX, FIELDS_MAX, GRANTS_PER_OWNER_MAX, TOKENS_PER_CALLER_MAX},
    line::Place,
    mutant::Mutant,
    name::{CallerName, MasterKeyName, SecretPath},
    record::Record,
    refusal::{CallerMistake, Limit, NoAuthority, NodeFault, Refusal},
    registry::{
        CallerEntry, Grant, KeyCheck, Outcome, Registry, Remembered, SecretEntry, TokenEntry, number_of,
    },
    roster::Roster,
};

/// What a command comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan<'c> {
    /// Rows to write, in order.
    pub writes: Vec<Write<'c>>,
    /// What it did.
    pub outcome: Outcome,
    /// Whether this is the remembered outcome of an earlier command, with nothing to write.
    pub replayed: bool,
}

/// One row of the registry to write, or one effect on histories that commits with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write<'c> {
    /// The cluster's id.
    Cluster(ClusterId),
    /// A master key's check value.
    KeyCheck(&'c MasterKeyName, &'c KeyCheck),
    /// A name, made or moved forward.
    Secret(&'c SecretPath, SecretEntry),
    /// A number given.
    Number(&'c SecretPath, u64, Place),
    /// A version to insert in its history under this number, with its payload unless it is destroyed.
    Version(&'c SecretPath, &'c SealedVersion, u64),
    /// A record of marks to insert in its secret's history.
    Marks(&'c SecretPath, &'c Record),
    /// A payload to erase and refuse from now on.
    Destroy(&'c SecretPath, Place, PayloadHash),
    /// A caller, made or removed.
    Caller(&'c CallerName, CallerEntry),
    /// A token, made.
    Token(TokenId, &'c TokenEntry),
    /// A token, taken away.
    NoToken(TokenId, CallerName),
    /// A grant, given.
    Grant(GrantId, &'c Grant),
    /// A grant, taken back.
    NoGrant(GrantId, CallerName),
    /// Who may become a member, and who ever was one, in place of what was there.
    Roster(Roster),
    /// The master key that was known first.
    FirstKey(MasterKeyName),
    /// The epochs of an owner, in place of what was there.
    Epochs(&'c CallerName, Epochs),
    /// The fields an owner configured, in place of what was there.
    Fields(&'c CallerName, &'c [FieldRule]),
    /// An outcome to remember.
    Remember(&'c CallerName, Digest, Remembered),
}

type Planned<'c, E> = Result<Result<Plan<'c>, Refusal>, E>;

/// Before agreement: may this be proposed? The answer holds only for the registry as it is now.
pub fn decide<R: Registry>(registry: &R, command: &Command) -> Result<Result<(), Refusal>, R::Error> {
    Ok(plan(registry, command)?.map(|_| ()))
}

/// After agreement: what this command writes, or why it is refused.
pub fn plan<'c, R: Registry>(registry: &R, command: &'c Command) -> Planned<'c, R::Error> {
    if let Some(idempotency) = &command.idempotency
        && let Some(remembered) = registry.remembered(&command.by, idempotency.key())?
        && !Mutant::ForgottenKey.is_on()
    {
        return Ok(replay(remembered, idempotency.request()));
    }
    let planned = act(registry, command)?;
    Ok(planned.map(|(mut writes, outcome)| {
        if let Some(idempotency) = &command.idempotency {
            let remembered = Remembered { request: *idempotency.request(), outcome: outcome.clone() };
            writes.push(Write::Remember(&command.by, *idempotency.key(), remembered));
        }
        Plan { writes, outcome, replayed: false }
    }))
}

fn replay<'c>(remembered: Remembered, request: &Digest) -> Result<Plan<'c>, Refusal> {
    if remembered.request == *request {
        Ok(Plan { writes: Vec::new(), outcome: remembered.outcome, replayed: true })
    } else {
        Err(CallerMistake::IdempotencyConflict.into())
    }
}

type Acted<'c> = Result<(Vec<Write<'c>>, Outcome), Refusal>;

fn act<'c, R: Registry>(registry: &R, command: &'c Command) -> Result<Acted<'c>, R::Error> {
    match &command.action {
        Action::Found { cluster, token } => found(registry, command, cluster, token),
        Action::KnowKey(name, check) => know_key(registry, name, check),
        Action::Create(secrets) => create(registry, secrets),
        Action::Agree(new) => agree(registry, new),
        Action::Destroy(secret, versions) => destroy(registry, secret, versions),
        Action::AddCaller(role, id, token) => add_caller(registry, command, *role, id, token),
        Action::RemoveCaller(name) => remove_caller(registry, name),
        Action::AddToken(id, token) => add_token(registry, id, token),
        Action::RemoveToken(caller, id) => remove_token(registry, caller, id),
        Action::AddGrant(grant) => add_grant(registry, grant),
        Action::RemoveGrant(owner, id) => remove_grant(registry, owner, id),
        Action::Invite(id, invitation) => {
            Ok(on_roster(registry.roster()?.invite(*id, invitation), Outcome::Invited(*id)))
        }
        Action::Enrol(shown) => Ok(on_roster(registry.roster()?.enrol(shown, command.at), Outcome::Done)),
        Action::Reach(node, address) => {
            Ok(on_roster(registry.roster()?.reach(*node, *address, command.at), Outcome::Done))
        }
        Action::RemoveNode(node) => Ok(on_roster(registry.roster()?.remove(node), Outcome::Done)),
        Action::InviteApi(id, invitation) => {
            Ok(on_roster(registry.roster()?.invite_api(*id, invitation), Outcome::Invited(*id)))
        }
        Action::EnrolApi(shown) => {
            Ok(on_roster(registry.roster()?.enrol_api(shown, command.at), Outcome::Done))
        }
        Action::ActivateEpoch(owner, epoch, key) => {
            let turn = Turn { id: command.id, at: command.at };
            let activate = |epochs: &Epochs| epochs.activate(*epoch, key, turn);
            on_epochs(registry, owner, registry.key_check(key)?.is_some(), activate)
        }
        Action::DestroyEpoch(owner, epoch) => {
            on_epochs(registry, owner, true, |epochs| epochs.destroy(*epoch, command.at))
        }
        Action::SetFields(owner, fields) => set_fields(registry, owner, fields),
    }
}

fn found<'c, R: Registry>(
    registry: &R,
    command: &'c Command,
    cluster: &'c ClusterId,
    (id, token): &'c (TokenId, TokenEntry),
) -> Result<Acted<'c>, R::Error> {
    if registry.cluster()?.is_some() {
        return Ok(Ok((Vec::new(), Outcome::Done)));
    }
    let admin = CallerEntry { role: Role::Admin, created_at: command.at, removed: false };
    let writes =
        vec![Write::Cluster(*cluster), Write::Caller(&token.caller, admin), Write::Token(*id, token)];
    Ok(Ok((writes, Outcome::Token(*id))))
}

fn know_key<'c, R: Registry>(
    registry: &R,
    name: &'c MasterKeyName,
    check: &'c KeyCheck,
) -> Result<Acted<'c>, R::Error> {
    Ok(match registry.key_check(name)? {
        None => {
            let mut writes = vec![Write::KeyCheck(name, check)];
            if registry.first_key()?.is_none() {
                let known = registry.known_keys()?;
                writes.push(Write::FirstKey(known.into_iter().next().unwrap_or_else(|| name.clone())));
            }
            Ok((writes, Outcome::Done))
        }
        Some(known) if known == *check => Ok((Vec::new(), Outcome::Done)),
        Some(_) => Err(NodeFault::WrongMasterKey(name.clone()).into()),
    })
}

fn create<'c, R: Registry>(registry: &R, secrets: &'c [NewSecret]) -> Result<Acted<'c>, R::Error> {
    let (mut writes, mut agreed, mut taken) = (Vec::new(), Vec::new(), Vec::new());
    let mut made = BTreeSet::new();
    if secrets.len() > CREATE_MAX {
        return Ok(Err(NodeFault::Corrupt.into()));
    }
    for new in secrets {
        let path = &new.path;
        if !belong_to(path, &new.version, new.marks.as_ref()) {
            return Ok(Err(NodeFault::Corrupt.into()));
        }
        let place = new.version.place();
        if !made.insert(path) {
            taken.push(path.name.clone());
            continue;
        }
        if registry.secret(path)?.is_some() && !Mutant::CreateTwice.is_on() {
            match registry.numbered(path, 1)? {
                Some(first) if first == place => agreed.push((place.id, 1)),
                _ => taken.push(path.name.clone()),
            }
            continue;
        }
        let entry = SecretEntry { agreed: 1, last: place };
        agreed.push((place.id, 1));
        writes.extend([
            Write::Secret(path, entry),
            Write::Number(path, 1, place),
            Write::Version(path, &new.version, 1),
        ]);
        writes.extend(new.marks.iter().map(|marks| Write::Marks(path, marks)));
    }
    Ok(if taken.is_empty() || (Mutant::HalfOfMany.is_on() && !agreed.is_empty()) {
        Ok((writes, Outcome::Agreed(agreed)))
    } else {
        Err(CallerMistake::SecretExists(taken).into())
    })
}

fn agree<'c, R: Registry>(registry: &R, new: &'c NewVersion) -> Result<Acted<'c>, R::Error> {
    let path = &new.path;
    let place = new.version.place();
    if !belong_to(path, &new.version, new.marks.as_ref()) {
        return Ok(Err(NodeFault::Corrupt.into()));
    }
    let Some(entry) = registry.secret(path)? else {
        return Ok(Err(CallerMistake::NotFound.into()));
    };
    if place <= entry.last
        && let Some(number) = number_of(registry, path, &entry, &place)?
    {
        return Ok(Ok((Vec::new(), Outcome::Agreed(vec![(place.id, number)]))));
    }
    let is_met = |condition: &Condition| condition.is_met_by(&entry.last.id) || Mutant::AnyCondition.is_on();
    if !new.condition.as_ref().is_none_or(is_met) {
        return Ok(Err(CallerMistake::VersionMismatch.into()));
    }
    if place.time <= entry.last.time && !Mutant::OutOfOrder.is_on() {
        return Ok(Err(NoAuthority::StaleTime.into()));
    }
    let number = entry.agreed + 1;
    let moved = SecretEntry { agreed: number, last: place };
    let mut writes = vec![
        Write::Secret(path, moved),
        Write::Number(path, number, place),
        Write::Version(path, &new.version, number),
    ];
    writes.extend(new.marks.iter().map(|marks| Write::Marks(path, marks)));
    Ok(Ok((writes, Outcome::Agreed(vec![(place.id, number)]))))
}

/// Whether `version` is a version and `marks` are marks, both of the secret at `path`.
fn belong_to(path: &SecretPath, version: &SealedVersion, marks: Option<&Record>) -> bool {
    let id = path.id();
    let of_secret = |record: &Record| record.header().secret == id;
    version.record.version().is_some()
        && of_secret(&version.record)
        && marks.is_none_or(|marks| marks.version().is_none() && of_secret(marks))
}

fn destroy<'c, R: Registry>(
    registry: &R,
    path: &'c SecretPath,
    versions: &'c [(Place, PayloadHash)],
) -> Result<Acted<'c>, R::Error> {
    if registry.secret(path)?.is_none() {
        return Ok(Err(CallerMistake::NotFound.into()));
    }
    let writes = versions.iter().map(|(place, payload)| Write::Destroy(path, *place, *payload));
    Ok(Ok((writes.collect(), Outcome::Done)))
}

fn add_caller<'c, R: Registry>(
    registry: &R,
    command: &'c Command,
    role: Role,
    id: &'c TokenId,
    token: &'c TokenEntry,
) -> Result<Acted<'c>, R::Error> {
    match registry.token(id)? {
        Some(held) if held == *token => return Ok(Ok((Vec::new(), Outcome::Token(*id)))),
        Some(_) => return Ok(Err(NodeFault::Corrupt.into())),
        None => {}
    }
    if registry.caller(&token.caller)?.is_some() {
        return Ok(Err(CallerMistake::CallerExists.into()));
    }
    let entry = CallerEntry { role, created_at: command.at, removed: false };
    let writes = vec![Write::Caller(&token.caller, entry), Write::Token(*id, token)];
    Ok(Ok((writes, Outcome::Token(*id))))
}

fn remove_caller<'c, R: Registry>(registry: &R, name: &'c CallerName) -> Result<Acted<'c>, R::Error> {
    let Some(entry) = present_caller(registry, name)? else {
        return Ok(Err(CallerMistake::NotFound.into()));
    };
    let tokens: Vec<TokenId> = registry.tokens_of(name)?.into_iter().map(|(id, _)| id).collect();
    if entry.role == Role::Admin && !another_admin_has_token(registry, name)? {
        return Ok(Err(CallerMistake::LastAdmin.into()));
    }
    let mut writes = vec![Write::Caller(name, CallerEntry { removed: true, ..entry })];
    writes.extend(tokens.into_iter().map(|id| Write::NoToken(id, name.clone())));
    writes.extend(grants_to(registry, name)?.into_iter().map(|(id, owner)| Write::NoGrant(id, owner)));
    Ok(Ok((writes, Outcome::Done)))
}

fn grants_to<R: Registry>(registry: &R, name: &CallerName) -> Result<Vec<(GrantId, CallerName)>, R::Error> {
    let mut grants = Vec::new();
    for (owner, _) in registry.callers()? {
        let given = registry.grants_by(&owner)?.into_iter().filter(|(_, grant)| grant.grantee == *name);
        grants.extend(given.map(|(id, _)| (id, owner.clone())));
    }
    Ok(grants)
}

fn add_token<'c, R: Registry>(
    registry: &R,
    id: &'c TokenId,
    token: &'c TokenEntry,
) -> Result<Acted<'c>, R::Error> {
    match registry.token(id)? {
        Some(held) if held == *token => return Ok(Ok((Vec::new(), Outcome::Token(*id)))),
        Some(_) => return Ok(Err(NodeFault::Corrupt.into())),
        None => {}
    }
    Ok(if present_caller(registry, &token.caller)?.is_none() {
        Err(CallerMistake::NotFound.into())
    } else if registry.tokens_of(&token.caller)?.len() >= TOKENS_PER_CALLER_MAX {
        Err(CallerMistake::TooMany(Limit::Tokens).into())
    } else {
        Ok((vec![Write::Token(*id, token)], Outcome::Token(*id)))
    })
}

fn remove_token<'c, R: Registry>(
    registry: &R,
    name: &'c CallerName,
    id: &'c TokenId,
) -> Result<Acted<'c>, R::Error> {
    let Some(entry) = present_caller(registry, name)? else {
        return Ok(Err(CallerMistake::NotFound.into()));
    };
    let tokens = registry.tokens_of(name)?;
    if !tokens.iter().any(|(held, _)| held == id) {
        return Ok(Err(CallerMistake::NotFound.into()));
    }
    let last = entry.role == Role::Admin && tokens.len() == 1;
    Ok(if last && !another_admin_has_token(registry, name)? {
        Err(CallerMistake::LastAdmin.into())
    } else {
        Ok((vec![Write::NoToken(*id, name.clone())], Outcome::Done))
    })
}

fn add_grant<'c, R: Registry>(registry: &R, grant: &'c Grant) -> Result<Acted<'c>, R::Error> {
    let id = grant.id();
    if present_caller(registry, &grant.owner)?.is_none()
        || present_caller(registry, &grant.grantee)?.is_none()
    {
        return Ok(Err(CallerMistake::NotFound.into()));
    }
    let grants = registry.grants_by(&grant.owner)?;
    Ok(if grants.iter().any(|(held, _)| *held == id) {
        Ok((Vec::new(), Outcome::Grant(id)))
    } else if grants.len() >= GRANTS_PER_OWNER_MAX {
        Err(CallerMistake::TooMany(Limit::Grants).into())
    } else {
        Ok((vec![Write::Grant(id, grant)], Outcome::Grant(id)))
    })
}

fn remove_grant<'c, R: Registry>(
    registry: &R,
    owner: &'c CallerName,
    id: &'c GrantId,
) -> Result<Acted<'c>, R::Error> {
    let held = registry.grants_by(owner)?.iter().any(|(held, _)| held == id);
    Ok(if held {
        Ok((vec![Write::NoGrant(*id, owner.clone())], Outcome::Done))
    } else {
        Err(CallerMistake::NotFound.into())
    })
}

fn on_roster<'c>(changed: Result<Option<Roster>, Refusal>, outcome: Outcome) -> Acted<'c> {
    changed.map(|changed| (changed.into_iter().map(Write::Roster).collect(), outcome))
}

/// What `change` makes of an owner's epochs; refused if the master key that it needs is not `known`.
fn on_epochs<'c, R: Registry>(
    registry: &R,
    owner: &'c CallerName,
    known: bool,
    change: impl FnOnce(&Epochs) -> Result<Option<Epochs>, Refusal>,
) -> Result<Acted<'c>, R::Error> {
    let Some(epochs) = epochs_of(registry, owner)? else {
        return Ok(Err(CallerMistake::NotFound.into()));
    };
    if !known {
        return Ok(Err(NodeFault::MasterKeyUnavailable(None).into()));
    }
    let changed = change(&epochs);
    Ok(changed.map(|changed| {
        (changed.into_iter().map(|epochs| Write::Epochs(owner, epochs)).collect(), Outcome::Done)
    }))
}

fn set_fields<'c, R: Registry>(
    registry: &R,
    owner: &'c CallerName,
    fields: &'c [FieldRule],
) -> Result<Acted<'c>, R::Error> {
    Ok(if present_caller(registry, owner)?.is_none() {
        Err(CallerMistake::NotFound.into())
    } else if fields.len() > FIELDS_MAX {
        Err(CallerMistake::TooMany(Limit::Fields).into())
    } else {
        Ok((vec![Write::Fields(owner, fields)], Outcome::Done))
    })
}

fn present_caller<R: Registry>(registry: &R, name: &CallerName) -> Result<Option<CallerEntry>, R::Error> {
    Ok(registry.caller(name)?.filter(|entry| !entry.removed))
}

fn another_admin_has_token<R: Registry>(registry: &R, name: &CallerName) -> Result<bool, R::Error> {
    for (other, entry) in registry.callers()? {
        let admin = entry.role == Role::Admin && !entry.removed && other != *name;
        if admin && !registry.tokens_of(&other)?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}
