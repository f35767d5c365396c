//! `secret(NAME@VERSION#KEY)` and `enc(NAME=value)` within a value, and their literal forms `secret\(` and
//! `enc\(`. Keeps N1: a name is checked where it is read.
//! Knows nothing of the lines and quotes around them.

use std::ops::Range;

use covault_model::{id::VersionId, name::SecretName};

/// What a `secret(…)` names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    /// The secret.
    pub name: SecretName,
    /// The version; absent for the current one.
    pub version: Option<Pin>,
    /// The key of the JSON object that its value is; absent for the whole value.
    pub key: Option<String>,
}

/// The version that a reference holds on to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pin {
    /// The agreed one with this number.
    Number(u64),
    /// The one with this id.
    Id(VersionId),
}

/// What begins at some place in a value.
pub(super) enum Token {
    /// `secret\(` or `enc\(`: itself, without the backslash, which is at this offset.
    Literal(usize),
    /// A call.
    Call(Call),
}

/// A call.
pub(super) enum Call {
    /// `secret(…)`
    Secret(Reference),
    /// `enc(…)`, with the place of the value that it carries.
    Enc(SecretName, Option<Range<usize>>),
}

impl Call {
    /// The secret that it names.
    pub fn name(&self) -> &SecretName {
        match self {
            Self::Secret(reference) => &reference.name,
            Self::Enc(name, _) => name,
        }
    }
}

/// A token with its length in bytes; what is wrong with one, with its offset.
pub(super) type Read = Result<Option<(Token, usize)>, (usize, String)>;

const UNCLOSED: &str =
    "A reference ends with a parenthesis on its line. Write secret\\( for the text itself.";

/// Reads what begins with `text`, if it is a token. Offsets are from the beginning of `text`.
pub(super) fn read(text: &str) -> Read {
    if let Some(inner) = text.strip_prefix("secret(") {
        let end = inner.find([')', '\n', '\r']).filter(|end| inner.as_bytes()[*end] == b')');
        let end = end.ok_or_else(|| (0, UNCLOSED.to_owned()))?;
        let reference = reference(&inner[..end]).map_err(|why| (0, why))?;
        return Ok(Some((Token::Call(Call::Secret(reference)), "secret()".len() + end)));
    }
    if let Some(inner) = text.strip_prefix("enc(") {
        return enc(inner).map(Some).map_err(|why| (0, why));
    }
    let literal = ["secret", "enc"]
        .into_iter()
        .find(|word| text.strip_prefix(word).is_some_and(|rest| rest.starts_with("\\(")));
    Ok(literal.map(|word| (Token::Literal(word.len()), word.len() + 2)))
}

fn reference(text: &str) -> Result<Reference, String> {
    let (text, key) = match text.split_once('#') {
        Some((text, key)) => (text, Some(key)),
        None => (text, None),
    };
    let (name, version) = match text.split_once('@') {
        Some((name, version)) => (name, Some(version)),
        None => (text, None),
    };
    if key.is_some_and(|key| key.is_empty() || key.contains(['\\', '\'', '"', '`', '$'])) {
        return Err("The key in a reference is empty, or has a quote, a backslash or a dollar sign.".into());
    }
    Ok(Reference {
        name: SecretName::parse(name).map_err(|why| format!("The name in a reference {why}."))?,
        version: version.map(pin).transpose()?,
        key: key.map(str::to_owned),
    })
}

/// 64 characters are an id, fewer digits a number.
fn pin(text: &str) -> Result<Pin, String> {
    const WHY: &str = "What follows @ in a reference is a version's number or id.";
    if text.len() == 2 * VersionId::LEN {
        return VersionId::parse(text).map(Pin::Id).map_err(|_| WHY.into());
    }
    match text.parse() {
        Ok(number) if number != 0 && text.bytes().all(|byte| byte.is_ascii_digit()) => {
            Ok(Pin::Number(number))
        }
        _ => Err(WHY.into()),
    }
}

/// Reads what follows `enc(`. A value that it carries ends at the first parenthesis without a backslash.
fn enc(inner: &str) -> Result<(Token, usize), String> {
    const BEGIN: usize = "enc(".len();
    let name_end = inner.find(['=', ')', '\n', '\r']).ok_or(UNCLOSED)?;
    let name = SecretName::parse(&inner[..name_end]).map_err(|why| format!("The name in enc(…) {why}."))?;
    match inner.as_bytes()[name_end] {
        b')' => Ok((Token::Call(Call::Enc(name, None)), BEGIN + name_end + 1)),
        b'=' => {
            let begin = name_end + 1;
            let closes = |at: &usize| inner.as_bytes()[at - 1] != b'\\';
            let end = inner[begin..].match_indices(')').map(|(at, _)| begin + at).find(closes);
            let end = end.ok_or("enc(NAME=value) ends with a parenthesis that no backslash precedes.")?;
            let value = BEGIN + begin..BEGIN + end;
            Ok((Token::Call(Call::Enc(name, Some(value))), BEGIN + end + 1))
        }
        _ => Err(UNCLOSED.into()),
    }
}
