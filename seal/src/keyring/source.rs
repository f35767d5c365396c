//! Where a keyring is kept, and its file. Part of S3: a file that others may open is refused before it is
//! read. Knows nothing of what the text means.

use std::{
    env,
    ffi::OsString,
    fmt,
    fs::{self, File, Metadata, OpenOptions},
    io::{self, Read, Write},
    os::unix::{
        ffi::OsStringExt,
        fs::{MetadataExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
    process,
};

use zeroize::Zeroizing;

use super::error::KeyringError;

/// The name of the credential that holds a keyring.
pub const CREDENTIAL_NAME: &str = "covault-master-keys";

const CREDENTIAL_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";
/// Largest keyring, in bytes: room for some five hundred keys.
const TEXT_BYTES_MAX: u64 = 64 * 1024;

/// Where a keyring is kept. A node has exactly one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyringSource {
    /// A file that belongs to this process's user or root, and is closed to everybody else.
    File(PathBuf),
    /// The environment variable of this name holds the text.
    Environment(String),
    /// The file [`CREDENTIAL_NAME`] in the directory that `CREDENTIALS_DIRECTORY` names, put there by the
    /// service manager. The manager may open it to a group, which is how its access list shows in the mode.
    CredentialDirectory,
}

impl fmt::Display for KeyringSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Environment(variable) => write!(f, "the environment variable {variable}"),
            Self::CredentialDirectory => write!(f, "${CREDENTIAL_DIRECTORY}/{CREDENTIAL_NAME}"),
        }
    }
}

/// Permission bits that nobody but a file's owner may have.
const OTHERS_OR_GROUP: u32 = 0o077;
/// Permission bits that nobody outside owner and group may have.
const OTHERS: u32 = 0o007;

impl KeyringSource {
    /// The text kept there.
    pub(super) fn read(&self) -> Result<Zeroizing<Vec<u8>>, KeyringError> {
        match self {
            Self::File(path) => self.read_file(path, OTHERS_OR_GROUP),
            Self::Environment(name) => self.bounded(Zeroizing::new(self.variable(name)?.into_vec())),
            Self::CredentialDirectory => {
                let directory = PathBuf::from(self.variable(CREDENTIAL_DIRECTORY)?);
                self.read_file(&directory.join(CREDENTIAL_NAME), OTHERS)
            }
        }
    }

    fn variable(&self, name: &str) -> Result<OsString, KeyringError> {
        env::var_os(name).ok_or_else(|| KeyringError::Missing { place: self.to_string() })
    }

    /// Opens first and looks at the open file, so that what is checked is what is read.
    fn read_file(&self, path: &Path, forbidden: u32) -> Result<Zeroizing<Vec<u8>>, KeyringError> {
        let file = File::open(path).map_err(|error| self.unreadable(&error))?;
        let metadata = file.metadata().map_err(|error| self.unreadable(&error))?;
        self.check(&metadata, forbidden)?;
        // Room for all of it at once: growing would leave copies of keys behind.
        let room = metadata.len().min(TEXT_BYTES_MAX) as usize + 1;
        let mut text = Zeroizing::new(Vec::with_capacity(room));
        file.take(TEXT_BYTES_MAX + 1).read_to_end(&mut text).map_err(|error| self.unreadable(&error))?;
        self.bounded(text)
    }

    fn check(&self, metadata: &Metadata, forbidden: u32) -> Result<(), KeyringError> {
        let place = self.to_string();
        if !metadata.is_file() {
            return Err(KeyringError::Unreadable { place, reason: "it is not a regular file".to_owned() });
        }
        let owner = metadata.uid();
        if owner != 0 && owner != rustix::process::geteuid().as_raw() {
            return Err(KeyringError::ForeignOwner { place, owner });
        }
        if metadata.mode() & forbidden != 0 {
            return Err(KeyringError::OpenToOthers { place, mode: metadata.mode() & 0o7777 });
        }
        Ok(())
    }

    fn bounded(&self, text: Zeroizing<Vec<u8>>) -> Result<Zeroizing<Vec<u8>>, KeyringError> {
        if text.len() as u64 <= TEXT_BYTES_MAX {
            Ok(text)
        } else {
            Err(KeyringError::TooLarge { place: self.to_string() })
        }
    }

    fn unreadable(&self, error: &io::Error) -> KeyringError {
        let place = self.to_string();
        match error.kind() {
            io::ErrorKind::NotFound => KeyringError::Missing { place },
            kind => KeyringError::Unreadable { place, reason: kind.to_string() },
        }
    }
}

/// Writes `text` to a new file of mode 0600 and syncs it and its directory. The file gets its name only when
/// it is whole, so a crash leaves a keyring or none.
pub fn write_new(path: &Path, text: &[u8]) -> Result<(), KeyringError> {
    let mut draft = path.as_os_str().to_owned();
    // Named after this process, so that two that race for one path never share a draft.
    draft.push(format!(".{}.new", process::id()));
    let draft = PathBuf::from(draft);
    let linked = write_synced(&draft, text).and_then(|()| fs::hard_link(&draft, path));
    let removed = remove_if_there(&draft);
    linked.and(removed).and_then(|()| sync_directory_of(path)).map_err(|error| {
        let place = path.display().to_string();
        match error.kind() {
            io::ErrorKind::AlreadyExists => KeyringError::Exists { place },
            kind => KeyringError::Unwritable { place, reason: kind.to_string() },
        }
    })
}

fn write_synced(draft: &Path, text: &[u8]) -> io::Result<()> {
    // What a crashed process of the same id left behind was never anybody's keyring.
    remove_if_there(draft)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(draft)?;
    file.write_all(text)?;
    file.sync_all()
}

fn remove_if_there(draft: &Path) -> io::Result<()> {
    match fs::remove_file(draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn sync_directory_of(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}
