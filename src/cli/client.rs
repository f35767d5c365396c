//! One request to a vault over HTTP, and what came of it.
//! Keeps I1 from the client's side: a write carries an idempotency key, so that it can be sent again after
//! its connection or its outcome was lost. Keeps S1: no token or value is in a path, query or failure.
//! Knows nothing of what the answers mean.

use std::{fmt::Write as _, io, thread, time::Duration};

use clap::Args;
use serde_json::{Map, Value, value::RawValue};
use ureq::{
    Agent,
    http::{HeaderMap, HeaderValue, Method, Request, Response},
};
use zeroize::Zeroizing;

use super::{answer::cell, failure::Failure};
use crate::host::{Host, Machine};

/// Largest answer that is read, in bytes: a page of rows with all the labels they may have fits.
const ANSWER_BYTES_MAX: u64 = 256 << 20;
/// The code of a write that may or may not have happened.
const OUTCOME_UNKNOWN: &str = "outcome_unknown";
/// Longest wait before a second try, whatever the server asks for.
const RETRY_WAIT_MAX: Duration = Duration::from_secs(5);

/// How a write may be repeated.
#[derive(Args, Clone, Default)]
pub struct WriteArgs {
    /// Tell two tries of one write from two writes. A random key is used by default.
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
}

impl WriteArgs {
    /// For a request that follows on the first: its key is another one, but follows from the first's, so
    /// that both can be repeated together.
    pub fn for_second_request(&self) -> Self {
        Self { idempotency_key: self.idempotency_key.as_ref().map(|key| format!("{key}.2")) }
    }
}

/// One request. Values travel in the body only.
#[derive(Clone)]
pub struct Call {
    method: Method,
    path: String,
    query: Vec<(&'static str, String)>,
    headers: Vec<(&'static str, String)>,
    body: Option<Zeroizing<String>>,
    key: Option<String>,
    only_reads: bool,
}

impl Call {
    /// A read.
    pub fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path.into(), None)
    }

    /// A read that is too long for a path.
    pub fn query_with(path: impl Into<String>, body: Value) -> Self {
        Self { body: Some(text_of(&body)), only_reads: true, ..Self::new(Method::POST, path.into(), None) }
    }

    /// A write with a body.
    pub fn post(path: impl Into<String>, body: Value, write: &WriteArgs) -> Self {
        Self { body: Some(text_of(&body)), ..Self::new(Method::POST, path.into(), Some(write)) }
    }

    /// The same with JSON that is sent as it is, every byte of it.
    pub fn post_text(path: impl Into<String>, body: Zeroizing<String>, write: &WriteArgs) -> Self {
        Self { body: Some(body), ..Self::new(Method::POST, path.into(), Some(write)) }
    }

    /// A write of a new version.
    pub fn put(path: impl Into<String>, body: Value, write: &WriteArgs) -> Self {
        Self { body: Some(text_of(&body)), ..Self::new(Method::PUT, path.into(), Some(write)) }
    }

    /// A change of labels or description.
    pub fn patch(path: impl Into<String>, body: Value, write: &WriteArgs) -> Self {
        Self { body: Some(text_of(&body)), ..Self::new(Method::PATCH, path.into(), Some(write)) }
    }

    /// A mark of deletion, or a removal of something that is not a secret.
    pub fn delete(path: impl Into<String>, write: &WriteArgs) -> Self {
        Self::new(Method::DELETE, path.into(), Some(write))
    }

    /// Adds a query parameter, if there is one.
    pub fn query(mut self, name: &'static str, text: Option<impl ToString>) -> Self {
        self.query.extend(text.map(|text| (name, text.to_string())));
        self
    }

    /// Adds a header, if there is one.
    pub fn header(mut self, name: &'static str, text: Option<impl ToString>) -> Self {
        self.headers.extend(text.map(|text| (name, text.to_string())));
        self
    }

    /// What tells a repetition of this write; none of what is no such write.
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    fn new(method: Method, path: String, write: Option<&WriteArgs>) -> Self {
        let key = write.map(|write| write.idempotency_key.clone().unwrap_or_else(random_key));
        let only_reads = method == Method::GET;
        Self { method, path, query: Vec::new(), headers: Vec::new(), body: None, key, only_reads }
    }

    /// Whether sending it twice does no more than sending it once.
    fn is_repeatable(&self) -> bool {
        self.only_reads || self.key.is_some()
    }

    fn uri(&self, base: &str) -> String {
        let mut uri = format!("{base}{}", self.path);
        for (at, (name, text)) in self.query.iter().enumerate() {
            let joint = if at == 0 { '?' } else { '&' };
            uri.push(joint);
            uri.push_str(name);
            uri.push('=');
            push_escaped(&mut uri, text);
        }
        uri
    }
}

/// What a vault answered to a request it took.
#[derive(Debug)]
pub struct Reply {
    /// The JSON of the answer; null when it had no body.
    pub body: Value,
    /// The same as it was sent, every byte of it.
    pub text: Zeroizing<String>,
    /// Whether the node said that it is cut off from its majority.
    pub cut_off: bool,
    /// Whether it was done on that node, and a majority is not known to have it (`202`).
    pub is_kept: bool,
}

/// A vault that is talked to as one caller.
pub struct Client {
    agent: Agent,
    base: String,
    authorization: HeaderValue,
}

impl Client {
    /// Talks to the vault at `base` (no slash at its end) with a prepared `Authorization` header.
    pub fn new(agent: Agent, base: String, authorization: HeaderValue) -> Self {
        Self { agent, base, authorization }
    }

    /// Sends a request, once more when its connection was lost or its outcome is unknown.
    ///
    /// # Errors
    /// What the server refused, by the problem's code and detail; or that there is no usable answer.
    pub fn send(&self, call: &Call) -> Result<Reply, Failure> {
        let reply = match self.attempt(call) {
            Ok(answered) if call.is_repeatable() && answered.is_unknown() => {
                thread::sleep(retry_wait(&answered.headers));
                self.attempt(call)
            }
            Err(error) if call.is_repeatable() && connection_was_lost(&error) => self.attempt(call),
            other => other,
        };
        match reply {
            Ok(answered) => answered.into_reply(call),
            Err(error) => Err(self.no_answer(call, &error)),
        }
    }

    /// Sends a request once and gives whatever is answered, a refusal too.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn ask(&self, call: &Call) -> Result<Answered, Failure> {
        self.attempt(call).map_err(|error| self.no_answer(call, &error))
    }

    fn attempt(&self, call: &Call) -> Result<Answered, ureq::Error> {
        let mut request = Request::builder()
            .method(call.method.clone())
            .uri(call.uri(&self.base))
            .header("Authorization", self.authorization.clone())
            .header("Accept", "application/json");
        if let Some(key) = &call.key {
            request = request.header("Idempotency-Key", key);
        }
        for (name, text) in &call.headers {
            request = request.header(*name, text);
        }
        let response = match &call.body {
            None => self.agent.run(request.body(())?)?,
            Some(body) => {
                let request = request.header("Content-Type", "application/json");
                self.agent.run(request.body(body.as_bytes())?)?
            }
        };
        Answered::read(response)
    }

    fn no_answer(&self, call: &Call, error: &ureq::Error) -> Failure {
        let base = &self.base;
        let failure = match error {
            ureq::Error::Timeout(_) => Failure::new("no_answer", format!("no answer from {base} in time")),
            ureq::Error::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                Failure::new("unreachable", format!("cannot connect to {base}: nothing listens there"))
            }
            ureq::Error::BodyExceedsLimit(_) => {
                Failure::unexpected(format!("{base} sent too large an answer"))
            }
            ureq::Error::Http(_) | ureq::Error::BadUri(_) => {
                Failure::usage(format!("{base} cannot be asked: {error}"))
            }
            ureq::Error::Io(error) => Failure::new("unreachable", format!("cannot talk to {base}: {error}")),
            error => Failure::new("unreachable", format!("cannot talk to {base}: {error}")),
        };
        if may_have_arrived(error) { with_key(failure, call) } else { failure }
    }
}

/// An answer of any status.
pub struct Answered {
    /// The HTTP status.
    pub status: u16,
    headers: HeaderMap,
    /// Null for an empty body, empty when only its text can be read; absent when it is not a JSON object.
    body: Option<Value>,
    text: Zeroizing<String>,
}

impl Answered {
    fn read(mut response: Response<ureq::Body>) -> Result<Self, ureq::Error> {
        let bytes = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec()?;
        let bytes = Zeroizing::new(bytes);
        let empty = bytes.is_empty().then_some(Value::Null);
        let text = Zeroizing::new(str::from_utf8(&bytes).unwrap_or_default().to_owned());
        let body = empty.or_else(|| serde_json::from_str(&text).ok().filter(Value::is_object));
        // Numbers that no double holds are in the text alone.
        let body = body.or_else(|| is_object(&text).then(|| Value::Object(Map::new())));
        Ok(Self { status: response.status().as_u16(), headers: response.headers().clone(), body, text })
    }

    fn is_unknown(&self) -> bool {
        self.status == 503 && self.code() == Some(OUTCOME_UNKNOWN)
    }

    /// The JSON of the answer; absent when it is not an object.
    pub fn body(&self) -> Option<&Value> {
        self.body.as_ref()
    }

    /// Whether the node said that it is cut off from its majority.
    pub fn is_cut_off(&self) -> bool {
        self.headers.get("Covault-Standing").is_some_and(|word| word == "minority")
    }

    /// The problem's code, if it is a refusal.
    pub fn code(&self) -> Option<&str> {
        self.body.as_ref()?.get("code").and_then(Value::as_str)
    }

    fn into_reply(self, call: &Call) -> Result<Reply, Failure> {
        let cut_off = self.is_cut_off();
        if matches!(self.status, 200..=299)
            && let Some(body) = self.body
        {
            return Ok(Reply { body, text: self.text, cut_off, is_kept: self.status == 202 });
        }
        let (Some(code), Some(problem)) = (self.code(), &self.body) else {
            let detail = format!("status {} and no answer of a vault; is this its address?", self.status);
            return Err(Failure::unexpected(detail));
        };
        let failure = Failure::new(code, told_of(problem));
        Err(if self.is_unknown() { with_key(failure, call) } else { failure })
    }
}

fn is_object(text: &str) -> bool {
    serde_json::from_str::<&RawValue>(text).is_ok_and(|json| json.get().starts_with('{'))
}

/// The problem in words: its title and detail, with the names or the field it is about.
fn told_of(problem: &Value) -> String {
    let told = |member| problem.get(member).and_then(Value::as_str).unwrap_or_default();
    let mut text = told("title").to_owned();
    if !told("detail").is_empty() {
        let joint = if text.is_empty() { "" } else { ". " };
        text = format!("{text}{joint}{}", told("detail"));
    }
    for member in ["field", "line", "column", "names"] {
        // References tell their names with their places.
        if member == "names" && problem.get("references").is_some() {
            continue;
        }
        match problem.get(member) {
            Some(Value::String(name)) if text.contains(name.as_str()) => {}
            Some(_) => text = format!("{text} [{member}: {}]", cell(problem, &format!("/{member}"))),
            None => {}
        }
    }
    for reference in problem["references"].as_array().into_iter().flatten() {
        let told = |member| cell(reference, member);
        let (line, column, name, why) = (told("/line"), told("/column"), told("/name"), told("/reason"));
        text = format!("{text} [{line}:{column} {name}: {why}]");
    }
    text
}

/// The write may have happened: says how to learn it without doing it twice.
fn with_key(failure: Failure, call: &Call) -> Failure {
    match &call.key {
        Some(key) => failure
            .with_hint(format!("the same command with --idempotency-key {key} tells what became of it")),
        None if call.only_reads => failure,
        None => failure.with_hint("it may have been done; list to see"),
    }
}

fn text_of(body: &Value) -> Zeroizing<String> {
    Zeroizing::new(body.to_string())
}

fn random_key() -> String {
    let mut bytes = [0; 16];
    Machine.fill(&mut bytes);
    format!("{:032x}", u128::from_ne_bytes(bytes))
}

fn retry_wait(headers: &HeaderMap) -> Duration {
    let seconds = headers.get("Retry-After").and_then(|text| text.to_str().ok()?.parse().ok());
    Duration::from_secs(seconds.unwrap_or(1)).min(RETRY_WAIT_MAX)
}

/// Whether the connection broke after it stood, so that nobody knows what became of the request.
fn connection_was_lost(error: &ureq::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    match error {
        ureq::Error::Io(error) => {
            matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
        }
        ureq::Error::Protocol(_) => true,
        _ => false,
    }
}

fn may_have_arrived(error: &ureq::Error) -> bool {
    use ureq::Timeout::{Connect, Resolve};
    match error {
        ureq::Error::Timeout(stage) => !matches!(stage, Connect | Resolve),
        error => connection_was_lost(error),
    }
}

/// Percent-encodes whatever RFC 3986 does not leave unreserved.
fn push_escaped(uri: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            write!(uri, "%{byte:02X}").expect("writing to a string cannot fail");
        }
    }
}

#[cfg(test)]
mod tests;
