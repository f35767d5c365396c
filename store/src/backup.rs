//! Backup of a running store into one file, and restore from it. Consistent (one read transaction),
//! compacted, and verified: a digest over every byte, and each row readable.
//!
//! File: 16 bytes `covault backup\n` and format 1, 32 bytes BLAKE3 of the rest, then an LMDB file.
//! A backup holds ciphertext, records and the registry; no master key, no node key, no audit log.
//! Knows nothing of keys or of Raft, but that a restored store belongs to a new node.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use covault_model::hlc::Hlc;
use heed::CompactionOption;

use crate::{
    error::{OpenError, StoreError},
    log::RaftLog,
    open::{DATA_FILE, Options, Store, clear_incoming, move_in, sync_names},
    rebuild::RebuildReport,
    tables::Meta,
};

const MAGIC: &[u8; 16] = b"covault backup\n\x01";
const HASH_LEN: usize = 32;
const HASH_CONTEXT: &str = "covault 2026-11 backup";

/// Why a backup or restore failed.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The file is not one of our backups.
    #[error("this file is not a covault backup")]
    NotABackup,
    /// A later release wrote it.
    #[error("this backup was written by a later release (format {0}); upgrade covault")]
    Newer(u8),
    /// The bytes are not those that were written.
    #[error("the backup is damaged: its digest does not match its content")]
    Damaged,
    /// A restore never replaces what is there.
    #[error("the directory to restore into is not empty")]
    NotEmpty,
    /// The node was killed or has lost its majority, and what it heard last is in its log alone.
    #[error(
        "{0} entries of the raft log are not in the store yet; start the node once, then back up, or take them \
         in as they are (--with-log) if the majority of its cluster is lost"
    )]
    Unapplied(u64),
    /// Something in the backup does not agree with itself.
    #[error("the backup contradicts itself: {0}")]
    Inconsistent(String),
    /// The folder in which the copy is read back cannot be made: one that was killed left it, or something else is there.
    #[error("cannot make the folder {} for the check of the backup: {why}; if it is there, remove it", .folder.display())]
    Scratch {
        /// The folder.
        folder: PathBuf,
        /// Why not.
        why: io::Error,
    },
    /// The operating system refused.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What was restored does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
}

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Bytes of the backup file.
    pub bytes: u64,
    /// Secrets in it.
    pub secrets: u64,
    /// Versions in it.
    pub versions: u64,
    /// Versions among them that have no number.
    pub provisional: u64,
    /// Agreed versions that are named in it and that the node had not received.
    pub lacking: u64,
    /// The time of the newest record in it.
    pub newest: Hlc,
}

/// What a restored store is to forget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestoreAs {
    /// The first node of the cluster from now on: votes and log of the old node are dropped. Where its log ended
    /// and who the members were stays, for agreement to go on from there.
    NewNode,
}

impl Store {
    /// Writes a backup of this moment to a new file at `to`, and reads it back in a new directory `scratch`, which is
    /// removed again; one that exists is refused.
    pub fn back_up(&self, to: &Path, scratch: &Path) -> Result<Manifest, BackupError> {
        make_scratch(scratch)?;
        let read_back = self.write_and_read_back(to, scratch);
        std::fs::remove_dir_all(scratch)?;
        read_back
    }

    fn write_and_read_back(&self, to: &Path, scratch: &Path) -> Result<Manifest, BackupError> {
        let mut file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(to)?;
        let written = self
            .write_backup(&mut file)
            .and_then(|()| Ok(sync_names(folder_of(to))?))
            .and_then(|()| read_in(to, scratch));
        if written.is_err() {
            // The reason it was not written says more than why its beginning could not be taken away.
            let _ = std::fs::remove_file(to);
        }
        written
    }

    /// Copies this moment into the empty directory `dir`, as a store of its own with an empty log.
    pub fn copy_to(&self, dir: &Path) -> Result<(), BackupError> {
        let mut data =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(dir.join(DATA_FILE))?;
        self.env().copy_to_file(&mut data, CompactionOption::Enabled).map_err(StoreError::from)?;
        RaftLog::make(dir)?;
        Ok(())
    }

    fn write_backup(&self, file: &mut File) -> Result<(), BackupError> {
        let body = (MAGIC.len() + HASH_LEN) as u64;
        file.write_all(MAGIC)?;
        file.write_all(&[0; HASH_LEN])?;
        self.env().copy_to_file(file, CompactionOption::Enabled).map_err(StoreError::from)?;
        let hash = hash_from(file, body)?;
        file.seek(SeekFrom::Start(MAGIC.len() as u64))?;
        file.write_all(&hash)?;
        file.sync_all()?;
        Ok(())
    }
}

/// Checks the digest of a backup, opens it in a new directory `scratch` and compares every view with its
/// records. `scratch` is removed again; one that exists is refused.
pub fn verify_backup(backup: &Path, scratch: &Path) -> Result<Manifest, BackupError> {
    make_scratch(scratch)?;
    let checked = read_in(backup, scratch);
    std::fs::remove_dir_all(scratch)?;
    checked
}

/// Makes a directory that is not there yet for what is read once and removed again.
pub fn make_scratch(folder: &Path) -> Result<(), BackupError> {
    let made = std::fs::DirBuilder::new().mode(0o700).create(folder);
    made.map_err(|why| BackupError::Scratch { folder: folder.into(), why })
}

fn read_in(backup: &Path, scratch: &Path) -> Result<Manifest, BackupError> {
    unpack(backup, scratch).and_then(|bytes| check(scratch, bytes))
}

/// Makes a store at the empty or absent directory `dir` from a backup, verified. A restore that fails or is
/// killed leaves no store there, and can be tried again.
pub fn restore(
    backup: &Path,
    dir: &Path,
    as_what: RestoreAs,
    options: Options,
) -> Result<Manifest, BackupError> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let incoming = clear_incoming(dir)?;
    if std::fs::read_dir(dir)?.next().is_some() {
        return Err(BackupError::NotEmpty);
    }
    std::fs::DirBuilder::new().mode(0o700).create(&incoming)?;
    match restore_in(backup, &incoming, as_what, options) {
        Ok(manifest) => {
            move_in(dir)?;
            Ok(manifest)
        }
        Err(error) => {
            clear_incoming(dir)?;
            Err(error)
        }
    }
}

fn restore_in(
    backup: &Path,
    incoming: &Path,
    as_what: RestoreAs,
    options: Options,
) -> Result<Manifest, BackupError> {
    let bytes = unpack(backup, incoming)?;
    let manifest = check(incoming, bytes)?;
    // Its votes come with the store until they are forgotten, its log does not.
    RaftLog::make(incoming)?;
    let store = Store::open(incoming, Options { create: false, ..options })?;
    match as_what {
        RestoreAs::NewNode => store.write_now(|txn| txn.forget_node())?,
    }
    Ok(manifest)
}

/// Writes the store in a backup into `dir`; gives the bytes of the backup.
fn unpack(backup: &Path, dir: &Path) -> Result<u64, BackupError> {
    let mut file = File::open(backup)?;
    let mut head = [0; MAGIC.len() + HASH_LEN];
    file.read_exact(&mut head).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => BackupError::NotABackup,
        _ => BackupError::Io(error),
    })?;
    let (magic, hash) = head.split_at(MAGIC.len());
    let (name, format) = magic.split_at(MAGIC.len() - 1);
    let (known_name, known_format) = MAGIC.split_at(MAGIC.len() - 1);
    if name != known_name {
        return Err(BackupError::NotABackup);
    }
    if format != known_format {
        return Err(BackupError::Newer(format[0]));
    }
    if hash_from(&mut file, head.len() as u64)? != hash {
        return Err(BackupError::Damaged);
    }
    file.seek(SeekFrom::Start(head.len() as u64))?;
    let mut data = OpenOptions::new().write(true).create_new(true).mode(0o600).open(dir.join(DATA_FILE))?;
    let bytes = io::copy(&mut file, &mut data)?;
    data.sync_all()?;
    Ok(bytes + head.len() as u64)
}

fn check(dir: &Path, bytes: u64) -> Result<Manifest, BackupError> {
    let map_bytes = usize::try_from(bytes).unwrap_or(usize::MAX >> 1).next_power_of_two().max(1 << 20);
    let store = Store::open_reader(dir, map_bytes)?;
    let RebuildReport { secrets, versions, provisional, lacking, differences } =
        store.compare_with_rebuild()?;
    let newest = store.view()?.rows().clock()?;
    match differences.first() {
        None => Ok(Manifest { bytes, secrets, versions, provisional, lacking, newest }),
        Some(difference) => Err(BackupError::Inconsistent(difference.to_string())),
    }
}

/// The folder that a file is in.
fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn hash_from(file: &mut File, offset: u64) -> io::Result<[u8; HASH_LEN]> {
    file.seek(SeekFrom::Start(offset))?;
    let mut hasher = blake3::Hasher::new_derive_key(HASH_CONTEXT);
    let mut block = vec![0; 1 << 16];
    loop {
        match file.read(&mut block)? {
            0 => return Ok(*hasher.finalize().as_bytes()),
            len => hasher.update(&block[..len]),
        };
    }
}

impl crate::txn::Txn<'_> {
    /// Drops what belonged to the node the backup was taken from: its votes, what it knew of its log, and the
    /// audit anchor. Its log is no part of a backup.
    fn forget_node(&mut self) -> Result<(), StoreError> {
        let meta = self.tables().meta;
        for key in
            [Meta::Vote, Meta::Purged, Meta::Snapshot, Meta::Installed, Meta::AuditAnchor, Meta::Destroyed]
        {
            self.delete(meta, &[key as u8])?;
        }
        Ok(())
    }
}
