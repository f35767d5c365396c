//! The bytes of one append to the Raft log: a frame of entries that is there whole or not at all.
//!
//! ```text
//! 4 bytes   cf 43 56 01, the last one the format
//! 4 bytes   length of the body
//! 8 bytes   index of the first entry
//! 4 bytes   number of entries
//! 16 bytes  check: BLAKE3 of the sixteen bytes before it (but for the first four) and of the body
//! body      for each entry its length, 4 bytes, and its bytes
//! ```
//!
//! Numbers are written big end first. Behind the last frame of a file there is nothing but zeros.
//! Pure: knows nothing of files.

use std::ops::Range;

use super::LogEntry;

const MAGIC: [u8; 4] = [0xcf, b'C', b'V', 1];
const CHECK_CONTEXT: &str = "covault 2026-11 raft log frame";
const CHECK_LEN: usize = 16;
/// Bytes of the head that the check covers, and where they begin.
const CHECKED: Range<usize> = MAGIC.len()..MAGIC.len() + 16;
/// Bytes before the body.
const HEAD_LEN: usize = CHECKED.end + CHECK_LEN;
/// Bytes before each entry.
const LEN_LEN: usize = 4;

/// Where a frame and its entries lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameAt {
    /// Index of its first entry.
    pub first: u64,
    /// The bytes of each entry, by their offset in what was read.
    pub entries: Vec<Range<usize>>,
    /// Where it ends.
    pub end: usize,
}

/// What bytes of the log hold.
#[derive(Debug, PartialEq, Eq)]
pub struct Scan {
    /// The frames, in order.
    pub frames: Vec<FrameAt>,
    /// What follows the last of them.
    pub rest: Rest,
}

/// What follows the last frame that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// Nothing, or zeros that were set aside.
    Nothing,
    /// The beginning or the remains of one append that was never finished.
    Torn,
    /// Something else, with whole frames behind it: what was there has been changed.
    Damaged,
}

/// The frame of `entries`, which follow on each other, and where they lie in it. `None` when there are none,
/// or too many bytes.
pub fn write(entries: &[LogEntry]) -> Option<(Vec<u8>, FrameAt)> {
    let first = entries.first()?.index;
    let body: usize = entries.iter().map(|entry| LEN_LEN + entry.bytes.len()).sum();
    let mut frame = Vec::with_capacity(HEAD_LEN + body);
    frame.extend_from_slice(&MAGIC);
    frame.extend_from_slice(&u32::try_from(body).ok()?.to_be_bytes());
    frame.extend_from_slice(&first.to_be_bytes());
    frame.extend_from_slice(&u32::try_from(entries.len()).ok()?.to_be_bytes());
    frame.extend_from_slice(&[0; CHECK_LEN]);
    let mut ranges = Vec::with_capacity(entries.len());
    for LogEntry { bytes, .. } in entries {
        frame.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
        ranges.push(frame.len()..frame.len() + bytes.len());
        frame.extend_from_slice(bytes);
    }
    let check = check_of(&frame);
    frame[CHECKED.end..HEAD_LEN].copy_from_slice(&check);
    let end = frame.len();
    Some((frame, FrameAt { first, entries: ranges, end }))
}

/// Finds the frames in the bytes of a file.
pub fn scan(bytes: &[u8]) -> Scan {
    let mut frames: Vec<FrameAt> = Vec::new();
    let mut at = 0;
    while let Some(frame) = read(bytes, at) {
        at = frame.end;
        frames.push(frame);
    }
    let rest = &bytes[at..];
    let rest = if rest.iter().all(|byte| *byte == 0) {
        Rest::Nothing
    } else if has_frame(bytes, at + 1) {
        Rest::Damaged
    } else {
        Rest::Torn
    };
    Scan { frames, rest }
}

/// The frame that begins at `at`, if there is a whole one.
fn read(bytes: &[u8], at: usize) -> Option<FrameAt> {
    let head = bytes.get(at..at.checked_add(HEAD_LEN)?)?;
    if head[..MAGIC.len()] != MAGIC {
        return None;
    }
    let (body, rest) = head[MAGIC.len()..].split_first_chunk::<4>()?;
    let (first, rest) = rest.split_first_chunk::<8>()?;
    let (count, check) = rest.split_first_chunk::<4>()?;
    let end = (at + HEAD_LEN).checked_add(u32::from_be_bytes(*body) as usize)?;
    let (first, count) = (u64::from_be_bytes(*first), u32::from_be_bytes(*count));
    if check_of(bytes.get(at..end)?) != *check {
        return None;
    }
    let mut entries = Vec::new();
    let mut next = at + HEAD_LEN;
    while next < end {
        let len = bytes[next..end].first_chunk::<LEN_LEN>()?;
        let entry = next + LEN_LEN..(next + LEN_LEN).checked_add(u32::from_be_bytes(*len) as usize)?;
        next = entry.end;
        entries.push(entry);
    }
    let last = first.checked_add(u64::from(count).checked_sub(1)?);
    let is_whole = next == end && entries.len() as u64 == u64::from(count) && last.is_some();
    is_whole.then_some(FrameAt { first, entries, end })
}

fn has_frame(bytes: &[u8], from: usize) -> bool {
    let places = bytes.get(from..).unwrap_or_default().windows(MAGIC.len()).enumerate();
    places.filter(|(_, window)| *window == MAGIC).any(|(at, _)| read(bytes, from + at).is_some())
}

/// The check of a whole frame, whatever stands in the place of its check.
fn check_of(frame: &[u8]) -> [u8; CHECK_LEN] {
    let mut hasher = blake3::Hasher::new_derive_key(CHECK_CONTEXT);
    hasher.update(&frame[CHECKED]).update(&frame[HEAD_LEN..]);
    let mut check = [0; CHECK_LEN];
    check.copy_from_slice(&hasher.finalize().as_bytes()[..CHECK_LEN]);
    check
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(index: u64, bytes: &[u8]) -> LogEntry {
        LogEntry { index, bytes: bytes.to_vec() }
    }

    fn frame(first: u64, entries: &[&[u8]]) -> Vec<u8> {
        let entries: Vec<_> = (first..).zip(entries).map(|(index, bytes)| entry(index, bytes)).collect();
        let (bytes, at) = write(&entries).expect("a small frame");
        assert_eq!(scan(&bytes), Scan { frames: vec![at], rest: Rest::Nothing });
        bytes
    }

    /// The first index of each frame and the bytes of its entries, and what follows.
    type Found<'a> = (Vec<(u64, Vec<&'a [u8]>)>, Rest);

    fn found(bytes: &[u8]) -> Found<'_> {
        let Scan { frames, rest } = scan(bytes);
        let read = |frame: &FrameAt| {
            (frame.first, frame.entries.iter().map(|range| &bytes[range.clone()]).collect::<Vec<_>>())
        };
        (frames.iter().map(read).collect(), rest)
    }

    #[test]
    fn golden_bytes_of_a_frame() {
        let hex: String = frame(7, &[b"ab", b""]).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, include_str!("golden/frame.hex").trim());
    }

    #[test]
    fn frames_are_found_in_order_and_zeros_end_them() {
        let mut bytes = [frame(1, &[b"one", b"two"]), frame(3, &[b"three"])].concat();
        let frames = vec![(1, vec![&b"one"[..], b"two"]), (3, vec![&b"three"[..]])];
        assert_eq!(found(&bytes.clone()), (frames.clone(), Rest::Nothing));
        bytes.extend_from_slice(&[0; 100]);
        assert_eq!(found(&bytes), (frames, Rest::Nothing));
        assert_eq!(found(&[]), (vec![], Rest::Nothing));
    }

    #[test]
    fn a_last_frame_that_is_cut_anywhere_is_torn_and_the_others_stand() {
        let (kept, last) = (frame(1, &[b"kept"]), frame(2, &[b"never finished", b"nor this"]));
        for cut in 1..last.len() {
            let mut bytes = [kept.as_slice(), &last[..cut]].concat();
            assert_eq!(found(&bytes), (vec![(1, vec![&b"kept"[..]])], Rest::Torn), "cut at {cut}");
            bytes.extend_from_slice(&[0; 64]);
            assert_eq!(found(&bytes), (vec![(1, vec![&b"kept"[..]])], Rest::Torn), "cut at {cut}");
        }
        let mut headless = [kept, last].concat();
        headless[40..60].fill(0);
        assert_eq!(scan(&headless).rest, Rest::Torn, "its first block never reached the disk");
    }

    #[test]
    fn a_changed_byte_before_a_whole_frame_is_damage() {
        let (first, second) = (frame(1, &[b"changed"]), frame(2, &[b"whole"]));
        for at in 0..first.len() {
            let mut bytes = [first.as_slice(), &second].concat();
            bytes[at] ^= 1;
            assert_eq!(found(&bytes), (vec![], Rest::Damaged), "byte {at}");
        }
    }

    #[test]
    fn there_is_no_frame_of_nothing() {
        assert_eq!(write(&[]), None);
    }
}
