//! What a `.env` file is: lines `KEY=value`, comments, blank lines; and where in its text each part stands.
//! Nothing is kept but the text and places in it, so what is not changed is written as it was (F1).
//! Keeps S1: the text may hold secrets, so it is wiped and has no `Debug`.
//! Knows nothing of what references are replaced by.
//!
//! ```text
//! export DB_URL = "postgres://app:secret(db/pw#user)@host"  # comment
//!        key      └──────────────── value ──────────────┘
//!                  └─ text ───────┘└─ call ────────┘└text┘
//! ```

use std::ops::Range;

use covault_model::{limits::ENV_REFERENCES_MAX, name::SecretName};
use zeroize::Zeroizing;

use super::{
    call::{self, Call, Token},
    mistake::{Mistake, Position, Reason, Unresolved},
};

/// A file that was read.
pub struct EnvFile {
    text: Zeroizing<String>,
    assignments: Vec<Assignment>,
}

/// One `KEY=value`. All places are offsets into the file's text.
pub(super) struct Assignment {
    pub key: Range<usize>,
    /// The value with its quotes; empty, behind the `=`, when there is none.
    pub value: Range<usize>,
    pub quote: Quote,
    pub pieces: Vec<Piece>,
}

/// What a value stands between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quote {
    None,
    Single,
    Double,
    Backtick,
}

/// A part of a value.
pub(super) enum Piece {
    /// Text, as it stands in the file.
    Text(Range<usize>),
    /// `secret\(` or `enc\(`; the second place is its backslash.
    Literal(Range<usize>, usize),
    /// A call, with the place of the value that it carries.
    Call(Range<usize>, Call),
}

const NOT_A_LINE: &str = "A line is KEY=value, a comment, or blank.";

impl EnvFile {
    /// Reads a file.
    ///
    /// # Errors
    /// The first thing in it that cannot be read.
    pub fn parse(text: Zeroizing<String>) -> Result<Self, Mistake> {
        let mut reader = Reader { text: &text, at: 0 };
        let read = reader.assignments();
        match read {
            Ok(assignments) => Ok(Self { text, assignments }),
            Err((at, why)) => Err(Mistake { at: Position::FIRST.after(&text[..at]), why: why.into() }),
        }
    }

    /// The file as it was read.
    pub fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn assignments(&self) -> &[Assignment] {
        &self.assignments
    }

    /// What is told of these references, by their offsets: the text before them is gone through once.
    pub(super) fn unresolved(&self, mut all: Vec<(usize, &SecretName, Reason)>) -> Vec<Unresolved> {
        all.sort_by_key(|(at, ..)| *at);
        let (mut before, mut position) = (0, Position::FIRST);
        let place = |(at, name, reason): (usize, &SecretName, Reason)| {
            position = position.after(&self.text[before..at]);
            before = at;
            Unresolved { at: position, name: name.clone(), reason }
        };
        all.into_iter().map(place).collect()
    }

    pub(super) fn mistake(&self, at: usize, why: &'static str) -> Mistake {
        Mistake { at: Position::FIRST.after(&self.text[..at]), why: why.into() }
    }

    /// The text with other text in these places, which follow on each other and do not overlap.
    pub(super) fn with(&self, changes: &[(Range<usize>, Zeroizing<String>)]) -> Zeroizing<String> {
        let added: usize = changes.iter().map(|(_, text)| text.len()).sum();
        // With room for all of it, so that it does not grow and leave a copy behind.
        let mut changed = Zeroizing::new(String::with_capacity(self.text.len() + added));
        let mut at = 0;
        for (place, text) in changes {
            changed.push_str(&self.text[at..place.start]);
            changed.push_str(text);
            at = place.end;
        }
        changed.push_str(&self.text[at..]);
        changed
    }
}

impl Assignment {
    /// The value without its quotes.
    pub fn content(&self) -> Range<usize> {
        let quotes = usize::from(self.quote != Quote::None);
        self.value.start + quotes..self.value.end - quotes
    }

    /// Whether nothing in it is a call.
    pub fn is_plain(&self) -> bool {
        self.calls().next().is_none()
    }

    /// The calls in it, each with its place.
    pub fn calls(&self) -> impl Iterator<Item = (&Range<usize>, &Call)> {
        self.pieces.iter().filter_map(|piece| Some((piece.place(), piece.call()?)))
    }
}

impl Quote {
    fn of(byte: u8) -> Option<Self> {
        match byte {
            b'\'' => Some(Self::Single),
            b'"' => Some(Self::Double),
            b'`' => Some(Self::Backtick),
            _ => None,
        }
    }
}

/// What is wrong, with its offset.
type Fault = (usize, String);

/// Goes through a text from line to line.
struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl Reader<'_> {
    fn assignments(&mut self) -> Result<Vec<Assignment>, Fault> {
        if let Some(at) = self.text.find('\0') {
            return Err((at, "A file has no NUL bytes.".into()));
        }
        let (mut found, mut calls) = (Vec::new(), 0);
        self.take("\u{feff}");
        while self.at < self.text.len() {
            self.skip_blanks();
            if self.end_of_line()? {
                continue;
            }
            if self.next() == Some(b'#') {
                self.skip_comment();
                continue;
            }
            let assignment = self.assignment()?;
            calls += assignment.calls().count();
            if ENV_REFERENCES_MAX < calls {
                return Err((
                    assignment.key.start,
                    format!("A file has at most {ENV_REFERENCES_MAX} references."),
                ));
            }
            found.push(assignment);
        }
        Ok(found)
    }

    fn assignment(&mut self) -> Result<Assignment, Fault> {
        let line = self.at;
        if self.take("export") && (!self.skip_blanks() || !self.next().is_some_and(is_key_byte)) {
            self.at = line;
        }
        let key = self.key().ok_or((line, NOT_A_LINE.to_owned()))?;
        self.skip_blanks();
        if !self.take("=") {
            return Err((self.at, NOT_A_LINE.into()));
        }
        let after = self.at;
        self.skip_blanks();
        match self.next().and_then(Quote::of) {
            Some(quote) => self.quoted(key, quote),
            None => self.unquoted(key, after),
        }
    }

    fn quoted(&mut self, key: Range<usize>, quote: Quote) -> Result<Assignment, Fault> {
        let begin = self.at;
        let mark = self.text.as_bytes()[begin];
        let end = closing(&self.text.as_bytes()[begin + 1..], mark).map(|end| begin + 1 + end);
        let end = end.ok_or((begin, "This quote is never closed.".to_owned()))?;
        let (pieces, _) = pieces(&self.text[..end], begin + 1, Until::TheEnd)?;
        self.at = end + 1;
        let blanks = self.skip_blanks();
        if blanks && self.next() == Some(b'#') {
            self.skip_comment();
        } else if !self.end_of_line()? {
            return Err((self.at, "Text follows a closing quote.".into()));
        }
        Ok(Assignment { key, value: begin..end + 1, quote, pieces })
    }

    /// `after` is behind the `=`, where an absent value is taken to stand.
    fn unquoted(&mut self, key: Range<usize>, after: usize) -> Result<Assignment, Fault> {
        let begin = self.at;
        let (pieces, end) = pieces(&self.text[..self.line_end()], begin, Until::Comment)?;
        self.at = end;
        self.skip_comment();
        let value = match pieces.last() {
            Some(last) => begin..last.place().end,
            None => after..after,
        };
        Ok(Assignment { key, value, quote: Quote::None, pieces })
    }

    fn key(&mut self) -> Option<Range<usize>> {
        let begin = self.at;
        while self.next().is_some_and(is_key_byte) {
            self.at += 1;
        }
        (begin < self.at).then_some(begin..self.at)
    }

    /// Where this line ends, before its line break.
    fn line_end(&self) -> usize {
        let rest = &self.text[self.at..];
        let Some(end) = rest.find('\n') else { return self.text.len() };
        let line = &rest[..end];
        self.at + line.strip_suffix('\r').unwrap_or(line).len()
    }

    fn next(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, word: &str) -> bool {
        let found = self.text[self.at..].starts_with(word);
        if found {
            self.at += word.len();
        }
        found
    }

    /// Whether there were any.
    fn skip_blanks(&mut self) -> bool {
        let begin = self.at;
        while matches!(self.next(), Some(b' ' | b'\t')) {
            self.at += 1;
        }
        begin < self.at
    }

    /// Goes to the end of the line, and over it.
    fn skip_comment(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.find('\n').map_or(rest.len(), |end| end + 1);
    }

    /// Whether a line ends here; then goes over it.
    fn end_of_line(&mut self) -> Result<bool, Fault> {
        if self.next() == Some(b'\r') && !self.text[self.at..].starts_with("\r\n") {
            return Err((self.at, "A carriage return stands here without a line feed.".into()));
        }
        Ok(self.at == self.text.len() || self.take("\r\n") || self.take("\n"))
    }
}

fn is_key_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_.-".contains(&byte)
}

/// The offset of the quote that closes; one behind a backslash does not.
fn closing(bytes: &[u8], mark: u8) -> Option<usize> {
    let mut at = 0;
    while at < bytes.len() && bytes[at] != mark {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    (at < bytes.len()).then_some(at)
}

#[derive(PartialEq, Eq)]
enum Until {
    TheEnd,
    Comment,
}

/// The pieces from `begin` on, and where they end. Without quotes, blanks at the end belong to none.
fn pieces(text: &str, begin: usize, until: Until) -> Result<(Vec<Piece>, usize), Fault> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let (mut at, mut text_begin) = (begin, begin);
    while at < text.len() {
        if until == Until::Comment && begins_comment(bytes, at) {
            break;
        }
        let token = call::read(&text[at..]).map_err(|(offset, why)| (at + offset, why))?;
        let Some((token, len)) = token else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
            continue;
        };
        if text_begin < at {
            found.push(Piece::Text(text_begin..at));
        }
        found.push(Piece::of(token, at, len));
        at += len;
        text_begin = at;
    }
    let text_end = match until {
        Until::TheEnd => at,
        Until::Comment => text_begin + text[text_begin..at].trim_end_matches([' ', '\t']).len(),
    };
    if text_begin < text_end {
        found.push(Piece::Text(text_begin..text_end));
    }
    Ok((found, at))
}

/// Whether a comment begins here; an equals sign is before, so there is a byte before.
fn begins_comment(bytes: &[u8], at: usize) -> bool {
    bytes[at] == b'#' && matches!(bytes[at - 1], b' ' | b'\t')
}

impl Piece {
    fn of(token: Token, at: usize, len: usize) -> Self {
        match token {
            Token::Literal(backslash) => Self::Literal(at..at + len, at + backslash),
            Token::Call(Call::Enc(name, value)) => {
                let value = value.map(|value| at + value.start..at + value.end);
                Self::Call(at..at + len, Call::Enc(name, value))
            }
            Token::Call(call) => Self::Call(at..at + len, call),
        }
    }

    /// Where it stands.
    pub fn place(&self) -> &Range<usize> {
        match self {
            Self::Text(place) | Self::Literal(place, _) | Self::Call(place, _) => place,
        }
    }

    /// The call, if it is one.
    pub fn call(&self) -> Option<&Call> {
        match self {
            Self::Call(_, call) => Some(call),
            Self::Text(_) | Self::Literal(..) => None,
        }
    }
}
