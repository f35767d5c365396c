//! How the node is: for load balancers, for people, for Prometheus.

use http::StatusCode;
use serde_json::json;

use crate::{
    api::{
        answer::{self, Answer},
        call::Call,
        metrics::Metrics,
        observed,
        problem::Problem,
    },
    vault::Vault,
};

/// `GET /health`
pub fn health() -> Answer {
    Answer::json(StatusCode::OK, &json!({ "status": "up" }))
}

/// `GET /ready`
pub fn ready(vault: &Vault) -> Result<Answer, Problem> {
    vault.ready()?;
    Ok(is_ready())
}

/// What `GET /ready` says when it is so.
pub fn is_ready() -> Answer {
    Answer::json(StatusCode::OK, &json!({ "status": "ready" }))
}

/// `GET /v1/status`
pub async fn status(vault: &Vault, mut call: Call) -> Result<Answer, Problem> {
    call.end()?;
    Ok(answer::status(&vault.status(&call.asker).await?))
}

/// `GET /metrics`
pub fn metrics(metrics: &Metrics, vault: &Vault) -> Answer {
    let observed = vault.observe().map(|status| observed::of_node(&status)).unwrap_or_else(|refusal| {
        tracing::warn!(code = refusal.code(), "the node cannot be observed for its metrics");
        String::new()
    });
    rendered(metrics, &observed)
}

/// What `GET /metrics` says: of requests, and of what was observed for it.
pub fn rendered(metrics: &Metrics, observed: &str) -> Answer {
    Answer::new(StatusCode::OK, "text/plain; version=0.0.4", metrics.render() + observed)
}
