//! Why there is no keyring. Part of S3: each problem has a name and a sentence that says what to do.
//! No variant carries text from a keyring, since any of it may be a key in the wrong place.

/// Why a keyring was not read or written. `place` is a file's path or says which variable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyringError {
    /// Nothing there.
    #[error(
        "there is no master keyring in {place}: put the vault's keyring there, or name its place in the \
         configuration; values cannot be read without it"
    )]
    Missing {
        /// Where it was looked for.
        place: String,
    },
    /// There, but reading failed.
    #[error("the master keyring in {place} cannot be read: {reason}; let this process's user read it")]
    Unreadable {
        /// Where it is.
        place: String,
        /// What the system says.
        reason: String,
    },
    /// Others than its owner may read or change the file.
    #[error(
        "the master keyring in {place} is open to others (mode {mode:04o}): run chmod 600 on it, and \
         replace its keys if somebody may have read them"
    )]
    OpenToOthers {
        /// Where it is.
        place: String,
        /// Its permission bits.
        mode: u32,
    },
    /// The file belongs to neither this process's user nor root.
    #[error(
        "the master keyring in {place} belongs to user {owner}: it must belong to root or to the user \
         this process runs as"
    )]
    ForeignOwner {
        /// Where it is.
        place: String,
        /// The user id of its owner.
        owner: u32,
    },
    /// More bytes than a keyring can have.
    #[error("{place} is larger than a master keyring can be: is it another file?")]
    TooLarge {
        /// Where it is.
        place: String,
    },
    /// A line that is not one of a keyring.
    #[error("line {line} of the master keyring in {place} {what}: correct it")]
    Malformed {
        /// Where it is.
        place: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A name stands there twice.
    #[error("line {line} of the master keyring in {place} names a key a second time: give it another name")]
    DuplicateName {
        /// Where it is.
        place: String,
        /// The line of the second, from 1.
        line: usize,
    },
    /// A key that is not 32 bytes.
    #[error("the key in line {line} of the master keyring in {place} is not base64 of 32 bytes: correct it")]
    BadKeyLength {
        /// Where it is.
        place: String,
        /// The line, from 1.
        line: usize,
    },
    /// No key at all.
    #[error("the master keyring in {place} has no key: add a line NAME = \"KEY\" under [keys]")]
    NoKeys {
        /// Where it is.
        place: String,
    },
    /// No key is said to be active, or none has the name given.
    #[error(
        "the master keyring in {place} does not say which of its keys is active: begin it with a line \
         active = \"NAME\" that names one under [keys]"
    )]
    NoActiveKey {
        /// Where it is.
        place: String,
    },
    /// Something stands where a new keyring was to be written.
    #[error("{place} exists: a keyring is never overwritten, since it may be the only copy of its keys")]
    Exists {
        /// Where.
        place: String,
    },
    /// Writing failed, and nothing was left behind.
    #[error("the master keyring cannot be written to {place}: {reason}")]
    Unwritable {
        /// Where.
        place: String,
        /// What the system says.
        reason: String,
    },
}
