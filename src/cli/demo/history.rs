//! What is left at the end: one history, the same on every node, each version with the time it was in force.
//! Knows nothing of how it came about.

use serde_json::Value;

use super::{
    SECRET, check,
    cluster::Cluster,
    narration::{Narration, Seen},
};
use crate::cli::{client::Call, failure::Failure, secret::history_table};

/// Shows it.
pub async fn show(cluster: &Cluster<'_>, narration: &mut Narration<'_>) -> Result<(), Failure> {
    narration.say(&format!("The history of {SECRET}, as `covault secret history {SECRET}` prints it:"))?;
    let answer = cluster.ask(0, &history()).await?;
    narration.say(&history_table(&check::field(&answer, "")))?;
    let seen = is_whole(cluster).await;
    narration.claim("History is the same on every node, without a gap, an overlap or a loss.", seen)
}

/// The versions of the secret as one node tells them, newest first, as soon as every node tells the same.
pub async fn same_everywhere(cluster: &Cluster<'_>, as_on: usize) -> Result<Vec<Value>, Failure> {
    let versions = check::field(&cluster.ask(as_on, &history()).await?, "/versions");
    cluster.ask_all_until(&history(), |answer| check::field(answer, "/versions") == versions).await?;
    versions.as_array().cloned().ok_or_else(|| Failure::unexpected("a history without versions"))
}

async fn is_whole(cluster: &Cluster<'_>) -> Seen {
    let versions = same_everywhere(cluster, 0).await?;
    check::is_one_line(&versions)?;
    let agreed = versions.iter().filter(|version| version["number"].is_u64()).count();
    let count = versions.len();
    Ok(format!("{count} versions, {agreed} of them agreed and numbered; each ends where the next begins"))
}

fn history() -> Call {
    Call::get(format!("/v1/history/{SECRET}"))
}
