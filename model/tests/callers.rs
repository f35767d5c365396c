//! Callers, tokens and grants: every small log of commands about them, and their limits.
//! Shows E5 for these commands, that there is always an admin with a token, and that a caller who was
//! removed leaves nothing behind that lets anybody in. Knows nothing of tokens on the wire.

#![allow(clippy::unwrap_used)]

#[path = "support/registry.rs"]
mod registry;
#[path = "support/samples.rs"]
mod samples;

use covault_model::{
    command::{Action, Command, NewSecret},
    decode, encode,
    hlc::Millis,
    id::{ClusterId, CommandId, TokenHash, TokenId},
    isolation::{Access, Role},
    limits::{GRANTS_PER_OWNER_MAX, TOKENS_PER_CALLER_MAX},
    name::{MasterKeyName, NamePrefix},
    plan::plan,
    refusal::{CallerMistake, Limit, NodeFault, Refusal},
    registry::{Grant, KeyCheck, Outcome, Registry, TokenEntry},
};

use self::{
    registry::MemoryRegistry,
    samples::{caller, node, path, sealed},
};

const CALLERS: [&str; 3] = ["ann", "bob", "cat"];

fn command(action: Action) -> Command {
    Command { id: CommandId([7; 16]), by: caller("ann"), at: Millis(5), idempotency: None, action }
}

fn carry_out(registry: &mut MemoryRegistry, action: &Action) -> Result<Outcome, Refusal> {
    let command = command(action.clone());
    let Ok(planned) = plan(registry, &command);
    planned.map(|plan| {
        registry.carry_out(&plan);
        plan.outcome
    })
}

fn token_id(number: usize) -> TokenId {
    TokenId((number as u64).to_be_bytes())
}

fn token(holder: &str) -> TokenEntry {
    TokenEntry {
        caller: caller(holder),
        hash: TokenHash::of(holder.as_bytes()),
        created_at: Millis(5),
        expires_at: None,
    }
}

fn grant(owner: &str, prefix: &str, grantee: &str) -> Grant {
    Grant {
        owner: caller(owner),
        prefix: NamePrefix::parse(prefix).unwrap(),
        grantee: caller(grantee),
        access: Access::Read,
        created_at: Millis(5),
    }
}

fn found() -> Action {
    Action::Found { cluster: ClusterId([1; 16]), token: (token_id(1), token("ann")) }
}

fn add_caller(name: &str, role: Role, number: usize) -> Action {
    Action::AddCaller(role, token_id(number), token(name))
}

fn remove_token(holder: &str, number: usize) -> Action {
    Action::RemoveToken(caller(holder), token_id(number))
}

/// A cluster that `ann` founded.
fn founded() -> MemoryRegistry {
    let mut registry = MemoryRegistry::default();
    assert_eq!(carry_out(&mut registry, &found()), Ok(Outcome::Token(token_id(1))));
    registry
}

/// Carries out these commands in a cluster that `ann` founded; each must be answered so.
fn check_answers(steps: Vec<(Action, Result<Outcome, Refusal>)>) -> MemoryRegistry {
    let mut registry = founded();
    for (action, expected) in steps {
        assert_eq!(carry_out(&mut registry, &action), expected, "{action:?}");
    }
    registry
}

fn refused(mistake: CallerMistake) -> Result<Outcome, Refusal> {
    Err(mistake.into())
}

/// What must hold after every command, given what was before it.
fn check_callers(before: &MemoryRegistry, after: &MemoryRegistry) {
    let present = |name: &str| after.caller(&caller(name)).unwrap().is_some_and(|entry| !entry.removed);
    let held = |name: &str| after.tokens_of(&caller(name)).unwrap().len();
    let admin = |name: &str| after.caller(&caller(name)).unwrap().is_some_and(|e| e.role == Role::Admin);
    assert!(
        CALLERS.into_iter().any(|name| present(name) && admin(name) && held(name) > 0),
        "there is always an admin with a token"
    );
    for name in CALLERS {
        assert!(present(name) || held(name) == 0, "{name} is gone, and still has a token");
        assert!(held(name) <= TOKENS_PER_CALLER_MAX);
        for (_, grant) in after.grants_by(&caller(name)).unwrap() {
            assert!(present(&grant.grantee), "{} is gone, and still has a grant", grant.grantee);
        }
        let (Ok(old), Ok(new)) = (before.caller(&caller(name)), after.caller(&caller(name)));
        if let Some(old) = old {
            let new = new.expect("a caller's row stays");
            assert_eq!((old.role, old.created_at), (new.role, new.created_at));
            assert!(new.removed || !old.removed, "{name} came back");
        }
    }
}

fn commands() -> Vec<Action> {
    vec![
        found(),
        add_caller("bob", Role::Admin, 2),
        add_caller("bob", Role::Member, 3),
        add_caller("cat", Role::Member, 4),
        Action::AddToken(token_id(5), token("ann")),
        Action::AddToken(token_id(6), token("bob")),
        remove_token("ann", 1),
        remove_token("ann", 5),
        remove_token("bob", 2),
        remove_token("bob", 1),
        Action::RemoveCaller(caller("ann")),
        Action::RemoveCaller(caller("bob")),
        Action::AddGrant(grant("ann", "app/", "bob")),
        Action::AddGrant(grant("bob", "", "ann")),
        Action::AddGrant(grant("cat", "", "bob")),
        Action::RemoveGrant(caller("ann"), grant("ann", "app/", "bob").id()),
        Action::RemoveGrant(caller("bob"), grant("ann", "app/", "bob").id()),
    ]
}

/// Goes on from `registry` with every log of at most `longer` commands; one that changed nothing ends it.
fn check_all_logs(registry: &MemoryRegistry, commands: &[Action], longer: usize) {
    for action in commands {
        let mut next = registry.clone();
        let answer = carry_out(&mut next, action);
        check_callers(registry, &next);
        let mut other = registry.clone();
        let read = decode::<Action>(&encode(action)).unwrap();
        assert_eq!((carry_out(&mut other, &read), &other), (answer, &next), "E5: {action:?}");
        if 1 < longer && next != *registry {
            check_all_logs(&next, commands, longer - 1);
        }
    }
}

#[test]
fn there_is_always_an_admin_with_a_token_and_nobody_comes_back() {
    check_all_logs(&founded(), &commands(), 5);
}

#[test]
fn founding_a_second_time_changes_nothing() {
    let mut registry = founded();
    let again = Action::Found { cluster: ClusterId([2; 16]), token: (token_id(2), token("bob")) };
    assert_eq!(carry_out(&mut registry, &again), Ok(Outcome::Done));
    assert_eq!(registry, founded());
}

#[test]
fn the_last_admin_cannot_go_nor_lose_its_last_token() {
    check_answers(vec![
        (Action::RemoveCaller(caller("ann")), refused(CallerMistake::LastAdmin)),
        (remove_token("ann", 1), refused(CallerMistake::LastAdmin)),
        // A member, and an admin without a token, are no help.
        (add_caller("cat", Role::Member, 4), Ok(Outcome::Token(token_id(4)))),
        (add_caller("bob", Role::Admin, 2), Ok(Outcome::Token(token_id(2)))),
        (remove_token("bob", 2), Ok(Outcome::Done)),
        (Action::RemoveCaller(caller("ann")), refused(CallerMistake::LastAdmin)),
        (remove_token("ann", 1), refused(CallerMistake::LastAdmin)),
        // A second token is one to spare, a second admin with a token another.
        (Action::AddToken(token_id(3), token("ann")), Ok(Outcome::Token(token_id(3)))),
        (remove_token("ann", 1), Ok(Outcome::Done)),
        (remove_token("ann", 3), refused(CallerMistake::LastAdmin)),
        (Action::AddToken(token_id(6), token("bob")), Ok(Outcome::Token(token_id(6)))),
        (remove_token("ann", 3), Ok(Outcome::Done)),
        (Action::RemoveCaller(caller("ann")), Ok(Outcome::Done)),
        (Action::RemoveCaller(caller("bob")), refused(CallerMistake::LastAdmin)),
        // A member may always lose everything.
        (remove_token("cat", 4), Ok(Outcome::Done)),
        (Action::RemoveCaller(caller("cat")), Ok(Outcome::Done)),
    ]);
}

#[test]
fn a_removed_caller_is_as_if_missing_but_its_name_and_secrets_stay() {
    let first = NewSecret { path: path("a"), version: sealed("a", 10, &node(1), b"first"), marks: None };
    let id = first.version.record.id();
    let registry = check_answers(vec![
        (add_caller("bob", Role::Admin, 2), Ok(Outcome::Token(token_id(2)))),
        (Action::Create(vec![first]), Ok(Outcome::Agreed(vec![(id, 1)]))),
        (Action::RemoveCaller(caller("ann")), Ok(Outcome::Done)),
        (Action::RemoveCaller(caller("ann")), refused(CallerMistake::NotFound)),
        (add_caller("ann", Role::Member, 9), refused(CallerMistake::CallerExists)),
        (Action::AddToken(token_id(9), token("ann")), refused(CallerMistake::NotFound)),
        (remove_token("ann", 1), refused(CallerMistake::NotFound)),
        (Action::AddGrant(grant("bob", "", "ann")), refused(CallerMistake::NotFound)),
        (Action::AddGrant(grant("ann", "", "bob")), refused(CallerMistake::NotFound)),
        (Action::RemoveCaller(caller("nobody")), refused(CallerMistake::NotFound)),
    ]);
    assert!(registry.secret(&path("a")).unwrap().is_some());
    assert_eq!(registry.payloads.len(), 1);
    assert!(registry.records.contains_key(&id));
    assert_eq!(registry.token(&token_id(1)), Ok(None));
}

#[test]
fn a_removed_caller_leaves_the_grants_it_gave_and_none_that_it_got() {
    let (given, got) = (grant("bob", "mine/", "ann"), grant("ann", "app/", "bob"));
    let registry = check_answers(vec![
        (add_caller("bob", Role::Member, 2), Ok(Outcome::Token(token_id(2)))),
        (Action::AddGrant(given.clone()), Ok(Outcome::Grant(given.id()))),
        (Action::AddGrant(got.clone()), Ok(Outcome::Grant(got.id()))),
        (Action::RemoveCaller(caller("bob")), Ok(Outcome::Done)),
    ]);
    assert_eq!(registry.grants_by(&caller("ann")), Ok(vec![]));
    assert_eq!(registry.grants_by(&caller("bob")), Ok(vec![(given.id(), given)]));
}

#[test]
fn a_caller_holds_so_many_tokens_and_no_more() {
    let mut registry = founded();
    for number in 2..=TOKENS_PER_CALLER_MAX {
        let id = token_id(number);
        assert_eq!(carry_out(&mut registry, &Action::AddToken(id, token("ann"))), Ok(Outcome::Token(id)));
    }
    let one_more = Action::AddToken(token_id(99), token("ann"));
    let full = registry.clone();
    assert_eq!(carry_out(&mut registry, &one_more), refused(CallerMistake::TooMany(Limit::Tokens)));
    assert_eq!(registry, full);
    assert_eq!(carry_out(&mut registry, &remove_token("ann", 1)), Ok(Outcome::Done));
    assert_eq!(carry_out(&mut registry, &one_more), Ok(Outcome::Token(token_id(99))));
}

#[test]
fn an_owner_gives_so_many_grants_and_no_more() {
    let mut registry = founded();
    assert!(carry_out(&mut registry, &add_caller("bob", Role::Member, 2)).is_ok());
    for number in 0..GRANTS_PER_OWNER_MAX {
        let grant = grant("ann", &format!("app{number}/"), "bob");
        assert!(carry_out(&mut registry, &Action::AddGrant(grant)).is_ok());
    }
    let one_more = Action::AddGrant(grant("ann", "other/", "bob"));
    assert_eq!(carry_out(&mut registry, &one_more), refused(CallerMistake::TooMany(Limit::Grants)));
    let same_again = grant("ann", "app0/", "bob");
    let answer = carry_out(&mut registry, &Action::AddGrant(same_again.clone()));
    assert_eq!(answer, Ok(Outcome::Grant(same_again.id())), "one that is there is no new one");
    let of_another = grant("bob", "", "ann");
    assert!(carry_out(&mut registry, &Action::AddGrant(of_another)).is_ok(), "owners are counted apart");
    let taken_back = Action::RemoveGrant(caller("ann"), same_again.id());
    assert_eq!(carry_out(&mut registry, &taken_back), Ok(Outcome::Done));
    assert!(carry_out(&mut registry, &one_more).is_ok());
}

#[test]
fn a_grant_is_taken_back_by_its_owner_only() {
    let given = grant("ann", "app/", "bob");
    check_answers(vec![
        (add_caller("bob", Role::Member, 2), Ok(Outcome::Token(token_id(2)))),
        (Action::AddGrant(given.clone()), Ok(Outcome::Grant(given.id()))),
        (Action::RemoveGrant(caller("bob"), given.id()), refused(CallerMistake::NotFound)),
        (Action::RemoveGrant(caller("ann"), given.id()), Ok(Outcome::Done)),
        (Action::RemoveGrant(caller("ann"), given.id()), refused(CallerMistake::NotFound)),
    ]);
}

#[test]
fn a_token_is_taken_away_from_its_holder_only() {
    check_answers(vec![
        (add_caller("bob", Role::Admin, 2), Ok(Outcome::Token(token_id(2)))),
        (remove_token("ann", 2), refused(CallerMistake::NotFound)),
        (remove_token("bob", 1), refused(CallerMistake::NotFound)),
        (remove_token("nobody", 1), refused(CallerMistake::NotFound)),
    ]);
}

#[test]
fn the_first_check_value_of_a_master_key_holds() {
    let key = MasterKeyName::parse("main").unwrap();
    let check = |byte: u8| Action::KnowKey(key.clone(), KeyCheck(vec![byte]));
    let wrong = NodeFault::WrongMasterKey(key.clone());
    let registry = check_answers(vec![
        (check(1), Ok(Outcome::Done)),
        (check(1), Ok(Outcome::Done)),
        (check(2), Err(wrong.into())),
    ]);
    assert_eq!(registry.key_check(&key), Ok(Some(KeyCheck(vec![1]))));
}
