//! What secrets and callers may be called. Keeps N1: a name is valid because it exists.
//! Knows nothing of who owns a name or whether it is taken.

use alloc::{borrow::ToOwned, string::String};
use core::{borrow::Borrow, fmt, ops::Deref};

use serde::{Deserialize, Serialize};

use crate::{
    id::SecretId,
    limits::{
        CALLER_BYTES_MAX, CONTENT_TYPE_BYTES_MAX, DESCRIPTION_BYTES_MAX, FIELD_BYTES_MAX,
        LABEL_KEY_BYTES_MAX, LABEL_VALUE_BYTES_MAX, MASTER_KEY_NAME_BYTES_MAX, NAME_BYTES_MAX,
    },
};

/// Why a text is not a name. Says which rule, never repeats the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameError {
    /// Nothing there.
    Empty,
    /// More bytes than the limit given.
    TooLong(usize),
    /// A byte outside the alphabet, at this offset.
    Alphabet(usize),
    /// A segment between slashes is empty, `.` or `..`.
    Segment,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("must not be empty"),
            Self::TooLong(max) => write!(f, "must be at most {max} bytes"),
            Self::Alphabet(at) => write!(f, "has a character that is not allowed at byte {at}"),
            Self::Segment => f.write_str("has an empty, '.' or '..' segment"),
        }
    }
}

impl core::error::Error for NameError {}

macro_rules! text_type {
    ($(#[$doc:meta])* $name:ident, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Checks `text` against the rule of this type.
            pub fn check(text: &str) -> Result<(), NameError> {
                let check: fn(&str) -> Result<(), NameError> = $check;
                check(text)
            }

            /// Takes `text` as one, if it keeps the rule of this type.
            pub fn parse(text: &str) -> Result<Self, NameError> {
                Self::check(text)?;
                Ok(Self(text.to_owned()))
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                Self::check(&text)?;
                Ok(Self(text))
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl Deref for $name {
            type Target = str;
            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_type!(
    /// The name of a secret within its owner's namespace: segments of `[A-Za-z0-9._-]` joined by `/`,
    /// at most 256 bytes.
    SecretName,
    |text| {
        bounded(text, NAME_BYTES_MAX)?;
        alphabet(text, |b| is_name_byte(b) || b == b'/')?;
        segments(text)
    }
);

text_type!(
    /// The name of a caller: `[A-Za-z0-9._-]`, at most 64 bytes.
    CallerName,
    |text| {
        bounded(text, CALLER_BYTES_MAX)?;
        alphabet(text, is_name_byte)?;
        segments(text)
    }
);

text_type!(
    /// What a grant covers: the beginning of names, or nothing for all of them. Same alphabet as a name.
    NamePrefix,
    |text| {
        if text.len() > NAME_BYTES_MAX {
            return Err(NameError::TooLong(NAME_BYTES_MAX));
        }
        alphabet(text, |b| is_name_byte(b) || b == b'/')
    }
);

text_type!(
    /// The key of a label: `[A-Za-z0-9._/-]`, at most 64 bytes.
    LabelKey,
    |text| {
        bounded(text, LABEL_KEY_BYTES_MAX)?;
        alphabet(text, |b| is_name_byte(b) || b == b'/')
    }
);

text_type!(
    /// The value of a label: any text without control characters, at most 256 bytes; may be empty.
    LabelValue,
    |text| plain_text(text, LABEL_VALUE_BYTES_MAX, |_| false)
);

text_type!(
    /// What a secret is for, in words: at most 1,024 bytes, no control characters but line breaks and tabs.
    Description,
    |text| plain_text(text, DESCRIPTION_BYTES_MAX, |c| matches!(c, '\n' | '\t'))
);

text_type!(
    /// A media type such as `text/plain`: printable ASCII, at most 128 bytes.
    ContentType,
    |text| {
        bounded(text, CONTENT_TYPE_BYTES_MAX)?;
        alphabet(text, |b| (0x20..0x7f).contains(&b))
    }
);

text_type!(
    /// The name of a master key in a keyring: `[A-Za-z0-9._-]`, at most 64 bytes.
    MasterKeyName,
    |text| {
        bounded(text, MASTER_KEY_NAME_BYTES_MAX)?;
        alphabet(text, is_name_byte)
    }
);

text_type!(
    /// A JSON pointer (RFC 6901) to fields of documents, at most 256 bytes, no control characters. In it `*`
    /// stands for each element of a list.
    FieldPointer,
    |text| {
        plain_text(text, FIELD_BYTES_MAX, |_| false)?;
        pointer(text)
    }
);

text_type!(
    /// What a field holds, in its owner's words: any text without control characters, at most 256 bytes; may be
    /// empty. Fields of one type have the same token for the same value.
    FieldType,
    |text| plain_text(text, FIELD_BYTES_MAX, |_| false)
);

impl Default for FieldPointer {
    /// The whole document.
    fn default() -> Self {
        Self(String::new())
    }
}

impl Default for FieldType {
    /// The type without a name.
    fn default() -> Self {
        Self(String::new())
    }
}

impl FieldPointer {
    /// What stands between its slashes, as the members and places that are meant.
    pub fn segments(&self) -> impl Iterator<Item = String> {
        self.split('/').skip(1).map(|segment| segment.replace("~1", "/").replace("~0", "~"))
    }

    /// The type of a field that is given none: where it is.
    pub fn own_type(&self) -> FieldType {
        FieldType(self.0.clone())
    }
}

/// Where a secret is: a name in somebody's namespace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SecretPath {
    /// Whose namespace.
    pub owner: CallerName,
    /// The name in it.
    pub name: SecretName,
}

impl SecretPath {
    /// The id of the secret here, a function of the path.
    pub fn id(&self) -> SecretId {
        SecretId::of(&self.owner, &self.name)
    }
}

impl NamePrefix {
    /// Whether `name` begins with this.
    pub fn covers(&self, name: &SecretName) -> bool {
        name.starts_with(self.as_str())
    }

    /// The one of two that lies within the other; `None` when no name begins with both.
    pub fn narrower<'a>(&'a self, other: &'a Self) -> Option<&'a Self> {
        if self.starts_with(other.as_str()) {
            Some(self)
        } else {
            other.starts_with(self.as_str()).then_some(other)
        }
    }
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
}

fn bounded(text: &str, max: usize) -> Result<(), NameError> {
    match text.len() {
        0 => Err(NameError::Empty),
        len if len <= max => Ok(()),
        _ => Err(NameError::TooLong(max)),
    }
}

fn alphabet(text: &str, allowed: fn(u8) -> bool) -> Result<(), NameError> {
    match text.bytes().position(|byte| !allowed(byte)) {
        None => Ok(()),
        Some(at) => Err(NameError::Alphabet(at)),
    }
}

fn segments(text: &str) -> Result<(), NameError> {
    let bad = |segment: &str| matches!(segment, "" | "." | "..");
    if text.split('/').any(bad) { Err(NameError::Segment) } else { Ok(()) }
}

fn pointer(text: &str) -> Result<(), NameError> {
    if !text.is_empty() && !text.starts_with('/') {
        return Err(NameError::Alphabet(0));
    }
    let follows = |at: usize| text[at + 1..].starts_with(['0', '1']);
    match text.match_indices('~').find(|(at, _)| !follows(*at)) {
        None => Ok(()),
        Some((at, _)) => Err(NameError::Alphabet(at)),
    }
}

fn plain_text(text: &str, max: usize, allowed: fn(char) -> bool) -> Result<(), NameError> {
    if text.len() > max {
        return Err(NameError::TooLong(max));
    }
    match text.char_indices().find(|(_, c)| c.is_control() && !allowed(*c)) {
        None => Ok(()),
        Some((at, _)) => Err(NameError::Alphabet(at)),
    }
}
