//! A directory with a file for each secret. Nothing outside of it is ever read, whatever a path says and wherever a link
//! leads: links that stay within it, as Kubernetes mounts have them, are followed.

use std::{
    cmp::Reverse,
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{broken, file::Content, missing};
use crate::{
    providers::too_many,
    types::{
        AccessError, ConfigurationError, ProviderType, SecretMetadata, SecretValue, SecretVersion,
        SecretsError,
    },
};

/// How deep directories are looked into, and how many secrets or versions a list has at most.
const DEEPEST: usize = 16;
const MOST: usize = 10_000;

/// A directory, by its path without links.
#[derive(Debug)]
pub struct Directory(PathBuf);

impl Directory {
    pub fn new(root: PathBuf) -> Self {
        Self(root)
    }

    pub fn root(&self) -> &Path {
        &self.0
    }

    /// A version of the secret at `path`, the current one unless one is given.
    pub fn get(&self, path: &str, version: Option<&str>) -> Result<SecretValue, SecretsError> {
        check(path)?;
        if let Some(asked) = version.filter(|asked| is_number(asked)) {
            let content = self.read(&format!("{path}@{asked}"), path);
            // Whether there is a newer one, nobody has looked.
            return Ok(value(path, &content.map_err(|error| of_version(error, path, asked))?, asked, ""));
        }
        let (content, current) = self.current(path)?;
        match version {
            Some(asked) if asked != current => Err(missing(path, version)),
            _ => Ok(value(path, &content, &current, &current)),
        }
    }

    /// The versions of the secret at `path`: the file of its name, then those with a number, the greatest first.
    pub fn versions(&self, path: &str) -> Result<Vec<SecretVersion>, SecretsError> {
        check(path)?;
        let (content, version) = self.current(path)?;
        let mut versions = vec![SecretVersion::new(version.as_str(), content.changed())];
        let numbers = self.numbers(path);
        if MOST < numbers.len() {
            return Err(too_many(ProviderType::Local, "versions", MOST));
        }
        for number in numbers {
            let number = number.to_string();
            // One that went away meanwhile is not there; the current one is known already.
            if number != version
                && let Ok(content) = self.read(&format!("{path}@{number}"), path)
            {
                versions.push(SecretVersion::new(number, content.changed()));
            }
        }
        Ok(versions)
    }

    /// Whether there is a directory that can be looked into.
    pub fn check(&self) -> Result<(), SecretsError> {
        fs::read_dir(&self.0).map(drop).map_err(|error| broken(format!("listing files: {error}")))
    }

    /// All secrets whose paths begin with `prefix`, without their values.
    pub fn list(&self, prefix: &str) -> Result<Vec<SecretMetadata>, SecretsError> {
        let mut found = Found { prefix, names: BTreeMap::new() };
        self.walk(&self.0, "", 0, &mut found).map_err(|error| broken(format!("listing files: {error}")))?;
        let names = found.names;
        if MOST < names.len() {
            return Err(too_many(ProviderType::Local, &format!("secrets that begin with {prefix:?}"), MOST));
        }
        let mut secrets = Vec::new();
        for (name, greatest) in names {
            let shown = |content: &Content| match greatest {
                None => content.version(),
                Some(number) => number.to_string(),
            };
            let file = greatest.map_or_else(|| name.clone(), |number| format!("{name}@{number}"));
            // One that went away meanwhile, or leads outside, is not there.
            if let Ok(content) = self.read(&file, &name) {
                secrets.push(SecretMetadata::new(name, shown(&content), content.changed()));
            }
        }
        Ok(secrets)
    }

    fn current(&self, path: &str) -> Result<(Content, String), SecretsError> {
        match self.read(path, path) {
            Ok(content) => {
                let version = content.version();
                Ok((content, version))
            }
            Err(error) if error.is_not_found() => {
                let number = self.numbers(path).first().ok_or(error)?.to_string();
                Ok((self.read(&format!("{path}@{number}"), path)?, number))
            }
            Err(error) => Err(error),
        }
    }

    /// The numbers that versions of `path` have, the greatest first.
    fn numbers(&self, path: &str) -> Vec<u64> {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let entries = self.resolve(folder, path).ok().and_then(|folder| fs::read_dir(folder).ok());
        let number = |entry: fs::DirEntry| {
            numbered(entry.file_name().to_str()?).filter(|(of, _)| *of == name).map(|(_, number)| number)
        };
        let mut numbers: Vec<_> = entries.into_iter().flatten().flatten().filter_map(number).collect();
        numbers.sort_unstable_by_key(|number| Reverse(*number));
        numbers
    }

    fn read(&self, file: &str, path: &str) -> Result<Content, SecretsError> {
        Content::read(&self.resolve(file, path)?, path)
    }

    /// Where a file is, without links; within the directory, or not at all.
    fn resolve(&self, file: &str, path: &str) -> Result<PathBuf, SecretsError> {
        let found = self.0.join(file).canonicalize().map_err(|error| match error.kind() {
            io::ErrorKind::PermissionDenied => {
                AccessError::AccessDenied { path: path.to_owned(), detail: error.to_string() }.into()
            }
            _ => missing(path, None),
        })?;
        if found.starts_with(&self.0) {
            return Ok(found);
        }
        let detail = "its file is a link to a place outside of the directory".into();
        Err(AccessError::AccessDenied { path: path.to_owned(), detail }.into())
    }

    /// Takes down the names of secrets, until there are too many.
    fn walk(&self, folder: &Path, within: &str, depth: usize, found: &mut Found<'_>) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let Some(name) = entry.file_name().to_str().map(str::to_owned) else { continue };
            if name.starts_with('.') || MOST < found.names.len() {
                continue;
            }
            let path = format!("{within}{name}");
            // Links to directories are not listed: they could lead round in a circle.
            if entry.file_type()?.is_dir() {
                let within = format!("{path}/");
                if depth < DEEPEST && found.may_be_in(&within) {
                    self.walk(&entry.path(), &within, depth + 1, found)?;
                }
            } else if found.is_wanted(&path)
                && entry
                    .path()
                    .canonicalize()
                    .is_ok_and(|place| place.starts_with(&self.0) && place.is_file())
            {
                found.note(&path);
            }
        }
        Ok(())
    }
}

/// The names of secrets that begin with a prefix, and of those that are there by numbers alone the greatest one.
struct Found<'p> {
    prefix: &'p str,
    names: BTreeMap<String, Option<u64>>,
}

impl Found<'_> {
    /// Whether there can be such names in a directory, of a path with a slash at its end.
    fn may_be_in(&self, directory: &str) -> bool {
        directory.starts_with(self.prefix) || self.prefix.starts_with(directory)
    }

    /// Whether the secret of this file is one of them.
    fn is_wanted(&self, path: &str) -> bool {
        numbered(path).map_or(path, |(name, _)| name).starts_with(self.prefix)
    }

    fn note(&mut self, path: &str) {
        match numbered(path) {
            None => {
                self.names.insert(path.to_owned(), None);
            }
            Some((name, number)) => {
                let known = self.names.entry(name.to_owned()).or_insert(Some(number));
                *known = known.map(|known| known.max(number));
            }
        }
    }
}

fn value(path: &str, content: &Content, version: &str, current: &str) -> SecretValue {
    let (value, binary) = content.value();
    SecretValue {
        value,
        binary,
        version: version.into(),
        created_at: content.changed(),
        updated_at: None,
        valid_until: None,
        metadata: Arc::new(SecretMetadata::new(path, current, content.changed())),
    }
}

/// Name and number of a file that is a version.
fn numbered(file: &str) -> Option<(&str, u64)> {
    let (name, number) = file.rsplit_once('@')?;
    is_number(number).then_some(())?;
    Some((name, number.parse().ok()?))
}

/// Whether `text` is a number as it is written in a file's name: without zeros before it.
fn is_number(text: &str) -> bool {
    !text.is_empty() && !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn of_version(error: SecretsError, path: &str, version: &str) -> SecretsError {
    if error.is_not_found() { missing(path, Some(version)) } else { error }
}

/// Refuses what is no plain path of names below the directory.
fn check(path: &str) -> Result<(), SecretsError> {
    let plain =
        |part: &str| !part.is_empty() && !part.starts_with('.') && !part.contains(['\\', ':', '\0', '@']);
    if path.split('/').all(plain) {
        return Ok(());
    }
    let detail =
        format!("{path:?}: local files have names without `\\`, `:` and `@`, that do not begin with a dot");
    Err(ConfigurationError::InvalidPathPattern { detail }.into())
}
