//! One file: its bytes, bounded, and when it was changed.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use base64::Engine;
use chrono::{DateTime, Utc};
use zeroize::Zeroizing;

use super::{broken, damaged, missing};
use crate::types::{AccessError, SecretString, SecretsError};

/// The largest file that is read, in bytes.
const LARGEST: u64 = 1 << 20;

/// What is in a file, and since when.
pub struct Content {
    pub bytes: Zeroizing<Vec<u8>>,
    changed: SystemTime,
}

impl Content {
    /// Reads the file at `file`, which holds the secret `path`.
    pub fn read(file: &Path, path: &str) -> Result<Self, SecretsError> {
        let refused = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory => {
                missing(path, None)
            }
            io::ErrorKind::PermissionDenied => {
                AccessError::AccessDenied { path: path.to_owned(), detail: error.to_string() }.into()
            }
            _ => broken(format!("{path}: {error}")),
        };
        let mut open = File::open(file).map_err(refused)?;
        let metadata = open.metadata().map_err(refused)?;
        if !metadata.is_file() {
            return Err(missing(path, None));
        }
        // Room for all of it at once, so that growing leaves no copies behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(metadata.len().min(LARGEST) as usize + 1));
        open.by_ref().take(LARGEST + 1).read_to_end(&mut bytes).map_err(refused)?;
        if LARGEST < bytes.len() as u64 {
            return Err(damaged(path, format!("the file has more than {LARGEST} bytes")));
        }
        Ok(Self { bytes, changed: metadata.modified().map_err(refused)? })
    }

    /// When it was changed last.
    pub fn changed(&self) -> DateTime<Utc> {
        self.changed.into()
    }

    /// The same, as a version.
    pub fn version(&self) -> String {
        let since = self.changed.duration_since(UNIX_EPOCH).unwrap_or_default();
        format!("{}.{:09}", since.as_secs(), since.subsec_nanos())
    }

    /// The text without one newline at its end, or base64 and `true` if it is no text.
    pub fn value(&self) -> (SecretString, bool) {
        match std::str::from_utf8(&self.bytes) {
            Ok(text) => {
                let line = text.strip_suffix('\n').unwrap_or(text);
                (line.strip_suffix('\r').unwrap_or(line).into(), false)
            }
            Err(_) => {
                let encoded = base64::engine::general_purpose::STANDARD.encode(&self.bytes);
                (encoded.into(), true)
            }
        }
    }
}
