//! The text of a keyring: the part of TOML that it needs.
//!
//! ```toml
//! active = "mk-2"
//!
//! [keys]
//! mk-1 = "<base64 of 32 bytes>"
//! mk-2 = "<base64 of 32 bytes>"
//! ```
//!
//! Read by hand because a general parser shows the line it stumbles over, and here every line may hold a key
//! (S3): errors name a line and what is wrong with it. Whatever is accepted means the same in TOML. Knows
//! nothing of files.

use std::collections::{BTreeMap, btree_map::Entry};

use base64::{Engine, engine::general_purpose::STANDARD};
use covault_model::name::MasterKeyName;
use zeroize::Zeroizing;

use super::{Keyring, error::KeyringError};
use crate::master_key::{MASTER_KEY_LEN, MasterKey};

/// Characters in the base64 of a key, padding included.
const KEY_CHARS: usize = MASTER_KEY_LEN.div_ceil(3) * 4;

/// Reads a ring; `place` is for errors.
pub fn parse(text: &[u8], place: &str) -> Result<Keyring, KeyringError> {
    let mut draft = Draft { place, line: 0, in_keys: false, active: None, keys: BTreeMap::new() };
    for line in text.split(|byte| *byte == b'\n') {
        draft.line += 1;
        let line = core::str::from_utf8(line).map_err(|_| draft.malformed("is not UTF-8"))?;
        draft.read_line(trim(line.strip_suffix('\r').unwrap_or(line)))?;
    }
    draft.finish()
}

/// Writes a ring. Every name is quoted, since one with a dot would otherwise mean something else in TOML.
pub fn write(ring: &Keyring) -> Zeroizing<Vec<u8>> {
    let keys: usize = ring.names().map(|name| name.len() + KEY_CHARS + 8).sum();
    // Room for all of it at once: growing would leave copies of keys behind.
    let mut text = Zeroizing::new(Vec::with_capacity(HEADING.len() + ring.active().len() + 32 + keys));
    for part in [HEADING, "active = \"", ring.active(), "\"\n\n[keys]\n"] {
        text.extend_from_slice(part.as_bytes());
    }
    for (name, key) in &ring.keys {
        let mut chars = Zeroizing::new([0; KEY_CHARS]);
        STANDARD.encode_slice(key.bytes(), chars.as_mut_slice()).expect("it has room for just one key");
        for part in [b"\"", name.as_bytes(), b"\" = \"", chars.as_slice(), b"\"\n"] {
            text.extend_from_slice(part);
        }
    }
    text
}

const HEADING: &str = "# Master keys of a Covault vault. Whoever has them can read every value of a copy of \
                       the data;\n# without them nobody can. Keep a copy, apart from the data.\n";

/// What has been read so far.
struct Draft<'a> {
    place: &'a str,
    line: usize,
    in_keys: bool,
    active: Option<MasterKeyName>,
    keys: BTreeMap<MasterKeyName, MasterKey>,
}

impl Draft<'_> {
    fn read_line(&mut self, line: &str) -> Result<(), KeyringError> {
        if is_blank(line) {
            Ok(())
        } else if let Some(rest) = line.strip_prefix('[') {
            self.read_table(rest)
        } else {
            self.read_pair(line)
        }
    }

    fn read_table(&mut self, rest: &str) -> Result<(), KeyringError> {
        match rest.split_once(']') {
            Some((name, rest)) if trim(name) == "keys" && is_blank(trim(rest)) => {
                if self.in_keys {
                    return Err(self.malformed("begins [keys] a second time"));
                }
                self.in_keys = true;
                Ok(())
            }
            _ => Err(self.malformed("begins a table other than [keys]")),
        }
    }

    fn read_pair(&mut self, line: &str) -> Result<(), KeyringError> {
        const FORM: &str = "has not the form NAME = \"VALUE\"";
        let (name, rest) = read_key(line).ok_or_else(|| self.malformed(FORM))?;
        let rest = trim(rest).strip_prefix('=').ok_or_else(|| self.malformed(FORM))?;
        let (value, rest) = read_quoted(trim(rest)).ok_or_else(|| self.malformed(FORM))?;
        if !is_blank(trim(rest)) {
            return Err(self.malformed("goes on after its value"));
        }
        if self.in_keys { self.take_key(name, value) } else { self.take_setting(name, value) }
    }

    fn take_setting(&mut self, name: &str, value: &str) -> Result<(), KeyringError> {
        if name != "active" {
            return Err(self.malformed("is neither `active` nor under [keys]"));
        }
        if self.active.is_some() {
            return Err(self.malformed("gives `active` a second time"));
        }
        self.active = Some(self.key_name(value)?);
        Ok(())
    }

    fn take_key(&mut self, name: &str, value: &str) -> Result<(), KeyringError> {
        let name = self.key_name(name)?;
        let key = self.key(value)?;
        match self.keys.entry(name) {
            Entry::Occupied(_) => {
                Err(KeyringError::DuplicateName { place: self.place.to_owned(), line: self.line })
            }
            Entry::Vacant(entry) => {
                entry.insert(key);
                Ok(())
            }
        }
    }

    fn key_name(&self, text: &str) -> Result<MasterKeyName, KeyringError> {
        MasterKeyName::parse(text)
            .map_err(|_| self.malformed("has a name with other than 1 to 64 of A-Za-z0-9._-"))
    }

    fn key(&self, text: &str) -> Result<MasterKey, KeyringError> {
        let wrong = || KeyringError::BadKeyLength { place: self.place.to_owned(), line: self.line };
        // Text of this length decodes to 33 bytes when it has no padding.
        let mut bytes = Zeroizing::new([0; MASTER_KEY_LEN + 1]);
        if text.len() != KEY_CHARS {
            return Err(wrong());
        }
        match STANDARD.decode_slice(text, bytes.as_mut_slice()) {
            Ok(MASTER_KEY_LEN) => bytes.first_chunk().map(MasterKey::new).ok_or_else(wrong),
            Ok(_) => Err(wrong()),
            Err(_) => Err(self.malformed("has a key that is not base64")),
        }
    }

    fn finish(self) -> Result<Keyring, KeyringError> {
        let place = self.place.to_owned();
        if self.keys.is_empty() {
            return Err(KeyringError::NoKeys { place });
        }
        match self.active.filter(|name| self.keys.contains_key(name)) {
            Some(active) => Ok(Keyring { active, keys: self.keys }),
            None => Err(KeyringError::NoActiveKey { place }),
        }
    }

    fn malformed(&self, what: &'static str) -> KeyringError {
        KeyringError::Malformed { place: self.place.to_owned(), line: self.line, what }
    }
}

/// A name, bare or quoted, and what follows. A bare one has no dots: they would make tables of it.
fn read_key(line: &str) -> Option<(&str, &str)> {
    if line.starts_with(['"', '\'']) {
        return read_quoted(line);
    }
    let end = line.find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '_' | '-'))?;
    (0 < end).then(|| line.split_at(end))
}

/// What stands between quotes, and what follows. Nothing that belongs here needs an escape, so none is read.
fn read_quoted(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let (inside, rest) = text[1..].split_once(quote)?;
    (!inside.contains(|c: char| c == '\\' || c.is_control())).then_some((inside, rest))
}

/// Nothing, or a comment, which may not have control characters other than tabs.
fn is_blank(rest: &str) -> bool {
    let plain = |c: char| c == '\t' || !c.is_control();
    rest.is_empty() || (rest.starts_with('#') && rest.chars().all(plain))
}

fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}
