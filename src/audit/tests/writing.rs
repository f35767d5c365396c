//! What lines look like, and how they are added. Knows nothing of damage.

use std::{os::unix::fs::PermissionsExt, thread};

use covault_model::{
    DecodeError,
    hlc::Millis,
    id::{GrantId, TokenId, VersionId, derive, hex},
    name::{CallerName, NamePrefix, SecretName},
};

use crate::audit::{
    Action, Anchor, AuditUnavailable, CODE_BYTES_MAX, Entry, LINE_BYTES_MAX, Outcome, RequestId,
    SEGMENT_BYTES_MAX, Subject, VersionRef, chain,
    log::WAITING_BYTES_MAX,
    tests::{Bench, NOW, json_lines},
    total_bytes,
};

#[test]
fn the_first_line_of_a_log_keeps_its_bytes() {
    let (bench, anchor) = Bench::with_lines(1);
    let line = String::from_utf8(bench.lines().concat()).unwrap();
    let hashed = concat!(
        r#"{"seq":1,"time":"2026-11-21T04:17:41.123Z","request":"req-1","caller":"alice","#,
        r#""action":"secret.read","owner":"alice","name":"db/password","version":3,"outcome":"done","#,
        r#""prev":"0000000000000000000000000000000000000000000000000000000000000000""#
    );
    let hash = derive(chain::LINE_CONTEXT, &[&[0; 32], hashed.as_bytes()]);
    assert_eq!(line, format!("{hashed},\"hash\":\"{}\"}}\n", hex(&hash)));
    assert_eq!(hex(&hash), "8b56c8cd86c389473956f1d73460cdbd9f1c854cca74e1208e84fe0ab89d538a");
    assert_eq!(anchor, Anchor { seq: 1, hash, segment: 1, end: line.len() as u64 });
}

#[test]
fn every_field_is_json_that_reads_back() {
    let bench = Bench::new();
    let log = bench.open(None);
    let prefix = NamePrefix::parse("db/").unwrap();
    let bare = Entry { request: None, caller: None, owner: None, version: None, ..bench.entry() };
    let id = VersionId::parse(&"ab".repeat(32)).unwrap();
    let entries = [
        Entry { subject: Subject::Nothing, outcome: Outcome::Failed("storage_full"), ..bare },
        Entry { subject: Subject::Prefix(&prefix), outcome: Outcome::Unknown("outcome_unknown"), ..bare },
        Entry { subject: Subject::Token(TokenId([1; 8])), version: Some(VersionRef::Id(id)), ..bare },
        Entry { subject: Subject::Grant(GrantId([2; 16])), at: Millis(0), ..bare },
        Entry { subject: Subject::Bytes(0), at: Millis(u64::MAX), ..bare },
        Entry { outcome: Outcome::Refused("a \"code\"\nof no use"), at: Millis(NOW.0 + 60_000), ..bare },
    ];
    for entry in &entries {
        log.reserve().unwrap().record(entry).unwrap();
    }
    let lines = json_lines(&bench.path(1));
    assert!(lines[0]["caller"].is_null() && lines[0]["request"].is_null() && lines[0].get("owner").is_none());
    assert_eq!((&lines[0]["outcome"], &lines[0]["code"]), (&"failed".into(), &"storage_full".into()));
    assert_eq!(lines[1]["name"], "db/");
    assert_eq!((&lines[2]["name"], &lines[2]["version"]), (&"01".repeat(8).into(), &"ab".repeat(32).into()));
    assert_eq!(
        (&lines[3]["name"], &lines[3]["time"]),
        (&"02".repeat(16).into(), &"1970-01-01T00:00:00.000Z".into())
    );
    assert_eq!((&lines[4]["bytes"], &lines[4]["time"]), (&0.into(), &"9999-12-30T22:00:00.615Z".into()));
    assert_eq!(
        (&lines[5]["code"], &lines[5]["time"]),
        (&"a__code__of_no_use".into(), &"2026-11-21T04:18:41.123Z".into())
    );
    assert_eq!(bench.verify(None).unwrap().lines, 6);
}

#[test]
fn the_longest_line_fits() {
    let bench = Bench::new();
    let log = bench.open(None);
    let (caller, request) =
        (CallerName::parse(&"c".repeat(64)).unwrap(), RequestId::parse(&"r".repeat(64)).unwrap());
    let name = SecretName::parse(&"n".repeat(256)).unwrap();
    let longest = Action::ALL.iter().max_by_key(|action| action.as_str().len()).unwrap();
    let code: &'static str = "a_code_that_is_longer_than_any_code_is_allowed_to_be";
    assert!(CODE_BYTES_MAX < code.len());
    let entry = Entry {
        at: NOW,
        request: Some(&request),
        caller: Some(&caller),
        action: *longest,
        owner: Some(&caller),
        subject: Subject::Secret(&name),
        version: Some(VersionRef::Id(VersionId::default())),
        outcome: Outcome::Unknown(code),
    };
    log.reserve().unwrap().record(&entry).unwrap();
    // The number of the first line is 19 digits shorter than the longest.
    assert!(bench.lines()[0].len() + 19 <= LINE_BYTES_MAX);
    assert_eq!(bench.verify(None).unwrap().lines, 1);
}

#[test]
fn a_generated_request_id_is_a_valid_one() {
    for (prefix, count) in [(0, 0), (0xab, 0x10), (u32::MAX, 0xf), (1, u64::MAX)] {
        let id = RequestId::generated(prefix, count);
        assert_eq!(id.as_str(), format!("{prefix:08x}-{count:x}"));
        assert_eq!(RequestId::parse(id.as_str()), Ok(id));
    }
}

#[test]
fn an_anchor_keeps_its_bytes() {
    let anchor = Anchor { seq: 300, hash: [7; 32], segment: 2, end: 70_000 };
    let bytes = anchor.to_bytes();
    assert_eq!(hex(&bytes), format!("850119012c5820{}021a00011170", "07".repeat(32)));
    assert_eq!(Anchor::from_bytes(&bytes), Ok(anchor));
    assert_eq!(Anchor::from_bytes(&[bytes.as_slice(), &[0]].concat()), Err(DecodeError::TrailingBytes));
    let newer = [&bytes[..1], &[2], &bytes[2..]].concat();
    assert_eq!(Anchor::from_bytes(&newer), Err(DecodeError::UnknownFormat(2)));
}

#[test]
fn only_the_owner_can_read_the_log() {
    let (bench, _) = Bench::with_lines(1);
    let mode = |path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(bench.dir()), mode(bench.path(1))), (0o700, 0o600));
}

#[test]
fn appends_from_eight_threads_give_one_unbroken_chain() {
    let bench = Bench::new();
    let log = bench.open(None);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                bench.record(&log, 500);
                log.sync().unwrap();
            });
        }
    });
    let report = bench.verify(Some(log.sync().unwrap())).unwrap();
    assert_eq!((report.lines, report.unfinished), (4000, 0));
}

#[test]
fn a_new_segment_continues_the_chain() {
    let bench = Bench::new();
    let log = bench.open(None);
    let name = SecretName::parse(&"n".repeat(256)).unwrap();
    let (request, caller) =
        (RequestId::parse(&"r".repeat(64)).unwrap(), CallerName::parse(&"c".repeat(64)).unwrap());
    let (request, caller) = (Some(&request), Some(&caller));
    let entry = Entry { request, caller, owner: caller, subject: Subject::Secret(&name), ..bench.entry() };
    let mut before = log.sync().unwrap();
    while log.head().segment == 1 {
        before = log.head();
        log.reserve().unwrap().record(&entry).unwrap();
    }
    let size = std::fs::metadata(bench.path(1)).unwrap().len();
    assert!(size <= SEGMENT_BYTES_MAX && SEGMENT_BYTES_MAX < size + LINE_BYTES_MAX as u64);
    let anchor = log.sync().unwrap();
    let mut told = Vec::new();
    let report = crate::audit::verify(&bench.dir(), Some(anchor), &mut |bytes| told.push(bytes)).unwrap();
    assert_eq!((report.segments, report.lines), (2, before.seq + 1));
    assert!(told.is_sorted() && 64 < told.len());
    assert_eq!(told.last(), Some(&total_bytes(&bench.dir()).unwrap()));
    drop(log);
    // An anchor from before the turn is found in the segment before the newest.
    let log = bench.open(Some(before));
    assert_eq!(log.head(), anchor);
    assert_eq!(log.sync().unwrap(), anchor);
}

#[test]
fn one_write_takes_along_every_line_that_was_entered() {
    let bench = Bench::new();
    let log = bench.open(None);
    let tickets: Vec<_> = (0..3).map(|_| log.reserve().unwrap()).collect();
    let mut lines: Vec<_> = tickets.into_iter().map(|ticket| ticket.enter(&bench.entry())).collect();
    assert_eq!((bench.lines().len(), log.head().seq), (0, 3));
    lines.remove(1).write().unwrap();
    assert_eq!(bench.lines().len(), 3);
    for line in lines {
        line.write().unwrap();
    }
    assert_eq!(bench.lines().len(), 3);
    assert_eq!(bench.verify(Some(log.sync().unwrap())).unwrap().lines, 3);
}

#[test]
fn a_line_whose_operation_is_cut_off_is_in_the_log() {
    let bench = Bench::new();
    let log = bench.open(None);
    drop(log.reserve().unwrap().enter(&bench.entry()));
    assert_eq!(bench.lines().len(), 1);
    let waiting = log.reserve().unwrap().enter(&bench.entry());
    bench.verify(Some(log.sync().unwrap())).unwrap();
    assert_eq!(bench.lines().len(), 2);
    drop(waiting);
    assert_eq!(bench.lines().len(), 2);
}

#[test]
fn lines_that_only_wait_are_bounded_and_cross_into_a_new_segment_whole() {
    let bench = Bench::new();
    let log = bench.open(None);
    let mut lines = Vec::new();
    while log.head().segment == 1 {
        lines.push(log.reserve().unwrap().enter(&bench.entry()));
        if lines.len() % 1000 == 0 && log.head().segment == 1 {
            let size = std::fs::metadata(bench.path(1)).unwrap().len();
            assert!(log.head().end - size < WAITING_BYTES_MAX as u64);
        }
    }
    let report = bench.verify(Some(log.sync().unwrap())).unwrap();
    assert_eq!((report.segments, report.lines, report.unfinished), (2, lines.len() as u64, 0));
    for line in lines {
        line.write().unwrap();
    }
}

#[test]
fn a_ticket_that_is_dropped_gives_its_space_back() {
    let bench = Bench::new();
    let log = bench.open(None);
    let most = SEGMENT_BYTES_MAX as usize / LINE_BYTES_MAX;
    for _ in 0..3 {
        let tickets: Vec<_> = (0..most).map(|_| log.reserve().unwrap()).collect();
        assert!(matches!(log.reserve(), Err(AuditUnavailable::Crowded)));
        drop(tickets);
    }
    bench.record(&log, 2);
    assert_eq!(bench.verify(Some(log.sync().unwrap())).unwrap().lines, 2);
}

#[test]
fn a_sync_with_nothing_new_gives_the_same_anchor() {
    let bench = Bench::new();
    let log = bench.open(None);
    assert_eq!(log.sync().unwrap(), Anchor::START);
    bench.record(&log, 1);
    let anchor = log.sync().unwrap();
    assert_eq!((anchor, anchor.seq), (log.sync().unwrap(), 1));
}
