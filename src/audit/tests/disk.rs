//! What the log does when the disk does not take more (U1). The limits hold for a whole process, so each
//! test starts this test binary again under them and runs one ignored test there.
//! Knows nothing of what lines say.

use std::{
    env,
    fs::{self, File},
    io::{ErrorKind, Write},
    path::PathBuf,
    process::Command,
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tempfile::TempDir;

use crate::audit::{AuditUnavailable, Ticket, tests::Bench};

/// Where the test in the other process puts its log; not set in any other run.
const DIR: &str = "COVAULT_AUDIT_TEST_DIR";

/// Runs an ignored test of this file from a shell command, in which `"$0"` stands for this binary.
fn run_apart(test: &str, program: &str, arguments: &[&str], script: &str) {
    let dir = TempDir::new().unwrap();
    let mut command = Command::new(program);
    command.args(arguments).args(["-c", script]).arg(env::current_exe().unwrap());
    command.args(["--exact", &format!("audit::tests::disk::{test}"), "--ignored"]);
    let output = command.env(DIR, dir.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn bench_apart() -> Option<Bench> {
    let root = env::var_os(DIR).map(PathBuf::from)?;
    Some(Bench { root: TempDir::new_in(root).unwrap(), ..Bench::new() })
}

fn error_kind<T>(outcome: Result<T, AuditUnavailable>) -> ErrorKind {
    match outcome {
        Err(AuditUnavailable::Io(error)) => error.kind(),
        Err(other) => panic!("another reason: {other}"),
        Ok(_) => panic!("it was taken"),
    }
}

#[test]
fn a_line_that_cannot_be_written_is_kept_and_written_first() {
    // Without the signal a write beyond the limit is an error like any other.
    run_apart("a_limit_on_the_file_size", "sh", &[], "trap '' XFSZ && exec \"$0\" \"$@\"");
}

#[test]
#[ignore = "run in a process of its own by the test before it"]
fn a_limit_on_the_file_size() {
    let Some(bench) = bench_apart() else { return };
    let log = bench.open(None);
    bench.record(&log, 2);
    let (first, second) = (log.reserve().unwrap(), log.reserve().unwrap());
    let limit = getrlimit(Resource::Fsize);
    setrlimit(Resource::Fsize, Rlimit { current: Some(log.head().end + 100), ..limit }).unwrap();

    let second = second.enter(&bench.entry());
    assert_eq!(error_kind(first.record(&bench.entry())), ErrorKind::FileTooLarge);
    assert_eq!(error_kind(second.write()), ErrorKind::FileTooLarge);
    assert_eq!(error_kind(log.reserve()), ErrorKind::FileTooLarge);
    assert_eq!(error_kind(log.sync()), ErrorKind::FileTooLarge);
    assert_eq!(bench.verify(None).unwrap().unfinished, 100);

    setrlimit(Resource::Fsize, limit).unwrap();
    log.reserve().unwrap().record(&bench.entry()).unwrap();
    let report = bench.verify(Some(log.sync().unwrap())).unwrap();
    assert_eq!((report.lines, report.unfinished), (5, 0));
}

#[test]
fn what_was_begun_is_recorded_on_a_full_disk_and_nothing_more_begins() {
    let namespace = ["--map-root-user", "--mount", "sh"];
    let mount = "mount -t tmpfs -o size=4m none \"$COVAULT_AUDIT_TEST_DIR\"";
    let probe = Command::new("unshare").args(namespace).args(["-c", mount]).env(DIR, "/mnt").output();
    if !probe.is_ok_and(|output| output.status.success()) {
        // tests/it/full_disk.rs shows it through a real process.
        eprintln!("not run: no file system of limited size can be mounted here");
        return;
    }
    let script = format!("{mount} && exec \"$0\" \"$@\"");
    run_apart("a_small_file_system", "unshare", &namespace, &script);
}

#[test]
#[ignore = "run in a process of its own by the test before it"]
fn a_small_file_system() {
    let Some(bench) = bench_apart() else { return };
    let log = bench.open(None);
    bench.record(&log, 2);
    let mut tickets = vec![log.reserve().unwrap()];
    let filler = bench.root.path().join("filler");
    fill(&filler);
    let refused = loop {
        match log.reserve() {
            Ok(ticket) => tickets.push(ticket),
            Err(error) => break error,
        }
    };
    assert_eq!(error_kind::<Ticket<'_>>(Err(refused)), ErrorKind::StorageFull);
    let begun = tickets.len() as u64;
    assert!(500 < begun, "a chunk was allocated before the disk was full");
    for ticket in tickets {
        ticket.record(&bench.entry()).unwrap();
    }
    let anchor = log.sync().unwrap();
    assert_eq!(bench.verify(Some(anchor)).unwrap().lines, 2 + begun);

    fs::remove_file(filler).unwrap();
    while log.head().end < 2 << 20 {
        bench.record(&log, 1);
    }
    bench.verify(Some(log.sync().unwrap())).unwrap();
}

/// Writes a file until the disk is full.
fn fill(path: &std::path::Path) {
    let mut file = File::create(path).unwrap();
    while file.write_all(&[1; 4096]).is_ok() {}
}
