//! Opening a data directory: one process at a time, our format, a file that is whole. The only file with
//! `unsafe`: LMDB maps the file, so the process must be the only one that changes it.
//! Knows nothing of what the tables hold.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use covault_model::id::SecretId;
use heed::{CommitOrAbort, Env, EnvFlags, EnvOpenOptions, MdbError, WithoutTls, types::Bytes};

use crate::{
    changes::{Change, Feed},
    error::{OpenError, StoreError},
    filer::Filer,
    log::{self, RaftLog},
    looks::Looks,
    pages::{self, Fault},
    tables::{META_TABLE, Meta, TABLES, Table, Tables},
    unfiled::Unfiled,
    unsettled::Unsettled,
    writer::{Bench, Writer, WriterMode},
};

/// The format of the environment this release writes and the newest it reads.
pub(crate) const STORE_FORMAT: u8 = 5;
/// The format before: every mapping is filed. All that it has is as it was.
const FORMAT_WITHOUT_UNFILED: u8 = 4;
/// The one before that: what was not spread was not noted.
const FORMAT_WITHOUT_UNSPREAD: u8 = 3;
/// The one before that has no tables of tokens.
const FORMAT_WITHOUT_TOKENS: u8 = 2;
/// And the first: the raft log was a table.
const FORMAT_WITH_LOG_TABLE: u8 = 1;

pub(crate) const DATA_FILE: &str = "data.mdb";
/// Where a new store is made, in its directory, before it is moved into place whole.
pub(crate) const INCOMING: &str = "incoming";
const LOCK_FILE: &str = "covault.lock";
const READERS_MAX: u32 = 1024;

/// How a directory is to be opened.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// The most the data file may grow to, in bytes; address space, not disk, until it is used.
    pub map_bytes: usize,
    /// Whether an empty directory becomes a new store.
    pub create: bool,
    /// Whether commits wait for the disk. `false` only in simulation, where nothing outlives the run.
    pub sync: bool,
    /// Where write jobs run.
    pub writer: WriterMode,
    /// Mappings that come before they are filed together: some 35 bytes of memory each, and twice as many at most.
    pub pile_max: usize,
}

/// Mappings that a node files together. They bring two or three to each page of a table of ten millions, and fill the
/// tables they are in by three quarters, while some more would leave half of them empty.
pub const PILE_MAX: usize = 3 << 18;

/// The durable state of one node.
#[derive(Debug)]
pub struct Store {
    writer: Option<Writer>,
    log: Option<Mutex<RaftLog>>,
    unsettled: Arc<Unsettled>,
    feed: Arc<Feed>,
    unfiled: Arc<Unfiled>,
    looks: Arc<Looks>,
    tables: Arc<Tables>,
    env: Env<WithoutTls>,
    path: PathBuf,
    map_bytes: usize,
    _lock: Option<File>,
}

impl std::fmt::Debug for Unfiled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Unfiled")
    }
}

impl std::fmt::Debug for Tables {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tables")
    }
}

impl Store {
    /// Opens `dir` for reading and writing, alone.
    pub fn open(dir: &Path, options: Options) -> Result<Self, OpenError> {
        if options.create {
            let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
            made.map_err(|why| OpenError::Io { path: dir.into(), why })?;
        }
        if !options.create && !has_data(dir) {
            return Err(OpenError::Absent(dir.into()));
        }
        let lock = lock(dir)?;
        if !has_data(dir) {
            make(dir, options.map_bytes)?;
        }
        check_pages(dir)?;
        let flags = if options.sync { EnvFlags::empty() } else { EnvFlags::NO_SYNC };
        let env = open_env(dir, options.map_bytes, flags)?;
        add_tables(&env).map_err(|error| damaged(dir, error))?;
        let tables = Arc::new(read_tables(dir, &env)?);
        let log = Some(Mutex::new(open_log(dir, &env, &tables, &options)?));
        let unsettled = Arc::new(Unsettled::default());
        let feed = Arc::new(Feed::default());
        let unfiled = Arc::new(load_unfiled(dir, &env, &tables)?);
        let looks = Arc::new(Looks::own(env.clone(), unfiled.clone()));
        let bench = Bench {
            env: env.clone(),
            tables: tables.clone(),
            unsettled: unsettled.clone(),
            feed: feed.clone(),
            looks: looks.clone(),
        };
        let filer = Filer::new(unfiled.clone(), options.pile_max);
        let writer = Writer::start(options.writer, bench, filer);
        let writer = Some(writer.map_err(|why| OpenError::Io { path: dir.into(), why })?);
        let path = dir.to_path_buf();
        let map_bytes = options.map_bytes;
        let lock = Some(lock);
        Ok(Self { writer, log, unsettled, feed, unfiled, looks, tables, env, path, map_bytes, _lock: lock })
    }

    /// Opens `dir` to look only, beside the process that has it if there is one.
    pub fn open_reader(dir: &Path, map_bytes: usize) -> Result<Self, OpenError> {
        if !has_data(dir) {
            return Err(OpenError::Absent(dir.into()));
        }
        // A process that has the directory has looked at the files itself.
        let log = match lock(dir) {
            Ok(_held) => {
                check_pages(dir)?;
                dir.join(log::FOLDER).is_dir().then(|| RaftLog::look(dir)).transpose()?.map(Mutex::new)
            }
            Err(OpenError::InUse(_)) => None,
            Err(error) => return Err(error),
        };
        let env = open_env(dir, map_bytes, EnvFlags::READ_ONLY)?;
        let tables = Arc::new(read_tables(dir, &env)?);
        let (unsettled, feed, unfiled) = (Arc::default(), Arc::default(), Arc::default());
        let looks = Arc::new(Looks::beside(env.clone()));
        let (writer, path) = (None, dir.into());
        Ok(Self { writer, log, unsettled, feed, unfiled, looks, tables, env, path, map_bytes, _lock: None })
    }

    /// Runs `work` in a write transaction and tells `done` what came of it once that is synced.
    pub fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut crate::txn::Txn<'_>) -> Result<T, StoreError> + Send + 'static,
        done: impl FnOnce(Result<T, StoreError>) + Send + 'static,
    ) {
        match &self.writer {
            Some(writer) => writer.write(work, done),
            None => done(Err(StoreError::Closed)),
        }
    }

    /// Runs `work` in a write transaction and waits until it is synced, in this thread when nothing else is
    /// being written.
    pub fn write_now<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut crate::txn::Txn<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.writer.as_ref().map_or(Err(StoreError::Closed), |writer| writer.write_now(work))
    }

    /// Runs `work`, which writes `bytes` about these secrets, and tells `done` what came of it; commits it
    /// later, with others. Only for what the log holds: whoever reads these secrets asks
    /// [`Self::is_settled`] first. `work` may run again, and must do the same; neither may write.
    pub fn gather<T: Send + 'static>(
        &self,
        secrets: Vec<SecretId>,
        bytes: u64,
        work: impl FnMut(&mut crate::txn::Txn<'_>) -> Result<T, StoreError> + Send + 'static,
        done: impl FnOnce(Result<T, StoreError>) + Send + 'static,
    ) {
        match &self.writer {
            Some(writer) => writer.gather(secrets, bytes, work, done),
            None => done(Err(StoreError::Closed)),
        }
    }

    /// Tells `done` what `look` finds in the rows as they will be once everything is committed that was answered
    /// before. Neither may write.
    pub fn ask<T: Send + 'static>(
        &self,
        look: impl FnOnce(crate::view::Rows<'_>) -> Result<T, StoreError> + Send + 'static,
        done: impl FnOnce(Result<T, StoreError>) + Send + 'static,
    ) {
        match &self.writer {
            Some(writer) => writer.ask(look, done),
            None => done(Err(StoreError::Closed)),
        }
    }

    /// Whether a look now sees all that was answered about this secret. If not, any write that is waited for
    /// makes it so.
    pub fn is_settled(&self, secret: &SecretId) -> bool {
        !self.unsettled.has(secret)
    }

    /// Whether a look now sees all that was answered.
    pub fn is_all_settled(&self) -> bool {
        self.unsettled.bytes() == 0
    }

    /// Whether every mapping has its row among all others.
    pub fn is_all_filed(&self) -> bool {
        self.unfiled.piles().is_empty()
    }

    /// From now on, notes which histories change, for [`Self::take_changes`]; lets go of what was noted before.
    pub fn follow_changes(&self) {
        self.feed.follow();
    }

    /// The first so many changes of those committed since [`Self::follow_changes`] that were not taken, in order. Who
    /// looks after that sees some of them already. `None` when they are not known: nobody follows, they were too many,
    /// or there is a new registry. Then whoever wants to know follows, and looks at everything, again.
    pub fn take_changes(&self, at_most: usize) -> Option<Vec<Change>> {
        self.feed.take(at_most)
    }

    /// The Raft log of this node. Closed to a store that was opened beside the process that has it.
    pub fn log(&self) -> Result<MutexGuard<'_, RaftLog>, StoreError> {
        let log = self.log.as_ref().ok_or(StoreError::Closed)?;
        Ok(log.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Lets go of what readers held that were killed while looking: until then no page that they could
    /// see is used again. Says how many there were.
    pub fn forget_dead_readers(&self) -> Result<usize, StoreError> {
        Ok(self.env.clear_stale_readers()?)
    }

    /// The data directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn looks(&self) -> &Looks {
        &self.looks
    }

    pub(crate) fn unsettled_bytes(&self) -> u64 {
        self.unsettled.bytes()
    }

    pub(crate) fn env(&self) -> &Env<WithoutTls> {
        &self.env
    }

    pub(crate) fn tables(&self) -> &Tables {
        &self.tables
    }

    pub(crate) fn map_bytes(&self) -> usize {
        self.map_bytes
    }
}

fn lock(dir: &Path) -> Result<File, OpenError> {
    let io = |why| OpenError::Io { path: dir.into(), why };
    let path = dir.join(LOCK_FILE);
    let file =
        OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path).map_err(io)?;
    match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(OpenError::InUse(dir.into())),
        Err(errno) => Err(io(errno.into())),
    }
}

#[allow(unsafe_code)]
fn open_env(dir: &Path, map_bytes: usize, flags: EnvFlags) -> Result<Env<WithoutTls>, OpenError> {
    let mut options = EnvOpenOptions::new().read_txn_without_tls();
    // One more than there are, for the table that an older format had.
    options.map_size(map_bytes).max_dbs(TABLES.len() as u32 + 1).max_readers(READERS_MAX);
    // SAFETY: NO_SYNC can lose commits at power loss; only a simulation asks for it. READ_ONLY is safe.
    unsafe { options.flags(flags) };
    // SAFETY: the file is changed by LMDB alone: `covault.lock` keeps other writers of ours out, and the
    // directory is the user's own (0700).
    unsafe { options.open(dir) }.map_err(|error| match error {
        heed::Error::Mdb(MdbError::Invalid | MdbError::VersionMismatch) => OpenError::Foreign(dir.into()),
        heed::Error::Io(why) => OpenError::Io { path: dir.into(), why },
        heed::Error::EnvAlreadyOpened => OpenError::InUse(dir.into()),
        other => OpenError::Damaged { path: dir.into(), why: other.to_string() },
    })
}

fn load_unfiled(dir: &Path, env: &Env<WithoutTls>, tables: &Tables) -> Result<Unfiled, OpenError> {
    let txn = env.read_txn().map_err(|error| damaged(dir, error))?;
    let unreadable = |error: StoreError| OpenError::Damaged { path: dir.into(), why: error.to_string() };
    Unfiled::load(&txn, tables).map_err(unreadable)
}

fn has_data(dir: &Path) -> bool {
    dir.join(DATA_FILE).exists()
}

fn check_pages(dir: &Path) -> Result<(), OpenError> {
    pages::check(&dir.join(DATA_FILE)).map_err(|fault| match fault {
        Fault::Foreign => OpenError::Foreign(dir.into()),
        Fault::Truncated => OpenError::Truncated(dir.into()),
        Fault::Damaged(why) => OpenError::Damaged { path: dir.into(), why: why.into() },
        Fault::Io(kind) => OpenError::Io { path: dir.into(), why: kind.into() },
    })
}

/// Makes an empty store. A process killed on the way leaves none, or a whole one.
fn make(dir: &Path, map_bytes: usize) -> Result<(), OpenError> {
    let io = |why| OpenError::Io { path: dir.into(), why };
    let incoming = clear_incoming(dir).map_err(io)?;
    std::fs::DirBuilder::new().mode(0o700).create(&incoming).map_err(io)?;
    make_tables(&open_env(&incoming, map_bytes, EnvFlags::empty())?).map_err(|error| damaged(dir, error))?;
    move_in(dir).map_err(io)
}

/// Takes away what an interrupted making or restoring left; gives the place for a new one.
pub(crate) fn clear_incoming(dir: &Path) -> io::Result<PathBuf> {
    let incoming = dir.join(INCOMING);
    match std::fs::remove_dir_all(&incoming) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(incoming),
    }
}

/// Moves a store that is closed and whole from its incoming place to where it is opened.
pub(crate) fn move_in(dir: &Path) -> io::Result<()> {
    let incoming = dir.join(INCOMING);
    std::fs::rename(incoming.join(DATA_FILE), dir.join(DATA_FILE))?;
    std::fs::remove_dir_all(incoming)?;
    File::open(dir)?.sync_all()?;
    // The directory itself may have been made for it.
    sync_names(&dir.join(".."))
}

/// Has the names in `folder` on the disk; one that this process may not read it cannot sync.
pub(crate) fn sync_names(folder: &Path) -> io::Result<()> {
    match File::open(folder) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        opened => opened?.sync_all(),
    }
}

fn make_tables(env: &Env<WithoutTls>) -> Result<(), heed::Error> {
    let txn = env.write_txn()?;
    let made = env.create_databases_and_commit(txn, |opener, txn| -> heed::Result<_> {
        for info in &TABLES {
            let table = opener.create_database::<Bytes, Bytes>(txn, Some(info.name))?;
            if info.name == META_TABLE {
                table.put(txn, &[Meta::Format as u8], &[STORE_FORMAT])?;
            }
        }
        Ok(CommitOrAbort::<_, ()>::Commit(()))
    })?;
    made.unwrap_commit();
    Ok(())
}

/// Adds to an environment of an older format the tables that it has not.
fn add_tables(env: &Env<WithoutTls>) -> Result<(), heed::Error> {
    let txn = env.write_txn()?;
    let added = env.create_databases_and_commit(txn, |opener, txn| -> heed::Result<_> {
        let Some(meta) = opener.open_database::<Bytes, Bytes>(txn, Some(META_TABLE))? else {
            return Ok(CommitOrAbort::Abort(()));
        };
        let format = meta.get(txn, &[Meta::Format as u8])?.map(<[u8]>::to_vec);
        match format.as_deref() {
            // The step from the log's table says the new format itself, once the log is taken over.
            Some([FORMAT_WITH_LOG_TABLE]) => {}
            Some([FORMAT_WITHOUT_TOKENS | FORMAT_WITHOUT_UNSPREAD | FORMAT_WITHOUT_UNFILED]) => {
                meta.put(txn, &[Meta::Format as u8], &[STORE_FORMAT])?;
            }
            _ => return Ok(CommitOrAbort::Abort(())),
        }
        for info in &TABLES {
            opener.create_database::<Bytes, Bytes>(txn, Some(info.name))?;
        }
        Ok(CommitOrAbort::<_, ()>::Commit(()))
    });
    added.map(|_| ())
}

/// Opens the log beside the tables, and makes it where there is none yet to miss.
fn open_log(
    dir: &Path,
    env: &Env<WithoutTls>,
    tables: &Tables,
    options: &Options,
) -> Result<RaftLog, OpenError> {
    let io = |why| OpenError::Io { path: dir.into(), why };
    let (format, has_voted) = {
        let read = || -> Result<_, heed::Error> {
            let txn = env.read_txn()?;
            let format = tables.meta.get(&txn, &[Meta::Format as u8])?.map(<[u8]>::to_vec);
            Ok((format, tables.meta.get(&txn, &[Meta::Vote as u8])?.is_some()))
        };
        read().map_err(|error| damaged(dir, error))?
    };
    let is_older = format.as_deref() == Some(&[FORMAT_WITH_LOG_TABLE]);
    if is_older || !has_voted {
        RaftLog::make(dir).map_err(io)?;
    } else if !dir.join(log::FOLDER).is_dir() {
        let why = format!("its raft log, the folder {}, is missing", log::FOLDER);
        return Err(OpenError::Damaged { path: dir.into(), why });
    }
    if is_older {
        leave_log_table(env, tables).map_err(|error| damaged(dir, error))?;
    }
    RaftLog::open(dir, options.sync, options.writer == WriterMode::Thread)
}

/// From the format before: with one voter everything in its log was applied in the same transaction, so that
/// the log can begin anew behind it.
fn leave_log_table(env: &Env<WithoutTls>, tables: &Tables) -> Result<(), heed::Error> {
    let txn = env.write_txn()?;
    let left = env.create_databases_and_commit(txn, |opener, txn| -> heed::Result<_> {
        opener.create_database::<Bytes, Bytes>(txn, Some("log"))?.clear(txn)?;
        if let Some(applied) = tables.meta.get(txn, &[Meta::Applied as u8])?.map(<[u8]>::to_vec) {
            tables.meta.put(txn, &[Meta::Purged as u8], &applied)?;
        }
        tables.meta.put(txn, &[Meta::Format as u8], &[STORE_FORMAT])?;
        Ok(CommitOrAbort::<_, ()>::Commit(()))
    })?;
    left.unwrap_commit();
    Ok(())
}

/// What a database turned out to be, other than ours.
enum Other {
    Foreign,
    Older,
    Newer(u8),
    Incomplete,
}

fn read_tables(dir: &Path, env: &Env<WithoutTls>) -> Result<Tables, OpenError> {
    let read = || -> Result<CommitOrAbort<[Table; TABLES.len()], Other>, heed::Error> {
        let txn = env.read_txn()?;
        env.open_databases_and_commit(txn, |opener, txn| -> heed::Result<_> {
            let Some(meta) = opener.open_database::<Bytes, Bytes>(txn, Some(META_TABLE))? else {
                return Ok(CommitOrAbort::Abort(Other::Foreign));
            };
            match meta.get(txn, &[Meta::Format as u8])? {
                Some([STORE_FORMAT | FORMAT_WITH_LOG_TABLE]) => {}
                Some([FORMAT_WITHOUT_TOKENS | FORMAT_WITHOUT_UNSPREAD | FORMAT_WITHOUT_UNFILED]) => {
                    return Ok(CommitOrAbort::Abort(Other::Older));
                }
                Some([found]) if STORE_FORMAT < *found => {
                    return Ok(CommitOrAbort::Abort(Other::Newer(*found)));
                }
                _ => return Ok(CommitOrAbort::Abort(Other::Foreign)),
            }
            let mut tables = Vec::with_capacity(TABLES.len());
            for info in &TABLES {
                tables.extend(opener.open_database::<Bytes, Bytes>(txn, Some(info.name))?);
            }
            Ok(<[_; TABLES.len()]>::try_from(tables)
                .map_or(CommitOrAbort::Abort(Other::Incomplete), CommitOrAbort::Commit))
        })
    };
    match read().map_err(|error| damaged(dir, error))? {
        CommitOrAbort::Commit(all) => Ok(Tables::from(all)),
        CommitOrAbort::Abort(Other::Foreign) => Err(OpenError::Foreign(dir.into())),
        CommitOrAbort::Abort(Other::Older) => Err(OpenError::Older(dir.into())),
        CommitOrAbort::Abort(Other::Newer(found)) => {
            Err(OpenError::Newer { path: dir.into(), found, known: STORE_FORMAT })
        }
        CommitOrAbort::Abort(Other::Incomplete) => {
            Err(OpenError::Damaged { path: dir.into(), why: "a table is missing".into() })
        }
    }
}

fn damaged(dir: &Path, error: heed::Error) -> OpenError {
    match error {
        heed::Error::Mdb(MdbError::Incompatible) => OpenError::Foreign(dir.into()),
        heed::Error::Io(why) if why.kind() != io::ErrorKind::InvalidData => {
            OpenError::Io { path: dir.into(), why }
        }
        other => OpenError::Damaged { path: dir.into(), why: other.to_string() },
    }
}
