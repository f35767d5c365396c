//! The grammar of references: what is one, what is text, and where exactly what is wrong. Knows nothing of secrets.
//!
//! ```text
//! reference = "{{" "secret:" [provider ":"] path ["#" key] ["@" version] "}}"
//! version   = identifier | "stage:" label | "AWSCURRENT" | "AWSPREVIOUS" | "AWSPENDING"
//! escape    = "\" one of  \ : # @ { }
//! literal   = "{{secret" "\" ":"
//! ```

use std::ops::Range;

use crate::types::{ParseError, ProviderType, SecretReference};

/// The most bytes that a reference may have. Stores bound paths at 512 (AWS) to some 2,000 bytes.
const LONGEST: usize = 4096;
/// What a backslash takes the meaning from.
const ESCAPABLE: [char; 6] = ['\\', ':', '#', '@', '{', '}'];
/// The labels that every AWS secret has; no identifier of a version looks so.
const STAGES: [&str; 3] = ["AWSCURRENT", "AWSPREVIOUS", "AWSPENDING"];

/// What a text consists of.
#[derive(Debug)]
pub enum Piece<'t> {
    /// What goes out as it is.
    Text(&'t str),
    /// What a secret is put in for.
    Reference(SecretReference),
}

/// What is wrong, and at which byte of the text.
struct Fault {
    at: usize,
    detail: String,
}

impl Fault {
    fn new<T>(at: usize, detail: impl Into<String>) -> Result<T, Self> {
        Err(Self { at, detail: detail.into() })
    }

    /// Behind the character that is wrong, if it is one that may be shown.
    fn end(&self, text: &str) -> usize {
        let wrong = text[self.at..].chars().next().filter(|char| !char.is_control());
        self.at + wrong.map_or(0, char::len_utf8)
    }
}

/// The `{{secret:` of a reference, or of a literal.
struct Opening {
    span: Range<usize>,
    is_literal: bool,
}

/// Whether there is a reference, well-formed or not.
pub fn has_references(text: &str) -> bool {
    let mut from = 0;
    while let Some(opening) = find_opening(text, from) {
        if !opening.is_literal {
            return true;
        }
        from = opening.span.end;
    }
    false
}

/// The text in pieces, in order and without gaps, but for the backslash of each literal.
///
/// # Errors
/// [`ParseError::InvalidReference`] for the first reference that is malformed.
pub fn parse(text: &str) -> Result<Vec<Piece<'_>>, ParseError> {
    let (mut pieces, mut from, mut at) = (Vec::new(), 0, 0);
    while let Some(opening) = find_opening(text, at) {
        at = opening.span.end;
        if opening.is_literal {
            pieces.push(Piece::Text(&text[from..at - 2]));
            from = at - 1;
            continue;
        }
        pieces.push(Piece::Text(&text[from..opening.span.start]));
        let start = opening.span.start;
        let close =
            find_close(text, &opening).map_err(|fault| malformed(text, start..fault.end(text), fault))?;
        let span = start..close + 2;
        (from, at) = (span.end, span.end);
        let body = Part { text, span: opening.span.end..close };
        let found = read(body, span.clone()).map_err(|fault| malformed(text, span, fault))?;
        pieces.push(Piece::Reference(found));
    }
    pieces.push(Piece::Text(&text[from..]));
    Ok(pieces)
}

/// `byte` as people count: line and column from 1, columns in characters.
pub fn line_and_column(text: &str, byte: usize) -> (usize, usize) {
    let before = &text[..byte];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// The next `{{secret:`, with spaces as they may be, or its literal form with a backslash before the colon.
fn find_opening(text: &str, mut from: usize) -> Option<Opening> {
    loop {
        let start = from + text[from..].find("{{")?;
        let after = text[start + 2..].trim_start_matches(' ');
        if let Some(rest) = after.strip_prefix("secret") {
            let colon = rest.trim_start_matches(' ').trim_start_matches('\\');
            if colon.starts_with(':') {
                let end = text.len() - colon.len() + 1;
                let is_literal = text[..end].ends_with("\\:");
                return Some(Opening { span: start..end, is_literal });
            }
        }
        from = start + 1;
    }
}

fn read(body: Part<'_>, span: Range<usize>) -> Result<SecretReference, Fault> {
    let (head, version) = body.split('@');
    let (address, key) = head.split('#');
    if let Some(version) = &version {
        version.refuse('#', "the key stands before the version: path#key@version")?;
        version.refuse('@', "a second @; one that belongs to a name is written \\@")?;
    }
    if let Some(key) = &key {
        key.refuse('#', "a second #; one that belongs to a name is written \\#")?;
    }
    let (provider, path) = provider(address)?;
    let key = key.map(|key| key.content("the key after # is missing")).transpose()?;
    let version = version.map(|version| version.content("the version after @ is missing")).transpose()?;
    let (version, stage) = version_or_stage(version, body.span.end)?;
    let path = path.content("the path is missing")?;
    Ok(SecretReference {
        full_match: body.text[span.clone()].to_owned(),
        span,
        path,
        key,
        version,
        stage,
        provider,
    })
}

/// Where the `}}` of a reference stands.
fn find_close(text: &str, opening: &Opening) -> Result<usize, Fault> {
    let mut escaped = false;
    for (offset, char) in text[opening.span.end..].char_indices() {
        let at = opening.span.end + offset;
        if LONGEST < at - opening.span.start {
            return Fault::new(at, format!("it is longer than {LONGEST} bytes, or lacks its }}}}"));
        }
        if char.is_control() {
            return Fault::new(at, "it lacks its }} on the same line");
        }
        match char {
            _ if escaped && ESCAPABLE.contains(&char) => escaped = false,
            _ if escaped => return Fault::new(at, format!("\\{char} means nothing; \\\\ is a backslash")),
            '\\' => escaped = true,
            '}' if text[at + 1..].starts_with('}') => return Ok(at),
            '}' => return Fault::new(at, "a single }; one that belongs to a name is written \\}"),
            '{' => return Fault::new(at, "a { before the }}; one that belongs to a name is written \\{"),
            _ => {}
        }
    }
    Fault::new(text.len(), "it lacks its }}")
}

/// The store that a path is prefixed with, and the path. Behind a store's name, colons are the path's own.
fn provider(address: Part<'_>) -> Result<(Option<ProviderType>, Part<'_>), Fault> {
    let (first, rest) = address.split(':');
    let Some(path) = rest else { return Ok((None, first)) };
    let name = first.content("the provider before : is missing")?;
    match name.parse() {
        Ok(provider) => Ok((Some(provider), path)),
        Err(unknown) => Fault::new(
            first.trimmed().start,
            format!("{unknown}; a colon that belongs to a path without one is written \\:"),
        ),
    }
}

fn version_or_stage(version: Option<String>, at: usize) -> Result<(Option<String>, Option<String>), Fault> {
    let Some(version) = version else { return Ok((None, None)) };
    match version.strip_prefix("stage:").map(|label| label.trim_matches(' ')) {
        Some("") => Fault::new(at, "the label after stage: is missing"),
        Some(label) => Ok((None, Some(label.to_owned()))),
        None if STAGES.contains(&version.as_str()) => Ok((None, Some(version))),
        None => Ok((Some(version), None)),
    }
}

/// A part of a reference's inside.
#[derive(Clone)]
struct Part<'t> {
    text: &'t str,
    span: Range<usize>,
}

impl Part<'_> {
    /// What stands before and after the first `delimiter` that is not escaped.
    fn split(&self, delimiter: char) -> (Self, Option<Self>) {
        match self.find(delimiter) {
            None => (self.clone(), None),
            Some(at) => (
                Self { text: self.text, span: self.span.start..at },
                Some(Self { text: self.text, span: at + 1..self.span.end }),
            ),
        }
    }

    fn find(&self, delimiter: char) -> Option<usize> {
        let mut escaped = false;
        let found = self.text[self.span.clone()].char_indices().find(|(_, char)| {
            let is_it = !escaped && *char == delimiter;
            escaped = !escaped && *char == '\\';
            is_it
        });
        found.map(|(offset, _)| self.span.start + offset)
    }

    fn refuse(&self, delimiter: char, detail: &str) -> Result<(), Fault> {
        self.find(delimiter).map_or(Ok(()), |at| Fault::new(at, detail))
    }

    fn trimmed(&self) -> Range<usize> {
        let part = &self.text[self.span.clone()];
        let end = self.span.start + part.trim_end_matches(' ').len();
        let start = self.span.end - part.trim_start_matches(' ').len();
        start.min(end)..end
    }

    /// What it says, without spaces around it and with escapes undone.
    fn content(&self, if_empty: &str) -> Result<String, Fault> {
        let trimmed = self.trimmed();
        if trimmed.is_empty() {
            return Fault::new(self.span.end, if_empty);
        }
        let mut escaped = false;
        let unescaped = self.text[trimmed].chars().filter(|char| {
            escaped = !escaped && *char == '\\';
            !escaped
        });
        Ok(unescaped.collect())
    }
}

fn malformed(text: &str, span: Range<usize>, fault: Fault) -> ParseError {
    let (line, column) = line_and_column(text, fault.at);
    ParseError::InvalidReference {
        reference: text[span.clone()].to_owned(),
        span,
        detail: format!("line {line}, column {column}: {}", fault.detail),
        cause: None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn references(text: &str) -> Vec<SecretReference> {
        let pieces = parse(text).unwrap();
        pieces
            .into_iter()
            .filter_map(|piece| match piece {
                Piece::Reference(reference) => Some(reference),
                Piece::Text(_) => None,
            })
            .collect()
    }

    fn one(text: &str) -> SecretReference {
        let [found] = <[_; 1]>::try_from(references(text)).unwrap();
        assert_eq!(&text[found.span.clone()], found.full_match);
        found
    }

    /// Path, key, version, stage and provider of the one reference.
    fn parts(text: &str) -> (String, [String; 4]) {
        let SecretReference { path, key, version, stage, provider, .. } = one(text);
        let provider = provider.map(|provider| provider.to_string());
        (path, [key, version, stage, provider].map(Option::unwrap_or_default))
    }

    fn fault(text: &str) -> (Range<usize>, String) {
        match parse(text).unwrap_err() {
            ParseError::InvalidReference { reference, span, detail, cause: None } => {
                assert_eq!(&text[span.clone()], reference);
                (span, detail)
            }
            other => panic!("{other}"),
        }
    }

    #[test]
    fn a_reference_has_a_path_and_may_have_key_version_and_provider() {
        for (text, path, rest) in [
            ("{{secret:db}}", "db", ["", "", "", ""]),
            ("{{secret:app/db#password}}", "app/db", ["password", "", "", ""]),
            ("{{secret:app/db@3}}", "app/db", ["", "3", "", ""]),
            ("{{secret:app/db#users.0.name@3}}", "app/db", ["users.0.name", "3", "", ""]),
            ("{{secret:aws:prod/db#password}}", "prod/db", ["password", "", "", "aws"]),
            ("{{secret:vault:db#a@2}}", "db", ["a", "2", "", "vault"]),
            (
                "{{secret:aws:arn:aws:secretsmanager:eu-west-1:1:secret:a-b}}",
                "arn:aws:secretsmanager:eu-west-1:1:secret:a-b",
                ["", "", "", "aws"],
            ),
        ] {
            assert_eq!(parts(text), (path.to_owned(), rest.map(str::to_owned)), "{text}");
        }
    }

    #[test]
    fn a_label_is_no_version() {
        assert_eq!(parts("{{secret:db@AWSPREVIOUS}}").1, ["", "", "AWSPREVIOUS", ""]);
        assert_eq!(parts("{{secret:db@stage:blue}}").1, ["", "", "blue", ""]);
        assert_eq!(parts("{{secret:db@AWSOME}}").1, ["", "AWSOME", "", ""]);
    }

    #[test]
    fn spaces_around_the_parts_say_nothing_and_those_inside_stay() {
        let spaced = "{{  secret :  aws : my db # pass word @ 3  }}";
        assert_eq!(parts(spaced), ("my db".into(), ["pass word", "3", "", "aws"].map(str::to_owned)));
    }

    #[test]
    fn a_backslash_takes_the_meaning_from_a_delimiter() {
        assert_eq!(
            parts(r"{{secret:a\:b\#c\@d\}\}\{e\\#f\#.\@@1\@2}}"),
            (r"a:b#c@d}}{e\".into(), ["f#.@", "1@2", "", ""].map(str::to_owned))
        );
    }

    #[test]
    fn a_backslash_before_the_colon_makes_it_text() {
        let out = |text| {
            let pieces = parse(text).unwrap();
            let texts = pieces.iter().map(|piece| if let Piece::Text(text) = piece { text } else { "<>" });
            texts.collect::<String>()
        };
        assert_eq!(out(r"a {{secret\:b}} c"), "a {{secret:b}} c");
        assert_eq!(out(r"{{secret\\:b}}{{secret:x}}"), r"{{secret\:b}}<>");
        assert_eq!(out(r"C:\{{secret:dir}}\x"), r"C:\<>\x");
        assert!(!has_references(r"{{secret\:b}}"));
        assert!(has_references(r"{{secret\:b}} {{ secret:"));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_exact_place() {
        for (text, span, detail) in [
            ("a\nxé {{secret:}}!", 6..17, "line 2, column 13: the path is missing"),
            ("{{secret:#k}}", 0..13, "line 1, column 10: the path is missing"),
            ("{{secret:p#}}", 0..13, "line 1, column 12: the key after # is missing"),
            ("{{secret:p@ }}", 0..14, "line 1, column 13: the version after @ is missing"),
            ("{{secret:p#@1}}", 0..15, "line 1, column 12: the key after # is missing"),
            ("{{secret:p@stage:}}", 0..19, "line 1, column 18: the label after stage: is missing"),
            (
                "{{secret:p@1#k}}",
                0..16,
                "line 1, column 13: the key stands before the version: path#key@version",
            ),
            ("{{secret:p#k#k}}", 0..16, "line 1, column 13: a second #"),
            ("{{secret:p@1@2}}", 0..16, "line 1, column 13: a second @"),
            ("{{secret::p}}", 0..13, "line 1, column 10: the provider before : is missing"),
            ("{{secret:aws:}}", 0..15, "line 1, column 14: the path is missing"),
            ("{{secret:asw:p}}", 0..16, "line 1, column 10: there is no provider \"asw\""),
            ("{{secret:p", 0..10, "line 1, column 11: it lacks its }}"),
            ("{{secret:p\n}}", 0..10, "line 1, column 11: it lacks its }} on the same line"),
            ("{{secret:p} x", 0..11, "line 1, column 11: a single }"),
            ("{{secret:p {{secret:q}}", 0..12, "line 1, column 12: a { before the }}"),
            (r"{{secret:p\q}}", 0..12, r"line 1, column 12: \q means nothing"),
            (r"{{secret:p\", 0..11, "line 1, column 12: it lacks its }}"),
        ] {
            let (found, said) = fault(text);
            assert_eq!(found, span, "{text}");
            assert!(said.starts_with(detail), "{text}: {said}");
        }
    }

    #[test]
    fn an_endless_reference_is_refused_where_it_gets_too_long() {
        let (span, detail) = fault(&format!("{{{{secret:{}", "é".repeat(1 << 20)));
        assert!(span.len() < LONGEST + 4, "{span:?}");
        assert!(detail.contains("longer than 4096 bytes"));
    }

    #[test]
    fn what_only_looks_like_a_reference_is_text() {
        for text in
            ["{{ secrets:a }}", "{{SECRET:a}}", "{ {secret:a}}", "{{env:a}}", "secret:a", "{{", "{{secret"]
        {
            assert!(!has_references(text), "{text}");
            assert!(references(text).is_empty());
        }
        assert_eq!(references("{{{secret:a}}}")[0].span, 1..13);
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in r"(\{\{secret|\{\{ secret |\\|:|#|@|\}\}|\{|\}|[a-z ]|\PC|\n){0,40}") {
            match parse(&text) {
                Ok(pieces) => {
                    let found = pieces.iter().any(|piece| matches!(piece, Piece::Reference(_)));
                    prop_assert_eq!(found, has_references(&text));
                }
                Err(ParseError::InvalidReference { reference, span, .. }) => {
                    prop_assert_eq!(&text[span], reference);
                    prop_assert!(has_references(&text));
                }
                Err(other) => prop_assert!(false, "{}", other),
            }
        }

        #[test]
        fn what_is_read_is_what_was_written(
            path in r"[a-z:#@\\{}é/]{1,12}", key in r"[a-z:#@\\{}. ]{0,8}[a-z]", version in r"[a-z:#@\\{}]{1,8}",
        ) {
            prop_assume!(!version.starts_with("stage:"));
            let escape = |part: &str| {
                let escaped = part.chars().map(|char| if ESCAPABLE.contains(&char) { format!("\\{char}") } else { char.to_string() });
                escaped.collect::<String>()
            };
            let key = key.trim_start_matches(' ');
            let text = format!("<{{{{secret:aws:{}#{}@{}}}}}>", escape(&path), escape(key), escape(&version));
            let read = one(&text);
            prop_assert_eq!(read.path, path);
            prop_assert_eq!(read.key.as_deref(), Some(key));
            prop_assert_eq!(read.version, Some(version));
        }

        #[test]
        fn text_without_references_stays_as_it_is_byte_for_byte(
            text in r"(\{\{ secret[a-z]|\{\{secre:|\{|\}|\\|secret[{}a-z]|:|\PC|\r|\n){0,60}",
        ) {
            let pieces = parse(&text).unwrap();
            let out: String = pieces.iter().map(|piece| if let Piece::Text(text) = piece { text } else { "?" }).collect();
            prop_assert_eq!(out, text);
        }
    }
}
