//! Which fields become tokens, and what tokens look like. Keeps T4: a token is URL-safe, says its epoch and has
//! 128 bits, or it keeps the form of a value of which there are at least a million.
//! Knows nothing of documents, keys or what a value is.

use alloc::{format, string::String};

use serde::{Deserialize, Serialize};

use crate::{
    epoch::Epoch,
    id::MappingId,
    limits::{FORM_CHARS_MAX, FORM_DOMAIN_MIN},
    name::{FieldPointer, FieldType},
};

/// What the tokens of a field look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Format {
    /// `tok_<epoch>_<32 hexadecimal digits>`, for any value.
    #[serde(rename = "opaque")]
    Opaque,
    /// As many decimal digits as the text has.
    #[serde(rename = "digits")]
    Digits,
    /// The same, and the last four are the value's own.
    #[serde(rename = "digits_last4")]
    DigitsLast4,
    /// As many letters and digits of ASCII as the text has.
    #[serde(rename = "alphanumeric")]
    Alphanumeric,
    /// The same, and the last four are the value's own.
    #[serde(rename = "alphanumeric_last4")]
    AlphanumericLast4,
}

const DIGITS: &[u8] = b"0123456789";
const ALPHANUMERIC: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

impl Format {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Opaque, Self::Digits, Self::DigitsLast4, Self::Alphanumeric, Self::AlphanumericLast4];

    /// The word the contract uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Opaque => "opaque",
            Self::Digits => "digits",
            Self::DigitsLast4 => "digits_last4",
            Self::Alphanumeric => "alphanumeric",
            Self::AlphanumericLast4 => "alphanumeric_last4",
        }
    }

    /// Reads the word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.as_str() == text)
    }

    /// The characters that a value may have, and its token; none for a format that keeps no form.
    pub fn alphabet(self) -> Option<&'static [u8]> {
        match self {
            Self::Opaque => None,
            Self::Digits | Self::DigitsLast4 => Some(DIGITS),
            Self::Alphanumeric | Self::AlphanumericLast4 => Some(ALPHANUMERIC),
        }
    }

    /// How many characters at the end are kept as they are.
    pub fn kept(self) -> usize {
        match self {
            Self::DigitsLast4 | Self::AlphanumericLast4 => 4,
            Self::Opaque | Self::Digits | Self::Alphanumeric => 0,
        }
    }

    /// Splits a text into what a token of this format replaces and what it keeps. None if the text has other
    /// characters, or what is to be replaced is one of fewer than a million.
    pub fn split(self, text: &str) -> Option<(&str, &str)> {
        let alphabet = self.alphabet()?;
        if FORM_CHARS_MAX < text.len() || !text.bytes().all(|byte| alphabet.contains(&byte)) {
            return None;
        }
        let (replaced, kept) = text.split_at_checked(text.len().checked_sub(self.kept())?)?;
        let domain = (alphabet.len() as u64).saturating_pow(replaced.len() as u32);
        (FORM_DOMAIN_MIN <= domain).then_some((replaced, kept))
    }
}

/// One field: where it is in a document, what its tokens look like, what it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldRule {
    /// Where it is.
    pub pointer: FieldPointer,
    /// What its tokens look like.
    pub format: Format,
    /// What it holds: the same type under two pointers gives the same tokens.
    pub kind: FieldType,
}

/// A token that says its own epoch, in its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct OpaqueToken {
    /// Its epoch.
    pub epoch: Epoch,
    /// Its mapping.
    pub mapping: MappingId,
}

impl OpaqueToken {
    /// The text of it.
    pub fn text(&self) -> String {
        format!("tok_{}_{}", self.epoch, self.mapping)
    }

    /// Reads the text; none for anything but what [`text`](Self::text) writes.
    pub fn parse(text: &str) -> Option<Self> {
        let (epoch, mapping) = text.strip_prefix("tok_")?.split_once('_')?;
        let plain = epoch.bytes().all(|byte| byte.is_ascii_digit()) && !epoch.starts_with('0');
        let epoch = epoch.parse().ok().filter(|_| plain).map(Epoch)?;
        Some(Self { epoch, mapping: MappingId::parse(mapping).ok()? })
    }
}
