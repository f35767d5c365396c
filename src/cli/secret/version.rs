//! Which version is meant on the command line: by its number, or by its id when it has none.
//! Knows nothing of what exists.

use std::fmt;

use covault_model::id::VersionId;
use serde_json::Value;

/// A version by number or id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VersionRef {
    /// The agreed one with this number.
    Number(u64),
    /// The one with this id.
    Id(VersionId),
}

impl VersionRef {
    /// Reads a number from 1, or an id of 64 hexadecimal digits.
    ///
    /// # Errors
    /// When it is neither, with what it should be.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let number = text.parse().ok().filter(|number| 1 <= *number && text.len() <= 20).map(Self::Number);
        let id = || VersionId::parse(text).ok().map(Self::Id);
        number.or_else(id).ok_or("must be a number from 1, or an id of 64 hexadecimal digits")
    }

    /// As a request's body names it.
    pub fn to_json(self) -> Value {
        match self {
            Self::Number(number) => Value::from(number),
            Self::Id(id) => Value::from(id.to_string()),
        }
    }
}

impl fmt::Display for VersionRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Id(id) => write!(f, "{id}"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn numbers_and_ids_are_told_apart() {
        assert_eq!(VersionRef::parse("12"), Ok(VersionRef::Number(12)));
        let id = "12".repeat(32);
        assert_eq!(VersionRef::parse(&id).unwrap().to_json(), Value::from(id));
        for text in ["", "0", "-1", "1.0", "latest", "abcdef", "99999999999999999999"] {
            assert!(VersionRef::parse(text).is_err(), "{text}");
        }
    }
}
