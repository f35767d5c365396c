//! What is agreed, as rows, and how the rules read them. One home is the store's tables, the other the
//! in-memory registry of tests and simulation.
//! Knows nothing of how rows are kept or in which order commands come.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::{
    epoch::{Epoch, Epochs},
    field::FieldRule,
    hlc::Millis,
    id::{ClusterId, Digest, GrantId, InvitationId, PayloadHash, RecordId, TokenHash, TokenId, VersionId},
    isolation::{Access, Role},
    line::Place,
    name::{CallerName, MasterKeyName, NamePrefix, SecretPath},
    roster::Roster,
};

/// A name that exists. Inserted once; `agreed` and `last` move forward.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretEntry {
    /// The number of the last agreed version; at least 1.
    pub agreed: u64,
    /// The last agreed version.
    pub last: Place,
}

/// Who may call. Inserted once; `removed` only ever becomes true, so that a name is never given to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallerEntry {
    /// What the caller may do beyond its own namespace.
    pub role: Role,
    /// When the caller was made, by the proposing node's clock.
    pub created_at: Millis,
    /// Whether the caller is gone; its namespace stays.
    pub removed: bool,
}

/// A token of a caller. Present until revoked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenEntry {
    /// Whose token it is.
    pub caller: CallerName,
    /// The hash of its secret half.
    pub hash: TokenHash,
    /// When it was made, by the proposing node's clock.
    pub created_at: Millis,
    /// When it stops being accepted; absent for never.
    pub expires_at: Option<Millis>,
}

/// One owner lets one caller at the names under a prefix. Present until revoked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Whose names.
    pub owner: CallerName,
    /// Which of them; empty for all.
    pub prefix: NamePrefix,
    /// Who may.
    pub grantee: CallerName,
    /// Do what.
    pub access: Access,
    /// When it was given, by the proposing node's clock.
    pub created_at: Millis,
}

impl Grant {
    /// Its id, a function of what it says.
    pub fn id(&self) -> GrantId {
        GrantId::of(&self.owner, &self.prefix, &self.grantee, self.access.as_str())
    }
}

/// What a request with an idempotency key came to. Inserted once, never replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    /// The digest of the request the key came with.
    pub request: Digest,
    /// Its outcome.
    pub outcome: Outcome,
}

/// What a command that was not refused did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// These versions were agreed, with these numbers, in the order of the request.
    #[serde(rename = "v")]
    Agreed(Vec<(VersionId, u64)>),
    /// This record was inserted without agreement: marks, or a version that no majority answered for.
    #[serde(rename = "m")]
    Marked(RecordId),
    /// A token was made; the caller was shown its secret half once.
    #[serde(rename = "t")]
    Token(TokenId),
    /// A grant was given.
    #[serde(rename = "g")]
    Grant(GrantId),
    /// Tokens of this epoch were given.
    #[serde(rename = "e")]
    Issued(Epoch),
    /// An invitation was made; the caller was shown its secret once.
    #[serde(rename = "i")]
    Invited(InvitationId),
    /// Done, with nothing more to say.
    #[serde(rename = "d")]
    Done,
}

/// 32 bytes that only the right master key gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyCheck(#[serde(with = "serde_bytes")] pub Vec<u8>);

/// What the rules may ask of the registry. Every answer is of the agreed state as of the last command.
pub trait Registry {
    /// What can go wrong reading it.
    type Error;

    /// The cluster's id; `None` before it was founded.
    fn cluster(&self) -> Result<Option<ClusterId>, Self::Error>;
    /// The secret at this path, if the name exists.
    fn secret(&self, path: &SecretPath) -> Result<Option<SecretEntry>, Self::Error>;
    /// The version with this number.
    fn numbered(&self, path: &SecretPath, number: u64) -> Result<Option<Place>, Self::Error>;
    /// Whether a payload with this hash was destroyed.
    fn is_destroyed(&self, payload: &PayloadHash) -> Result<bool, Self::Error>;
    /// The caller of this name, removed ones included.
    fn caller(&self, name: &CallerName) -> Result<Option<CallerEntry>, Self::Error>;
    /// All callers, by name, removed ones included.
    fn callers(&self) -> Result<Vec<(CallerName, CallerEntry)>, Self::Error>;
    /// The token with this id.
    fn token(&self, id: &TokenId) -> Result<Option<TokenEntry>, Self::Error>;
    /// The tokens of a caller, by id.
    fn tokens_of(&self, caller: &CallerName) -> Result<Vec<(TokenId, TokenEntry)>, Self::Error>;
    /// The grants an owner gave, by id.
    fn grants_by(&self, owner: &CallerName) -> Result<Vec<(GrantId, Grant)>, Self::Error>;
    /// The outcome remembered for an idempotency key of a caller.
    fn remembered(&self, caller: &CallerName, key: &Digest) -> Result<Option<Remembered>, Self::Error>;
    /// The master key that was known first, once another is.
    fn first_key(&self) -> Result<Option<MasterKeyName>, Self::Error>;
    /// The master keys that are known, by name.
    fn known_keys(&self) -> Result<Vec<MasterKeyName>, Self::Error>;
    /// The epochs of an owner; absent while it has only the one that every caller begins with.
    fn epochs(&self, owner: &CallerName) -> Result<Option<Epochs>, Self::Error>;
    /// The fields that an owner has configured for tokenization.
    fn fields(&self, owner: &CallerName) -> Result<Vec<FieldRule>, Self::Error>;
    /// The check value of a master key.
    fn key_check(&self, key: &MasterKeyName) -> Result<Option<KeyCheck>, Self::Error>;
    /// Who may become a member, and who ever was one.
    fn roster(&self) -> Result<Roster, Self::Error>;
}

/// The number of the version at `place`, if the registry knows its secret and it was agreed.
pub fn number_at<R: Registry>(
    registry: &R,
    path: &SecretPath,
    place: &Place,
) -> Result<Option<u64>, R::Error> {
    registry.secret(path)?.map_or(Ok(None), |entry| number_of(registry, path, &entry, place))
}

/// The number of the version at `place`, if it was agreed. Times rise with numbers (E3), so this is a
/// binary search: at most 64 look-ups however long the history.
pub fn number_of<R: Registry>(
    registry: &R,
    path: &SecretPath,
    entry: &SecretEntry,
    place: &Place,
) -> Result<Option<u64>, R::Error> {
    if entry.last == *place {
        return Ok(Some(entry.agreed));
    }
    let (mut low, mut high) = (1, entry.agreed);
    while low < high {
        let middle = low + (high - low) / 2;
        match registry.numbered(path, middle)? {
            Some(found) if found < *place => low = middle + 1,
            _ => high = middle,
        }
    }
    Ok(registry.numbered(path, low)?.filter(|found| found == place).map(|_| low))
}
