//! Values that outlive the process: each in an encrypted file of its own, in a folder of their own. What a file's name
//! tells without the key is nothing, except that two versions of one secret belong together. Knows nothing of stores: it
//! is told how long a value is fresh, and tells it again.
//!
//! It is a place to start from again, not one to rely on: what cannot be read is gone, and fetched anew. Its methods wait
//! for the disk; where that matters, [`tokio::task::spawn_blocking`] runs them.

mod behind;
mod config;
mod entry;

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use chrono::{DateTime, TimeDelta, Utc};

pub use self::config::DiskCacheConfig;
use self::{
    config::invalid,
    entry::{Dates, Entry, Keys, dates},
};
use crate::{
    cache::CacheKey,
    secret_file::{self, UNFINISHED},
    types::{CacheError, ConfigurationError, SecretValue, WallClock},
};

/// The largest entry that is read or written, in bytes.
const LARGEST: u64 = 8 << 20;
/// How far ahead of the clock an entry's date may be: another machine may have written it.
const CLOCK_TOLERANCE: TimeDelta = TimeDelta::minutes(1);

/// One part of so many of the room is kept free when room is made, and is written before it is made again: to look
/// through the folder takes the longer the more there is.
const PART: usize = 8;

/// What a cache had.
#[derive(Debug, Clone)]
pub struct Kept {
    /// The value.
    pub secret: SecretValue,
    /// When its store gave it out.
    pub fetched_at: DateTime<Utc>,
    /// Until when it is as good as its store's answer. Afterwards it is for when there is no other.
    pub fresh_until: DateTime<Utc>,
}

/// A folder of encrypted values.
pub struct DiskCache {
    directory: PathBuf,
    keys: Keys,
    max_entries: usize,
    max_bytes: u64,
    max_age: Duration,
    clock: WallClock,
    /// What was written since room was made; none before that.
    written: Mutex<Option<Amount>>,
}

impl DiskCache {
    /// Opens the cache, and clears away what was not written to its end.
    ///
    /// # Errors
    /// [`ConfigurationError::InvalidCacheConfig`] if there is no key of 32 bytes, or no folder that can be read.
    pub fn open(config: &DiskCacheConfig, clock: WallClock) -> Result<Self, ConfigurationError> {
        let keys = Keys::new(&*config.key_bytes()?);
        let cache = Self {
            directory: config.directory.clone(),
            keys,
            max_entries: config.max_entries,
            max_bytes: config.max_bytes,
            max_age: config.max_age,
            clock,
            written: Mutex::default(),
        };
        let wrong = |error: io::Error| invalid(&format!("{}: {error}", config.directory.display()));
        create(&cache.directory).map_err(wrong)?;
        cache.remove_where(|name| name.starts_with(UNFINISHED)).map_err(wrong)?;
        Ok(cache)
    }

    /// The answer to a question that was kept, fresh or not, unless it is older than the settings allow or no longer valid:
    /// such a one is removed.
    ///
    /// # Errors
    /// [`CacheError::CacheCorrupted`] if what is there is not what was written, or was written with another key. It is
    /// removed; who asked goes on as if nothing had been there. [`CacheError::RefreshFailed`] if the disk refuses.
    pub fn load(&self, key: &CacheKey<'_>) -> Result<Option<Kept>, CacheError> {
        let name = self.keys.name(key);
        let file = self.directory.join(&name);
        let content = match secret_file::read(&file, LARGEST) {
            Ok(content) => content,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => return Err(self.corrupted(&name)),
            Err(error) => return Err(failed(&file, &error)),
        };
        let Some((entry, dates)) = self.keys.open(&name, &content).zip(dates(&content)) else {
            return Err(self.corrupted(&name));
        };
        if !entry.answers(key) {
            return Err(self.corrupted(&name));
        }
        if !self.is_usable(dates) {
            self.delete(&name).map_err(|error| failed(&file, &error))?;
            return Ok(None);
        }
        let fresh_until = entry.fresh_until;
        Ok(Some(Kept { secret: entry.secret.into(), fetched_at: dates.fetched_at, fresh_until }))
    }

    /// Keeps an answer of a store, that it gave out now and that is fresh for `ttl`, in place of the last one to the same
    /// question. The oldest go where there are too many, some at once.
    ///
    /// # Errors
    /// [`CacheError::RefreshFailed`] if it is too large or the disk refuses. What was there before is gone then too.
    pub fn store(&self, key: &CacheKey<'_>, secret: &SecretValue, ttl: Duration) -> Result<(), CacheError> {
        let name = self.keys.name(key);
        let file = self.directory.join(&name);
        let fetched_at = self.clock.now();
        let ttl = TimeDelta::from_std(ttl).unwrap_or(TimeDelta::MAX);
        let fresh_until = fetched_at.checked_add_signed(ttl).unwrap_or(DateTime::<Utc>::MAX_UTC);
        let dates = Dates { fetched_at, valid_until: secret.valid_until };
        let entry = Entry::new(key, fresh_until, secret);
        let content = Some(&entry)
            .filter(|entry| entry.secret.value.len() as u64 <= LARGEST)
            .and_then(|entry| self.keys.seal(&name, entry, dates))
            .filter(|content| content.len() as u64 <= LARGEST);
        let written = match content {
            Some(content) => secret_file::write(&file, &content).map(|()| content.len() as u64),
            None => Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                "the value cannot be sealed, or is too large",
            )),
        };
        match written {
            Ok(size) => self.make_room_after(size).map_err(|error| failed(&self.directory, &error)),
            Err(error) => {
                // An old answer must not come back when a newer one is known.
                let _ = self.delete(&name);
                Err(failed(&file, &error))
            }
        }
    }

    /// Forgets all versions of the secret at `path`, whatever the provider and its place.
    ///
    /// # Errors
    /// [`CacheError::RefreshFailed`] if the disk refuses.
    pub fn remove(&self, path: &str) -> Result<(), CacheError> {
        let of_path = self.keys.path_name(path);
        self.remove_where(|name| name.starts_with(&of_path)).map_err(|error| failed(&self.directory, &error))
    }

    /// Forgets all secrets whose paths begin with `prefix`. Each entry is read for it; one that cannot be is removed.
    ///
    /// # Errors
    /// [`CacheError::RefreshFailed`] if the disk refuses.
    pub fn remove_prefix(&self, prefix: &str) -> Result<(), CacheError> {
        let is_outside = |name: &str| {
            let content = secret_file::read(&self.directory.join(name), LARGEST).ok();
            let entry = content.and_then(|content| self.keys.open(name, &content));
            entry.is_some_and(|entry| !entry.path.starts_with(prefix))
        };
        self.remove_where(|name| !is_outside(name)).map_err(|error| failed(&self.directory, &error))
    }

    /// Forgets everything.
    ///
    /// # Errors
    /// [`CacheError::RefreshFailed`] if the disk refuses.
    pub fn clear(&self) -> Result<(), CacheError> {
        self.remove_where(|_| true).map_err(|error| failed(&self.directory, &error))
    }

    fn is_usable(&self, dates: Dates) -> bool {
        let now = self.clock.now();
        let age = now - dates.fetched_at;
        // What a date in the future says of its age cannot be known.
        -CLOCK_TOLERANCE <= age
            && TimeDelta::from_std(self.max_age).map_or(true, |most| age <= most)
            && dates.valid_until.is_none_or(|until| now <= until)
    }

    fn corrupted(&self, name: &str) -> CacheError {
        let _ = self.delete(name);
        let detail = format!("{}: not what was written with this key", self.directory.join(name).display());
        CacheError::CacheCorrupted { detail }
    }

    /// Makes room if what was written since the last time, an entry of this size included, may not fit in what was free
    /// then.
    fn make_room_after(&self, size: u64) -> io::Result<()> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let free = self.most().part();
        *written = written.map(|written| written.and(size)).filter(|written| written.is_within(free));
        if written.is_none() {
            self.make_room()?;
            *written = Some(Amount::default());
        }
        Ok(())
    }

    /// Has the oldest go until a part of the room is free.
    fn make_room(&self) -> io::Result<()> {
        let (most, mut files) = (self.most(), self.files()?);
        let most =
            Amount { entries: most.entries - most.part().entries, bytes: most.bytes - most.part().bytes };
        files.sort_unstable_by_key(|file| std::cmp::Reverse(file.written));
        let mut amount = Amount::default();
        for file in &files {
            amount = amount.and(file.size);
            if !amount.is_within(most) {
                self.delete(&file.name)?;
            }
        }
        Ok(())
    }

    fn most(&self) -> Amount {
        Amount { entries: self.max_entries, bytes: self.max_bytes }
    }

    fn remove_where(&self, is_meant: impl Fn(&str) -> bool) -> io::Result<()> {
        let files = self.files()?;
        files.iter().filter(|file| is_meant(&file.name)).try_for_each(|file| self.delete(&file.name))
    }

    /// The cache's own files. Others are left alone.
    fn files(&self) -> io::Result<Vec<OwnFile>> {
        let mut files = Vec::new();
        for file in fs::read_dir(&self.directory)? {
            let file = file?;
            let Some(name) = file.file_name().to_str().filter(|name| is_own(name)).map(str::to_owned) else {
                continue;
            };
            match file.metadata() {
                Ok(about) => files.push(OwnFile { name, size: about.len(), written: about.modified()? }),
                // Another process of this cache was faster.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(files)
    }

    fn delete(&self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.directory.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }
}

/// So many entries, and what they take.
#[derive(Clone, Copy, Default)]
struct Amount {
    entries: usize,
    bytes: u64,
}

impl Amount {
    /// With one more entry, of this size.
    fn and(self, size: u64) -> Self {
        Self { entries: self.entries.saturating_add(1), bytes: self.bytes.saturating_add(size) }
    }

    fn part(self) -> Self {
        Self { entries: self.entries / PART, bytes: self.bytes / PART as u64 }
    }

    fn is_within(self, most: Self) -> bool {
        self.entries <= most.entries && self.bytes <= most.bytes
    }
}

struct OwnFile {
    name: String,
    size: u64,
    written: SystemTime,
}

impl fmt::Debug for DiskCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DiskCache({})", self.directory.display())
    }
}

/// Two times 32 hexadecimal digits, or one that is not written yet.
fn is_own(name: &str) -> bool {
    let is_hash = |part: &str| part.len() == 32 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    name.starts_with(UNFINISHED)
        || name.split_once('-').is_some_and(|(path, rest)| is_hash(path) && is_hash(rest))
}

fn create(directory: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}

fn failed(place: &Path, error: &io::Error) -> CacheError {
    CacheError::RefreshFailed { detail: format!("{}: {error}", place.display()) }
}

#[cfg(test)]
mod tests;
