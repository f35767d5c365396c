//! The history of a secret, newest first.
//! Knows nothing of how versions are ordered; it hands their line on.

use crate::{
    api::{
        answer::{self, Answer},
        call::Call,
        cursor,
        problem::Problem,
    },
    vault::{HistoryQuery, Vault},
};

/// `GET /v1/history/{name}`
pub async fn read(vault: &Vault, mut call: Call) -> Result<Answer, Problem> {
    let target = call.target()?;
    let limit = call.limit()?;
    let before = call.query.take("cursor").map(|text| cursor::read_before_version(&text)).transpose()?;
    call.end()?;
    let page = vault.history(&call.asker, &target, HistoryQuery { limit, before }).await?;
    Ok(answer::versions(&target.name, &page.items, page.next.as_ref().map(cursor::before_version)))
}
