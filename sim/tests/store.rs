//! A whole store whose power is cut, at each change that it makes to its disk and again and again: it opens, has all
//! that it acknowledged, and of what was under way all or nothing (D1, D2). And one whose disk is full (D3) or breaks.

#![allow(clippy::unwrap_used)]

#[path = "../../store/tests/support/lmdb.rs"]
mod lmdb;
#[path = "../../store/tests/support/rows.rs"]
mod rows;
#[path = "support/steps.rs"]
mod steps;
#[path = "../../store/tests/support/workload.rs"]
mod workload;

use std::{collections::BTreeMap, fmt, ops::Range, path::Path};

use covault_store::{LogEntry, OpenError, Options, PILE_MAX, Store, StoreError, WriterMode};
use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};
use sim::disk::Disk;
use tempfile::TempDir;

use self::{
    rows::{Row, all_rows},
    steps::write,
    workload::{Step, World},
};

fn chance(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}

fn open(dir: &Path, sync: bool) -> Result<Store, OpenError> {
    Store::open(
        dir,
        Options { map_bytes: 64 << 20, create: true, sync, writer: WriterMode::Inline, pile_max: PILE_MAX },
    )
}

fn new_disk() -> (TempDir, Disk) {
    let dir = TempDir::new().unwrap();
    let disk = Disk::at(dir.path()).unwrap();
    (dir, disk)
}

// ---- what a store is asked to do -----------------------------------------------------------------

/// One thing that is acknowledged.
#[derive(Debug, Clone)]
enum Job {
    Write(Box<Step>),
    Append(Vec<LogEntry>),
    /// Each ahead of the disk, and one sync for the last.
    AppendAhead([Vec<LogEntry>; 2]),
    TurnOver,
    Purge(u64),
}

/// Jobs, and what the tables hold after so many of those that write to them.
struct Plan {
    jobs: Vec<Job>,
    rows: Vec<Vec<Row>>,
}

impl Plan {
    fn drawn(chance: &mut StdRng, len: usize) -> Self {
        let (mut world, found) = World::founded();
        let (mut log, mut jobs) = (1..1, vec![Job::Write(found.into())]);
        while jobs.len() < len {
            let job = match chance.random_range(0..12) {
                0 => Job::TurnOver,
                1 => {
                    log.start = chance.random_range(log.clone().start..=log.end);
                    Job::Purge(log.start)
                }
                2..5 => Job::Append(append(chance, &mut log)),
                5 | 6 => Job::AppendAhead([append(chance, &mut log), append(chance, &mut log)]),
                _ => Job::Write(world.step(chance.random()).into()),
            };
            jobs.push(job);
        }
        let rows = rows_after_each(&jobs);
        Self { jobs, rows }
    }
}

/// Some entries to follow on those in `log`, or now and then to take the place of the last ones.
fn append(chance: &mut StdRng, log: &mut Range<u64>) -> Vec<LogEntry> {
    let first = if chance.random_ratio(1, 4) { log.end.saturating_sub(2).max(log.start) } else { log.end };
    let len = if chance.random_ratio(1, 8) { 900_000 } else { 3000 };
    log.end = first + 2;
    let entry = |index| {
        let mut bytes = vec![0; chance.random_range(0..len)];
        chance.fill_bytes(&mut bytes);
        LogEntry { index, bytes }
    };
    (first..log.end).map(entry).collect()
}

fn rows_after_each(jobs: &[Job]) -> Vec<Vec<Row>> {
    let dir = TempDir::new().unwrap();
    let mut rows = Vec::new();
    drop(open(dir.path(), false).unwrap());
    rows.push(all_rows(dir.path()));
    for job in jobs.iter().filter(|job| matches!(job, Job::Write(_))) {
        carry_out(&open(dir.path(), false).unwrap(), job).unwrap();
        rows.push(all_rows(dir.path()));
    }
    rows
}

fn carry_out(store: &Store, job: &Job) -> Result<(), StoreError> {
    match job {
        Job::Write(step) => {
            let step = step.clone();
            store.write_now(move |txn| write(txn, &step))
        }
        Job::Append(entries) => store.log()?.append(entries),
        Job::AppendAhead(appends) => {
            let mut log = store.log()?;
            appends.iter().try_for_each(|entries| log.append_ahead(entries))?;
            log.sync()
        }
        Job::TurnOver => store.log()?.turn_over().map(drop),
        Job::Purge(below) => store.log()?.purge_below(*below),
    }
}

// ---- what it must have ---------------------------------------------------------------------------

/// What was acknowledged so far.
#[derive(Clone, Default)]
struct Acknowledged {
    jobs: usize,
    writes: usize,
    log: BTreeMap<u64, Vec<u8>>,
}

impl fmt::Debug for Acknowledged {
    /// Without the bytes of the entries, which are many.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} writes and entries {:?}", self.writes, self.log.keys())
    }
}

impl Acknowledged {
    /// And this job.
    fn with(&self, job: &Job) -> Self {
        let mut after = self.clone();
        after.jobs += 1;
        match job {
            Job::Write(_) => after.writes += 1,
            Job::Append(entries) => after.append(entries),
            Job::AppendAhead(appends) => appends.iter().for_each(|entries| after.append(entries)),
            Job::Purge(below) => after.log.retain(|index, _| below <= index),
            Job::TurnOver => {}
        }
        after
    }

    /// And a part of this job, which can stand alone.
    fn with_begun(&self, job: &Job) -> Option<Self> {
        let Job::AppendAhead([entries, _]) = job else { return None };
        let mut after = self.clone();
        after.append(entries);
        Some(after)
    }

    fn append(&mut self, entries: &[LogEntry]) {
        self.log.retain(|index, _| *index < entries[0].index);
        self.log.extend(entries.iter().map(|entry| (entry.index, entry.bytes.clone())));
    }

    /// Whether the store has this, and from where on its log has nothing else.
    fn is(&self, rows: &[Row], log: &BTreeMap<u64, Vec<u8>>, plan: &Plan) -> bool {
        // What was purged may be there: files go as a whole.
        let purged = self.log.keys().next().copied().unwrap_or(u64::MAX);
        let log: BTreeMap<_, _> = log.range(purged..).map(|(index, bytes)| (*index, bytes.clone())).collect();
        rows == plan.rows[self.writes] && (log == self.log || self.log.is_empty())
    }
}

/// Opens the store and does what is left of the plan, until the power goes.
fn live(dir: &Path, disk: &Disk, plan: &Plan, so_far: &mut Acknowledged) {
    let store = match open(dir, true) {
        Ok(store) => store,
        Err(error) => return assert!(disk.is_crashed(), "{error}"),
    };
    while let Some(job) = plan.jobs.get(so_far.jobs) {
        if let Err(error) = carry_out(&store, job) {
            return assert!(disk.is_crashed(), "{job:?}: {error}");
        }
        *so_far = so_far.with(job);
    }
}

/// Starts the disk again and looks at what is there; what was under way counts if it is.
fn look(dir: &Path, disk: &Disk, plan: &Plan, so_far: &mut Acknowledged, chance: &mut StdRng, what: &str) {
    disk.crash();
    disk.restart(chance).unwrap();
    let store = open(dir, true).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(store.compare_with_rebuild().unwrap().differences, [], "{what}");
    let entries = store.log().unwrap().read(0..=u64::MAX).unwrap();
    let log = entries.into_iter().map(|entry| (entry.index, entry.bytes)).collect();
    drop(store);
    let rows = all_rows(dir);
    let under_way = plan.jobs.get(so_far.jobs);
    let could_be = [
        Some(so_far.clone()),
        under_way.and_then(|job| so_far.with_begun(job)),
        under_way.map(|job| so_far.with(job)),
    ];
    let is = could_be.into_iter().flatten().rfind(|one| one.is(&rows, &log, plan));
    *so_far = is.unwrap_or_else(|| {
        let found: Vec<_> = log.keys().collect();
        panic!("{what}: after {} jobs it must have {so_far:?}; its log has {found:?}", so_far.jobs)
    });
}

#[test]
fn a_store_whose_power_is_cut_at_any_change_has_what_it_acknowledged() {
    for seed in 0..4 {
        let plan = Plan::drawn(&mut chance(seed), 20);
        let cuts = cuts_of(&plan);
        for cut in cuts {
            let (dir, disk) = new_disk();
            let mut so_far = Acknowledged::default();
            disk.crash_at(cut);
            live(dir.path(), &disk, &plan, &mut so_far);
            assert!(disk.is_crashed());
            let what = format!("seed {seed}, cut at change {cut}");
            look(dir.path(), &disk, &plan, &mut so_far, &mut chance(seed ^ cut << 8), &what);
        }
    }
}

/// Every change that the plan makes to a disk.
fn cuts_of(plan: &Plan) -> Range<u64> {
    let (dir, disk) = new_disk();
    let mut so_far = Acknowledged::default();
    live(dir.path(), &disk, plan, &mut so_far);
    assert_eq!(so_far.jobs, plan.jobs.len());
    1..disk.changes() + 1
}

#[test]
fn a_store_whose_power_is_cut_again_and_again_has_what_it_acknowledged() {
    for seed in 0..20 {
        let mut chance = chance(seed);
        let plan = Plan::drawn(&mut chance, 40);
        let (dir, disk) = new_disk();
        let mut so_far = Acknowledged::default();
        let mut lives = 0;
        while so_far.jobs < plan.jobs.len() {
            disk.crash_at(chance.random_range(1..40));
            live(dir.path(), &disk, &plan, &mut so_far);
            lives += 1;
            let what = format!("seed {seed}, life {lives}");
            look(dir.path(), &disk, &plan, &mut so_far, &mut chance, &what);
        }
        assert!(2 < lives, "seed {seed}");
    }
}

#[test]
fn a_full_disk_refuses_and_goes_on_when_there_is_room() {
    let mut refused = 0;
    for seed in 0..60 {
        let plan = Plan::drawn(&mut chance(seed), 30);
        let (dir, disk) = new_disk();
        let mut so_far = Acknowledged::default();
        let store = open(dir.path(), true).unwrap();
        while let Some(job) = plan.jobs.get(so_far.jobs) {
            disk.fill(seed * 2048).unwrap();
            let outcome = carry_out(&store, job);
            disk.free();
            if let Err(error) = outcome {
                assert!(matches!(error, StoreError::Full), "{error}");
                store.view().unwrap().rows().counts().unwrap();
                carry_out(&store, job).unwrap();
                refused += 1;
            }
            so_far = so_far.with(job);
        }
        drop(store);
        look(dir.path(), &disk, &plan, &mut so_far, &mut chance(seed), &format!("seed {seed}"));
    }
    assert!(100 < refused);
}

#[test]
fn what_was_acknowledged_before_a_sync_failed_is_there() {
    for seed in 0..60 {
        let mut chance = chance(seed);
        let plan = Plan::drawn(&mut chance, 30);
        let (dir, disk) = new_disk();
        let mut so_far = Acknowledged::default();
        let store = open(dir.path(), true).unwrap();
        let good = chance.random_range(0..plan.jobs.len());
        while let Some(job) = plan.jobs.get(so_far.jobs) {
            if good == so_far.jobs {
                disk.break_syncs();
            }
            if carry_out(&store, job).is_err() {
                break;
            }
            so_far = so_far.with(job);
        }
        disk.mend_syncs();
        // What follows is refused or acknowledged, and then as good as any.
        while let Some(job) = plan.jobs.get(so_far.jobs)
            && carry_out(&store, job).is_ok()
        {
            so_far = so_far.with(job);
        }
        drop(store);
        look(
            dir.path(),
            &disk,
            &plan,
            &mut so_far,
            &mut chance,
            &format!("seed {seed}, failing after {good}"),
        );
    }
}

#[test]
fn an_append_that_is_there_after_a_failed_sync_and_a_restart_stays() {
    for seed in 0..20 {
        let (dir, disk) = new_disk();
        let append =
            |store: &Store, index| store.log()?.append(&[LogEntry { index, bytes: vec![index as u8; 5000] }]);
        let store = open(dir.path(), true).unwrap();
        append(&store, 1).unwrap();
        disk.break_syncs();
        append(&store, 2).unwrap_err();
        drop(store);
        disk.mend_syncs();
        let store = open(dir.path(), true).unwrap();
        assert_eq!(store.log().unwrap().bounds(), (1, 3), "it counts, as if the process had been killed");
        append(&store, 3).unwrap();
        drop(store);
        disk.crash();
        disk.restart(&mut chance(seed)).unwrap();
        assert_eq!(open(dir.path(), true).unwrap().log().unwrap().bounds(), (1, 4), "seed {seed}");
    }
}
