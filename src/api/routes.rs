//! What a route is, and how a request finds its own. The rows are in `table.rs`.
//! Knows nothing of how an operation is carried out.

use std::fmt;

use http::Method;

use crate::api::{headers::Media, problem::Code, table::ROUTES};

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// `GET /v1/secrets/{name}`
    ReadSecret,
    /// `POST /v1/secrets`
    CreateSecret,
    /// `PUT /v1/secrets/{name}`
    UpdateSecret,
    /// `PATCH /v1/secrets/{name}`
    PatchSecret,
    /// `DELETE /v1/secrets/{name}`
    DeleteSecret,
    /// `GET /v1/secrets`
    ListSecrets,
    /// `GET /v1/history/{name}`
    ReadHistory,
    /// `POST /v1/undelete/{name}`
    UndeleteSecret,
    /// `POST /v1/destroy/{name}`
    DestroySecret,
    /// `POST /v1/rollback/{name}`
    RollBackSecret,
    /// `POST /v1/env/encrypt`
    EncryptEnv,
    /// `POST /v1/env/expand`
    ExpandEnv,
    /// `GET /v1/callers`
    ListCallers,
    /// `POST /v1/callers`
    AddCaller,
    /// `DELETE /v1/callers/{caller}`
    RemoveCaller,
    /// `GET /v1/callers/{caller}/tokens`
    ListTokens,
    /// `POST /v1/callers/{caller}/tokens`
    AddToken,
    /// `DELETE /v1/callers/{caller}/tokens/{id}`
    RemoveToken,
    /// `GET /v1/grants`
    ListGrants,
    /// `POST /v1/grants`
    AddGrant,
    /// `DELETE /v1/grants/{id}`
    RemoveGrant,
    /// `POST /v1/tokenize`
    Tokenize,
    /// `POST /v1/detokenize`
    Detokenize,
    /// `GET /v1/epochs`
    ListEpochs,
    /// `POST /v1/epochs`
    ActivateEpoch,
    /// `DELETE /v1/epochs/{epoch}`
    DestroyEpoch,
    /// `GET /v1/tokenization`
    ReadFields,
    /// `PUT /v1/tokenization`
    SetFields,
    /// `GET /v1/self`
    ReadSelf,
    /// `GET /v1/status`
    ReadStatus,
    /// `GET /v1/members`
    ListMembers,
    /// `DELETE /v1/members/{node}`
    RemoveMember,
    /// `POST /v1/invitations`
    Invite,
    /// `GET /health`
    Health,
    /// `GET /ready`
    Ready,
    /// `GET /metrics`
    Metrics,
    /// `GET /openapi.json`
    OpenApi,
    /// Whatever is not in the table.
    Unknown,
}

/// Who may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// Anybody, without a token.
    Public,
    /// Whoever has a token; the vault decides what of.
    Caller,
    /// The role admin; the vault decides, so that a refusal is in its audit log.
    Admin,
}

/// The body of a request, in JSON unless told otherwise, by the name of its schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// A body that must be there.
    Required(&'static str),
    /// One that may be left out.
    Optional(&'static str),
    /// A body that must be there, in JSON or as text.
    TextOr(&'static str),
}

impl Body {
    /// What it may be declared to be.
    pub fn media(self) -> &'static [Media] {
        match self {
            Self::Required(_) | Self::Optional(_) => &[Media::Json],
            Self::TextOr(_) => &[Media::Json, Media::Text],
        }
    }
}

/// One row of the table.
#[derive(Debug)]
pub struct Route {
    /// What it asks for.
    pub operation: Operation,
    /// The operation's name, in OpenAPI, metrics and logs.
    pub id: &'static str,
    /// Its method.
    pub method: Method,
    /// Its path. `{name}` is a secret's name and takes all that follows, slashes too; any other
    /// parameter takes one segment.
    pub path: &'static str,
    /// Who may ask.
    pub right: Right,
    /// One line for people.
    pub summary: &'static str,
    /// Query parameters and headers it knows, by their names in the OpenAPI document.
    pub parameters: &'static [&'static str],
    /// The body it takes; absent when it takes none.
    pub body: Option<Body>,
    /// What it answers when it succeeds: status and the name of the schema, empty for no body.
    pub answers: &'static [(u16, &'static str)],
    /// What it may be refused for, beyond what every request may.
    pub refusals: &'static [Code],
}

/// The parts of a path that stand for its parameters, as sent.
pub type Captures<'p> = [&'p str; 2];

/// What the table has for a request.
pub enum Found<'p> {
    /// A route, and what its parameters are.
    Route(&'static Route, Captures<'p>),
    /// The path, with these other methods.
    OtherMethods(String),
    /// No such path.
    Nothing,
}

impl Route {
    /// The names of the parameters in the path.
    pub fn path_parameters(&self) -> impl Iterator<Item = &'static str> {
        self.path.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name)
    }

    fn captures<'p>(&self, path: &'p str) -> Option<Captures<'p>> {
        let mut captures = [""; 2];
        let (mut pattern, mut path) = (self.path, path);
        for capture in &mut captures {
            let Some((literal, rest)) = pattern.split_once('{') else { break };
            let (name, rest) = rest.split_once('}')?;
            path = path.strip_prefix(literal)?;
            let len = if name == "name" { path.len() } else { path.find('/').unwrap_or(path.len()) };
            if len == 0 {
                return None;
            }
            (*capture, path) = path.split_at(len);
            pattern = rest;
        }
        (path == pattern).then_some(captures)
    }
}

/// Looks a request up.
pub fn find<'p>(method: &Method, path: &'p str) -> Found<'p> {
    let mut others: Vec<&str> = Vec::new();
    for route in ROUTES {
        let Some(captures) = route.captures(path) else { continue };
        if route.method == *method {
            return Found::Route(route, captures);
        }
        others.push(route.method.as_str());
    }
    if others.is_empty() { Found::Nothing } else { Found::OtherMethods(others.join(", ")) }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

impl Operation {
    /// How many there are.
    pub const COUNT: usize = Self::Unknown as usize + 1;

    /// Its name in metrics and logs.
    pub fn id(self) -> &'static str {
        ROUTES.get(self as usize).map_or("unknown", |route| route.id)
    }

    /// Whether it may be asked for again without a key: the second time it comes to what the first would have.
    pub fn is_repeatable(self) -> bool {
        self.only_reads() || matches!(self, Self::Tokenize | Self::Detokenize)
    }

    /// Whether it may be about thousands of values, secrets or versions.
    pub fn computes_long(self) -> bool {
        matches!(
            self,
            Self::ListSecrets
                | Self::ReadHistory
                | Self::EncryptEnv
                | Self::ExpandEnv
                | Self::Tokenize
                | Self::Detokenize
        )
    }

    /// Whether it changes nothing.
    pub fn only_reads(self) -> bool {
        self == Self::ExpandEnv || ROUTES.get(self as usize).is_some_and(|route| route.method == Method::GET)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(method: Method, path: &str, wanted: Operation, captured: Captures<'_>) {
        match find(&method, path) {
            Found::Route(route, captures) => {
                assert_eq!((route.operation, captures), (wanted, captured), "{method} {path}");
            }
            _ => panic!("{method} {path} is not found"),
        }
    }

    #[test]
    fn rows_stand_in_the_order_of_operations() {
        assert_eq!(ROUTES.len() + 1, Operation::COUNT);
        for (at, route) in ROUTES.iter().enumerate() {
            assert_eq!(route.operation as usize, at, "{}", route.id);
        }
    }

    #[test]
    fn every_write_takes_an_idempotency_key_and_nothing_else_does() {
        for route in ROUTES {
            let writes = !route.operation.only_reads() && route.operation != Operation::Detokenize;
            assert_eq!(route.parameters.contains(&"Idempotency-Key"), writes, "{}", route.id);
        }
    }

    #[test]
    fn names_keep_their_slashes() {
        check(Method::GET, "/v1/secrets/a", Operation::ReadSecret, ["a", ""]);
        check(Method::PUT, "/v1/secrets/a/b/c", Operation::UpdateSecret, ["a/b/c", ""]);
        check(Method::GET, "/v1/history/a%2Fb", Operation::ReadHistory, ["a%2Fb", ""]);
        check(Method::DELETE, "/v1/callers/ci/tokens/01", Operation::RemoveToken, ["ci", "01"]);
        check(Method::GET, "/v1/callers/ci/tokens", Operation::ListTokens, ["ci", ""]);
        check(Method::DELETE, "/v1/callers/ci", Operation::RemoveCaller, ["ci", ""]);
        check(Method::GET, "/health", Operation::Health, ["", ""]);
    }

    #[test]
    fn other_methods_are_listed() {
        match find(&Method::POST, "/v1/secrets/a") {
            Found::OtherMethods(allow) => assert_eq!(allow, "GET, PUT, PATCH, DELETE"),
            _ => panic!("POST is none of its methods"),
        }
    }

    #[test]
    fn paths_that_are_not_there_are_not_found() {
        let paths =
            ["/", "", "*", "/v1", "/v1/secrets/", "/v1/callers/a/b", "/v1/callers//tokens", "/healthy"];
        for path in paths {
            assert!(matches!(find(&Method::GET, path), Found::Nothing), "{path}");
        }
    }
}
