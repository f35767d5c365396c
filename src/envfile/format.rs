//! The forms in which an expanded file comes out, each for one kind of reader:
//!
//! | format | read by | each value |
//! | --- | --- | --- |
//! | dotenv | motdotla/dotenv, python-dotenv, dotenvy | as `writing` says |
//! | json | any JSON reader | a JSON text |
//! | shell | a POSIX shell | `export KEY='…'` |
//! | docker | `docker run --env-file` | as it is: one line, no quotes |
//! | yaml | a YAML 1.1 or 1.2 reader | between double quotes, all but plain ASCII escaped |
//!
//! Knows nothing of references.

use std::fmt::Write;

use zeroize::Zeroizing;

use super::{file::Quote, writing::written};

/// Longest line that docker reads of an env file, in bytes.
const DOCKER_LINE_BYTES_MAX: usize = 64 * 1024 - 1;

/// The form in which a file comes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// The file itself, with its references replaced.
    #[default]
    Dotenv,
    /// One JSON object.
    Json,
    /// Lines for a POSIX shell.
    Shell,
    /// Lines for `docker run --env-file`.
    Docker,
    /// One YAML mapping.
    Yaml,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Dotenv, Self::Json, Self::Shell, Self::Docker, Self::Yaml];

    /// The word the contract uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dotenv => "dotenv",
            Self::Json => "json",
            Self::Shell => "shell",
            Self::Docker => "docker",
            Self::Yaml => "yaml",
        }
    }

    /// Reads the word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.as_str() == text)
    }

    /// One assignment in this form; nothing when it cannot hold the key or the value. For a `.env` file it is the
    /// value alone.
    pub(super) fn part(self, key: &str, value: &str, had: Quote) -> Option<Zeroizing<String>> {
        match self {
            Self::Dotenv => written(value, had),
            Self::Json => Some(zeroizing(|text| {
                json_text(text, key);
                text.push_str(": ");
                json_text(text, value);
            })),
            Self::Shell => (is_identifier(key) && !value.contains('\0')).then(|| shell_line(key, value)),
            Self::Docker => docker_line(key, value),
            Self::Yaml => Some(zeroizing(|text| {
                yaml_text(text, key);
                text.push_str(": ");
                yaml_text(text, value);
                text.push('\n');
            })),
        }
    }

    /// All parts together.
    pub(super) fn whole<'p>(self, parts: impl Iterator<Item = &'p str> + Clone) -> Zeroizing<String> {
        let len = parts.clone().map(|part| part.len() + 4).sum::<usize>();
        let mut text = Zeroizing::new(String::with_capacity(len + 8));
        let is_empty = parts.clone().next().is_none();
        match self {
            Self::Json => {
                text.push('{');
                for (at, part) in parts.enumerate() {
                    text.push_str(if at == 0 { "\n  " } else { ",\n  " });
                    text.push_str(part);
                }
                text.push_str("\n}\n");
            }
            Self::Yaml if is_empty => text.push_str("{}\n"),
            _ => parts.for_each(|part| text.push_str(part)),
        }
        text
    }
}

/// What is written, in a text that is wiped. What it leaves behind when it grows is wiped by the allocator.
fn zeroizing(write: impl Fn(&mut String)) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::new());
    write(&mut text);
    text
}

fn shell_line(key: &str, value: &str) -> Zeroizing<String> {
    zeroizing(|text| {
        text.push_str("export ");
        text.push_str(key);
        text.push_str("='");
        for (at, part) in value.split('\'').enumerate() {
            text.push_str(if at == 0 { "" } else { "'\\''" });
            text.push_str(part);
        }
        text.push_str("'\n");
    })
}

/// Docker takes a line as it is: nothing is quoted, so a value has no line break.
fn docker_line(key: &str, value: &str) -> Option<Zeroizing<String>> {
    let fits = key.len() + 1 + value.len() <= DOCKER_LINE_BYTES_MAX && !value.contains(['\n', '\r', '\0']);
    fits.then(|| {
        zeroizing(|text| {
            for part in [key, "=", value, "\n"] {
                text.push_str(part);
            }
        })
    })
}

fn is_identifier(key: &str) -> bool {
    !key.starts_with(|first: char| first.is_ascii_digit())
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn json_text(text: &mut String, value: &str) {
    text.push('"');
    for char in value.chars() {
        match char {
            '"' | '\\' => text.extend(['\\', char]),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            control if control < ' ' => escaped(text, 'u', 4, control),
            char => text.push(char),
        }
    }
    text.push('"');
}

/// What is not plain ASCII is escaped: YAML breaks lines at characters that no other reader knows.
fn yaml_text(text: &mut String, value: &str) {
    text.push('"');
    for char in value.chars() {
        match char {
            '"' | '\\' => text.extend(['\\', char]),
            '\n' => text.push_str("\\n"),
            ' '..='~' => text.push(char),
            char if u32::from(char) <= 0xff => escaped(text, 'x', 2, char),
            char if u32::from(char) <= 0xffff => escaped(text, 'u', 4, char),
            char => escaped(text, 'U', 8, char),
        }
    }
    text.push('"');
}

fn escaped(text: &mut String, letter: char, digits: usize, char: char) {
    write!(text, "\\{letter}{:0digits$x}", u32::from(char)).expect("writing to a string cannot fail");
}
