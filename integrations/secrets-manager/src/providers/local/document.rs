//! One file with many secrets: the variables of a `.env` file, or what a JSON or TOML document has. `db/password` is
//! what is under `password` under `db`, unless there is a key of this whole name; an object is given as JSON.

use std::{
    cell::Cell,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use serde_json::{Map, Value};

use super::{damaged, file::Content, missing};
use crate::types::{SecretMetadata, SecretString, SecretValue, SecretsError};

/// A file and what it is written in.
#[derive(Debug)]
pub struct Document {
    file: PathBuf,
    form: Form,
}

#[derive(Debug, Clone, Copy)]
enum Form {
    Env,
    Json,
    Toml,
}

impl Document {
    /// The file; none if its name does not say what it is written in.
    pub fn new(file: PathBuf) -> Option<Self> {
        let form = match file.extension().or(file.file_name())?.to_str()? {
            "env" | ".env" => Form::Env,
            "json" => Form::Json,
            "toml" => Form::Toml,
            _ => return None,
        };
        Some(Self { file, form })
    }

    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The secret at `path`; of its versions, only the one there is now.
    pub fn get(&self, path: &str, version: Option<&str>) -> Result<SecretValue, SecretsError> {
        let content = Content::read(&self.file, &shown(&self.file))?;
        let current = content.version();
        if version.is_some_and(|asked| asked != current) {
            return Err(missing(path, version));
        }
        let all = self.parse(&content)?;
        let value = look(&all, path).ok_or_else(|| missing(path, None))?;
        Ok(SecretValue {
            value: text(value),
            binary: false,
            version: current.as_str().into(),
            created_at: content.changed(),
            updated_at: None,
            valid_until: None,
            metadata: Arc::new(SecretMetadata::new(path, current, content.changed())),
        })
    }

    /// All secrets that are no objects, without their values.
    pub fn list(&self) -> Result<Vec<SecretMetadata>, SecretsError> {
        let content = Content::read(&self.file, &shown(&self.file))?;
        let mut names = Vec::new();
        leaves(&self.parse(&content)?, "", &mut names);
        let secret = |name| SecretMetadata::new(name, content.version(), content.changed());
        Ok(names.into_iter().map(secret).collect())
    }

    /// What the file says; an error tells where it is wrong and not what stands there.
    fn parse(&self, content: &Content) -> Result<Map<String, Value>, SecretsError> {
        let wrong = |detail: String| damaged(&shown(&self.file), detail);
        let text = std::str::from_utf8(&content.bytes).map_err(|error| wrong(error.to_string()))?;
        // Editors of Windows begin with a mark that is no text.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        match self.form {
            Form::Json => serde_json::from_str(text)
                .map_err(|error| wrong(format!("wrong at line {}, column {}", error.line(), error.column()))),
            Form::Toml => toml::from_str(text).map_err(|error| {
                let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
                wrong(format!("wrong at line {}", before.matches('\n').count() + 1))
            }),
            Form::Env => variables(text).map_err(|line| wrong(format!("no variable at line {line}"))),
        }
    }
}

/// The variables of a `.env` file; the line where one would begin that is none.
fn variables(text: &str) -> Result<Map<String, Value>, usize> {
    let read = Cell::new(0);
    let mut variables = Map::new();
    for pair in dotenvy::from_read_iter(Lines { rest: text.as_bytes(), read: &read }) {
        let (name, value) = pair.map_err(|error| match error {
            // The parser tells what it did not understand, which may be several lines, and not where that is.
            dotenvy::Error::LineParse(lines, _) => {
                let more = lines.strip_suffix('\n').unwrap_or(&lines).matches('\n').count();
                read.get().saturating_sub(more)
            }
            _ => read.get(),
        })?;
        variables.insert(name, Value::String(value));
    }
    Ok(variables)
}

/// Gives out a line at a time, so that it is known how far a parser is.
struct Lines<'t> {
    rest: &'t [u8],
    read: &'t Cell<usize>,
}

impl Read for Lines<'_> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let line = self.rest.iter().position(|byte| *byte == b'\n').map_or(self.rest.len(), |end| end + 1);
        let taken = line.min(room.len());
        let (given, rest) = self.rest.split_at(taken);
        room[..taken].copy_from_slice(given);
        self.rest = rest;
        self.read.set(self.read.get() + usize::from(0 < taken && taken == line));
        Ok(taken)
    }
}

fn look<'a>(all: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    if let Some(found) = all.get(path) {
        return Some(found);
    }
    let (first, rest) = path.split_once('/')?;
    look(all.get(first)?.as_object()?, rest)
}

fn text(value: &Value) -> SecretString {
    match value {
        Value::String(text) => text.as_str().into(),
        other => other.to_string().into(),
    }
}

fn leaves(all: &Map<String, Value>, prefix: &str, names: &mut Vec<String>) {
    for (name, value) in all {
        let path = format!("{prefix}{name}");
        match value {
            Value::Object(inner) => leaves(inner, &format!("{path}/"), names),
            _ => names.push(path),
        }
    }
}

fn shown(file: &Path) -> String {
    file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
