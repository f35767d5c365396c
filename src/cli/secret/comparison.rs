//! How two values differ, told without showing them: lengths, keys of JSON objects, counts of lines.
//! Keeps S1: only [`Comparison::lines`] holds parts of the values, and it is made when it is asked for.
//! Knows nothing of versions.

use serde_json::{Map, Value, json};
use similar::{ChangeTag, TextDiff};

/// Lines around a difference that are shown with it.
const CONTEXT_LINES: usize = 3;

/// Two values beside each other.
pub struct Comparison<'v> {
    from: &'v [u8],
    to: &'v [u8],
    kind: Kind<'v>,
}

/// What both values are.
enum Kind<'v> {
    /// JSON objects, with the paths of the keys that differ.
    Objects { from: Map<String, Value>, to: Map<String, Value>, keys: Keys },
    /// Text that is not.
    Texts { from: &'v str, to: &'v str },
    /// Anything else.
    Bytes,
}

/// Keys that differ, as JSON pointers.
#[derive(Default)]
struct Keys {
    added: Vec<String>,
    removed: Vec<String>,
    changed: Vec<String>,
}

impl<'v> Comparison<'v> {
    /// Compares two values.
    pub fn of(from: &'v [u8], to: &'v [u8]) -> Self {
        let object = |bytes| match serde_json::from_slice(bytes) {
            Ok(Value::Object(object)) => Some(object),
            _ => None,
        };
        let texts = || Some(Kind::Texts { from: str::from_utf8(from).ok()?, to: str::from_utf8(to).ok()? });
        let kind = match (object(from), object(to)) {
            (Some(from), Some(to)) => {
                let mut keys = Keys::default();
                keys.compare("", &from, &to);
                Kind::Objects { from, to, keys }
            }
            _ => texts().unwrap_or(Kind::Bytes),
        };
        Self { from, to, kind }
    }

    /// The difference in words, a line each.
    pub fn to_text(&self) -> String {
        let (from, to) = (self.from.len(), self.to.len());
        if self.from == self.to {
            return format!("equal, {from} bytes\n");
        }
        let mut text = format!("different, {from} bytes and {to} bytes\n");
        match &self.kind {
            Kind::Objects { keys, .. } => text.push_str(&keys.to_text()),
            Kind::Texts { from, to } => {
                let (removed, added) = changed_lines(from, to);
                text.push_str(&format!("lines: {removed} removed, {added} added\n"));
            }
            Kind::Bytes => text.push_str("not both text\n"),
        }
        text
    }

    /// The difference as a document.
    pub fn to_json(&self) -> Value {
        let mut document = json!({
            "equal": self.from == self.to,
            "bytes": { "from": self.from.len(), "to": self.to.len() },
        });
        match &self.kind {
            Kind::Objects { keys, .. } => {
                let Keys { added, removed, changed } = keys;
                document["keys"] = json!({ "added": added, "removed": removed, "changed": changed });
            }
            Kind::Texts { from, to } => {
                let (removed, added) = changed_lines(from, to);
                document["lines"] = json!({ "added": added, "removed": removed });
            }
            Kind::Bytes => {}
        }
        document
    }

    /// The lines that differ, with those around them, in the unified form. JSON objects are laid out
    /// first, a key to a line. Absent when the values are equal or not both text.
    pub fn lines(&self) -> Option<String> {
        if self.from == self.to {
            return None;
        }
        let unified = |from: &str, to: &str| {
            TextDiff::from_lines(from, to).unified_diff().context_radius(CONTEXT_LINES).to_string()
        };
        match &self.kind {
            Kind::Objects { from, to, .. } => Some(unified(&laid_out(from), &laid_out(to))),
            Kind::Texts { from, to } => Some(unified(from, to)),
            Kind::Bytes => None,
        }
    }
}

impl Keys {
    fn compare(&mut self, at: &str, from: &Map<String, Value>, to: &Map<String, Value>) {
        for (key, old) in from {
            let path = pointer(at, key);
            match (old, to.get(key)) {
                (_, None) => self.removed.push(path),
                (Value::Object(old), Some(Value::Object(new))) => self.compare(&path, old, new),
                (old, Some(new)) if old != new => self.changed.push(path),
                _ => {}
            }
        }
        let added = to.keys().filter(|key| !from.contains_key(*key));
        self.added.extend(added.map(|key| pointer(at, key)));
    }

    fn to_text(&self) -> String {
        let lines = |word: &str, paths: &[String]| -> String {
            paths.iter().map(|path| format!("{word:7} {path}\n")).collect()
        };
        let text =
            [lines("added", &self.added), lines("removed", &self.removed), lines("changed", &self.changed)]
                .concat();
        if text.is_empty() { "the same keys and values, written differently\n".to_owned() } else { text }
    }
}

/// RFC 6901: `~` and `/` inside a key are escaped.
fn pointer(at: &str, key: &str) -> String {
    format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"))
}

fn laid_out(object: &Map<String, Value>) -> String {
    let text = serde_json::to_string_pretty(object).expect("what was read from JSON can be written as JSON");
    format!("{text}\n")
}

/// How many lines are gone and how many are new.
fn changed_lines(from: &str, to: &str) -> (usize, usize) {
    let diff = TextDiff::from_lines(from, to);
    let count = |tag| diff.iter_all_changes().filter(|change| change.tag() == tag).count();
    (count(ChangeTag::Delete), count(ChangeTag::Insert))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// Everything that is told without `--show-values`.
    fn told(from: &[u8], to: &[u8]) -> String {
        let comparison = Comparison::of(from, to);
        format!("{}{}", comparison.to_text(), comparison.to_json())
    }

    #[test]
    fn values_are_hidden_unless_asked_for() {
        let cases: [(&[u8], &[u8]); 3] = [
            (
                br#"{"user":"canary-1","deep":{"x":"canary-2"}}"#,
                br#"{"user":"canary-3","list":["canary-4"]}"#,
            ),
            (b"canary-1\nsame", b"canary-2\nsame"),
            (b"canary-1\xff", b"canary-2"),
        ];
        for (from, to) in cases {
            assert!(!told(from, to).contains("canary"));
            assert!(!told(from, from).contains("canary"));
        }
    }

    #[test]
    fn objects_are_compared_key_by_key() {
        let from = br#"{"same":1,"gone":2,"changed":3,"in":{"a/b":4,"c":5}}"#;
        let to = br#"{"in":{"c":6,"new":7},"same":1,"changed":"3","added":{"x":1}}"#;
        let document = Comparison::of(from, to).to_json();
        assert_eq!(document["keys"]["added"], json!(["/in/new", "/added"]));
        assert_eq!(document["keys"]["removed"], json!(["/gone", "/in/a~1b"]));
        assert_eq!(document["keys"]["changed"], json!(["/changed", "/in/c"]));
        assert!(told(br#"{"a":1}"#, br#"{ "a": 1 }"#).contains("written differently"));
    }

    #[test]
    fn text_is_compared_by_lines_and_bytes_by_length() {
        assert!(told(b"a\nb\nc\n", b"a\nx\ny\nc\n").contains("lines: 1 removed, 2 added"));
        assert!(told(b"\xff", b"ab").starts_with("different, 1 bytes and 2 bytes\n"));
        assert!(told(b"ab", b"ab").starts_with("equal, 2 bytes\n"));
    }

    #[test]
    fn lines_are_shown_when_asked_for() {
        let shown = Comparison::of(b"host=a\nport=1\n", b"host=b\nport=1\n").lines().unwrap();
        assert!(shown.contains("-host=a\n+host=b\n port=1\n"), "{shown}");
        let shown = Comparison::of(br#"{"a":1,"b":2}"#, br#"{"a":1,"b":3}"#).lines().unwrap();
        assert!(shown.contains("-  \"b\": 2\n+  \"b\": 3\n"), "{shown}");
        assert!(Comparison::of(b"a", b"a").lines().is_none());
        assert!(Comparison::of(b"\xff", b"a").lines().is_none());
    }
}
