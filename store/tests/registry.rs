//! The registry kept in tables is the one the rules were tested with in memory: the same log gives the same
//! outcomes and the same rows, on every store, however it is cut into jobs (E5, I1).
//! Knows nothing of histories.

#![allow(clippy::unwrap_used)]

#[path = "support/lmdb.rs"]
mod lmdb;
#[path = "support/rows.rs"]
mod rows;
#[path = "support/scratch.rs"]
mod scratch;
#[path = "support/workload.rs"]
mod workload;

use std::{collections::BTreeSet, fmt::Debug};

use covault_model::{
    id::{ClusterId, Digest, GrantId, PayloadHash, TokenId},
    line::Place,
    name::{CallerName, SecretPath},
    registry::{CallerEntry, Grant, KeyCheck, Registry, Remembered, SecretEntry, TokenEntry},
};
use covault_store::{Applied, Store, Txn};
use proptest::{
    collection::vec,
    prelude::{ProptestConfig, any, proptest},
};

use self::{
    rows::{Row, all_rows},
    scratch::{empty, options},
    workload::{Step, World, callers, master_keys, names},
};

/// All that the rules can ask of a registry within the worlds of these tests.
#[derive(Debug, PartialEq)]
struct Answers {
    cluster: Option<ClusterId>,
    secrets: Vec<(Option<SecretEntry>, Vec<Option<Place>>)>,
    callers: Vec<(CallerName, CallerEntry)>,
    each_caller: Vec<Option<CallerEntry>>,
    tokens: Vec<Option<TokenEntry>>,
    tokens_of: Vec<Vec<(TokenId, TokenEntry)>>,
    grants: Vec<Vec<(GrantId, Grant)>>,
    remembered: Vec<Option<Remembered>>,
    keys: Vec<Option<KeyCheck>>,
    destroyed: Vec<bool>,
}

fn answers<R: Registry<Error: Debug>>(registry: &R, world: &World) -> Answers {
    let owners = callers();
    let secret = |path: SecretPath| {
        let entry = registry.secret(&path).unwrap();
        let last = entry.as_ref().map_or(0, |entry| entry.agreed);
        let numbers = (0..=last + 1).map(|number| registry.numbered(&path, number).unwrap()).collect();
        (entry, numbers)
    };
    let paths = owners.iter().flat_map(|owner| names().map(|name| SecretPath { owner: owner.clone(), name }));
    let keys = owners.iter().flat_map(|owner| (0..4).map(move |key| (owner, Digest([key; 32]))));
    let payloads = world.versions.values().flatten().map(|version| PayloadHash::of(&version.payload));
    Answers {
        cluster: registry.cluster().unwrap(),
        secrets: paths.map(secret).collect(),
        callers: registry.callers().unwrap(),
        each_caller: owners.iter().map(|name| registry.caller(name).unwrap()).collect(),
        tokens: (0..=255).map(|token| registry.token(&TokenId([token; 8])).unwrap()).collect(),
        tokens_of: owners.iter().map(|name| registry.tokens_of(name).unwrap()).collect(),
        grants: owners.iter().map(|name| registry.grants_by(name).unwrap()).collect(),
        remembered: keys.map(|(owner, key)| registry.remembered(owner, &key).unwrap()).collect(),
        keys: master_keys().iter().map(|name| registry.key_check(name).unwrap()).collect(),
        destroyed: payloads.map(|payload| registry.is_destroyed(&payload).unwrap()).collect(),
    }
}

/// Applies the commands of `steps`, so many in one job, and holds each answer against what the rules say.
fn apply(store: &Store, steps: &[Step], per_job: usize) {
    for job in steps.chunks(per_job) {
        let job = job.to_vec();
        let work = move |txn: &mut Txn<'_>| {
            for step in &job {
                match step {
                    Step::Command(command, applied) => {
                        assert_eq!(txn.apply(command)?, *applied, "{command:?}")
                    }
                    Step::Version(path, version) => {
                        txn.insert_version(path, &version.record, Some(&version.payload), None)?;
                    }
                    Step::Marks(path, record) => {
                        txn.insert_marks(path, record)?;
                    }
                }
            }
            Ok(())
        };
        store.write_now(work).unwrap();
    }
}

fn replayed(steps: &[Step], per_job: usize) -> (Vec<u8>, Vec<Row>) {
    let (dir, store) = empty(options());
    apply(&store, steps, per_job);
    let export = store.export_registry().unwrap();
    drop(store);
    (export, all_rows(dir.path()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_registry_in_tables_answers_as_the_one_in_memory(
        drawn in vec(any::<workload::Drawn>(), 1..80),
    ) {
        let (_dir, store) = empty(options());
        let (mut world, found) = World::founded();
        apply(&store, &[found], 1);
        for drawn in drawn {
            let step = world.step(drawn);
            apply(&store, &[step], 1);
        }
        let view = store.view().unwrap();
        assert_eq!(answers(&view.rows(), &world), answers(&world.registry, &world));
    }

    #[test]
    fn the_same_log_gives_the_same_rows_however_it_is_cut(
        drawn in vec(any::<workload::Drawn>(), 1..80),
        per_job in 2..20usize,
    ) {
        let (mut world, found) = World::founded();
        let mut steps = vec![found];
        steps.extend(drawn.into_iter().map(|drawn| world.step(drawn)));
        let (export, rows) = replayed(&steps, 1);
        assert!(replayed(&steps, per_job) == (export, rows), "the rows differ with {per_job} steps in a job");
    }
}

/// Of random work, enough must be done for the comparisons above to mean something.
#[test]
fn random_work_reaches_every_kind_of_outcome() {
    let mut reached = BTreeSet::new();
    for seed in 0..100u32 {
        let (mut world, _) = World::founded();
        let mut chance = vec![0; 80 * 4];
        blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut chance);
        for drawn in chance.chunks_exact(4) {
            reached.insert(match world.step((drawn[0], drawn[1], drawn[2], drawn[3])) {
                Step::Command(command, Applied { outcome, replayed }) => {
                    let action = format!("{:?}", command.action);
                    let action = action.split(['(', ' ']).next().unwrap().to_owned();
                    match outcome {
                        Err(refusal) => format!("{action} {}", refusal.code()),
                        Ok(_) if replayed => format!("{action} replayed"),
                        Ok(_) => action,
                    }
                }
                Step::Version(..) => "a version".into(),
                Step::Marks(..) => "marks".into(),
            });
        }
    }
    for wanted in [
        "Create",
        "Create secret_exists",
        "Agree",
        "Agree version_mismatch",
        "Agree stale_time",
        "Agree not_found",
        "Destroy",
        "AddCaller",
        "AddToken",
        "RemoveToken",
        "RemoveCaller",
        "AddGrant",
        "RemoveGrant",
        "KnowKey",
        "KnowKey wrong_master_key",
        "Create replayed",
        "Agree replayed",
        "RemoveCaller last_admin",
        "a version",
        "marks",
    ] {
        assert!(reached.contains(wanted), "{wanted}: {reached:?}");
    }
}
