//! Strict query parameters and percent-decoding. A parameter that is not known, comes twice or does not
//! decode is refused by name. Knows nothing of which parameters there are.

use std::fmt::Display;

use crate::api::{
    body::shown,
    problem::{Code, Problem},
};

/// The parameters of one request that were not taken yet.
#[derive(Debug, Default)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Reads what stands after the `?`; nothing is allocated when nothing does.
    pub fn parse(raw: &str) -> Result<Self, Problem> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for pair in raw.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decode(name, Plus::IsSpace)
                .ok_or_else(|| Problem::new(Code::InvalidUtf8, "The name of a parameter does not decode."))?;
            if pairs.iter().any(|(known, _)| *known == name) {
                let detail = "Each parameter may come once.";
                return Err(Problem::new(Code::DuplicateParameter, detail).with_field(shown(&name)));
            }
            let value = decode(value, Plus::IsSpace).ok_or_else(|| {
                let detail = "Its percent-encoding does not give UTF-8.";
                Problem::new(Code::InvalidParameter, detail).with_field(shown(&name))
            })?;
            pairs.push((name, value));
        }
        Ok(Self(pairs))
    }

    /// Takes a parameter out, if it is there.
    pub fn take(&mut self, name: &str) -> Option<String> {
        let at = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.swap_remove(at).1)
    }

    /// Takes a parameter out and reads it; what `parse` says against it must not quote it.
    pub fn parsed<T, E: Display>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Option<T>, Problem> {
        self.take(name).map(|text| parse(&text).map_err(|why| invalid(name, why))).transpose()
    }

    /// Refuses whatever was not taken.
    pub fn end(self) -> Result<(), Problem> {
        match self.0.first() {
            None => Ok(()),
            Some((name, _)) => {
                let detail = "The path does not know this parameter.";
                Err(Problem::new(Code::UnknownParameter, detail).with_field(shown(name)))
            }
        }
    }
}

/// The problem that `name`, a parameter of query or path, is not valid: `why` ends a sentence.
pub fn invalid(name: &'static str, why: impl Display) -> Problem {
    Problem::new(Code::InvalidParameter, format!("The parameter {name} {why}.")).with_field(name)
}

/// What a plus sign stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plus {
    /// A space, as forms write it: in a query.
    IsSpace,
    /// Itself: in a path.
    IsPlus,
}

/// Undoes percent-encoding; `None` when it is broken or gives no UTF-8.
pub fn decode(text: &str, plus: Plus) -> Option<String> {
    let special = |byte| byte == b'%' || (byte == b'+' && plus == Plus::IsSpace);
    if !text.bytes().any(special) {
        return Some(text.to_owned());
    }
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => (digit(bytes.next()?)? << 4) | digit(bytes.next()?)?,
            b'+' if plus == Plus::IsSpace => b' ',
            other => other,
        });
    }
    String::from_utf8(out).ok()
}

fn digit(byte: u8) -> Option<u8> {
    // A hexadecimal digit fits a byte.
    char::from(byte).to_digit(16).map(|value| value as u8)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn refused(raw: &str) -> Code {
        Query::parse(raw).and_then(Query::end).unwrap_err().code()
    }

    #[test]
    fn parameters_are_decoded() {
        let mut query = Query::parse("prefix=db%2Fprod&label=team:a+b&flag&&").unwrap();
        assert_eq!(query.take("prefix").as_deref(), Some("db/prod"));
        assert_eq!(query.take("label").as_deref(), Some("team:a b"));
        assert_eq!(query.take("flag").as_deref(), Some(""));
        assert_eq!(query.take("flag"), None);
        query.end().unwrap();
    }

    #[test]
    fn what_is_not_known_is_refused() {
        assert_eq!(refused("limits=3"), Code::UnknownParameter);
        assert_eq!(refused("limit=3&limit=3"), Code::DuplicateParameter);
        assert_eq!(refused("limit=%zz"), Code::InvalidParameter);
        assert_eq!(refused("limit=%ff"), Code::InvalidParameter);
        assert_eq!(refused("limit=%f"), Code::InvalidParameter);
        assert_eq!(refused("%ff=1"), Code::InvalidUtf8);
    }

    #[test]
    fn a_plus_in_a_path_is_a_plus() {
        assert_eq!(decode("a+b%2Fc", Plus::IsPlus).as_deref(), Some("a+b/c"));
    }
}
