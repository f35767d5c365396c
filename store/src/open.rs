//! Opening a data directory: one process at a time, our format, a file that is whole. The only file with
//! `unsafe`: LMDB maps the file, so the process must be the only one that changes it.
//! Knows nothing of what the tables hold.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use heed::{CommitOrAbort, Env, EnvFlags, EnvOpenOptions, MdbError, WithoutTls, types::Bytes};

use crate::{
    error::{OpenError, StoreError},
    tables::{Meta, TABLES, Table, Tables},
    txn::ChangeOf,
    writer::{Bench, Writer, WriterMode},
};

/// The format of the environment this release writes and the newest it reads.
pub(crate) const STORE_FORMAT: u8 = 1;

const DATA_FILE: &str = "data.mdb";
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
    /// The document change that inserts a record.
    pub change_of: ChangeOf,
}

/// The durable state of one node.
#[derive(Debug)]
pub struct Store {
    writer: Option<Writer>,
    tables: Arc<Tables>,
    env: Env<WithoutTls>,
    path: PathBuf,
    map_bytes: usize,
    change_of: ChangeOf,
    _lock: Option<File>,
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
        let exists = dir.join(DATA_FILE).exists();
        if !exists && !options.create {
            return Err(OpenError::Absent(dir.into()));
        }
        let lock = lock(dir)?;
        let flags = if options.sync { EnvFlags::empty() } else { EnvFlags::NO_SYNC };
        let env = open_env(dir, options.map_bytes, flags)?;
        let short = is_short(dir, &env)?;
        let tables = Arc::new(if exists { read_tables(dir, &env)? } else { make_tables(dir, &env)? });
        check_format(dir, &env, &tables)?;
        if short {
            read_everything(&env, &tables).map_err(|_| OpenError::Truncated(dir.into()))?;
        }
        let bench = Bench { env: env.clone(), tables: tables.clone(), change_of: options.change_of };
        let writer = Writer::start(options.writer, bench);
        let writer = writer.map_err(|why| OpenError::Io { path: dir.into(), why })?;
        let path = dir.to_path_buf();
        let Options { map_bytes, change_of, .. } = options;
        Ok(Self { writer: Some(writer), tables, env, path, map_bytes, change_of, _lock: Some(lock) })
    }

    /// Opens `dir` beside the process that has it, to look only.
    pub fn open_reader(dir: &Path, map_bytes: usize, change_of: ChangeOf) -> Result<Self, OpenError> {
        if !dir.join(DATA_FILE).exists() {
            return Err(OpenError::Absent(dir.into()));
        }
        let env = open_env(dir, map_bytes, EnvFlags::READ_ONLY)?;
        let tables = Arc::new(read_tables(dir, &env)?);
        check_format(dir, &env, &tables)?;
        Ok(Self { writer: None, tables, env, path: dir.into(), map_bytes, change_of, _lock: None })
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

    /// Runs `work` in a write transaction and waits until it is synced. For start and stop, not for serving.
    pub fn write_now<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut crate::txn::Txn<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (sender, receiver) = std::sync::mpsc::channel();
        self.write(work, move |result| drop(sender.send(result)));
        receiver.recv().map_err(|_| StoreError::Closed)?
    }

    /// The data directory.
    pub fn path(&self) -> &Path {
        &self.path
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

    pub(crate) fn change_of(&self) -> ChangeOf {
        self.change_of
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
    options.map_size(map_bytes).max_dbs(TABLES.len() as u32).max_readers(READERS_MAX);
    // SAFETY: NO_SYNC can lose commits at power loss; only a simulation asks for it. READ_ONLY is safe.
    unsafe { options.flags(flags) };
    // SAFETY: the file is changed by LMDB alone: `covault.lock` keeps other writers of ours out, and the
    // directory is the user's own (0700).
    unsafe { options.open(dir) }.map_err(|error| match error {
        heed::Error::Mdb(MdbError::Invalid | MdbError::VersionMismatch) => OpenError::Foreign(dir.into()),
        heed::Error::Io(why) => OpenError::Io { path: dir.into(), why },
        other => OpenError::Damaged { path: dir.into(), why: other.to_string() },
    })
}

/// Whether the file is shorter than the pages its header counts. That may be harmless (LMDB does not write
/// pages that it took and gave back), so the file is made long enough to be read safely, and read.
fn is_short(dir: &Path, env: &Env<WithoutTls>) -> Result<bool, OpenError> {
    let io = |why| OpenError::Io { path: dir.into(), why };
    let file = OpenOptions::new().write(true).open(dir.join(DATA_FILE)).map_err(io)?;
    let page = u64::from(env.unnamed_database_stat().page_size);
    let wanted = (env.info().last_page_number as u64 + 1) * page;
    let short = file.metadata().map_err(io)?.len() < wanted;
    if short {
        file.set_len(wanted).map_err(io)?;
    }
    Ok(short)
}

fn make_tables(dir: &Path, env: &Env<WithoutTls>) -> Result<Tables, OpenError> {
    let make = || -> Result<Tables, heed::Error> {
        let txn = env.write_txn()?;
        let made = env.create_databases_and_commit(txn, |opener, txn| -> heed::Result<_> {
            let mut tables = Vec::with_capacity(TABLES.len());
            for info in &TABLES {
                tables.push(opener.create_database::<Bytes, Bytes>(txn, Some(info.name))?);
            }
            let meta = tables[0];
            meta.put(txn, &[Meta::Format as u8], &[STORE_FORMAT])?;
            let all: [_; TABLES.len()] =
                tables.try_into().map_err(|_| heed::Error::Mdb(MdbError::DbsFull))?;
            Ok(CommitOrAbort::<_, ()>::Commit(all))
        })?;
        Ok(Tables::from(made.unwrap_commit()))
    };
    make().map_err(|error| damaged(dir, error))
}

fn read_tables(dir: &Path, env: &Env<WithoutTls>) -> Result<Tables, OpenError> {
    let read = || -> Result<Option<Tables>, heed::Error> {
        let txn = env.read_txn()?;
        let found = env.open_databases_and_commit(txn, |opener, txn| -> heed::Result<_> {
            let mut tables = Vec::with_capacity(TABLES.len());
            for info in &TABLES {
                match opener.open_database::<Bytes, Bytes>(txn, Some(info.name))? {
                    Some(table) => tables.push(table),
                    None => return Ok(CommitOrAbort::<_, ()>::Abort(())),
                }
            }
            let all: [_; TABLES.len()] =
                tables.try_into().map_err(|_| heed::Error::Mdb(MdbError::DbsFull))?;
            Ok(CommitOrAbort::Commit(all))
        })?;
        Ok(match found {
            CommitOrAbort::Commit(all) => Some(Tables::from(all)),
            CommitOrAbort::Abort(()) => None,
        })
    };
    read().map_err(|error| damaged(dir, error))?.ok_or_else(|| OpenError::Foreign(dir.into()))
}

fn check_format(dir: &Path, env: &Env<WithoutTls>, tables: &Tables) -> Result<(), OpenError> {
    let txn = env.read_txn().map_err(|error| damaged(dir, error))?;
    match tables.meta.get(&txn, &[Meta::Format as u8]).map_err(|error| damaged(dir, error))? {
        Some([STORE_FORMAT]) => Ok(()),
        Some([found]) if STORE_FORMAT < *found => {
            Err(OpenError::Newer { path: dir.into(), found: *found, known: STORE_FORMAT })
        }
        _ => Err(OpenError::Foreign(dir.into())),
    }
}

fn read_everything(env: &Env<WithoutTls>, tables: &Tables) -> Result<(), heed::Error> {
    let txn = env.read_txn()?;
    for table in tables.all() {
        for row in Table::iter(&table, &txn)? {
            row?;
        }
    }
    Ok(())
}

fn damaged(dir: &Path, error: heed::Error) -> OpenError {
    match error {
        heed::Error::Io(why) if why.kind() != io::ErrorKind::InvalidData => {
            OpenError::Io { path: dir.into(), why }
        }
        other => OpenError::Damaged { path: dir.into(), why: other.to_string() },
    }
}
