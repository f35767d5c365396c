//! Who may become a member, or an API process beside them: every small log of invitations, enrolments and removals,
//! and their limits. Shows M1, M2, M3, A1 and E5 for these commands. Knows nothing of how a node asks.

#![allow(clippy::unwrap_used)]

#[path = "support/registry.rs"]
mod registry;
#[path = "support/samples.rs"]
mod samples;

use std::collections::BTreeMap;

use covault_model::{
    command::{Action, Command},
    decode, encode,
    hlc::Millis,
    id::{CommandId, InvitationHash, InvitationId, NodeId},
    limits::{API_PROCESSES_MAX, INVITATIONS_MAX, MEMBERS_MAX},
    plan::{Plan, Write, plan},
    refusal::{CallerMistake, Limit, Refusal},
    registry::{Outcome, Registry},
    roster::{ApiEnrolment, Enrolment, Invitation, NodeAddress, Roster},
};

use self::{
    registry::MemoryRegistry,
    samples::{caller, node, path, sealed},
};

type Answer = Result<Outcome, Refusal>;

/// A command with the time at which it was proposed.
type Step = (u64, Action);

fn carry_out(registry: &mut MemoryRegistry, (at, action): &Step) -> Answer {
    let (id, by, at) = (CommandId([7; 16]), caller("ann"), Millis(*at));
    let command = Command { id, by, at, idempotency: None, action: action.clone() };
    let Ok(planned) = plan(registry, &command);
    planned.map(|plan| {
        registry.carry_out(&plan);
        plan.outcome
    })
}

fn id(number: u8) -> InvitationId {
    InvitationId([number; 8])
}

fn member(number: u8) -> NodeId {
    NodeId([number; 32])
}

fn address(port: u16) -> NodeAddress {
    format!("127.0.0.1:{port}").parse().unwrap()
}

/// What is good until 100.
fn invitation(number: u8, at: u64) -> Invitation {
    let hash = InvitationHash::of(&[number]);
    Invitation { hash, by: caller("ann"), created_at: Millis(at), expires_at: Millis(100) }
}

fn invite(number: u8, at: u64) -> Step {
    (at, Action::Invite(id(number), invitation(number, at)))
}

fn invite_api(number: u8, at: u64) -> Step {
    (at, Action::InviteApi(id(number), invitation(number, at)))
}

fn enrol_api(of: u8, with: u8, secret: u8, at: u64) -> Step {
    let hash = InvitationHash::of(&[secret]);
    (at, Action::EnrolApi(ApiEnrolment { invitation: id(with), hash, api: member(of) }))
}

fn enrol(of: u8, with: u8, secret: u8, at: u64) -> Step {
    let hash = InvitationHash::of(&[secret]);
    (at, Action::Enrol(Enrolment { invitation: id(with), hash, node: member(of), address: address(1) }))
}

fn reach(of: u8, port: u16) -> Step {
    (1, Action::Reach(member(of), address(port)))
}

fn remove(of: u8) -> Step {
    (1, Action::RemoveNode(member(of)))
}

fn refused(mistake: CallerMistake) -> Answer {
    Err(mistake.into())
}

/// A cluster whose founder, node 1, has made itself known.
fn founded() -> MemoryRegistry {
    let mut registry = MemoryRegistry::default();
    assert_eq!(carry_out(&mut registry, &reach(1, 1)), Ok(Outcome::Done));
    registry
}

fn roster(registry: &MemoryRegistry) -> Roster {
    let Ok(roster) = registry.roster();
    roster
}

/// Carries out these commands in such a cluster; each must be answered so.
fn check_answers(steps: Vec<(Step, Answer)>) -> Roster {
    let mut registry = founded();
    for (step, expected) in steps {
        assert_eq!(carry_out(&mut registry, &step), expected, "{step:?}");
    }
    roster(&registry)
}

/// What must hold after every command, given what was before it. `let_in` counts the nodes that each
/// invitation has let in.
fn check(before: &Roster, (at, action): &Step, after: &Roster, let_in: &mut BTreeMap<InvitationId, u32>) {
    assert!(after.nodes.values().any(|entry| !entry.removed), "M3: a node remains");
    for (node, old) in &before.nodes {
        let new = &after.nodes[node];
        assert!(new.removed || !old.removed, "M2: {node} came back");
        assert_eq!((new.since, new.invitation), (old.since, old.invitation), "{node}");
    }
    for (node, entry) in after.nodes.iter().filter(|(node, _)| !before.nodes.contains_key(node)) {
        let Some(invitation) = entry.invitation else {
            assert!(matches!(action, Action::Reach(of, _) if of == node));
            continue;
        };
        let held = before.invitations.get(&invitation).expect("M1: there was an invitation");
        let Action::Enrol(shown) = action else { panic!("M1: {action:?} let a node in") };
        assert!(held.hash == shown.hash && Millis(*at) < held.expires_at, "M1: {action:?}");
        assert!(!after.invitations.contains_key(&invitation), "M1: it is used up");
        *let_in.entry(invitation).or_default() += 1;
    }
    check_apis(before, (at, action), after, let_in);
    assert!(let_in.values().all(|count| *count == 1), "M1: one invitation, one node or one API process");
}

fn check_apis(
    before: &Roster,
    (at, action): (&u64, &Action),
    after: &Roster,
    let_in: &mut BTreeMap<InvitationId, u32>,
) {
    assert!(after.apis.keys().all(|api| !after.nodes.contains_key(api)), "A1: an API process is no node");
    for (api, old) in &before.apis {
        assert!(after.apis[api].removed || !old.removed, "M2: {api} came back");
    }
    for (api, entry) in after.apis.iter().filter(|(api, _)| !before.apis.contains_key(api)) {
        let held = before.api_invitations.get(&entry.invitation).expect("M1: there was an invitation");
        let Action::EnrolApi(shown) = action else { panic!("M1: {action:?} let {api} in") };
        assert!(held.hash == shown.hash && Millis(*at) < held.expires_at, "M1: {action:?}");
        assert!(!after.api_invitations.contains_key(&entry.invitation), "M1: it is used up");
        *let_in.entry(entry.invitation).or_default() += 1;
    }
}

/// Goes on from `registry` with every log of at most `longer` commands; one that changed nothing ends it.
fn check_all_logs(
    registry: &MemoryRegistry,
    let_in: &BTreeMap<InvitationId, u32>,
    steps: &[Step],
    longer: usize,
) {
    for step in steps {
        let (mut next, mut let_in) = (registry.clone(), let_in.clone());
        let answer = carry_out(&mut next, step);
        check(&roster(registry), step, &roster(&next), &mut let_in);
        let mut other = registry.clone();
        let read = (step.0, decode::<Action>(&encode(&step.1)).unwrap());
        assert_eq!((carry_out(&mut other, &read), &other), (answer, &next), "E5: {step:?}");
        if 1 < longer && next != *registry {
            check_all_logs(&next, &let_in, steps, longer - 1);
        }
    }
}

#[test]
fn an_invitation_lets_one_node_in_and_a_removed_one_stays_out() {
    let steps = [
        invite(1, 5),
        invite(2, 5),
        enrol(2, 1, 1, 50),
        enrol(2, 2, 2, 50),
        enrol(3, 1, 1, 50),
        enrol(3, 2, 2, 50),
        enrol(3, 1, 2, 50),
        enrol(3, 1, 1, 100),
        reach(2, 2),
        remove(1),
        remove(2),
        remove(3),
    ];
    check_all_logs(&founded(), &BTreeMap::new(), &steps, 5);
}

#[test]
fn an_api_process_comes_in_by_its_own_invitation_only_and_is_never_a_node() {
    let steps = [
        invite(1, 5),
        invite_api(2, 5),
        invite_api(1, 6),
        enrol(2, 1, 1, 50),
        enrol(2, 2, 2, 50),
        enrol_api(2, 2, 2, 50),
        enrol_api(2, 1, 1, 50),
        enrol_api(3, 2, 2, 50),
        enrol_api(3, 2, 2, 100),
        enrol_api(1, 2, 2, 50),
        reach(3, 3),
        remove(1),
        remove(3),
    ];
    check_all_logs(&founded(), &BTreeMap::new(), &steps, 5);
}

#[test]
fn an_invitation_of_the_other_kind_lets_nobody_in() {
    let invalid = || refused(CallerMistake::InvitationInvalid);
    let roster = check_answers(vec![
        (invite(1, 5), Ok(Outcome::Invited(id(1)))),
        (invite_api(2, 5), Ok(Outcome::Invited(id(2)))),
        (enrol(2, 2, 2, 6), invalid()),
        (enrol_api(3, 1, 1, 6), invalid()),
        (enrol_api(3, 2, 9, 6), invalid()),
        (enrol_api(3, 2, 2, 100), invalid()),
        (enrol_api(1, 2, 2, 6), refused(CallerMistake::NodeKnown)),
        (enrol_api(3, 2, 2, 6), Ok(Outcome::Done)),
        (enrol_api(3, 2, 2, 200), Ok(Outcome::Done)),
        (enrol(3, 1, 1, 6), refused(CallerMistake::NodeKnown)),
        (reach(3, 3), refused(CallerMistake::NodeKnown)),
        (remove(1), refused(CallerMistake::LastMember)),
    ]);
    assert!(roster.is_api(&member(3)) && !roster.is_member(&member(3)) && !roster.is_api(&member(1)));
}

#[test]
fn an_api_process_that_was_taken_away_is_let_in_no_more() {
    let known = || refused(CallerMistake::NodeKnown);
    let roster = check_answers(vec![
        (invite_api(1, 5), Ok(Outcome::Invited(id(1)))),
        (enrol_api(2, 1, 1, 6), Ok(Outcome::Done)),
        (remove(2), Ok(Outcome::Done)),
        (remove(2), Ok(Outcome::Done)),
        (enrol_api(2, 1, 1, 6), known()),
        (invite_api(2, 7), Ok(Outcome::Invited(id(2)))),
        (enrol_api(2, 2, 2, 8), known()),
        (invite(3, 7), Ok(Outcome::Invited(id(3)))),
        (enrol(2, 3, 3, 8), known()),
    ]);
    assert!(!roster.is_api(&member(2)) && !roster.is_removed(&member(2)));
}

#[test]
fn a_cluster_lets_so_many_api_processes_in_and_a_removed_one_makes_room() {
    let mut registry = founded();
    let many = u8::try_from(API_PROCESSES_MAX).unwrap();
    for number in 2..2 + many {
        assert!(carry_out(&mut registry, &invite_api(number, 5)).is_ok());
        assert!(carry_out(&mut registry, &enrol_api(number, number, number, 6)).is_ok());
    }
    let one_more = enrol_api(100, 200, 200, 6);
    assert!(carry_out(&mut registry, &invite_api(200, 5)).is_ok());
    assert_eq!(carry_out(&mut registry, &one_more), refused(CallerMistake::TooMany(Limit::ApiProcesses)));
    assert!(carry_out(&mut registry, &remove(2)).is_ok());
    assert!(carry_out(&mut registry, &one_more).is_ok());
}

#[test]
fn an_invitation_that_is_unknown_used_expired_or_shown_with_another_secret_is_refused_alike() {
    let invalid = || refused(CallerMistake::InvitationInvalid);
    check_answers(vec![
        (enrol(2, 1, 1, 6), invalid()),
        (invite(1, 5), Ok(Outcome::Invited(id(1)))),
        (enrol(2, 1, 9, 6), invalid()),
        (enrol(2, 1, 1, 100), invalid()),
        (enrol(2, 1, 1, 99), Ok(Outcome::Done)),
        (enrol(3, 1, 1, 99), invalid()),
    ]);
}

#[test]
fn a_node_that_asks_again_with_its_invitation_is_let_in_once_and_told_the_same() {
    let roster = check_answers(vec![
        (invite(1, 5), Ok(Outcome::Invited(id(1)))),
        (invite(1, 5), Ok(Outcome::Invited(id(1)))),
        (enrol(2, 1, 1, 6), Ok(Outcome::Done)),
        (enrol(2, 1, 1, 200), Ok(Outcome::Done)),
        (invite(2, 7), Ok(Outcome::Invited(id(2)))),
        (enrol(2, 2, 2, 8), refused(CallerMistake::NodeKnown)),
    ]);
    assert_eq!(roster.nodes.len(), 2);
    assert_eq!(roster.nodes[&member(2)].since, Millis(6));
    assert!(roster.invitations.contains_key(&id(2)), "what was refused used nothing up");
}

#[test]
fn a_node_that_was_taken_away_is_let_in_no_more_whatever_it_shows() {
    let known = || refused(CallerMistake::NodeKnown);
    let roster = check_answers(vec![
        (invite(1, 5), Ok(Outcome::Invited(id(1)))),
        (enrol(2, 1, 1, 6), Ok(Outcome::Done)),
        (remove(2), Ok(Outcome::Done)),
        (remove(2), Ok(Outcome::Done)),
        (enrol(2, 1, 1, 6), known()),
        (invite(2, 7), Ok(Outcome::Invited(id(2)))),
        (enrol(2, 2, 2, 8), known()),
        (reach(2, 9), known()),
        (remove(9), refused(CallerMistake::NotFound)),
    ]);
    assert!(roster.is_removed(&member(2)) && !roster.is_member(&member(2)));
    assert!(roster.is_member(&member(1)) && !roster.is_removed(&member(9)));
}

#[test]
fn the_last_node_cannot_be_taken_away() {
    check_answers(vec![
        (remove(1), refused(CallerMistake::LastMember)),
        (invite(1, 5), Ok(Outcome::Invited(id(1)))),
        (enrol(2, 1, 1, 6), Ok(Outcome::Done)),
        (remove(1), Ok(Outcome::Done)),
        (remove(2), refused(CallerMistake::LastMember)),
    ]);
}

/// M4: nobody of the old cluster is a member, or becomes one, and whoever made records is known.
#[test]
fn a_restored_cluster_goes_on_without_its_old_nodes() {
    let old = check_answers(vec![
        (invite(1, 5), Ok(Outcome::Invited(id(1)))),
        (enrol(2, 1, 1, 6), Ok(Outcome::Done)),
        (invite(3, 7), Ok(Outcome::Invited(id(3)))),
    ]);
    let restored = old.bequeathed([(member(2), Some(address(9))), (member(4), None)]);
    let known: Vec<_> = restored.nodes.keys().copied().collect();
    assert_eq!(known, [member(1), member(2), member(4)]);
    assert!(known.iter().all(|node| restored.is_removed(node)));
    assert_eq!(restored.nodes[&member(2)].address, address(1), "what the registry knew stays");
    let mut registry = founded();
    let writes = vec![Write::Roster(restored)];
    registry.carry_out(&Plan { writes, outcome: Outcome::Done, replayed: false });
    for step in [enrol(2, 1, 1, 8), enrol(4, 3, 3, 8), enrol(5, 3, 3, 8)] {
        assert!(carry_out(&mut registry, &step).is_err());
    }
    assert_eq!(carry_out(&mut registry, &reach(6, 7)), Ok(Outcome::Done), "the node that was restored");
    assert!(roster(&registry).is_member(&member(6)));
}

#[test]
fn a_member_may_say_anew_where_it_is_reached() {
    let roster = check_answers(vec![(reach(1, 7), Ok(Outcome::Done)), (reach(1, 7), Ok(Outcome::Done))]);
    assert_eq!(roster.nodes[&member(1)].address, address(7));
}

#[test]
fn so_many_invitations_wait_and_expired_ones_make_room() {
    let mut registry = founded();
    let many = u8::try_from(INVITATIONS_MAX).unwrap();
    assert!((0..many).all(|number| carry_out(&mut registry, &invite(number, 5)).is_ok()));
    let one_more = carry_out(&mut registry, &invite(many, 99));
    assert_eq!(one_more, refused(CallerMistake::TooMany(Limit::Invitations)));
    assert!(carry_out(&mut registry, &invite(many, 100)).is_ok());
    assert_eq!(roster(&registry).invitations.len(), 1);
}

#[test]
fn a_cluster_has_so_many_nodes_and_a_removed_one_makes_room() {
    let mut registry = founded();
    let many = u8::try_from(MEMBERS_MAX).unwrap();
    for number in 2..=many {
        assert!(carry_out(&mut registry, &invite(number, 5)).is_ok());
        assert!(carry_out(&mut registry, &enrol(number, number, number, 6)).is_ok());
    }
    let one_more = enrol(many + 1, 200, 200, 6);
    assert!(carry_out(&mut registry, &invite(200, 5)).is_ok());
    assert_eq!(carry_out(&mut registry, &one_more), refused(CallerMistake::TooMany(Limit::Members)));
    assert!(carry_out(&mut registry, &remove(2)).is_ok());
    assert!(carry_out(&mut registry, &one_more).is_ok());
}

#[test]
fn a_node_has_only_its_own_address_ordered_for_it() {
    let command = |action: Action| Command {
        id: CommandId([7; 16]),
        by: caller("ann"),
        at: Millis(1),
        idempotency: None,
        action,
    };
    let (_, own) = reach(1, 1);
    assert!(command(own.clone()).is_vouched_for_by(&member(1)));
    assert!(!command(own).is_vouched_for_by(&member(2)));
    let version = sealed("a", 10, &node(1), b"first");
    let new = covault_model::command::NewSecret { path: path("a"), version, marks: None };
    assert!(command(Action::Create(vec![new])).is_vouched_for_by(&node(1).node_id()), "records as ever");
}
