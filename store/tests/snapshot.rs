//! The registry exported by one store and installed in another. Keeps E5 for nodes that were away, and E7: what
//! was destroyed meanwhile is erased on them too. Knows nothing of how a snapshot travels.

#![allow(clippy::unwrap_used)]

#[path = "support/lmdb.rs"]
mod lmdb;
#[path = "support/rows.rs"]
mod rows;
#[path = "support/samples.rs"]
mod samples;
#[path = "support/scratch.rs"]
mod scratch;

use covault_model::{
    command::{Action, Command, NewVersion, SealedVersion},
    encode,
    hlc::Millis,
    id::{ClusterId, Digest, PayloadHash, TokenHash, TokenId},
    isolation::{Access, Role},
    marks::Mark,
    name::{MasterKeyName, NamePrefix},
    record::{Idempotency, Record},
    registry::{Grant, KeyCheck, Registry, TokenEntry},
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

fn token(of: &str) -> TokenEntry {
    TokenEntry { caller: caller(of), hash: TokenHash::of(b"x"), created_at: Millis(1), expires_at: None }
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
    let agreed = NewVersion { version: second(), condition: None, marks: None };
    let mut log: Vec<Command> = vec![
        command(Action::Found { cluster: ClusterId([9; 16]), token: (TokenId([1; 8]), token("ann")) }),
        command(Action::AddCaller(Role::Member, TokenId([2; 8]), token("bob"))),
        command(Action::AddGrant(grant)),
        command(Action::KnowKey(MasterKeyName::parse("one").unwrap(), KeyCheck(vec![1]))),
        create("s", first, None),
        create("t", other().0, Some(other().1)),
        command(Action::Agree(agreed.into())),
        command(Action::Destroy(secret("s"), vec![erased])),
    ];
    log[5].idempotency = Some(Idempotency(Digest([1; 32]), Digest([2; 32])));
    log
}

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

/// The rows of a store that are registry.
fn registry_rows(dir: TempDir, store: Store) -> Vec<Row> {
    drop(store);
    let is_registry = |(table, key, _): &Row| match *table {
        "histories" => [0, 3].contains(&key[32]),
        "meta" => key == &[1],
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
    assert_eq!(tables.len(), 10, "every table of the registry has a row in this test: {tables:?}");
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
fn histories_that_are_there_follow_the_installed_registry() {
    let (_leader_dir, leader) = leader();
    let (_dir, store) = empty(options());
    let first = version("s", 10, &[], b"first");
    let unknown = version("s", 15, &[&first.record], b"unknown to the leader");
    store
        .write_now(move |txn| {
            for version in [first, second(), unknown] {
                txn.insert_version(&version.record, Some(&version.payload), None)?;
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
    assert_eq!(rows.counts().unwrap(), Counts { versions: 3, provisional: 1 });
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
            txn.insert_marks(&described)?;
            txn.insert_version(&second().record, Some(b"second"), Some(2))?;
            txn.insert_version(&first.record, Some(b"first"), Some(1))?;
            txn.insert_version(&other.record, Some(b"other"), Some(1))
        })
        .unwrap();
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
    type Rows = (u8, Vec<(u8, ByteBuf, ByteBuf)>);
    let row = |table: u8, key: &[u8], value: &[u8]| -> Vec<u8> {
        encode::<Rows>(&(1, vec![(table, ByteBuf::from(key), ByteBuf::from(value))]))
    };
    let entry_key = [secret("s").as_bytes().as_slice(), &[0]].concat();
    let view_key = [secret("s").as_bytes().as_slice(), &[1]].concat();
    let mut garbage = vec![
        Vec::new(),
        vec![0xff; 100],
        [good.as_slice(), &[0]].concat(),
        encode::<Rows>(&(2, Vec::new())),
        row(8, b"key", b"value"),
        row(0, b"no owner", secret("s").as_bytes()),
        row(0, b"ann\0s", b"not an id"),
        row(1, b"ann", b"not an entry"),
        row(1, b"ann", &[]),
        row(7, PayloadHash::of(b"x").as_bytes(), &[1; 31]),
        row(7, &[], &[1; 32]),
        row(7, &[1; 600], &[1; 32]),
        row(254, &[0], &[1]),
        row(255, &entry_key, b"not an entry"),
        row(255, &view_key, b"not registry"),
        row(255, b"short", b"not registry"),
    ];
    garbage.extend((0..good.len()).step_by(37).map(|len| good[..len].to_vec()));
    for bytes in garbage {
        assert!(install(&store, &bytes).is_err(), "{bytes:02x?}");
        assert_eq!(store.export_registry().unwrap(), before);
    }
    drop(store);
    let store = Store::open(dir.path(), options()).unwrap();
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
            Ok(()) => drop(leader.view().unwrap().rows().callers()),
            Err(_) => assert_eq!(leader.export_registry().unwrap(), before),
        }
    }
}
