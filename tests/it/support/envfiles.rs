//! `.env` files to be encrypted: drawn up, and asked for until it is known what became of them.
//! Knows nothing of nodes.

use serde_json::json;

use super::{Answer, Client, eventually};

/// A file of so many names under a prefix, each with the client's own value.
pub fn file_of(prefix: &str, count: usize, by: &str) -> String {
    (0..count).map(|number| format!("K{number}=enc({prefix}/{number}={by}-{number})\n")).collect()
}

/// Asks for a file to be encrypted, again with the same key as long as nobody can say what became of it.
pub fn encrypt_surely(client: &Client, content: &str, key: &str) -> Answer {
    eventually("an answer that says what became of a file", || {
        let body = json!({ "content": content });
        let answer = client.json("POST", "/v1/env/encrypt", &[("idempotency-key", key)], &body);
        (answer.status != 503).then_some(answer)
    })
}
