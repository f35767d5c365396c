//! The node's identity: an Ed25519 seed in a file of its data directory. Whoever has the seed can sign
//! records as this node, so a file that others may open is refused, and no error repeats what is in it.
//!
//! ```text
//! covault node key 1
//! <64 lowercase hexadecimal digits: the seed>
//! ```
//!
//! Knows nothing of the algorithm (`covault_model::key` does) or of whom the node talks to.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    process,
};

use covault_model::{
    id::{NodeId, from_hex, hex},
    key::NodeKey,
};
use zeroize::Zeroizing;

/// The name of the file in the data directory.
pub const NODE_KEY_FILE: &str = "node.key";

const MARKER: &str = "covault node key 1\n";
const SEED_LEN: usize = 32;
/// The marker, the digits and a line break.
const TEXT_LEN: usize = MARKER.len() + 2 * SEED_LEN + 1;
/// Permission bits that nobody but the file's owner may have.
const OTHERS: u32 = 0o077;

/// Why there is no identity. Each names the file and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// Nothing there.
    #[error("there is no node key at {0}: restore it, or create the node anew")]
    Missing(PathBuf),
    /// There, but reading failed.
    #[error("the node key {path} cannot be read: {reason}; let this process's user read it")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// Others than its owner may read or change the file.
    #[error("the node key {path} is open to others (mode {mode:04o}): run chmod 600 on it")]
    OpenToOthers {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Not what [`NodeIdentity::create`] writes.
    #[error("{0} is not a node key of this release: restore the file that was written there")]
    Malformed(PathBuf),
    /// A node key is there already.
    #[error("there is a node key at {0} already: a node's identity is never overwritten")]
    Exists(PathBuf),
    /// Writing failed, and nothing was left behind.
    #[error("the node key {path} cannot be written: {reason}")]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
}

/// Who a node is.
#[derive(Debug)]
pub struct NodeIdentity(NodeKey);

impl NodeIdentity {
    /// Draws a new identity and keeps it in `directory`, which must exist. Refused if one is there.
    pub fn create(directory: &Path, chance: &mut dyn FnMut(&mut [u8])) -> Result<Self, IdentityError> {
        let mut seed = Zeroizing::new([0; SEED_LEN]);
        chance(seed.as_mut_slice());
        write_new(&directory.join(NODE_KEY_FILE), &seed)?;
        Ok(Self(NodeKey::from_seed(&seed)))
    }

    /// Reads the identity kept in `directory`.
    pub fn load(directory: &Path) -> Result<Self, IdentityError> {
        let path = directory.join(NODE_KEY_FILE);
        let text = read(&path)?;
        let seed = parse(&text).ok_or(IdentityError::Malformed(path))?;
        Ok(Self(NodeKey::from_seed(&seed)))
    }

    /// Reads the identity kept in `directory`, or creates it where there is none.
    pub fn load_or_create(
        directory: &Path,
        chance: &mut dyn FnMut(&mut [u8]),
    ) -> Result<Self, IdentityError> {
        match Self::load(directory) {
            Err(IdentityError::Missing(_)) => Self::create(directory, chance),
            loaded => loaded,
        }
    }

    /// The node's id, which is its public key.
    pub fn id(&self) -> NodeId {
        self.0.node_id()
    }

    /// The key that it signs with.
    pub fn key(&self) -> &NodeKey {
        &self.0
    }

    /// Gives the key away.
    pub fn into_key(self) -> NodeKey {
        self.0
    }
}

fn parse(text: &[u8]) -> Option<Zeroizing<[u8; SEED_LEN]>> {
    let digits = core::str::from_utf8(text).ok()?.strip_prefix(MARKER)?.strip_suffix('\n')?;
    let mut seed = Zeroizing::new([0; SEED_LEN]);
    from_hex(digits, seed.as_mut_slice()).ok()?;
    Some(seed)
}

/// Opens first and looks at the open file, so that what is checked is what is read. Reads one byte more than
/// a node key has, which is enough to see that it is not one.
fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, IdentityError> {
    let unreadable = |error: &io::Error| match error.kind() {
        io::ErrorKind::NotFound => IdentityError::Missing(path.to_owned()),
        kind => IdentityError::Unreadable { path: path.to_owned(), reason: kind.to_string() },
    };
    let file = File::open(path).map_err(|error| unreadable(&error))?;
    let metadata = file.metadata().map_err(|error| unreadable(&error))?;
    if !metadata.is_file() {
        let reason = "it is not a regular file".to_owned();
        return Err(IdentityError::Unreadable { path: path.to_owned(), reason });
    }
    if metadata.mode() & OTHERS != 0 {
        return Err(IdentityError::OpenToOthers { path: path.to_owned(), mode: metadata.mode() & 0o7777 });
    }
    // Room for all of it at once: growing would leave copies of the seed behind.
    let mut text = Zeroizing::new(Vec::with_capacity(TEXT_LEN + 1));
    file.take(TEXT_LEN as u64 + 1).read_to_end(&mut text).map_err(|error| unreadable(&error))?;
    Ok(text)
}

/// Writes the seed to a new file of mode 0600 and syncs it and its directory. The file gets its name only
/// when it is whole, so a crash leaves an identity or none.
fn write_new(path: &Path, seed: &[u8; SEED_LEN]) -> Result<(), IdentityError> {
    // Named after this process, so that two that race for one path never share a draft.
    let draft = path.with_extension(format!("key.{}.new", process::id()));
    let linked = write_synced(&draft, seed).and_then(|()| fs::hard_link(&draft, path));
    let removed = remove_if_there(&draft);
    linked.and(removed).and_then(|()| sync_directory_of(path)).map_err(|error| {
        let path = path.to_owned();
        match error.kind() {
            io::ErrorKind::AlreadyExists => IdentityError::Exists(path),
            kind => IdentityError::Unwritable { path, reason: kind.to_string() },
        }
    })
}

fn write_synced(draft: &Path, seed: &[u8; SEED_LEN]) -> io::Result<()> {
    // What a crashed process of the same id left behind was never anybody's identity.
    remove_if_there(draft)?;
    let digits = Zeroizing::new(hex(seed));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(draft)?;
    file.write_all(MARKER.as_bytes())?;
    file.write_all(digits.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()
}

fn remove_if_there(draft: &Path) -> io::Result<()> {
    match fs::remove_file(draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn sync_directory_of(path: &Path) -> io::Result<()> {
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}
