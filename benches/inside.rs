//! What the parts of a read and of a write cost by themselves, without HTTP, Raft or a disk's sync: a place
//! to see which part a change made dearer. The whole, over HTTP, is `load.py`'s to measure.
//! Knows nothing of goals.

#![allow(missing_docs, reason = "criterion's macros make a public function")]

use std::{cell::Cell, hint::black_box, iter, sync::Arc};

use covault::{
    api::answer,
    audit::{self, AuditLog, Entry, RequestId, Subject, VersionRef},
    envfile::{EnvFile, Format, Picked, Reference},
    host::{Host, Machine},
    merge::change_hash_of,
    node::{Node, NodeConfig},
    vault::{Asker, Consistency, CreatedMany, NewSecrets, Opened, Summary, Version, Which},
};
use covault_model::{
    command::{Action, Command, NewSecret, SealedVersion},
    hlc::{Hlc, Millis},
    id::{ClusterId, CommandId, PayloadHash},
    key::NodeKey,
    limits::ENV_REFERENCES_MAX,
    line::State,
    name::{CallerName, SecretName, SecretPath},
    record::{Body, Header, Record, VersionBody},
};
use covault_seal::{Context, Keyring, Plaintext, open, seal};
use covault_store::{Options, PILE_MAX, Store, WriterMode};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use zeroize::Zeroizing;

/// Bytes of every value here.
const VALUE_LEN: usize = 256;
/// Secrets in the store that is read.
const SECRETS: u64 = 10_000;
/// Commands that share a log entry when many clients write at once.
const BATCH: usize = 64;
const NOW: Millis = Millis(1_800_000_000_000);
const MAP_BYTES: usize = 8 << 30;

/// What makes values, records and commands: one caller, one node, one master key.
struct Maker {
    keyring: Keyring,
    node: NodeKey,
    caller: CallerName,
    next: Cell<u64>,
}

impl Maker {
    fn new() -> Self {
        Self {
            keyring: Keyring::generate(&mut fill),
            node: NodeKey::from_seed(&[7; 32]),
            caller: CallerName::parse("bench").expect("a caller's name"),
            next: Cell::new(0),
        }
    }

    fn name(number: u64) -> SecretName {
        SecretName::parse(&format!("bench/{number:08}")).expect("a secret's name")
    }

    fn path(&self, number: u64) -> SecretPath {
        SecretPath { owner: self.caller.clone(), name: Self::name(number) }
    }

    fn context(&self, number: u64) -> Context {
        Context {
            cluster: ClusterId::default(),
            secret: self.path(number).id(),
            time: Hlc::start_of(NOW),
            author: self.node.node_id(),
        }
    }

    fn sealed(&self, context: &Context) -> Vec<u8> {
        seal(&self.keyring, context, &value(), &mut fill).expect("the active key is there")
    }

    fn header(&self, context: &Context, payload: &[u8]) -> Header {
        let body = VersionBody {
            payload: PayloadHash::of(payload),
            payload_len: payload.len() as u32,
            content_type: None,
            expires_at: None,
            restores: None,
        };
        Header {
            secret: context.secret,
            parents: Vec::new(),
            depth: 1,
            time: context.time,
            author: context.author,
            caller: self.caller.clone(),
            idempotency: None,
            body: Body::Version(body),
        }
    }

    /// A command that creates a secret no other command created.
    fn create(&self) -> Command {
        let number = self.next.replace(self.next.get() + 1);
        let context = self.context(number);
        let payload = self.sealed(&context);
        let record = Record::sign(self.header(&context, &payload), &self.node);
        let version = SealedVersion { record, payload };
        let first = NewSecret { path: self.path(number), version, marks: None };
        let (id, by) = (CommandId::default(), self.caller.clone());
        Command { id, by, at: NOW, idempotency: None, action: Action::Create(vec![first]) }
    }
}

fn fill(bytes: &mut [u8]) {
    Machine.fill(bytes);
}

fn value() -> Plaintext {
    Plaintext::new(vec![b'v'; VALUE_LEN])
}

/// A store that does not wait for the disk.
fn store(dir: &tempfile::TempDir) -> Store {
    let options = Options {
        map_bytes: MAP_BYTES,
        create: true,
        sync: false,
        writer: WriterMode::Inline,
        pile_max: PILE_MAX,
    };
    Store::open(dir.path(), options).expect("an empty directory becomes a store")
}

fn sealing(c: &mut Criterion) {
    let maker = Maker::new();
    let context = maker.context(0);
    let sealed = maker.sealed(&context);
    c.bench_function("seal/seal 256 B", |b| b.iter(|| maker.sealed(black_box(&context))));
    c.bench_function("seal/open 256 B", |b| {
        b.iter(|| open(&maker.keyring, &context, black_box(&sealed)).expect("it was sealed here"));
    });
}

fn records(c: &mut Criterion) {
    let maker = Maker::new();
    let context = maker.context(0);
    let header = maker.header(&context, &maker.sealed(&context));
    let record = Record::sign(header.clone(), &maker.node);
    let bytes = record.to_bytes();
    c.bench_function("record/sign", |b| {
        b.iter_batched(|| header.clone(), |header| Record::sign(header, &maker.node), BatchSize::SmallInput);
    });
    c.bench_function("record/encode", |b| b.iter(|| black_box(&record).to_bytes()));
    c.bench_function("record/decode, trusted", |b| {
        b.iter(|| Record::from_trusted_bytes(black_box(&bytes)).expect("it was encoded here"));
    });
    c.bench_function("record/verify", |b| b.iter(|| black_box(&record).signature_verifies()));
    c.bench_function("merge/change hash of a record", |b| b.iter(|| change_hash_of(black_box(&record))));
}

/// Applies the commands in one job, as one log entry does.
fn apply(store: &Store, commands: Vec<Command>) {
    let job = move |txn: &mut covault_store::Txn<'_>| {
        for command in &commands {
            txn.apply(command)?.outcome.expect("every name is new");
        }
        Ok(())
    };
    store.write_now(job).expect("there is room");
}

fn storing(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (store, maker) = (store(&dir), Maker::new());
    while maker.next.get() < SECRETS {
        apply(&store, iter::repeat_with(|| maker.create()).take(BATCH).collect());
    }
    let mut number = 0;
    c.bench_function("store/view, current row and payload of one of 10,000", |b| {
        b.iter(|| {
            number = (number + 7919) % SECRETS;
            let path = maker.path(number);
            let view = store.view().expect("a view");
            let current =
                view.rows().secret_view(&path).expect("rows are whole").expect("it is there").current;
            let (_, row) = current.expect("it has a version");
            view.rows().payload(&path, &row.payload).expect("rows are whole").map(<[u8]>::len)
        });
    });
    c.bench_function("store/apply 64 creates in a transaction, no sync", |b| {
        let batch = || iter::repeat_with(|| maker.create()).take(BATCH).collect::<Vec<_>>();
        b.iter_batched(batch, |commands| apply(&store, commands), BatchSize::PerIteration);
    });
}

fn audit_lines(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let log = AuditLog::open(&dir.path().join("audit"), None, NOW).expect("an empty log");
    let (caller, name) = (CallerName::parse("bench").expect("a caller's name"), Maker::name(0));
    let request = RequestId::parse("0badcafe-1").expect("a request's id");
    let entry = Entry {
        at: NOW,
        request: Some(&request),
        caller: Some(&caller),
        action: audit::Action::SecretRead,
        owner: Some(&caller),
        subject: Subject::Secret(&name),
        version: Some(VersionRef::Number(1)),
        outcome: audit::Outcome::Done,
    };
    c.bench_function("audit/reserve and record a line, no sync", |b| {
        b.iter(|| log.reserve().expect("there is room").record(black_box(&entry)).expect("it is written"));
    });
}

fn answers(c: &mut Criterion) {
    let maker = Maker::new();
    let context = maker.context(0);
    let record = Record::sign(maker.header(&context, &maker.sealed(&context)), &maker.node);
    let version = Version {
        number: Some(1),
        id: record.id(),
        valid_from: NOW,
        valid_to: None,
        created_at: NOW,
        author: context.author,
        caller: maker.caller.clone(),
        state: State::Current,
        content_type: None,
        expires_at: None,
        restores: None,
    };
    let summary =
        Summary { name: Maker::name(0), version, labels: iter::empty().collect(), description: None };
    let opened = Opened { summary, value: value() };
    c.bench_function("api/answer of a read", |b| b.iter(|| answer::opened(black_box(&opened), false)));
}

/// A file of a hundred references, expanded by a node that has all its secrets: from its text to its text, with the
/// reads, their audit lines, and everything opened.
fn env_files(c: &mut Criterion) {
    const REFERENCES: usize = 100;
    let dir = tempfile::tempdir().expect("a temporary directory");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let config = NodeConfig { create: true, ..NodeConfig::at(&dir.path().join("vault")) };
    let node = runtime.block_on(Node::start(config, Arc::new(Machine))).expect("a new node");
    let owner = CallerName::parse("bench").expect("a caller's name");
    let session = runtime.block_on(node.local_session(owner.clone())).expect("a session");
    let asker = Asker { session, request: RequestId::parse("bench").expect("a request's id") };
    let wanted: Vec<_> = (0..REFERENCES as u64).map(|number| (Maker::name(number), Which::Current)).collect();
    let secrets = wanted.iter().map(|(name, _)| (name.clone(), value())).collect();
    let new = NewSecrets { owner: owner.clone(), secrets, needed: Vec::new(), request: value() };
    let made = runtime.block_on(node.vault().create_many(&asker, &new, None, |_| None::<()>));
    assert!(matches!(made, Ok(CreatedMany::All { .. })), "all are made");
    let line = |(name, _): &(SecretName, Which)| format!("K{}=\"x:secret({name})@h\" # c\n", &name[6..]);
    let text: String = wanted.iter().map(line).collect();
    let expand = || async {
        let file = EnvFile::parse(Zeroizing::new(text.clone())).expect("a file");
        let opened = node.vault().read_many(&asker, &owner, &wanted, Consistency::Local).await;
        let opened = opened.expect("all are there");
        let value = |reference: &Reference| {
            let at = wanted.binary_search_by(|(name, _)| name.cmp(&reference.name)).expect("it is wanted");
            Ok(opened[at].as_ref().expect("it is there").value.expose_plaintext())
        };
        let picked = Picked::of(file.references(), value);
        file.expand(Format::Dotenv, &picked).expect("all readers carry it").len()
    };
    c.bench_function("env/expand a file of 100 references", |b| b.iter(|| runtime.block_on(expand())));
    runtime.block_on(node.stop());
}

/// The most that one file may ask: 1,024 keys of a value of 1 MiB; and as many that are not there, of which each is
/// told with its place.
fn keys_of_large_values(c: &mut Criterion) {
    let keys = || 0..ENV_REFERENCES_MAX;
    let entries: Vec<String> = keys().map(|key| format!("\"k{key}\":\"{:0>1000}\"", key)).collect();
    let value = format!("{{{}}}", entries.join(","));
    for (what, prefix) in [("expand 1,024 keys of 1 MiB", "k"), ("tell 1,024 missing keys of 1 MiB", "none")]
    {
        let lines = keys().map(|key| format!("K{key}=secret(large#{prefix}{key}) # {:0>1000}\n", key));
        let file = EnvFile::parse(Zeroizing::new(lines.collect())).expect("a file");
        c.bench_function(&format!("env/{what}"), |b| {
            b.iter(|| {
                let picked = Picked::of(file.references(), |_| Ok(value.as_bytes()));
                file.expand(Format::Dotenv, &picked).is_ok()
            });
        });
    }
}

criterion_group!(inside, sealing, records, storing, audit_lines, answers, env_files, keys_of_large_values);
criterion_main!(inside);
