//! Why a file is refused, and where. Keeps S1: names a user wrote are told, text of values never is.
//! Knows nothing of status codes.

use std::borrow::Cow;

use covault_model::name::SecretName;

/// Where something stands: line and column, both from 1; columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl Position {
    /// Where a file begins.
    pub(super) const FIRST: Self = Self { line: 1, column: 1 };

    /// Where what follows on `text` stands, which stands here.
    pub(super) fn after(self, text: &str) -> Self {
        match text.rfind('\n') {
            None => Self { column: self.column + text.chars().count(), ..self },
            Some(end) => {
                let lines = text.bytes().filter(|byte| *byte == b'\n').count();
                Self { line: self.line + lines, column: 1 + text[end + 1..].chars().count() }
            }
        }
    }
}

/// What cannot be read, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Where.
    pub at: Position,
    /// Why, a sentence that quotes nothing of the file.
    pub why: Cow<'static, str>,
}

/// A reference that cannot be replaced, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unresolved {
    /// Where it stands.
    pub at: Position,
    /// The secret it names.
    pub name: SecretName,
    /// Why.
    pub reason: Reason,
}

/// Why a reference cannot be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// There is no such secret or version, or none that this caller may see.
    NotFound,
    /// The version is marked deleted.
    Deleted,
    /// The version's value is erased.
    Destroyed,
    /// The version's expiry has passed.
    Expired,
    /// The value is not UTF-8 text.
    NotText,
    /// A key was asked for, and the value is not a JSON object.
    NotJson,
    /// The JSON object has no such key.
    NoKey,
    /// What the key has is no text, whole number or truth value.
    KeyNotText,
    /// `enc(…)` stands where `secret(…)` was to be: the file was not encrypted yet.
    NotEncrypted,
    /// `enc(NAME)` without a value given for NAME.
    NoValue,
    /// The value has characters that the readers of this format do not all read back alike.
    NotPortable,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::NotFound,
        Self::Deleted,
        Self::Destroyed,
        Self::Expired,
        Self::NotText,
        Self::NotJson,
        Self::NoKey,
        Self::KeyNotText,
        Self::NotEncrypted,
        Self::NoValue,
        Self::NotPortable,
    ];

    /// The stable word that clients may rely on.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::Deleted => "version_deleted",
            Self::Destroyed => "version_destroyed",
            Self::Expired => "version_expired",
            Self::NotText => "not_text",
            Self::NotJson => "not_json",
            Self::NoKey => "no_key",
            Self::KeyNotText => "key_not_text",
            Self::NotEncrypted => "not_encrypted",
            Self::NoValue => "no_value",
            Self::NotPortable => "not_portable",
        }
    }
}

/// Why nothing came of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// It cannot be read.
    Mistake(Mistake),
    /// These references, all that there are, cannot be replaced.
    Unresolved(Vec<Unresolved>),
    /// These names would be given more than one value.
    Duplicate(Vec<SecretName>),
    /// A value was given for this name, and nothing in the file asks for it.
    Unused(SecretName),
    /// What would come out is larger than an answer may be.
    TooLarge,
}

impl From<Mistake> for Refused {
    fn from(mistake: Mistake) -> Self {
        Self::Mistake(mistake)
    }
}
