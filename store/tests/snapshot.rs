//! The registry exported by one store and installed in another. Keeps E5 for nodes that were away, and E7: what
//! was destroyed meanwhile is erased on them too. Knows nothing of how a snapshot travels.

#![allow(clippy::unwrap_used)]

#[path = "support/keys.rs"]
mod keys;
#[path = "support/lmdb.rs"]
mod lmdb;
#[path = "support/rows.rs"]
mod rows;
#[path = "support/samples.rs"]
mod samples;
#[path = "support/scratch.rs"]
mod scratch;

use covault_model::{
    command::{Action, Command, NewSecret, NewVersion, SealedVersion},
    decode, encode,
    epoch::Epoch,
    field::{FieldRule, Format},
    hlc::Millis,
    id::{ClusterId, Digest, InvitationHash, InvitationId, NodeId, PayloadHash, TokenHash, TokenId},
    isolation::{Access, Role},
    marks::Mark,
    name::{FieldPointer, MasterKeyName, NamePrefix},
    record::{Idempotency, Record},
    registry::{Grant, KeyCheck, Outcome, Registry, Remembered, SecretEntry, TokenEntry},
    roster::Invitation,
};
use covault_store::{Counts, Store, StoreError};
use proptest::prelude::{ProptestConfig, any, proptest};
use serde_bytes::ByteBuf;
use tempfile::TempDir;

use self::{
    rows::{Row, all_rows},
    samples::{caller, command, create, marks, secret, version},
    scratch::{empty, options},
};

const ENTRY: u8 = 0;
const VIEW: u8 = 1;
const NUMBER: u8 = 3;

fn token(of: &str) -> TokenEntry {
    TokenEntry { caller: caller(of), hash: TokenHash::of(b"x"), created_at: Millis(1), expires_at: None }
}

fn invitation() -> Invitation {
    let (hash, by) = (InvitationHash::of(b"x"), caller("ann"));
    Invitation { hash, by, created_at: Millis(1), expires_at: Millis(2) }
}

/// `t`, with a description.
fn other() -> (SealedVersion, Record) {
    let version = version("t", 5, &[], b"other");
    let described = marks("t", 6, &[&version.record], &[Mark::Description(None)]);
    (version, described)
}

fn second() -> SealedVersion {
    version("s", 20, &[&version("s", 10, &[], b"first").record], b"second")
}

fn field() -> FieldRule {
    let pointer = FieldPointer::parse("/email").unwrap();
    FieldRule { kind: pointer.own_type(), pointer, format: Format::Opaque }
}

/// A log with a row for every table of the registry.
fn log() -> Vec<Command> {
    let grant = Grant {
        owner: caller("ann"),
        prefix: NamePrefix::parse("a").unwrap(),
        grantee: caller("bob"),
        access: Access::Read,
        created_at: Millis(1),
    };
    let first = version("s", 10, &[], b"first");
    let erased = (first.place(), PayloadHash::of(b"first"));
    let agreed = NewVersion { path: secret("s"), version: second(), condition: None, marks: None };
    let mut log: Vec<Command> = vec![
        command(Action::Found { cluster: ClusterId([9; 16]), token: (TokenId([1; 8]), token("ann")) }),
        command(Action::AddCaller(Role::Member, TokenId([2; 8]), token("bob"))),
        command(Action::AddGrant(grant)),
        command(Action::KnowKey(MasterKeyName::parse("one").unwrap(), KeyCheck(vec![1]))),
        command(Action::Invite(InvitationId([3; 8]), invitation())),
        command(Action::Reach(NodeId([4; 32]), "127.0.0.1:1".parse().unwrap())),
        create("s", first, None),
        create("t", other().0, Some(other().1)),
        command(Action::Agree(agreed.into())),
        command(Action::Destroy(secret("s"), vec![erased])),
        command(Action::ActivateEpoch(caller("bob"), Epoch(2), MasterKeyName::parse("one").unwrap())),
        command(Action::SetFields(caller("bob"), vec![field()])),
    ];
    log[7].idempotency = Some(Idempotency(Digest([1; 32]), Digest([2; 32])));
    log
}

/// A snapshot as it is written: format, and rows as table, key, value.
type Rows = (u8, Vec<(u8, ByteBuf, ByteBuf)>);

fn apply(store: &Store, log: Vec<Command>) {
    for command in log {
        assert!(store.write_now(move |txn| txn.apply(&command)).unwrap().outcome.is_ok());
    }
}

fn leader() -> (TempDir, Store) {
    let (dir, store) = empty(options());
    apply(&store, log());
    (dir, store)
}

fn install(store: &Store, bytes: &[u8]) -> Result<(), StoreError> {
    let bytes = bytes.to_vec();
    store.write_now(move |txn| txn.install_registry(&bytes))
}

/// The kind of a row of histories: what follows owner and name in its key.
fn kind_of(key: &[u8]) -> u8 {
    key.splitn(3, |byte| *byte == 0).nth(2).unwrap()[0]
}

/// The rows of a store that are registry.
fn registry_rows(dir: TempDir, store: Store) -> Vec<Row> {
    drop(store);
    let is_registry = |(table, key, _): &Row| match *table {
        "histories" => [ENTRY, NUMBER].contains(&kind_of(key)),
        "meta" => [1, 10, 12].map(|of| [of]).iter().any(|of| key == of),
        "log" => false,
        _ => true,
    };
    all_rows(dir.path()).into_iter().filter(is_registry).collect()
}

#[test]
fn an_installed_registry_is_the_exported_one_row_by_row() {
    let (leader_dir, leader) = leader();
    let export = leader.export_registry().unwrap();
    let (dir, store) = empty(options());
    install(&store, &export).unwrap();
    assert_eq!(store.export_registry().unwrap(), export);
    let rows = registry_rows(leader_dir, leader);
    let tables: std::collections::BTreeSet<_> = rows.iter().map(|row| row.0).collect();
    assert_eq!(tables.len(), 11, "every table of the registry has a row in this test: {tables:?}");
    assert_eq!(registry_rows(dir, store), rows);
}

#[test]
fn a_registry_that_was_there_is_replaced() {
    let (leader_dir, leader) = leader();
    let (dir, store) = empty(options());
    let mut other = log();
    other.truncate(2);
    other.push(create("elsewhere", version("elsewhere", 3, &[], b"x"), None));
    apply(&store, other);
    install(&store, &leader.export_registry().unwrap()).unwrap();
    assert!(store.view().unwrap().rows().secret(&secret("elsewhere")).unwrap().is_none());
    assert_eq!(registry_rows(dir, store), registry_rows(leader_dir, leader));
}

#[test]
fn what_was_remembered_without_agreement_outlives_a_snapshot() {
    let (_leader_dir, leader) = leader();
    let (_dir, store) = empty(options());
    let kept = Remembered {
        request: Digest([7; 32]),
        outcome: Outcome::Marked(version("s", 1, &[], b"x").record.id()),
    };
    let issued = Remembered { request: Digest([8; 32]), outcome: Outcome::Issued(Epoch(2)) };
    let agreed = Remembered { request: Digest([9; 32]), outcome: Outcome::Done };
    let rows = [(Digest([1; 32]), kept), (Digest([3; 32]), issued), (Digest([4; 32]), agreed)];
    let noted = rows.clone();
    store
        .write_now(move |txn| {
            noted.iter().try_for_each(|(key, what)| txn.remember(&caller("ann"), key, what))
        })
        .unwrap();
    install(&store, &leader.export_registry().unwrap()).unwrap();
    let view = store.view().unwrap();
    let remembered = rows.each_ref().map(|(key, _)| view.rows().remembered(&caller("ann"), key).unwrap());
    let [(_, kept), (_, issued), _] = rows;
    assert_eq!(remembered, [Some(kept), Some(issued), None], "what the log made comes with the log alone");
}

#[test]
fn histories_that_are_there_follow_the_installed_registry() {
    let (_leader_dir, leader) = leader();
    let (_dir, store) = empty(options());
    let first = version("s", 10, &[], b"first");
    let unknown = version("s", 15, &[&first.record], b"unknown to the leader");
    store
        .write_now(move |txn| {
            for version in [first, second(), unknown] {
                txn.insert_version(&secret("s"), &version.record, Some(&version.payload), None)?;
            }
            Ok(())
        })
        .unwrap();
    install(&store, &leader.export_registry().unwrap()).unwrap();
    let view = store.view().unwrap();
    let rows = view.rows();
    let line = rows.versions(&secret("s"), None, 9).unwrap();
    let seen: Vec<_> = line.iter().map(|(_, row)| (row.number, row.destroyed)).collect();
    assert_eq!(seen, [(Some(2), false), (None, false), (Some(1), true)]);
    assert_eq!(rows.payload(&secret("s"), &PayloadHash::of(b"first")).unwrap(), None, "E7");
    assert_eq!(rows.counts().unwrap(), Counts { secrets: 2, versions: 3, provisional: 1 });
    assert_eq!(store.compare_with_rebuild().unwrap().differences, []);
}

#[test]
fn a_node_that_has_a_registry_only_gets_its_histories_later() {
    let (leader_dir, leader) = leader();
    let (dir, store) = empty(options());
    install(&store, &leader.export_registry().unwrap()).unwrap();
    assert_eq!(store.compare_with_rebuild().unwrap().differences, [], "nothing there contradicts it");
    store
        .write_now(|txn| {
            let (first, (other, described)) = (version("s", 10, &[], b"first"), other());
            txn.insert_marks(&secret("t"), &described)?;
            txn.insert_version(&secret("s"), &second().record, Some(b"second"), Some(2))?;
            txn.insert_version(&secret("s"), &first.record, Some(b"first"), Some(1))?;
            txn.insert_version(&secret("t"), &other.record, Some(b"other"), Some(1))
        })
        .unwrap();
    assert_eq!(store.compare_with_rebuild().unwrap().differences, []);
    drop((store, leader));
    assert_eq!(all_rows(dir.path()), all_rows(leader_dir.path()));
}

#[test]
fn commands_bring_a_registry_the_records_that_it_names_and_no_others() {
    let (leader_dir, leader) = leader();
    let (dir, store) = empty(options());
    install(&store, &leader.export_registry().unwrap()).unwrap();
    let unnamed = version("s", 15, &[], b"of a try that was not agreed");
    let unnamed = NewVersion { path: secret("s"), version: unnamed, condition: None, marks: None };
    let unnamed = [
        command(Action::Agree(unnamed.into())),
        create("t", version("t", 4, &[], b"taken"), Some(other().1)),
        create("u", version("u", 4, &[], b"refused"), None),
    ];
    for command in unnamed.into_iter().chain(log().into_iter().rev()).chain(log()) {
        store.write_now(move |txn| txn.insert_named(&command)).unwrap();
    }
    assert_eq!(store.compare_with_rebuild().unwrap().differences, []);
    drop((store, leader));
    assert_eq!(all_rows(dir.path()), all_rows(leader_dir.path()));
}

#[test]
fn a_snapshot_that_is_garbage_is_refused_without_change() {
    let (_leader_dir, leader) = leader();
    let good = leader.export_registry().unwrap();
    let (dir, store) = empty(options());
    apply(&store, log()[..3].to_vec());
    let before = store.export_registry().unwrap();
    let row = |table: u8, key: &[u8], value: &[u8]| -> Vec<u8> {
        encode::<Rows>(&(1, vec![(table, ByteBuf::from(key), ByteBuf::from(value))]))
    };
    let key_of = |kind| keys::of_kind(&secret("s"), kind);
    let place = second().place();
    let entry = [&[1], encode(&SecretEntry { agreed: 1, last: place }).as_slice()].concat();
    let place = [&[1], encode(&place).as_slice()].concat();
    let number_key = [key_of(NUMBER).as_slice(), &1u64.to_be_bytes()].concat();
    let mut garbage = vec![
        Vec::new(),
        vec![0xff; 100],
        [good.as_slice(), &[0]].concat(),
        encode::<Rows>(&(2, Vec::new())),
        row(7, b"key", b"value"),
        row(0, b"ann", b"not an entry"),
        row(0, b"ann", &[]),
        row(6, PayloadHash::of(b"x").as_bytes(), &[1; 31]),
        row(6, &[], &[1; 32]),
        row(6, &[1; 600], &[1; 32]),
        row(254, &[0], &[1]),
        row(255, &key_of(ENTRY), b"not an entry"),
        row(255, &key_of(ENTRY), &place),
        row(255, &number_key, &entry),
        row(255, &key_of(VIEW), &entry),
        row(255, &[key_of(ENTRY).as_slice(), &[0]].concat(), &entry),
        row(255, &number_key[..number_key.len() - 1], &place),
        row(255, &[number_key.as_slice(), &[0]].concat(), &place),
    ];
    let no_paths: [&[u8]; 6] = [b"", b"short", b"ann\0s", b"ann\0s\0", b"ann\0\0\0", b"ann\0a//b\0\0"];
    garbage.extend(no_paths.map(|key| row(255, key, &entry)));
    garbage.extend((0..good.len()).step_by(37).map(|len| good[..len].to_vec()));
    for bytes in garbage {
        assert!(install(&store, &bytes).is_err(), "{bytes:02x?}");
        assert_eq!(store.export_registry().unwrap(), before);
    }
    drop(store);
    let store = Store::open(dir.path(), options()).unwrap();
    assert_eq!(store.compare_with_rebuild().unwrap().differences, []);
    for whole in [row(255, &key_of(ENTRY), &entry), row(255, &number_key, &place)] {
        install(&store, &whole).unwrap();
    }
}

#[test]
fn the_count_of_secrets_follows_creates_and_installed_registries() {
    let (_leader_dir, leader) = leader();
    let (dir, store) = empty(options());
    let count = |store: &Store| {
        let view = store.view().unwrap();
        assert_eq!(view.rows().secrets().unwrap(), view.rows().counts().unwrap().secrets);
        view.rows().secrets().unwrap()
    };
    let nothing = store.export_registry().unwrap();
    assert_eq!(count(&store), 0);
    let first = version("s", 10, &[], b"first");
    let agreed = NewVersion { path: secret("s"), version: second(), condition: None, marks: None };
    apply(&store, vec![create("s", first.clone(), None)]);
    assert_eq!(count(&store), 1);
    apply(&store, vec![command(Action::Agree(agreed.into())), create("s", first.clone(), None)]);
    assert_eq!(count(&store), 1, "an update and the same create again make no name");
    let two = ["a", "b"].map(|of| NewSecret {
        path: secret(of),
        version: version(of, 10, &[], of.as_bytes()),
        marks: None,
    });
    let taken = NewSecret { path: secret("s"), version: second(), marks: None };
    let refused = command(Action::Create([two.as_slice(), &[taken]].concat()));
    assert!(store.write_now(move |txn| txn.apply(&refused)).unwrap().outcome.is_err());
    assert_eq!(count(&store), 1, "a refused create makes none of its names");
    let failed: Result<(), StoreError> = store.write_now(move |txn| {
        txn.apply(&create("c", version("c", 10, &[], b"c"), None))?;
        Err(StoreError::Inconsistent("as the test wants"))
    });
    assert!(failed.is_err());
    assert_eq!(count(&store), 1, "nor does a job that fails");
    apply(&store, vec![command(Action::Create(two.to_vec()))]);
    assert_eq!(count(&store), 3);
    let unagreed = version("u", 10, &[], b"unagreed");
    store.write_now(move |txn| txn.insert_version(&secret("u"), &unagreed.record, None, None)).unwrap();
    assert_eq!(count(&store), 3, "a history is no name yet");
    drop(store);
    let store = Store::open(dir.path(), options()).unwrap();
    assert_eq!(count(&store), 3);
    for (installed, expected) in [(leader.export_registry().unwrap(), 2), (nothing, 0)] {
        install(&store, &installed).unwrap();
        assert_eq!(count(&store), expected);
    }
}

#[test]
fn an_entry_that_comes_twice_in_a_snapshot_is_counted_once() {
    let (_dir, store) = leader();
    let (format, mut rows) = decode::<Rows>(&store.export_registry().unwrap()).unwrap();
    rows.extend(rows.clone());
    install(&store, &encode(&(format, rows))).unwrap();
    assert_eq!(store.compare_with_rebuild().unwrap().differences, []);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_changed_byte_is_refused_or_readable(at in any::<proptest::sample::Index>(), change in 1..=255u8) {
        let (_leader_dir, leader) = leader();
        let mut bytes = leader.export_registry().unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= change;
        let before = leader.export_registry().unwrap();
        match install(&leader, &bytes) {
            Ok(()) => {
                let view = leader.view().unwrap();
                drop(view.rows().callers());
                let mut named = 0;
                view.rows()
                    .each_secret(|path| {
                        assert!(view.rows().secret(&path)?.is_some(), "a name has an entry");
                        named += 1;
                        Ok(true)
                    })
                    .unwrap();
                assert_eq!(view.rows().secrets().unwrap(), named);
            }
            Err(_) => assert_eq!(leader.export_registry().unwrap(), before),
        }
    }
}
