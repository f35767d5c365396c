//! The audit log on a disk whose sync fails: what it vouches for after it was opened again is there after a power cut
//! (U1). Knows nothing of what lines say.

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
