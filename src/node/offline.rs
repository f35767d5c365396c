//! What is done to a data directory without a node: backup, restore, checking data and audit log. A backup
//! and the checks also work beside a running node, since they only look.
//! Knows nothing of terminals.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use covault_model::{id::NodeId, name::SecretPath};
use covault_net::NodeIdentity;
use covault_store::{
    BackupError, Manifest, OpenError, RestoreAs, SETTLES_WITHIN, Store, StoreError, make_scratch,
};

use super::{
    config::NodeConfig,
    start::{read_anchor, store_options},
};
use crate::{
    audit::{self, VerifyError},
    consensus::{Legacy, legacy, take_in_log, unapplied},
    host::Host,
    merge::{self, Document},
};

/// Why an audit log was not found whole.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The store cannot be opened, so the log's end cannot be known.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The store cannot be read.
    #[error(transparent)]
    Rows(#[from] StoreError),
    /// The log cannot be read, or is not what was written.
    #[error(transparent)]
    Log(#[from] VerifyError),
}

impl CheckError {
    /// The stable code: `audit_broken` when the log is not what was written.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Log(VerifyError::Found(_)) => "audit_broken",
            Self::Log(VerifyError::Read { .. }) | Self::Store(_) | Self::Rows(_) => "audit_unreadable",
        }
    }
}

/// Checks the whole audit log in `data` against the newest line that the store knows of.
pub fn verify_audit(data: &Path, progress: &mut dyn FnMut(u64)) -> Result<audit::Report, CheckError> {
    let config = NodeConfig::at(data);
    let anchor = read_anchor(&reader(&config)?)?;
    Ok(audit::verify(&config.audit_dir(), anchor, progress)?)
}

/// Copies the store in `data` into the new file `to`, and reads the copy back. Everything that was answered
/// before the call is in it: a running node commits that in a moment, and of one that was killed it is said
/// when its log has more.
pub fn back_up(data: &Path, to: &Path) -> Result<Manifest, BackupError> {
    let store = reader(&NodeConfig::at(data))?;
    match unapplied(&store)? {
        None => std::thread::sleep(2 * SETTLES_WITHIN),
        Some(0) => {}
        Some(entries) => return Err(BackupError::Unapplied(entries)),
    }
    store.back_up(to, &beside(to, "check"))
}

/// The same of a node that does not run, with what its log has beyond its store taken in as if it were agreed;
/// says how many entries that were. What the last node of a cluster has heard may have been answered by others.
pub fn back_up_with_log(data: &Path, to: &Path) -> Result<(Manifest, u64), BackupError> {
    let config = NodeConfig::at(data);
    let store = reader(&config)?;
    if unapplied(&store)?.is_none() {
        return Err(OpenError::InUse(data.into()).into());
    }
    let copy_dir = beside(to, "copy");
    make_scratch(&copy_dir)?;
    let copied = back_up_copy(&copy_dir, &store, to, &config);
    std::fs::remove_dir_all(&copy_dir)?;
    copied
}

fn back_up_copy(
    dir: &Path,
    store: &Store,
    to: &Path,
    config: &NodeConfig,
) -> Result<(Manifest, u64), BackupError> {
    store.copy_to(dir)?;
    let copy = Store::open(dir, store_options(config))?;
    let taken_in = take_in_log(&copy, store)?;
    Ok((copy.back_up(to, &beside(to, "check"))?, taken_in))
}

fn beside(file: &Path, what: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(format!(".{what}"));
    name.into()
}

/// What was restored.
#[derive(Debug)]
pub struct Restored {
    /// The new node.
    pub node: NodeId,
    /// What the backup holds.
    pub manifest: Manifest,
    /// Where its cluster was when the backup was made; absent when that had agreed on nothing.
    pub legacy: Option<Legacy>,
}

/// Makes a store in the empty directory `data` from a backup, for a node with an identity of its own. At its first
/// start that one becomes the only member of the cluster.
pub fn restore(backup: &Path, data: &Path, host: &dyn Host) -> Result<Restored, BackupError> {
    let config = NodeConfig::at(data);
    let manifest = covault_store::restore(backup, data, RestoreAs::NewNode, store_options(&config))?;
    let identity = NodeIdentity::create(data, &mut |bytes| host.fill(bytes))
        .map_err(|error| BackupError::Inconsistent(error.to_string()))?;
    let legacy = legacy(&reader(&config)?)?;
    Ok(Restored { node: identity.id(), manifest, legacy })
}

/// What is wrong with a store, or how much of it there is.
#[derive(Debug)]
pub struct CheckReport {
    /// Secrets checked.
    pub secrets: u64,
    /// Versions checked.
    pub versions: u64,
    /// What does not agree, each in a sentence.
    pub differences: Vec<String>,
}

/// Compares every view in `data` with its records, and with the history document derived from them.
/// `progress` is told of secrets as they are done.
pub fn check(data: &Path, progress: &mut dyn FnMut(u64)) -> Result<CheckReport, CheckError> {
    let store = reader(&NodeConfig::at(data))?;
    let rebuilt = store.compare_with_rebuild()?;
    let mut differences: Vec<String> = rebuilt.differences.iter().map(ToString::to_string).collect();
    let view = store.view()?;
    let rows = view.rows();
    rows.each_secret(|path| {
        progress(1);
        // The registry may name a secret of which nothing has arrived.
        let Some(view) = rows.secret_view(&path)? else { return Ok(true) };
        let mut kept = BTreeSet::new();
        for head in &view.heads {
            kept.extend(rows.record(&path, &head.id)?.as_ref().map(merge::change_hash_of));
        }
        let document = Document::of(path.id(), rows.records(&path)?.iter());
        // A record without its parents is in the view, and in the document once they have come.
        let awaits = !view.awaited.is_empty();
        let fits = document.is_ok_and(|document| awaits || document.heads().into_iter().eq(kept));
        if !fits {
            let SecretPath { owner, name } = path;
            differences.push(format!("the history document of {name} of {owner} is not what its view says"));
        }
        Ok(true)
    })?;
    Ok(CheckReport { secrets: rebuilt.secrets, versions: rebuilt.versions, differences })
}

fn reader(config: &NodeConfig) -> Result<Store, OpenError> {
    Store::open_reader(&config.data, config.map_bytes)
}
