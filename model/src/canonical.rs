//! The one form of a value that its token is computed from. Keeps T1's part: values that JSON means to be the
//! same have the same form, and any two others differ. `docs/tokens.md` gives every byte.
//!
//! ```text
//!   null      0x00
//!   boolean   0x01  "true" or "false"
//!   number    0x02  as ECMAScript writes numbers, were they to have any number of digits
//!   text      0x03  its characters in UTF-8, as they came: not normalised
//! ```
//!
//! Knows nothing of keys, fields or documents.

use alloc::{format, vec::Vec};
use core::fmt;

use zeroize::Zeroizing;

use crate::limits::TOKEN_VALUE_BYTES_MAX;

/// A value of JSON that has no parts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Scalar<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number, as JSON writes it.
    Number(&'a str),
    /// The characters of a text.
    Text(&'a str),
}

/// Why a value has no canonical form here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfit {
    /// Larger than a token may stand for.
    TooLarge,
    /// Not a number, or with an exponent beyond all bounds.
    NotANumber,
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => write!(f, "may have at most {TOKEN_VALUE_BYTES_MAX} bytes"),
            Self::NotANumber => write!(f, "has an exponent beyond {EXPONENT_MAX}"),
        }
    }
}

const NULL: u8 = 0;
const BOOL: u8 = 1;
const NUMBER: u8 = 2;
const TEXT: u8 = 3;

/// Largest exponent of a number, either way.
const EXPONENT_MAX: i64 = 1_000_000_000;
/// Up to so many digits before the point are written out, and zeros after it.
const WHOLE_DIGITS_MAX: i64 = 21;
const LEADING_ZEROS_MAX: i64 = 6;

impl<'a> Scalar<'a> {
    /// The canonical form.
    pub fn canonical(self) -> Result<Zeroizing<Vec<u8>>, Unfit> {
        let (kind, text) = match self {
            Self::Null => (NULL, ""),
            Self::Bool(true) => (BOOL, "true"),
            Self::Bool(false) => (BOOL, "false"),
            Self::Text(text) => (TEXT, text),
            Self::Number(text) => return number(text),
        };
        framed(kind, text.as_bytes())
    }

    /// The value whose canonical form this is.
    pub fn read(form: &'a [u8]) -> Option<Self> {
        let (kind, text) = form.split_first()?;
        let text = core::str::from_utf8(text).ok()?;
        match (*kind, text) {
            (NULL, "") => Some(Self::Null),
            (BOOL, "true") => Some(Self::Bool(true)),
            (BOOL, "false") => Some(Self::Bool(false)),
            (NUMBER, text) if number(text).is_ok_and(|again| *again == form) => Some(Self::Number(text)),
            (TEXT, text) => Some(Self::Text(text)),
            _ => None,
        }
    }
}

fn framed(kind: u8, text: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unfit> {
    if TOKEN_VALUE_BYTES_MAX < text.len() {
        return Err(Unfit::TooLarge);
    }
    let mut form = Zeroizing::new(Vec::with_capacity(1 + text.len()));
    form.push(kind);
    form.extend_from_slice(text);
    Ok(form)
}

/// Reads a JSON number into its digits, without zeros at either end, and where the point stands among them.
fn number(text: &str) -> Result<Zeroizing<Vec<u8>>, Unfit> {
    if TOKEN_VALUE_BYTES_MAX < text.len() {
        return Err(Unfit::TooLarge);
    }
    let (is_negative, text) = text.strip_prefix('-').map_or((false, text), |text| (true, text));
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent: i64 = exponent.parse().map_err(|_| Unfit::NotANumber)?;
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !all_digits(whole) || !all_digits(part) {
        return Err(Unfit::NotANumber);
    }
    let mut digits = Zeroizing::new([whole.as_bytes(), part.as_bytes()].concat());
    let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
    digits.drain(..zeros);
    while digits.last() == Some(&b'0') {
        digits.pop();
    }
    let point = exponent.saturating_add(whole.len() as i64 - zeros as i64);
    written(is_negative, &digits, point)
}

/// Writes `0.digits × 10^point` the one way there is.
fn written(is_negative: bool, digits: &[u8], point: i64) -> Result<Zeroizing<Vec<u8>>, Unfit> {
    let Some((first, rest)) = digits.split_first() else { return framed(NUMBER, b"0") };
    let mut text = Zeroizing::new(Vec::with_capacity(digits.len() + 24));
    if is_negative {
        text.push(b'-');
    }
    let count = digits.len() as i64;
    if 0 < point && point <= WHOLE_DIGITS_MAX {
        let whole = digits.len().min(point as usize);
        text.extend_from_slice(&digits[..whole]);
        text.extend(core::iter::repeat_n(b'0', (point - count).max(0) as usize));
        if point < count {
            text.push(b'.');
            text.extend_from_slice(&digits[whole..]);
        }
    } else if -LEADING_ZEROS_MAX < point && point <= 0 {
        text.extend_from_slice(b"0.");
        text.extend(core::iter::repeat_n(b'0', -point as usize));
        text.extend_from_slice(digits);
    } else if EXPONENT_MAX < point.saturating_sub(1).saturating_abs() {
        return Err(Unfit::NotANumber);
    } else {
        text.push(*first);
        if !rest.is_empty() {
            text.push(b'.');
            text.extend_from_slice(rest);
        }
        text.extend_from_slice(format!("e{:+}", point - 1).as_bytes());
    }
    framed(NUMBER, &text)
}
