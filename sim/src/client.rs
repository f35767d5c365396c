//! HTTP from a simulated machine to a node: one connection for each request, as much patience as the plan says. Knows
//! nothing of what is asked.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    Request,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::time::timeout;
use turmoil::net::TcpStream;

use crate::{machine::HTTP_PORT, story::Told};

/// A request as it goes out.
#[derive(Debug, Clone)]
pub struct Call {
    /// The method.
    pub method: &'static str,
    /// Path and query.
    pub path: String,
    /// Null for none.
    pub body: Value,
    /// Headers beside those that every request has.
    pub headers: Vec<(&'static str, String)>,
}

impl Call {
    /// One without a body.
    pub fn new(method: &'static str, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), body: Value::Null, headers: Vec::new() }
    }

    /// With a body.
    pub fn with(mut self, body: Value) -> Self {
        self.body = body;
        self
    }

    /// With a header, if there is one.
    pub fn header(mut self, name: &'static str, value: Option<String>) -> Self {
        self.headers.extend(value.map(|value| (name, value)));
        self
    }
}

/// Asks the node with this name in the network, and waits no longer than that.
pub async fn ask(node: &str, token: &str, call: &Call, patience: Duration) -> Told {
    let mut reached = false;
    match timeout(patience, exchange(node, token, call, &mut reached)).await {
        Ok(Ok(told)) => told,
        _ if reached => Told::Lost,
        _ => Told::Unreached,
    }
}

/// How long a client waits for a machine to take its connection.
const REACHED_WITHIN: Duration = Duration::from_secs(1);

type Failure = Box<dyn std::error::Error + Send + Sync>;

async fn exchange(node: &str, token: &str, call: &Call, reached: &mut bool) -> Result<Told, Failure> {
    let stream = timeout(REACHED_WITHIN, TcpStream::connect((node, HTTP_PORT))).await??;
    *reached = true;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let request = request(token, call)?;
    let answer = async {
        let answer = sender.send_request(request).await?;
        let (head, body) = answer.into_parts();
        let body = body.collect().await?.to_bytes();
        let standing = head.headers.get("covault-standing");
        Ok::<_, Failure>(Told::Answer {
            status: head.status.as_u16(),
            majority: standing.map(|standing| standing == "majority"),
            body: serde_json::from_slice(&body).unwrap_or_else(|_| text(&body)),
        })
    };
    tokio::pin!(connection);
    tokio::select! {
        biased;
        answer = answer => answer,
        ended = &mut connection => Err(ended.err().map_or_else(|| "it ended".into(), Into::into)),
    }
}

fn text(body: &[u8]) -> Value {
    if body.is_empty() { Value::Null } else { String::from_utf8_lossy(body).into_owned().into() }
}

fn request(token: &str, call: &Call) -> Result<Request<Full<Bytes>>, Failure> {
    let mut request = Request::builder()
        .method(call.method)
        .uri(&call.path)
        .header("host", "node.invalid")
        .header(AUTHORIZATION, format!("Bearer {token}"));
    for (name, value) in &call.headers {
        request = request.header(*name, value);
    }
    let body = match &call.body {
        Value::Null => Bytes::new(),
        body => {
            request = request.header(CONTENT_TYPE, "application/json");
            serde_json::to_vec(body)?.into()
        }
    };
    Ok(request.body(Full::new(body))?)
}
