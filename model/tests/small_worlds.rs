//! Existence, decided in every order. Every log of up to five commands out of a list that holds all
//! races we know of is carried out, and random longer ones; after each command all of E1 to E7 and I1
//! must hold. Knows nothing of Raft: a log is a list.

#![allow(clippy::unwrap_used)]

#[path = "support/oracle.rs"]
mod oracle;
#[path = "support/registry.rs"]
mod registry;
#[path = "support/samples.rs"]
mod samples;

use std::collections::{BTreeMap, BTreeSet};

use covault_model::{
    command::{Action, Command, Condition, NewSecret, NewVersion, SealedVersion},
    decode, encode,
    hlc::{Hlc, Millis},
    id::{CommandId, Digest, PayloadHash, VersionId},
    limits::CREATE_MAX,
    line::Place,
    marks::Mark,
    name::SecretPath,
    plan::{Plan, Write, decide, plan},
    record::{Body, Header, Idempotency, Record},
    refusal::{CallerMistake, NoAuthority, NodeFault, Refusal},
    registry::{Outcome, Registry, SecretEntry, number_of},
};
use proptest::{
    collection::vec,
    option,
    prelude::{Strategy, any, proptest},
    sample::Index,
};

use self::{
    oracle::Oracle,
    registry::MemoryRegistry,
    samples::{caller, header, name, node, path, sealed},
};

const SECRETS: [&str; 3] = ["a", "b", "c"];

fn command(by: &str, idempotency: Option<(u8, u8)>, action: Action) -> Command {
    let idempotency = idempotency.map(|(key, request)| Idempotency(Digest([key; 32]), Digest([request; 32])));
    Command { id: CommandId([7; 16]), by: caller(by), at: Millis(1), idempotency, action }
}

fn new_secret(secret: &str, time: u64, by_node: u8) -> NewSecret {
    let version = sealed(secret, time, &node(by_node), format!("first of {secret}").as_bytes());
    NewSecret { path: path(secret), version, marks: None }
}

fn agree(of: &str, version: SealedVersion, condition: Option<Condition>, marks: Option<Record>) -> Action {
    Action::Agree(Box::new(NewVersion { path: path(of), version, condition, marks }))
}

fn create(secrets: &[(&str, u64, u8)]) -> Action {
    Action::Create(secrets.iter().map(|(name, time, by_node)| new_secret(name, *time, *by_node)).collect())
}

fn update(time: u64, by_node: u8, condition: Option<Condition>) -> Action {
    agree("a", sealed("a", time, &node(by_node), b"second"), condition, None)
}

/// What a log has come to, with what must not change from there on.
#[derive(Clone, Default)]
struct World {
    registry: MemoryRegistry,
    oracle: Oracle,
    log: Vec<Command>,
    /// The one version that was agreed on condition of another.
    winners: BTreeMap<VersionId, VersionId>,
    destroyed: BTreeSet<PayloadHash>,
}

impl World {
    /// Carries out one more command and checks every rule.
    fn step<'c>(&mut self, command: &'c Command) -> Result<Plan<'c>, Refusal> {
        let before = self.registry.clone();
        let Ok(planned) = plan(&before, command);
        let Ok(decided) = decide(&before, command);
        assert_eq!(decided, planned.clone().map(drop), "what is decided is what is planned");
        assert_eq!(planned.clone().map(|plan| plan.outcome), self.oracle.answer(command), "{command:?}");
        if let Ok(plan) = &planned {
            self.registry.carry_out(plan);
            self.note(command, plan);
        }
        self.log.push(command.clone());
        for secret in SECRETS {
            self.check_history(&before, &path(secret));
        }
        self.check_destroyed();
        self.check_again(command, &planned);
        planned
    }

    /// E4: of the updates on condition of one version, one is agreed.
    fn note(&mut self, command: &Command, plan: &Plan<'_>) {
        let numbered = plan.writes.iter().any(|write| matches!(write, Write::Number(..)));
        match &command.action {
            Action::Agree(new) if numbered => {
                let Some(Condition::OneOf(ids)) = &new.condition else { return };
                let [id] = ids.as_slice() else { panic!("conditions of these tests have one version") };
                let earlier = self.winners.insert(*id, new.version.record.id());
                assert_eq!(earlier, None, "E4: two were agreed on condition of {id}");
            }
            Action::Destroy(_, versions) if !plan.replayed => {
                self.destroyed.extend(versions.iter().map(|(_, payload)| *payload));
            }
            _ => {}
        }
    }

    /// E1, E2, E3: a name once taken stays, numbers have no gap and never move, times rise with them.
    fn check_history(&self, before: &MemoryRegistry, path: &SecretPath) {
        let places = places(&self.registry, path);
        assert_eq!(places, self.oracle.history(path));
        let old = self::places(before, path);
        assert!(places.starts_with(&old), "E1, E2: {old:?} became {places:?}");
        assert!(places.len() <= old.len() + 1, "E2: one number at a time");
        assert!(places.windows(2).all(|pair| pair[0].time < pair[1].time), "E3: {places:?}");
        let Ok(entry) = self.registry.secret(path);
        let Some(entry) = entry else { return };
        assert_eq!(entry.last, places[places.len() - 1], "the last one is the one of the last number");
        for place in &places {
            assert!(self.registry.records.contains_key(&place.id), "an agreed version has its record");
            self.check_number(path, &entry, place, &places);
            // Neighbours of a place, which no number was given to.
            self.check_number(path, &entry, &Place { time: place.time.next(), ..*place }, &places);
            self.check_number(path, &entry, &Place { time: Hlc(place.time.0 - 1), ..*place }, &places);
            let other = VersionId::of(place.id.as_bytes());
            self.check_number(path, &entry, &Place { id: other, ..*place }, &places);
        }
    }

    /// The binary search finds what a linear one does.
    fn check_number(&self, path: &SecretPath, entry: &SecretEntry, place: &Place, places: &[Place]) {
        let linear = places.iter().position(|held| held == place).map(|at| at as u64 + 1);
        let Ok(found) = number_of(&self.registry, path, entry, place);
        assert_eq!(found, linear, "{place:?} in {places:?}");
    }

    /// E7: what was destroyed is gone, whatever came after.
    fn check_destroyed(&self) {
        for payload in &self.destroyed {
            assert!(!self.registry.payloads.contains_key(payload), "E7: {payload} came back");
        }
    }

    /// E5, I1: the same command once more changes nothing, and is answered the same where it can be.
    fn check_again(&self, command: &Command, first: &Result<Plan<'_>, Refusal>) {
        let Ok(again) = plan(&self.registry, command);
        let mut twice = self.registry.clone();
        if let Ok(plan) = &again {
            twice.carry_out(plan);
        }
        assert_eq!(twice, self.registry, "{command:?} did more when it came again");
        match first {
            Err(refusal) => assert_eq!(again, Err(refusal.clone())),
            Ok(first) if command.idempotency.is_some() => {
                let replay = Plan { writes: Vec::new(), outcome: first.outcome.clone(), replayed: true };
                assert_eq!(again, Ok(replay), "I1");
            }
            Ok(first) => {
                assert_eq!(again.map(|plan| plan.outcome), Ok(first.outcome.clone()));
            }
        }
    }

    /// E5: the same log, read from bytes on another node, comes to the same registry.
    fn check_replayed_log(&self) {
        let mut other = MemoryRegistry::default();
        for command in &self.log {
            let command = decode::<Command>(&encode(command)).unwrap();
            if let Ok(Ok(plan)) = plan(&other, &command) {
                other.carry_out(&plan);
            }
        }
        assert_eq!(other, self.registry, "E5");
    }
}

/// The agreed versions of a secret by number, read until a number is missing.
fn places(registry: &MemoryRegistry, path: &SecretPath) -> Vec<Place> {
    let Ok(entry) = registry.secret(path);
    let agreed = entry.map_or(0, |entry| entry.agreed);
    let at = |number: u64| -> Option<Place> { registry.numbered(path, number).unwrap() };
    assert_eq!((at(0), at(agreed + 1)), (None, None), "E2: numbers begin at 1 and end at the last");
    (1..=agreed).map(|number| at(number).expect("E2: a number is missing")).collect()
}

/// The commands that small worlds are made of.
fn commands() -> Vec<Command> {
    let by_one = sealed("a", 10, &node(1), b"first of a");
    let second = sealed("a", 20, &node(1), b"second");
    let on_first = || Some(Condition::OneOf(vec![by_one.record.id()]));
    let on_second = || Some(Condition::OneOf(vec![second.record.id()]));
    let destroy = || Action::Destroy(path("a"), vec![(second.place(), PayloadHash::of(b"second"))]);
    vec![
        // Two nodes create one name, one of them with a key that also comes with other requests and callers.
        command("ann", None, create(&[("a", 10, 1)])),
        command("ann", None, create(&[("a", 11, 2)])),
        command("ann", Some((1, 1)), create(&[("a", 10, 1)])),
        command("ann", Some((1, 1)), create(&[("a", 12, 2)])),
        command("ann", Some((1, 2)), create(&[("a", 13, 2)])),
        command("bob", Some((1, 3)), create(&[("b", 10, 1)])),
        // Many names at once, that overlap with those and with themselves.
        command("ann", None, create(&[("b", 14, 1), ("a", 14, 1)])),
        command("ann", Some((2, 4)), create(&[("b", 15, 2), ("c", 15, 2)])),
        command("ann", None, create(&[("c", 16, 1), ("c", 17, 1)])),
        // Updates: early, two of one time, and one that brings the second's payload back.
        command("ann", None, update(9, 2, None)),
        command("ann", None, update(20, 1, None)),
        command("ann", Some((3, 5)), update(20, 2, None)),
        command("ann", None, update(30, 1, None)),
        // Updates on a condition.
        command("ann", None, update(22, 1, on_first())),
        command("ann", Some((4, 6)), update(23, 2, on_first())),
        command("ann", None, update(24, 1, on_second())),
        command("ann", None, update(25, 2, Some(Condition::Exists))),
        // Destroy, and again under a key.
        command("ann", None, destroy()),
        command("ann", Some((5, 7)), destroy()),
    ]
}

/// Goes on from `world` with every log of at most `longer` commands. A command that changed nothing is
/// the end of its log: whatever follows it is met in a shorter one.
fn check_all_logs(world: &World, commands: &[Command], longer: usize) {
    for command in commands {
        let mut next = world.clone();
        let _ = next.step(command);
        let changed = next.registry != world.registry;
        if 1 < longer && changed {
            check_all_logs(&next, commands, longer - 1);
        } else {
            next.check_replayed_log();
        }
    }
}

#[test]
fn every_rule_holds_in_every_log_of_five_commands() {
    check_all_logs(&World::default(), &commands(), 5);
}

/// Carries out these commands, each of which must be answered so.
fn check_answers(steps: Vec<(Action, Result<Outcome, Refusal>)>) {
    let mut world = World::default();
    for (action, expected) in steps {
        let answer = world.step(&command("ann", None, action)).map(|plan| plan.outcome);
        assert_eq!(answer, expected);
    }
    world.check_replayed_log();
}

fn agreed(secret: &str, time: u64, by_node: u8, payload: &str, number: u64) -> Result<Outcome, Refusal> {
    let id = sealed(secret, time, &node(by_node), payload.as_bytes()).record.id();
    Ok(Outcome::Agreed(vec![(id, number)]))
}

#[test]
fn second_create_of_a_name_is_refused_even_after_a_destroy() {
    let first = sealed("a", 10, &node(1), b"first of a");
    let payload = PayloadHash::of(&first.payload);
    let refused = || Err(CallerMistake::SecretExists(vec![name("a")]).into());
    check_answers(vec![
        (create(&[("a", 10, 1)]), agreed("a", 10, 1, "first of a", 1)),
        (create(&[("a", 11, 2)]), refused()),
        (Action::Destroy(path("a"), vec![(first.place(), payload)]), Ok(Outcome::Done)),
        (create(&[("a", 40, 2)]), refused()),
    ]);
}

#[test]
fn a_version_not_later_than_the_last_agreed_one_is_refused() {
    check_answers(vec![
        (create(&[("a", 10, 1)]), agreed("a", 10, 1, "first of a", 1)),
        (update(9, 2, None), Err(NoAuthority::StaleTime.into())),
        (update(10, 2, None), Err(NoAuthority::StaleTime.into())),
        (update(11, 2, None), agreed("a", 11, 2, "second", 2)),
        (update(12, 1, None), agreed("a", 12, 1, "second", 3)),
        (update(11, 2, None), agreed("a", 11, 2, "second", 2)),
    ]);
}

#[test]
fn of_two_updates_on_one_version_the_first_in_the_log_wins() {
    let first = sealed("a", 10, &node(1), b"first of a").record.id();
    let on_first = || Some(Condition::OneOf(vec![first]));
    check_answers(vec![
        (update(11, 1, Some(Condition::Exists)), Err(CallerMistake::NotFound.into())),
        (create(&[("a", 10, 1)]), agreed("a", 10, 1, "first of a", 1)),
        (update(22, 1, on_first()), agreed("a", 22, 1, "second", 2)),
        (update(23, 2, on_first()), Err(CallerMistake::VersionMismatch.into())),
        (update(24, 2, Some(Condition::Exists)), agreed("a", 24, 2, "second", 3)),
        (update(25, 2, Some(Condition::OneOf(vec![]))), Err(CallerMistake::VersionMismatch.into())),
    ]);
}

#[test]
fn a_create_of_many_names_lists_those_that_are_taken_and_makes_none() {
    check_answers(vec![
        (create(&[("b", 10, 1)]), agreed("b", 10, 1, "first of b", 1)),
        (
            create(&[("a", 11, 1), ("b", 11, 1), ("c", 11, 1), ("c", 12, 1)]),
            Err(CallerMistake::SecretExists(vec![name("b"), name("c")]).into()),
        ),
        (create(&[("a", 13, 2)]), agreed("a", 13, 2, "first of a", 1)),
    ]);
}

fn check_corrupt(action: Action) {
    let mut registry = MemoryRegistry::default();
    let command = |action| command("ann", None, action);
    let (first, second) = (command(create(&[("a", 10, 1)])), command(action.clone()));
    let Ok(first) = plan(&registry, &first);
    registry.carry_out(&first.unwrap());
    let Ok(planned) = plan(&registry, &second);
    assert_eq!(planned, Err(NodeFault::Corrupt.into()), "{action:?}");
}

#[test]
fn records_that_do_not_belong_to_their_command_are_refused() {
    let marks = |secret: &str| {
        let body = Body::Marks(vec![Mark::Description(None)]);
        Record::sign(Header { body, ..header(secret, 20, &node(1), b"") }, &node(1))
    };
    let version = |secret: &str| sealed(secret, 20, &node(1), b"second");
    let no_version = SealedVersion { record: marks("a"), payload: Vec::new() };
    let with_marks = |marks| agree("a", version("a"), None, Some(marks));
    check_corrupt(with_marks(marks("b")));
    check_corrupt(with_marks(version("a").record));
    check_corrupt(agree("a", no_version, None, None));
    let wrong_name = NewSecret { path: path("c"), ..new_secret("b", 20, 1) };
    check_corrupt(Action::Create(vec![wrong_name]));
    let of_bob = SecretPath { owner: caller("bob"), ..path("b") };
    let wrong_owner = NewSecret { path: of_bob, ..new_secret("b", 20, 1) };
    check_corrupt(Action::Create(vec![wrong_owner]));
    let wrong_marks = NewSecret { marks: Some(marks("a")), ..new_secret("b", 20, 1) };
    check_corrupt(Action::Create(vec![wrong_marks]));
    check_corrupt(Action::Create(vec![new_secret("b", 20, 1); CREATE_MAX + 1]));
}

#[test]
fn marks_are_inserted_with_their_version_or_not_at_all() {
    let body = Body::Marks(vec![Mark::Description(None)]);
    let marks = Record::sign(Header { body, ..header("a", 11, &node(1), b"") }, &node(1));
    let create = |time: u64| {
        let new = NewSecret { marks: Some(marks.clone()), ..new_secret("a", time, 1) };
        command("ann", None, Action::Create(vec![new]))
    };
    let mut world = World::default();
    assert!(world.step(&create(10)).is_ok());
    assert!(world.registry.records.contains_key(&marks.id()));
    assert!(world.step(&create(12)).is_err());
    assert_eq!(world.registry.records.len(), 2, "nothing of the refused create is kept");
}

/// One random command; conditions name a version that an earlier one made.
#[derive(Debug, Clone)]
struct Draw {
    kind: u8,
    secrets: Vec<Index>,
    time: u64,
    by_node: u8,
    payload: u8,
    idempotency: Option<(u8, u8)>,
    on: Index,
}

impl Draw {
    fn command(&self, made: &[SealedVersion]) -> Command {
        let pick = |at: &Index| SECRETS[at.index(SECRETS.len())];
        let payload = [self.payload];
        let new = |secret: &str| sealed(secret, self.time, &node(self.by_node), &payload);
        let secret = pick(&self.secrets[0]);
        let last = made.get(self.on.index(made.len().max(1))).cloned().unwrap_or_else(|| new(secret));
        let action = match self.kind {
            0 => {
                let named = |secret: &Index| NewSecret {
                    version: new(pick(secret)),
                    ..new_secret(pick(secret), 1, 1)
                };
                Action::Create(self.secrets.iter().map(named).collect())
            }
            1 => Action::Destroy(path(secret), vec![(last.place(), PayloadHash::of(&last.payload))]),
            2..=4 => {
                let condition = Some(Condition::OneOf(vec![last.record.id()]));
                agree(secret, new(secret), condition, None)
            }
            _ => agree(secret, new(secret), None, None),
        };
        command("ann", self.idempotency, action)
    }
}

fn draw() -> impl Strategy<Value = Draw> {
    let idempotency = option::weighted(0.3, (0..6_u8, 0..2_u8));
    let fields =
        (0..9_u8, vec(any::<Index>(), 1..4), 0..6_u64, 1..3_u8, 0..8_u8, idempotency, any::<Index>());
    fields.prop_map(|(kind, secrets, time, by_node, payload, idempotency, on)| Draw {
        kind,
        secrets,
        time,
        by_node,
        payload,
        idempotency,
        on,
    })
}

proptest! {
    #[test]
    fn every_rule_holds_in_random_longer_logs(draws in vec(draw(), 1..60)) {
        let (mut world, mut made) = (World::default(), Vec::new());
        // Times move on slowly, so that many commands are too early or tie.
        for (round, mut draw) in (1..).zip(draws) {
            draw.time += 3 * round;
            let command = draw.command(&made);
            let planned = world.step(&command);
            if let (Ok(_), Action::Agree(new)) = (&planned, &command.action) {
                made.push(new.version.clone());
            }
            if let (Ok(_), Action::Create(secrets)) = (&planned, &command.action) {
                made.extend(secrets.iter().map(|new| new.version.clone()));
            }
        }
        world.check_replayed_log();
    }
}
