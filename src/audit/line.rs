//! The bytes of one audit line, written and read. Keeps U1: a line's length has a bound that is known
//! before it is written.
//! Knows nothing of hashes' meaning, of files, or of which line follows which.
//!
//! Lines are formatted by hand into a buffer that is used again: a read pays for its line on its way out.

use covault_model::{
    epoch::Epoch,
    hlc::Millis,
    id::from_hex,
    limits::{CALLER_BYTES_MAX, MASTER_KEY_NAME_BYTES_MAX, NAME_BYTES_MAX},
};
use jiff::Timestamp;

use crate::audit::entry::{CODE_BYTES_MAX, Entry, Subject, VersionRef};

/// Longest line, its end included, in bytes.
pub const LINE_BYTES_MAX: usize = 1024;

/// Bytes of a hash.
pub(super) const HASH_LEN: usize = 32;
/// Bytes of a time such as `2026-11-21T04:17:41.123Z`.
const TIME_LEN: usize = 24;
/// Bytes of the text up to and with the seconds.
const SECOND_LEN: usize = 19;
/// Digits of the largest number.
const NUMBER_LEN_MAX: usize = 20;
/// Keys, quotes and punctuation of a line with every field, and the words of action and outcome.
const FRAME_LEN_MAX: usize = 192;

const _: () = assert!(
    FRAME_LEN_MAX
        + NUMBER_LEN_MAX
        + TIME_LEN
        + 3 * CALLER_BYTES_MAX
        + NAME_BYTES_MAX
        + 2 * HASH_LEN
        + CODE_BYTES_MAX
        + 4 * HASH_LEN
        <= LINE_BYTES_MAX,
    "request, caller and owner; name; a version's id; code; two hashes: all of them fit into a line"
);
const _: () = assert!(MASTER_KEY_NAME_BYTES_MAX <= NAME_BYTES_MAX, "the longest subject is a secret's name");

const TIME: &[u8] = b",\"time\":\"";
const PREV: &[u8] = b",\"prev\":\"";
const HASH: &[u8] = b",\"hash\":\"";

/// Writes lines. Keeps the text of the last second it wrote, since most lines share theirs with the
/// one before.
#[derive(Debug)]
pub(super) struct LineWriter {
    second: u64,
    text: [u8; SECOND_LEN],
}

impl LineWriter {
    pub(super) fn new() -> Self {
        Self { second: 0, text: *b"1970-01-01T00:00:00" }
    }

    /// Appends the part of a line that its hash covers.
    pub(super) fn write_hashed(
        &mut self,
        to: &mut Vec<u8>,
        seq: u64,
        entry: &Entry<'_>,
        prev: &[u8; HASH_LEN],
    ) {
        to.extend_from_slice(b"{\"seq\":");
        put_number(to, seq);
        to.extend_from_slice(TIME);
        self.put_time(to, entry.at);
        put_text(to, b"\",\"request\":", entry.request.map(|id| id.as_str()));
        put_text(to, b",\"caller\":", entry.caller.map(|name| name.as_str()));
        put_text(to, b",\"action\":", Some(entry.action.as_str()));
        if let Some(owner) = entry.owner {
            put_text(to, b",\"owner\":", Some(owner.as_str()));
        }
        put_subject(to, entry.subject);
        put_version(to, entry.version);
        let (word, code) = entry.outcome.parts();
        put_text(to, b",\"outcome\":", Some(word));
        if let Some(code) = code {
            to.extend_from_slice(b",\"code\":\"");
            to.extend(code.bytes().take(CODE_BYTES_MAX).map(code_byte));
            to.push(b'"');
        }
        to.extend_from_slice(PREV);
        put_hex(to, prev);
        to.push(b'"');
    }

    fn put_time(&mut self, to: &mut Vec<u8>, at: Millis) {
        let (second, millis) = (at.0 / 1000, at.0 % 1000);
        if second != self.second {
            self.text = second_text(second);
            self.second = second;
        }
        to.extend_from_slice(&self.text);
        let digit = |unit: u64| b'0' + (millis / unit % 10) as u8;
        to.extend_from_slice(&[b'.', digit(100), digit(10), digit(1), b'Z']);
    }
}

/// Appends the end of a line: the hash of what was written of it.
pub(super) fn write_end(to: &mut Vec<u8>, hash: &[u8; HASH_LEN]) {
    to.extend_from_slice(HASH);
    put_hex(to, hash);
    to.extend_from_slice(b"\"}\n");
}

/// A second as RFC 3339 gives it, without the zone. Times beyond the year 9999 are that year's end.
fn second_text(second: u64) -> [u8; SECOND_LEN] {
    let latest = Timestamp::MAX.as_second();
    let second = i64::try_from(second).map_or(latest, |second| second.min(latest));
    let text = Timestamp::from_second(second).unwrap_or(Timestamp::MAX).to_string();
    text.as_bytes().first_chunk().copied().unwrap_or(*b"9999-12-30T22:00:00")
}

/// A code is a word of ours; anything else in it would break the line.
fn code_byte(byte: u8) -> u8 {
    if byte.is_ascii_lowercase() || byte.is_ascii_digit() { byte } else { b'_' }
}

fn put_text(to: &mut Vec<u8>, key: &[u8], text: Option<&str>) {
    to.extend_from_slice(key);
    match text {
        None => to.extend_from_slice(b"null"),
        Some(text) => {
            to.push(b'"');
            to.extend_from_slice(text.as_bytes());
            to.push(b'"');
        }
    }
}

fn put_subject(to: &mut Vec<u8>, subject: Subject<'_>) {
    const NAME: &[u8] = b",\"name\":";
    match subject {
        Subject::Nothing => {}
        Subject::Secret(name) => put_text(to, NAME, Some(name.as_str())),
        Subject::Prefix(prefix) => put_text(to, NAME, Some(prefix.as_str())),
        Subject::Caller(name) => put_text(to, NAME, Some(name.as_str())),
        Subject::Key(name) => put_text(to, NAME, Some(name.as_str())),
        Subject::Token(id) => put_id(to, NAME, id.as_bytes()),
        Subject::Grant(id) => put_id(to, NAME, id.as_bytes()),
        Subject::Node(id) => put_id(to, NAME, id.as_bytes()),
        Subject::Bytes(bytes) => put_count(to, b",\"bytes\":", bytes),
        Subject::Values(values) => put_count(to, b",\"values\":", values),
        Subject::Epoch(Epoch(epoch)) => put_count(to, b",\"epoch\":", epoch.into()),
    }
}

fn put_count(to: &mut Vec<u8>, key: &[u8], count: u64) {
    to.extend_from_slice(key);
    put_number(to, count);
}

fn put_version(to: &mut Vec<u8>, version: Option<VersionRef>) {
    const VERSION: &[u8] = b",\"version\":";
    match version {
        None => {}
        Some(VersionRef::Number(number)) => {
            to.extend_from_slice(VERSION);
            put_number(to, number);
        }
        Some(VersionRef::Id(id)) => put_id(to, VERSION, id.as_bytes()),
    }
}

fn put_id(to: &mut Vec<u8>, key: &[u8], id: &[u8]) {
    to.extend_from_slice(key);
    to.push(b'"');
    put_hex(to, id);
    to.push(b'"');
}

fn put_hex(to: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let begin = to.len();
    to.resize(begin + 2 * bytes.len(), 0);
    for (pair, byte) in to[begin..].chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
}

fn put_number(to: &mut Vec<u8>, mut number: u64) {
    let mut digits = [b'0'; NUMBER_LEN_MAX];
    let mut first = NUMBER_LEN_MAX - 1;
    digits[first] += (number % 10) as u8;
    while 10 <= number {
        number /= 10;
        first -= 1;
        digits[first] += (number % 10) as u8;
    }
    to.extend_from_slice(&digits[first..]);
}

/// What the chain needs of a line that was read, without its end.
#[derive(Debug)]
pub(super) struct ReadLine<'a> {
    pub(super) seq: u64,
    pub(super) time: &'a str,
    pub(super) hashed: &'a [u8],
    pub(super) prev: [u8; HASH_LEN],
    pub(super) hash: [u8; HASH_LEN],
}

impl<'a> ReadLine<'a> {
    /// Takes a line apart; `None` when it has not the form of one. Whether it says the truth is for its
    /// hash to tell, so only what stands at fixed places is looked at.
    pub(super) fn parse(line: &'a [u8]) -> Option<Self> {
        let rest = line.strip_prefix(b"{\"seq\":")?;
        let digits = rest.iter().take(NUMBER_LEN_MAX).take_while(|byte| byte.is_ascii_digit()).count();
        let (seq, rest) = rest.split_at(digits);
        let time = rest.strip_prefix(TIME)?.first_chunk::<TIME_LEN>()?;
        let (hashed, hash) = split_hash(line.strip_suffix(b"\"}")?, HASH)?;
        let (_, prev) = split_hash(hashed.strip_suffix(b"\"")?, PREV)?;
        Some(Self {
            seq: std::str::from_utf8(seq).ok()?.parse().ok()?,
            time: std::str::from_utf8(time).ok()?,
            hashed,
            prev,
            hash,
        })
    }
}

/// Splits off a key and the hash after it, which end `text`.
fn split_hash<'a>(text: &'a [u8], key: &[u8]) -> Option<(&'a [u8], [u8; HASH_LEN])> {
    let (rest, digits) = text.split_at_checked(text.len().checked_sub(2 * HASH_LEN)?)?;
    let mut hash = [0; HASH_LEN];
    from_hex(std::str::from_utf8(digits).ok()?, &mut hash).ok()?;
    Some((rest.strip_suffix(key)?, hash))
}
