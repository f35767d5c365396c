//! The disk cache: what comes back, what does not, and what a folder shows of it.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering::Relaxed},
};

use secrecy::ExposeSecret;
use tempfile::TempDir;

use super::*;
use crate::{
    cache::SecretCache,
    types::{GetSecretOptions, ProviderType, SecretMetadata},
};

const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const TTL: Duration = Duration::from_secs(300);
const AWS: ProviderType = ProviderType::Aws;

struct Rig {
    folder: TempDir,
    seconds: Arc<AtomicI64>,
    cache: DiskCache,
}

impl Rig {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut DiskCacheConfig)) -> Self {
        let folder = TempDir::new().unwrap();
        let seconds = Arc::new(AtomicI64::new(1_000_000));
        let mut config = config(&folder, KEY);
        change(&mut config);
        let cache = open(&config, &seconds);
        Self { folder, seconds, cache }
    }

    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp(self.seconds.load(Relaxed), 0).unwrap()
    }

    fn store(&self, path: &str, options: &GetSecretOptions, value: &str) {
        self.cache.store(&key(path, options), &secret(path, value), TTL).unwrap();
    }

    fn load(&self, path: &str, options: &GetSecretOptions) -> Option<String> {
        let kept = self.cache.load(&key(path, options)).unwrap();
        kept.map(|kept| kept.secret.value.expose_secret().to_owned())
    }

    fn files(&self) -> Vec<PathBuf> {
        let files = fs::read_dir(self.folder.path().join("cache")).unwrap();
        files.map(|file| file.unwrap().path()).collect()
    }
}

fn config(folder: &TempDir, key: &str) -> DiskCacheConfig {
    DiskCacheConfig {
        key: Some(key.into()),
        key_file: None,
        ..DiskCacheConfig::new(folder.path().join("cache"), "")
    }
}

fn open(config: &DiskCacheConfig, seconds: &Arc<AtomicI64>) -> DiskCache {
    let seconds = seconds.clone();
    DiskCache::open(
        config,
        WallClock::new(move || DateTime::from_timestamp(seconds.load(Relaxed), 0).unwrap()),
    )
    .unwrap()
}

fn secret(path: &str, value: &str) -> SecretValue {
    SecretValue {
        value: value.into(),
        binary: false,
        version: "7".into(),
        created_at: DateTime::UNIX_EPOCH,
        updated_at: None,
        valid_until: None,
        metadata: Arc::new(SecretMetadata::new(path, "7", DateTime::UNIX_EPOCH)),
    }
}

fn key<'a>(path: &'a str, options: &'a GetSecretOptions) -> CacheKey<'a> {
    CacheKey::new(AWS, path, options)
}

fn current() -> GetSecretOptions {
    GetSecretOptions::default()
}

fn version(version: &str) -> GetSecretOptions {
    GetSecretOptions { version: Some(version.into()), ..current() }
}

#[test]
fn what_was_kept_comes_back_after_a_restart() {
    let rig = Rig::new();
    rig.store("app/db", &current(), "hunter2");
    rig.store("app/db", &version("3"), "old");
    let again = Rig { cache: open(&config(&rig.folder, KEY), &rig.seconds), ..rig };
    let kept = again.cache.load(&key("app/db", &current())).unwrap().unwrap();
    assert_eq!(kept.fresh_until, again.now() + TTL);
    assert_eq!(
        (kept.secret.value.expose_secret(), &*kept.secret.version, kept.fetched_at),
        ("hunter2", "7", again.now())
    );
    assert_eq!(*kept.secret.metadata, SecretMetadata::new("app/db", "7", DateTime::UNIX_EPOCH));
    assert_eq!(again.load("app/db", &version("3")).as_deref(), Some("old"));
    assert_eq!(again.load("app/db", &version("4")), None);
    assert!(again.cache.load(&CacheKey::current(ProviderType::Gcp, "app/db")).unwrap().is_none());
    let stage = GetSecretOptions { stage: Some("3".into()), ..current() };
    assert_eq!(again.load("app/db", &stage), None);
}

#[test]
fn what_one_store_gave_is_not_what_another_of_its_kind_would_give() {
    let rig = Rig::new();
    let at = |place: &'static str| CacheKey { place: place.into(), ..CacheKey::current(AWS, "app/db") };
    for place in ["", "eu", "us"] {
        rig.cache.store(&at(place), &secret("app/db", place), TTL).unwrap();
    }
    for place in ["", "eu", "us"] {
        let kept = rig.cache.load(&at(place)).unwrap().unwrap();
        assert_eq!(kept.secret.value.expose_secret(), place);
    }
    assert!(rig.cache.load(&at("ap")).unwrap().is_none());
    rig.cache.remove("app/db").unwrap();
    assert_eq!(rig.files().len(), 0, "a path is forgotten wherever it is of");
}

#[test]
fn a_folder_shows_neither_paths_nor_values() {
    let rig = Rig::new();
    rig.store("app/db", &current(), "hunter2");
    for file in rig.files() {
        let content = fs::read(&file).unwrap();
        for word in ["hunter2", "app", "db"] {
            assert!(!file.file_name().unwrap().to_str().unwrap().contains(word) || word == "db", "{file:?}");
            assert!(word.len() < 3 || !content.windows(word.len()).any(|window| window == word.as_bytes()));
        }
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
            assert_eq!(fs::metadata(file.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
        }
    }
    assert!(!format!("{:?} {:?}", rig.cache, config(&rig.folder, KEY)).contains(KEY));
}

#[test]
fn nothing_is_given_out_that_is_too_old_not_valid_or_from_the_future() {
    let rig = Rig::new();
    rig.store("a", &current(), "v");
    rig.seconds.fetch_add(3600, Relaxed);
    assert_eq!(rig.load("a", &current()).as_deref(), Some("v"));
    rig.seconds.fetch_add(1, Relaxed);
    assert_eq!(rig.load("a", &current()), None);
    assert_eq!(rig.files().len(), 0, "it is removed");

    let brief = SecretValue { valid_until: Some(rig.now() + TimeDelta::seconds(10)), ..secret("a", "v") };
    rig.cache.store(&key("a", &current()), &brief, TTL).unwrap();
    rig.seconds.fetch_add(10, Relaxed);
    assert_eq!(rig.load("a", &current()).as_deref(), Some("v"));
    rig.seconds.fetch_add(1, Relaxed);
    assert_eq!(rig.load("a", &current()), None);

    rig.store("a", &current(), "v");
    rig.seconds.fetch_sub(61, Relaxed);
    assert_eq!(rig.load("a", &current()), None);
}

#[test]
fn every_changed_or_missing_byte_is_found_out_and_is_a_miss_then() {
    let rig = Rig::new();
    let corrupted = |content: &[u8]| {
        let [file] = <[_; 1]>::try_from(rig.files()).unwrap();
        fs::write(file, content).unwrap();
        let error = rig.cache.load(&key("a", &current())).unwrap_err();
        assert!(matches!(error, CacheError::CacheCorrupted { .. }), "{error}");
        assert_eq!(rig.load("a", &current()), None);
        rig.store("a", &current(), "v");
    };
    rig.store("a", &current(), "v");
    let whole = fs::read(&rig.files()[0]).unwrap();
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        corrupted(&changed);
        corrupted(&whole[..at]);
    }
    corrupted(&[whole.as_slice(), b"x"].concat());
    corrupted(&vec![0; LARGEST as usize + 1]);
}

#[test]
fn an_entry_under_another_name_or_key_is_not_read() {
    let rig = Rig::new();
    rig.store("a", &version("1"), "one");
    let [one] = <[_; 1]>::try_from(rig.files()).unwrap();
    rig.store("a", &version("2"), "two");
    let two = rig.files().into_iter().find(|file| *file != one).unwrap();
    fs::copy(&one, &two).unwrap();
    assert!(rig.cache.load(&key("a", &version("2"))).is_err());
    assert_eq!(rig.load("a", &version("1")).as_deref(), Some("one"));
    let other_key = config(&rig.folder, "//////////////////////////////////////////8=");
    let other = open(&other_key, &rig.seconds);
    assert!(other.load(&key("a", &version("1"))).unwrap().is_none());
}

#[test]
fn a_secret_is_forgotten_with_all_its_versions_and_a_prefix_with_all_below() {
    let rig = Rig::new();
    for path in ["app/a", "app/b", "other"] {
        rig.store(path, &current(), "v");
        rig.store(path, &version("1"), "v");
    }
    rig.cache.remove("app/a").unwrap();
    assert_eq!((rig.load("app/a", &current()), rig.load("app/a", &version("1"))), (None, None));
    assert_eq!(rig.files().len(), 4);
    rig.cache.remove_prefix("app/").unwrap();
    assert_eq!(rig.load("other", &version("1")).as_deref(), Some("v"));
    assert_eq!(rig.files().len(), 2);
    fs::write(rig.folder.path().join("cache/notes.txt"), "mine").unwrap();
    rig.cache.clear().unwrap();
    assert_eq!(rig.files().len(), 1, "what is not the cache's is left alone");
}

#[test]
fn room_is_made_for_several_at_once_also_in_a_folder_that_was_full_before() {
    let rig = Rig::with(|config| config.max_entries = 80);
    let mut fewest = 80;
    for n in 0..200 {
        rig.store(&format!("{n}"), &current(), "v");
        assert!(rig.files().len() <= 80, "after {n}");
        fewest = if n < 80 { 80 } else { fewest.min(rig.files().len()) };
    }
    assert_eq!(fewest, 70);
    for file in rig.files() {
        fs::File::options().write(true).open(file).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
    }
    let smaller = DiskCacheConfig { max_entries: 8, ..config(&rig.folder, KEY) };
    open(&smaller, &rig.seconds).store(&key("new", &current()), &secret("new", "v"), TTL).unwrap();
    assert_eq!(rig.files().len(), 7);
    assert!(rig.load("new", &current()).is_some());
}

#[test]
fn it_is_bounded_by_entries_and_by_bytes_and_clears_away_what_was_not_finished() {
    let rig = Rig::with(|config| config.max_entries = 3);
    for n in 0..10 {
        rig.store(&format!("{n}"), &current(), "v");
        assert!(rig.files().len() <= 3);
    }
    let rig = Rig::with(|config| config.max_bytes = 10_000);
    for n in 0..10 {
        rig.store(&format!("{n}"), &current(), &"v".repeat(4000));
        assert!(rig.files().iter().map(|file| fs::metadata(file).unwrap().len()).sum::<u64>() <= 10_000);
    }
    let huge = secret("huge", &"v".repeat(LARGEST as usize + 1));
    rig.store("huge", &current(), "v");
    assert!(rig.cache.store(&key("huge", &current()), &huge, TTL).is_err());
    assert_eq!(rig.load("huge", &current()), None, "an older answer does not come back");
    fs::write(rig.folder.path().join("cache").join(format!("{UNFINISHED}1-2")), "x").unwrap();
    let before = rig.files().len();
    open(&config(&rig.folder, KEY), &rig.seconds);
    assert_eq!(rig.files().len(), before - 1);
}

#[test]
fn a_key_has_to_be_32_bytes_of_base64() {
    let folder = TempDir::new().unwrap();
    let refused =
        |config: DiskCacheConfig| DiskCache::open(&config, WallClock::default()).unwrap_err().to_string();
    for key in ["", "hunter2", &KEY[..40], &format!("{KEY}{KEY}")] {
        let said = refused(config(&folder, key));
        assert!(said.contains("32 bytes") && !said.contains("hunter2"), "{said}");
    }
    assert!(refused(DiskCacheConfig { key: None, ..config(&folder, KEY) }).contains("needs a key"));
    let file = folder.path().join("key");
    assert!(refused(DiskCacheConfig::new(folder.path(), &file)).contains("key file"));
    fs::write(&file, format!("{KEY}\n")).unwrap();
    DiskCache::open(&DiskCacheConfig::new(folder.path(), &file), WallClock::default()).unwrap();
}

#[test]
fn behind_a_cache_in_memory_it_tells_fresh_from_old() {
    let rig = Rig::new();
    let (current, one) = (current(), version("1"));
    let [moving, pinned] = [&current, &one].map(|options| CacheKey::new(AWS, "a", options));
    let secret = secret("a", "v");
    for key in [&moving, &pinned] {
        rig.cache.put(key, secret.clone(), TTL);
    }
    assert!(rig.cache.get(&moving).is_some());
    rig.seconds.fetch_add(301, Relaxed);
    assert!(rig.cache.get(&moving).is_none(), "it is over");
    assert!(rig.cache.get_stale(&moving).is_some(), "and good enough while there is no other");
    assert!(rig.cache.get(&pinned).is_some(), "a version does not age");
    assert_eq!(rig.cache.stats().entries, 2);
    rig.cache.invalidate("a");
    assert!(rig.cache.get_stale(&moving).is_none() && rig.cache.get(&pinned).is_none());
}
