//! The audit log on a disk whose sync fails, and whose power is cut: what it vouches for after it was opened again is there
//! after a power cut, and what the cut has left is taken up (U1, U2). Knows nothing of what lines say.

#![allow(clippy::unwrap_used)]

use covault::audit::{Action, AuditLog, Entry, Outcome, Subject, verify};
use covault_model::hlc::Millis;
use rand::{SeedableRng, rngs::StdRng};
use sim::disk::Disk;
use tempfile::TempDir;

const NOW: Millis = Millis(1_800_000_000_000);

fn record(log: &AuditLog, lines: u64) {
    for _ in 0..lines {
        let entry = Entry {
            at: NOW,
            request: None,
            caller: None,
            action: Action::SecretRead,
            owner: None,
            subject: Subject::Nothing,
            version: None,
            outcome: Outcome::Done,
        };
        log.reserve().unwrap().record(&entry).unwrap();
    }
}

#[test]
fn lines_of_which_a_sync_failed_are_on_the_disk_once_they_are_vouched_for() {
    for seed in 0..20 {
        let dir = TempDir::new().unwrap();
        let (disk, log_dir) = (Disk::at(dir.path()).unwrap(), dir.path().join("audit"));
        let log = AuditLog::open(&log_dir, None, NOW).unwrap();
        record(&log, 3);
        let anchor = log.sync().unwrap();
        record(&log, 20);
        disk.break_syncs();
        assert!(log.sync().is_err());
        drop(log);
        disk.restart_with_all();
        disk.mend_syncs();
        let log = AuditLog::open(&log_dir, Some(anchor), NOW).unwrap();
        record(&log, 1);
        let anchor = log.sync().unwrap();
        drop(log);
        disk.crash();
        disk.restart(&mut StdRng::seed_from_u64(seed)).unwrap();
        AuditLog::open(&log_dir, Some(anchor), NOW).unwrap();
        assert_eq!(verify(&log_dir, Some(anchor), &mut |_| ()).unwrap().lines, 24, "seed {seed}");
    }
}

#[test]
fn a_log_that_was_taken_up_after_a_power_cut_is_so_after_the_next_one_too() {
    for seed in 0..300 {
        let mut chance = StdRng::seed_from_u64(seed);
        let dir = TempDir::new().unwrap();
        let (disk, log_dir) = (Disk::at(dir.path()).unwrap(), dir.path().join("audit"));
        let log = AuditLog::open(&log_dir, None, NOW).unwrap();
        record(&log, 3);
        let anchor = log.sync().unwrap();
        record(&log, 10);
        drop(log);
        for lines in [2, 4, 0] {
            disk.crash();
            disk.restart(&mut chance).unwrap();
            let opened = AuditLog::open(&log_dir, Some(anchor), NOW);
            record(&opened.unwrap_or_else(|error| panic!("seed {seed}: {error}")), lines);
        }
    }
}
