//! One request on its way to the vault: who asks, and what is left to be read of it.
//! Knows nothing of which operation it is for.

use std::str::FromStr;

use bytes::Bytes;
use covault_model::{
    id::VersionId,
    limits::{PAGE_DEFAULT, PAGE_MAX},
    name::{CallerName, SecretName, SecretPath},
};
use http::HeaderMap;

use crate::{
    api::{
        headers,
        problem::Problem,
        query::{self, Query},
        routes::Route,
    },
    vault::{Asker, IdempotencyKey, Which},
};

/// A request whose caller is known. Reading takes things out, so that [`end`](Self::end) can refuse what
/// nobody asked for.
pub struct Call {
    /// Who asks.
    pub asker: Asker,
    /// The path's parameters, decoded.
    pub captures: [String; 2],
    /// The query's parameters.
    pub query: Query,
    /// The headers.
    pub headers: HeaderMap,
    /// The body; empty when the route takes none.
    pub body: Bytes,
    /// Largest value this node takes, in bytes.
    pub value_bytes_max: usize,
}

impl Call {
    /// The secret that path and `owner=` name; the owner is the caller itself unless told otherwise.
    pub fn target(&mut self) -> Result<SecretPath, Problem> {
        let name = SecretName::try_from(std::mem::take(&mut self.captures[0]))
            .map_err(|why| query::invalid("name", why))?;
        Ok(SecretPath { owner: self.owner()?, name })
    }

    /// The owner that `owner=` names.
    pub fn owner(&mut self) -> Result<CallerName, Problem> {
        let named = self.query.parsed("owner", CallerName::parse)?;
        Ok(named.unwrap_or_else(|| self.asker.session.caller.clone()))
    }

    /// The caller that the path names.
    pub fn caller(&self) -> Result<CallerName, Problem> {
        CallerName::parse(&self.captures[0]).map_err(|why| query::invalid("caller", why))
    }

    /// The version that `version=` names.
    pub fn version(&mut self) -> Result<Option<Which>, Problem> {
        self.query.parsed("version", read_version)
    }

    /// The length of the page that `limit=` asks for.
    pub fn limit(&mut self) -> Result<usize, Problem> {
        let read = |text: &str| {
            let limit = read_number(text).filter(|limit| (1..=PAGE_MAX).contains(limit));
            limit.ok_or_else(|| format!("must be a number from 1 to {PAGE_MAX}"))
        };
        Ok(self.query.parsed("limit", read)?.unwrap_or(PAGE_DEFAULT))
    }

    /// The key that makes a retry safe.
    pub fn idempotency_key(&self) -> Result<Option<IdempotencyKey>, Problem> {
        headers::idempotency_key(&self.headers)
    }

    /// Refuses parameters that were not taken.
    pub fn end(&mut self) -> Result<(), Problem> {
        std::mem::take(&mut self.query).end()
    }
}

/// Reads a version's number or id. 64 characters are an id, fewer digits a number.
pub fn read_version(text: &str) -> Result<Which, &'static str> {
    const WHY: &str = "must be a version's number or id";
    if text.len() == 2 * VersionId::LEN {
        return VersionId::parse(text).map(Which::Id).map_err(|_| WHY);
    }
    read_number(text).filter(|number| *number != 0).map(Which::Number).ok_or(WHY)
}

/// Reads a number of digits and nothing else; a sign is none.
pub fn read_number<N: FromStr>(text: &str) -> Option<N> {
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The path's parameters, decoded; a broken encoding is refused by the parameter's name.
pub fn decoded(route: &'static Route, captured: [&str; 2]) -> Result<[String; 2], Problem> {
    let mut decoded = [String::new(), String::new()];
    for (at, (text, raw)) in decoded.iter_mut().zip(captured).enumerate() {
        *text = query::decode(raw, query::Plus::IsPlus).ok_or_else(|| {
            let name = route.path_parameters().nth(at).unwrap_or("path");
            query::invalid(name, "has percent-encoding that does not give UTF-8")
        })?;
    }
    Ok(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_a_number_or_an_id() {
        let id = VersionId::of(b"x");
        assert_eq!(read_version("7"), Ok(Which::Number(7)));
        assert_eq!(read_version(&id.to_string()), Ok(Which::Id(id)));
        for bad in ["", "0", "-1", "+1", "1.0", "latest", "18446744073709551616", &"Z".repeat(64)] {
            assert!(read_version(bad).is_err(), "{bad}");
        }
    }
}
