//! An HTTP client that this project did not write (ureq), with one token and kept connections.

use std::time::Duration;

use http::{HeaderMap, Request};
use serde_json::Value;
use ureq::Agent;

/// A caller's client.
#[derive(Clone)]
pub struct Client {
    agent: Agent,
    base: String,
    token: Option<String>,
}

/// One answer, whatever its status.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body as received.
    pub body: Vec<u8>,
}

impl Client {
    /// A client of the node at `base`, speaking with `token`.
    pub fn new(base: &str, token: Option<&str>) -> Self {
        Self::with_agent(plain_agent(), base, token)
    }

    /// A client with an agent of its own making.
    pub fn with_agent(agent: Agent, base: &str, token: Option<&str>) -> Self {
        Self { agent, base: base.trim_end_matches('/').to_owned(), token: token.map(str::to_owned) }
    }

    /// The same node, another token.
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// The same token, another node.
    pub fn at(&self, base: &str) -> Self {
        Self { base: base.trim_end_matches('/').to_owned(), ..self.clone() }
    }

    /// The token it speaks with.
    pub fn token(&self) -> &str {
        self.token.as_deref().expect("a client with a token")
    }

    /// The address it speaks to.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Sends one request; an error only when no answer came.
    pub fn try_send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Result<Answer, ureq::Error> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = match body {
            Some(bytes) => self.agent.run(request.body(bytes)?),
            None => self.agent.run(request.body(())?),
        };
        let mut answer = answer?;
        let body = answer.body_mut().with_config().limit(64 << 20).read_to_vec()?;
        Ok(Answer { status: answer.status().as_u16(), headers: answer.headers().clone(), body })
    }

    /// Sends one request that must be answered. A node that refuses a request before its body has come
    /// closes the connection, so a kept one may turn out to be closed: then it is sent once more.
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&[u8]>) -> Answer {
        let once = || self.try_send(method, path, headers, body);
        once().or_else(|_| once()).unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// `GET`.
    pub fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], None)
    }

    /// `DELETE`.
    pub fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, &[], None)
    }

    /// `POST` with JSON.
    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.json("POST", path, &[], body)
    }

    /// `PUT` with JSON.
    pub fn put(&self, path: &str, body: &Value) -> Answer {
        self.json("PUT", path, &[], body)
    }

    /// `PATCH` with JSON.
    pub fn patch(&self, path: &str, body: &Value) -> Answer {
        self.json("PATCH", path, &[], body)
    }

    /// Any method with JSON and more headers.
    pub fn json(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
        let headers: Vec<_> = [("content-type", "application/json")].iter().chain(headers).copied().collect();
        self.send(method, path, &headers, Some(body.to_string().as_bytes()))
    }

    /// Creates a secret that must not be there yet.
    pub fn create(&self, name: &str, value: &str) -> Answer {
        self.post("/v1/secrets", &serde_json::json!({"name": name, "value": value})).expect(201)
    }

    /// Updates a secret that must be there.
    pub fn update(&self, name: &str, value: &str) -> Answer {
        self.put(&format!("/v1/secrets/{name}"), &serde_json::json!({"value": value})).expect(200)
    }

    /// The current value of a secret that must be there.
    pub fn value(&self, name: &str) -> String {
        self.get(&format!("/v1/secrets/{name}")).expect(200).text("/value")
    }

    /// All versions of a secret, newest first, page after page.
    pub fn history(&self, name: &str) -> Vec<Value> {
        let mut rows = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = self.get(&format!("/v1/history/{name}?limit=100{cursor}")).expect(200);
            rows.extend(page.at("/versions").as_array().expect("an array").iter().cloned());
            match page.at("/next").as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return rows,
            }
        }
    }
}

impl Answer {
    /// The answer itself, if its status is the one.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "answer: {}", self.shown());
        self
    }

    /// The answer itself, if it is a problem with this status and code, in the form the contract gives.
    #[track_caller]
    pub fn expect_problem(self, status: u16, code: &str) -> Self {
        assert_eq!((self.status, self.code().as_str()), (status, code), "answer: {}", self.shown());
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        assert!(self.header("x-request-id").is_some(), "every answer has a request id");
        assert_eq!(self.at("/status"), status, "{}", self.shown());
        assert!(self.at("/title").is_string(), "{}", self.shown());
        if status == 503 {
            assert!(self.header("retry-after").is_some(), "every 503 says when to try again");
        }
        self
    }

    /// The body as JSON.
    #[track_caller]
    pub fn body_json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("not JSON ({error}): {}", self.shown()))
    }

    /// The place in the body that a JSON pointer names; null when there is none.
    #[track_caller]
    pub fn at(&self, pointer: &str) -> Value {
        self.body_json().pointer(pointer).cloned().unwrap_or(Value::Null)
    }

    /// The text at a place of the body.
    #[track_caller]
    pub fn text(&self, pointer: &str) -> String {
        let found = self.at(pointer);
        found.as_str().map(str::to_owned).unwrap_or_else(|| panic!("no text at {pointer}: {}", self.shown()))
    }

    /// The number at a place of the body.
    #[track_caller]
    pub fn number(&self, pointer: &str) -> u64 {
        self.at(pointer).as_u64().unwrap_or_else(|| panic!("no number at {pointer}: {}", self.shown()))
    }

    /// The problem's code; empty when the answer is no problem.
    pub fn code(&self) -> String {
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        body["code"].as_str().unwrap_or_default().to_owned()
    }

    /// A header's text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Status and body, for messages.
    pub fn shown(&self) -> String {
        format!("{} {}", self.status, String::from_utf8_lossy(&self.body))
    }
}

/// The agent that every client over plain HTTP uses: no status is an error, connections are kept.
pub fn plain_agent() -> Agent {
    configured().build().into()
}

/// The settings that all agents share.
pub fn configured() -> ureq::config::ConfigBuilder<ureq::typestate::AgentScope> {
    Agent::config_builder()
        .http_status_as_error(false)
        .allow_non_standard_methods(true)
        .max_idle_connections_per_host(64)
        .max_idle_connections(64)
        .timeout_global(Some(Duration::from_secs(60)))
}
