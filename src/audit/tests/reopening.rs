//! What a log does when it is taken up again, and what it says was done to it meanwhile (U1, U2).
//! Knows nothing of what `verify` finds further back.

use std::fs::{self, OpenOptions};
use std::io::Write;

use crate::audit::{
    Anchor, Problem, SEGMENT_BYTES_MAX,
    tests::{Bench, json_lines},
};

#[test]
fn a_log_goes_on_where_it_ended() {
    let bench = Bench::new();
    let mut anchor = None;
    for round in 1..4 {
        let log = bench.open(anchor);
        bench.record(&log, 2);
        // Every other time the process is gone before it synced.
        if round % 2 == 0 {
            anchor = Some(log.sync().unwrap());
        }
    }
    assert_eq!(bench.open(anchor).head().seq, 6);
    assert_eq!(bench.open(None).head().seq, 6);
    assert_eq!(bench.verify(anchor).unwrap().lines, 6);
}

#[test]
fn a_line_torn_anywhere_is_cut_off_and_noted() {
    let (bench, anchor) = Bench::with_lines(2);
    let log = bench.open(Some(anchor));
    bench.record(&log, 2);
    let lines = bench.lines();
    let whole = lines[..3].concat();
    for torn in 1..lines[3].len() {
        fs::write(bench.path(1), [&whole, &lines[3][..torn]].concat()).unwrap();
        assert_eq!(bench.verify(Some(anchor)).unwrap().unfinished, torn as u64);
        let log = bench.open(Some(anchor));
        assert_eq!(log.head().seq, 4);
        let noted = json_lines(&bench.path(1)).pop().unwrap();
        assert_eq!((&noted["action"], &noted["bytes"]), (&"audit.recovered".into(), &torn.into()));
        assert_eq!(bench.verify(Some(log.sync().unwrap())).unwrap().lines, 4);
    }
}

#[test]
fn blocks_that_never_reached_the_disk_are_cut_off() {
    let (bench, anchor) = Bench::with_lines(2);
    let lines = bench.lines();
    // A block of zeros, then whole lines that can no longer be joined to the chain, and a later segment.
    let bytes = [lines.concat(), vec![0; 4096], lines[1].clone()].concat();
    fs::write(bench.path(1), &bytes).unwrap();
    bench.write(2, &lines[..1]);
    let cut = 4096 + lines[1].len() + lines[0].len();
    let log = bench.open(Some(anchor));
    assert_eq!(json_lines(&bench.path(1)).pop().unwrap()["bytes"], cut);
    assert!(!bench.path(2).exists());
    assert_eq!(bench.verify(Some(log.sync().unwrap())).unwrap().lines, 3);
}

#[test]
fn an_empty_newest_segment_is_used() {
    let (bench, anchor) = Bench::with_lines(2);
    fs::write(bench.path(2), "").unwrap();
    for known in [Some(anchor), None] {
        let log = bench.open(known);
        assert_eq!(log.head(), anchor);
        assert_eq!(log.sync().unwrap(), anchor);
    }
    let log = bench.open(Some(anchor));
    bench.record(&log, 1);
    let newer = log.sync().unwrap();
    assert_eq!((newer.seq, newer.segment), (3, 2));
    assert_eq!(bench.verify(Some(newer)).unwrap().segments, 2);
    assert_eq!(bench.open(None).head(), newer);
}

#[test]
fn a_cut_before_the_anchor_is_refused() {
    let (bench, anchor) = Bench::with_lines(3);
    let bytes = bench.lines().concat();
    for kept in 0..bytes.len() {
        fs::write(bench.path(1), &bytes[..kept]).unwrap();
        assert_eq!(bench.open_finding(Some(anchor)).problem, Problem::Cut { anchor: 3 });
    }
    fs::remove_file(bench.path(1)).unwrap();
    assert_eq!(bench.open_finding(Some(anchor)).problem, Problem::SegmentMissing);
    fs::remove_dir(bench.dir()).unwrap();
    assert_eq!(bench.open_finding(Some(anchor)).problem, Problem::SegmentMissing);
}

#[test]
fn a_changed_anchor_line_is_refused() {
    let (bench, anchor) = Bench::with_lines(3);
    let lines = bench.lines();
    let bytes = lines.concat();
    for at in bytes.len() - lines[2].len()..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        fs::write(bench.path(1), &changed).unwrap();
        assert!(matches!(bench.open_finding(Some(anchor)).problem, Problem::Edited | Problem::Rewritten));
    }
    fs::write(bench.path(1), bytes).unwrap();
    let other = Anchor { hash: [1; 32], ..anchor };
    assert_eq!(bench.open_finding(Some(other)).problem, Problem::Rewritten);
    let elsewhere = Anchor { end: anchor.end - 1, ..anchor };
    assert_eq!(bench.open_finding(Some(elsewhere)).problem, Problem::Rewritten);
}

#[test]
fn an_edit_after_the_anchor_is_refused_and_kept_as_evidence() {
    let (bench, anchor) = Bench::with_lines(2);
    bench.record(&bench.open(Some(anchor)), 2);
    let text = fs::read_to_string(bench.path(1)).unwrap();
    let at = text.rfind("alice").unwrap();
    let edited = [&text[..at], "mallo", &text[at + 5..]].concat();
    fs::write(bench.path(1), &edited).unwrap();
    let finding = bench.open_finding(Some(anchor));
    assert_eq!((finding.seq, finding.problem), (4, Problem::Edited));
    assert_eq!(fs::read_to_string(bench.path(1)).unwrap(), edited);
}

#[test]
fn a_segment_missing_after_the_anchor_is_refused() {
    let (bench, anchor) = Bench::with_lines(2);
    fs::write(bench.path(3), "").unwrap();
    let finding = bench.open_finding(Some(anchor));
    assert_eq!((finding.segment, finding.problem), (2, Problem::SegmentMissing));
}

#[test]
fn starting_does_not_read_what_lies_before_the_anchor() {
    let (bench, anchor) = Bench::with_lines(3);
    let mut lines = bench.lines();
    lines[0][10] ^= 1;
    bench.write(1, &lines);
    assert_eq!(bench.open(Some(anchor)).head(), anchor);
    assert!(bench.verify(Some(anchor)).is_err());
}

#[test]
fn files_that_are_no_segments_are_left_alone() {
    let (bench, anchor) = Bench::with_lines(1);
    for name in ["1.jsonl", "0000002.jsonl", "000002.jsonl.gz", "notes"] {
        fs::write(bench.dir().join(name), "x").unwrap();
    }
    assert_eq!(bench.open(Some(anchor)).head(), anchor);
    assert_eq!(bench.verify(Some(anchor)).unwrap().segments, 1);
}

#[test]
fn a_later_segment_with_lines_is_never_written_over() {
    let bench = Bench::new();
    let log = bench.open(None);
    bench.record(&log, 1);
    let mut intruder = OpenOptions::new().write(true).create_new(true).open(bench.path(2)).unwrap();
    intruder.write_all(b"x").unwrap();
    let mut tickets = Vec::new();
    // More tickets than the rest of the segment has room for ask for the next one.
    while let Ok(ticket) = log.reserve() {
        tickets.push(ticket);
    }
    assert!(((tickets.len() as u64) << 10) < SEGMENT_BYTES_MAX);
    assert_eq!(fs::read(bench.path(2)).unwrap(), b"x");
    fs::remove_file(bench.path(2)).unwrap();
    tickets.push(log.reserve().unwrap());
    for ticket in tickets.drain(..10) {
        ticket.record(&bench.entry()).unwrap();
    }
    assert_eq!(log.head().segment, 2);
    assert_eq!(bench.verify(Some(log.sync().unwrap())).unwrap().lines, 11);
}
