//! Who may do what to which name, as tables. Shows N3 for the rules; the processes are shown it again
//! over HTTP. Knows nothing of tokens.

#![allow(clippy::unwrap_used)]

use covault_model::{
    hlc::Millis,
    isolation::{Access, Role, Session},
    name::{CallerName, NamePrefix, SecretName},
    refusal::{CallerMistake, Refusal},
    registry::Grant,
};

const ACCESSES: [Access; 2] = [Access::Read, Access::Write];
const ROLES: [Role; 2] = [Role::Member, Role::Admin];
const CALLERS: [&str; 3] = ["ann", "bob", "cat"];
const NAMES: [&str; 4] = ["app", "app/db", "app2", "other"];
const PREFIXES: [&str; 5] = ["", "app", "app/", "app/db", "nothing"];

fn session(caller: &str, role: Role) -> Session {
    Session { caller: CallerName::parse(caller).unwrap(), role }
}

fn grant(owner: &str, prefix: &str, grantee: &str, access: Access) -> Grant {
    Grant {
        owner: CallerName::parse(owner).unwrap(),
        prefix: NamePrefix::parse(prefix).unwrap(),
        grantee: CallerName::parse(grantee).unwrap(),
        access,
        created_at: Millis(1),
    }
}

fn may(session: &Session, wanted: Access, owner: &str, name: &str, grants: &[Grant]) -> bool {
    let owner = CallerName::parse(owner).unwrap();
    match session.may(wanted, &owner, &SecretName::parse(name).unwrap(), grants) {
        Ok(()) => true,
        // The only refusal there is: what may not be seen is not there.
        Err(refusal) => {
            assert_eq!(refusal, Refusal::Caller(CallerMistake::NotFound));
            false
        }
    }
}

fn every_grant() -> Vec<Grant> {
    let mut grants = Vec::new();
    for owner in CALLERS {
        for grantee in CALLERS {
            for prefix in PREFIXES {
                grants.extend(ACCESSES.map(|access| grant(owner, prefix, grantee, access)));
            }
        }
    }
    grants
}

/// Who asks, for which access, to whose secret of which name.
fn every_question() -> Vec<(Session, Access, &'static str, &'static str)> {
    let mut questions = Vec::new();
    for session in ROLES.into_iter().flat_map(|role| CALLERS.map(|caller| session(caller, role))) {
        for wanted in ACCESSES {
            for owner in CALLERS {
                questions.extend(NAMES.map(|name| (session.clone(), wanted, owner, name)));
            }
        }
    }
    questions
}

#[test]
fn without_grants_everyone_has_the_own_namespace_and_nothing_else() {
    for (session, wanted, owner, name) in every_question() {
        let allowed = may(&session, wanted, owner, name, &[]);
        assert_eq!(allowed, session.caller.as_str() == owner, "{session:?} {wanted:?} {owner}:{name}");
    }
}

#[test]
fn one_grant_lets_its_grantee_at_its_names_and_nobody_at_anything_else() {
    for grant in every_grant() {
        for (session, wanted, owner, name) in every_question() {
            let owned = session.caller.as_str() == owner;
            let granted = grant.owner.as_str() == owner
                && grant.grantee == session.caller
                && name.starts_with(grant.prefix.as_str())
                && (grant.access == Access::Write || wanted == Access::Read);
            let allowed = may(&session, wanted, owner, name, std::slice::from_ref(&grant));
            assert_eq!(allowed, owned || granted, "{session:?} {wanted:?} {owner}:{name} by {grant:?}");
        }
    }
}

#[test]
fn the_table_of_grants_reads_as_the_contract_says() {
    let bob = session("bob", Role::Member);
    for (access, prefix, name, reads, writes) in [
        (Access::Read, "app/", "app/db", true, false),
        (Access::Write, "app/", "app/db", true, true),
        (Access::Write, "app/", "app", false, false),
        (Access::Write, "app/", "other", false, false),
        (Access::Write, "app", "app2", true, true),
        (Access::Read, "", "other", true, false),
        (Access::Write, "", "other", true, true),
    ] {
        let grants = [grant("ann", prefix, "bob", access)];
        assert_eq!(may(&bob, Access::Read, "ann", name, &grants), reads, "{access:?} {prefix} {name}");
        assert_eq!(may(&bob, Access::Write, "ann", name, &grants), writes, "{access:?} {prefix} {name}");
    }
}

#[test]
fn grants_add_up_but_do_not_combine() {
    let bob = session("bob", Role::Member);
    let grants = [grant("ann", "app/", "bob", Access::Read), grant("ann", "app2", "bob", Access::Write)];
    assert!(may(&bob, Access::Read, "ann", "app/db", &grants));
    assert!(may(&bob, Access::Write, "ann", "app2", &grants));
    assert!(!may(&bob, Access::Write, "ann", "app/db", &grants), "write on another prefix is no help");
}

#[test]
fn a_grantee_cannot_pass_a_grant_on() {
    let grants = [grant("ann", "", "bob", Access::Write), grant("bob", "", "cat", Access::Write)];
    assert!(!may(&session("cat", Role::Member), Access::Read, "ann", "app", &grants));
}

#[test]
fn an_admin_has_callers_and_the_cluster_but_no_value_of_others() {
    let (admin, member) = (session("ann", Role::Admin), session("ann", Role::Member));
    assert_eq!(admin.require_admin(), Ok(()));
    assert_eq!(member.require_admin(), Err(Refusal::Caller(CallerMistake::Forbidden)));
    assert!(!may(&admin, Access::Read, "bob", "app", &[]));
    assert!(admin.owns(&CallerName::parse("ann").unwrap()));
    assert!(!admin.owns(&CallerName::parse("bob").unwrap()));
}

#[test]
fn roles_and_access_are_called_what_the_contract_calls_them() {
    assert_eq!(ROLES.map(Role::as_str), ["member", "admin"]);
    assert_eq!(ACCESSES.map(Access::as_str), ["read", "write"]);
}

#[test]
fn what_may_be_listed_is_what_may_be_read() {
    let (ann, bob) = (CallerName::parse("ann").unwrap(), session("bob", Role::Member));
    let names = NAMES.map(|name| SecretName::parse(name).unwrap());
    let pairs = PREFIXES.iter().flat_map(|one| PREFIXES.map(|other| [*one, other]));
    for granted in pairs.chain([["app", "app"]]) {
        let grants = granted.map(|prefix| grant("ann", prefix, "bob", Access::Read));
        for grants in [&grants[..], &grants[..1], &[]] {
            for asked in PREFIXES.map(|prefix| NamePrefix::parse(prefix).unwrap()) {
                let under = bob.readable_under(&ann, &asked, grants);
                let case = format!("{grants:?} under {asked}: {under:?}");
                for name in &names {
                    let covering = under.iter().filter(|prefix| prefix.covers(name)).count();
                    let may = asked.covers(name) && bob.may(Access::Read, &ann, name, grants).is_ok();
                    assert_eq!(covering, usize::from(may), "{name}: {case}");
                }
                assert!(under.is_sorted(), "{case}");
                assert_eq!(session("ann", Role::Member).readable_under(&ann, &asked, grants), [asked]);
            }
        }
    }
}

#[test]
fn nothing_may_be_listed_with_a_grant_of_another_or_to_another() {
    let (ann, bob) = (CallerName::parse("ann").unwrap(), session("bob", Role::Admin));
    let grants = [grant("cat", "", "bob", Access::Write), grant("ann", "", "cat", Access::Write)];
    assert_eq!(bob.readable_under(&ann, &NamePrefix::parse("").unwrap(), &grants), []);
}
