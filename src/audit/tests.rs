//! Shows U1 and U2 for the log by itself: every kind of tampering is found, space is held before it is
//! needed, and what a power loss leaves is taken up again.
//! Knows nothing of the vault: `tests/it/audit.rs` shows the same through a real process.
#![allow(clippy::unwrap_used)]

mod disk;
mod reopening;
mod tampering;
mod writing;

use std::{
    fs,
    path::{Path, PathBuf},
};

use covault_model::{
    hlc::Millis,
    name::{CallerName, SecretName},
};
use tempfile::TempDir;

use crate::audit::{
    Action, Anchor, AuditLog, Entry, Finding, OpenError, Outcome, Report, RequestId, Subject, VerifyError,
    VersionRef, segment, verify,
};

/// 2026-11-21T04:17:41.123Z.
const NOW: Millis = Millis(1_795_234_661_123);

/// A directory for one log, and what its lines speak of.
struct Bench {
    root: TempDir,
    request: RequestId,
    caller: CallerName,
    name: SecretName,
}

impl Bench {
    fn new() -> Self {
        Self {
            root: TempDir::new().unwrap(),
            request: RequestId::parse("req-1").unwrap(),
            caller: CallerName::parse("alice").unwrap(),
            name: SecretName::parse("db/password").unwrap(),
        }
    }

    fn dir(&self) -> PathBuf {
        self.root.path().join("audit")
    }

    fn path(&self, number: u64) -> PathBuf {
        segment::path(&self.dir(), number)
    }

    fn open(&self, anchor: Option<Anchor>) -> AuditLog {
        AuditLog::open(&self.dir(), anchor, NOW).unwrap()
    }

    /// What opening says is wrong.
    fn open_finding(&self, anchor: Option<Anchor>) -> Finding {
        match AuditLog::open(&self.dir(), anchor, NOW) {
            Err(OpenError::Found(finding)) => finding,
            other => panic!("nothing was found: {other:?}"),
        }
    }

    fn entry(&self) -> Entry<'_> {
        Entry {
            at: NOW,
            request: Some(&self.request),
            caller: Some(&self.caller),
            action: Action::SecretRead,
            owner: Some(&self.caller),
            subject: Subject::Secret(&self.name),
            version: Some(VersionRef::Number(3)),
            outcome: Outcome::Done,
        }
    }

    /// A log of `lines` lines in segment 1, all synced.
    fn with_lines(lines: u64) -> (Self, Anchor) {
        let bench = Self::new();
        let log = bench.open(None);
        bench.record(&log, lines);
        let anchor = log.sync().unwrap();
        (bench, anchor)
    }

    fn record(&self, log: &AuditLog, lines: u64) {
        for _ in 0..lines {
            log.reserve().unwrap().record(&self.entry()).unwrap();
        }
    }

    /// The lines of segment 1, each with its end.
    fn lines(&self) -> Vec<Vec<u8>> {
        let bytes = fs::read(self.path(1)).unwrap();
        bytes.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
    }

    fn write(&self, number: u64, lines: &[Vec<u8>]) {
        fs::write(self.path(number), lines.concat()).unwrap();
    }

    fn verify(&self, anchor: Option<Anchor>) -> Result<Report, VerifyError> {
        verify(&self.dir(), anchor, &mut |_| ())
    }

    /// What verifying says is wrong.
    fn finding(&self, anchor: Option<Anchor>) -> Finding {
        match self.verify(anchor) {
            Err(VerifyError::Found(finding)) => finding,
            other => panic!("nothing was found: {other:?}"),
        }
    }
}

/// The lines of a log, as JSON.
fn json_lines(path: &Path) -> Vec<serde_json::Value> {
    fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
