//! Every kind of tampering is found by `verify` (U2). Knows nothing of starting.

use std::{
    fs::{self, OpenOptions},
    os::unix::fs::FileExt,
};

use crate::audit::{
    Action, Anchor, Entry, Problem,
    chain::Chain,
    line::{ReadLine, write_end},
    tests::Bench,
};

#[test]
fn every_changed_byte_is_found() {
    let (bench, anchor) = Bench::with_lines(4);
    let bytes = fs::read(bench.path(1)).unwrap();
    let file = OpenOptions::new().write(true).open(bench.path(1)).unwrap();
    for (at, &byte) in bytes.iter().enumerate() {
        for bit in 0..8 {
            file.write_all_at(&[byte ^ 1 << bit], at as u64).unwrap();
            assert!(bench.verify(Some(anchor)).is_err(), "byte {at}, bit {bit}");
            // The very last byte ends the last line: without it the line is unfinished, and said to be.
            let unanchored = bench.verify(None);
            assert!(unanchored.is_err() || unanchored.unwrap().unfinished != 0, "byte {at}, bit {bit}");
        }
        file.write_all_at(&[byte], at as u64).unwrap();
    }
    assert!(bench.verify(Some(anchor)).is_ok());
}

#[test]
fn an_edited_line_is_named() {
    let (bench, anchor) = Bench::with_lines(5);
    let mut lines = bench.lines();
    let text = String::from_utf8(lines[2].clone()).unwrap().replace("alice", "mallo");
    lines[2] = text.into_bytes();
    bench.write(1, &lines);
    let finding = bench.finding(Some(anchor));
    assert_eq!((finding.line, finding.seq, &finding.problem), (Some(3), 3, &Problem::Edited));
    assert_eq!(
        finding.to_string(),
        "000001.jsonl, line 3 (seq 3): this line was changed after it was written"
    );
}

#[test]
fn an_edited_line_with_its_hash_made_anew_is_found() {
    let (bench, anchor) = Bench::with_lines(5);
    let original = bench.lines();
    let mut lines = original.clone();
    lines[2] = rehashed(&lines[1], &lines[2]);
    bench.write(1, &lines);
    let finding = bench.finding(Some(anchor));
    assert_eq!((finding.line, finding.problem), (Some(4), Problem::Detached));
    // All hashes after it made anew too: then only the anchor tells.
    for at in 3..5 {
        lines[at] = rehashed(&lines[at - 1], &original[at]);
    }
    bench.write(1, &lines);
    let finding = bench.finding(Some(anchor));
    assert_eq!((finding.line, finding.seq, finding.problem), (Some(5), 5, Problem::Rewritten));
    assert!(bench.verify(None).is_ok());
}

/// `line` with another caller, made to follow `before`.
fn rehashed(before: &[u8], line: &[u8]) -> Vec<u8> {
    let before = ReadLine::parse(before.trim_ascii_end()).unwrap();
    let hashed = ReadLine::parse(line.trim_ascii_end()).unwrap().hashed;
    let prev_at = hashed.len() - 65;
    let text = String::from_utf8(hashed[..prev_at].to_vec()).unwrap().replace("alice", "mallo");
    let mut forged = format!("{text}{}\"", covault_model::id::hex(&before.hash)).into_bytes();
    let hash = *Chain::after(before.seq, before.hash).extend(&forged);
    write_end(&mut forged, &hash);
    forged
}

#[test]
fn a_removed_line_is_found() {
    for at in 0..4 {
        let (bench, anchor) = Bench::with_lines(5);
        let mut lines = bench.lines();
        lines.remove(at);
        bench.write(1, &lines);
        let seq = at as u64 + 1;
        let finding = bench.finding(Some(anchor));
        assert_eq!((finding.line, finding.seq), (Some(seq), seq));
        assert_eq!(finding.problem, Problem::Missing { from: seq, to: seq });
    }
}

#[test]
fn swapped_lines_are_found() {
    for at in 0..4 {
        let (bench, anchor) = Bench::with_lines(5);
        let mut lines = bench.lines();
        lines.swap(at, at + 1);
        bench.write(1, &lines);
        assert_eq!(bench.finding(Some(anchor)).line, Some(at as u64 + 1));
    }
}

#[test]
fn a_line_added_in_the_middle_is_found() {
    let (bench, anchor) = Bench::with_lines(5);
    let mut lines = bench.lines();
    lines.insert(3, lines[1].clone());
    bench.write(1, &lines);
    let finding = bench.finding(Some(anchor));
    assert_eq!((finding.line, finding.problem), (Some(4), Problem::OutOfPlace { due: 4 }));
    lines[3] = b"{\"seq\":4}\n".to_vec();
    bench.write(1, &lines);
    assert_eq!(bench.finding(None).problem, Problem::Malformed);
    lines[3] = vec![b'x'; 5000];
    bench.write(1, &lines);
    assert_eq!(bench.finding(None).problem, Problem::Unended);
}

#[test]
fn a_line_of_another_log_is_found() {
    let (bench, anchor) = Bench::with_lines(3);
    let (other, _) = Bench::with_lines(0);
    let log = other.open(None);
    for _ in 0..2 {
        log.reserve().unwrap().record(&Entry { action: Action::SecretList, ..other.entry() }).unwrap();
    }
    let mut lines = bench.lines();
    lines[1] = other.lines()[1].clone();
    bench.write(1, &lines);
    let finding = bench.finding(Some(anchor));
    assert_eq!((finding.line, finding.problem), (Some(2), Problem::Detached));
}

#[test]
fn a_cut_before_the_anchor_is_found_and_after_it_is_not() {
    let (bench, _) = Bench::with_lines(3);
    let log = bench.open(None);
    let anchor = log.sync().unwrap();
    bench.record(&log, 3);
    let lines = bench.lines();
    for kept in 0..=lines.len() {
        bench.write(1, &lines[..kept]);
        if kept < 3 {
            let finding = bench.finding(Some(anchor));
            assert_eq!((finding.seq, finding.problem), (kept as u64 + 1, Problem::Cut { anchor: 3 }));
        } else {
            assert_eq!(bench.verify(Some(anchor)).unwrap().lines, kept as u64);
        }
    }
}

#[test]
fn a_missing_segment_is_found() {
    for missing in 1..=3 {
        let (bench, anchor) = Bench::with_lines(6);
        let lines = bench.lines();
        for number in 1..=3 {
            bench.write(number, &lines[2 * number as usize - 2..2 * number as usize]);
        }
        let report = bench.verify(Some(anchor)).unwrap();
        assert_eq!((report.segments, report.lines), (3, 6));
        fs::remove_file(bench.path(missing)).unwrap();
        let finding = bench.finding(Some(anchor));
        let (segment, problem) =
            if missing == 3 { (2, Problem::Cut { anchor: 6 }) } else { (missing, Problem::SegmentMissing) };
        assert_eq!((finding.segment, finding.line, finding.problem), (segment, None, problem));
    }
}

#[test]
fn a_segment_cut_in_the_middle_of_the_log_is_found() {
    let (bench, anchor) = Bench::with_lines(4);
    let lines = bench.lines();
    bench.write(1, &lines[..2]);
    bench.write(2, &lines[2..]);
    let whole = lines[..2].concat();
    fs::write(bench.path(1), &whole[..whole.len() - 1]).unwrap();
    assert_eq!(bench.finding(Some(anchor)).problem, Problem::Unended);
    bench.write(1, &lines[..1]);
    let finding = bench.finding(Some(anchor));
    assert_eq!((finding.segment, finding.line, finding.seq), (2, Some(1), 2));
    assert_eq!(finding.problem, Problem::Missing { from: 2, to: 2 });
}

#[test]
fn an_empty_log_passes_and_one_that_is_gone_does_not() {
    let (bench, _) = Bench::with_lines(0);
    let report = bench.verify(Some(Anchor::START)).unwrap();
    assert_eq!((report.lines, report.first, report.last), (0, None, None));
    fs::remove_dir_all(bench.dir()).unwrap();
    assert!(bench.verify(None).is_err());
}
