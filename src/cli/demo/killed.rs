//! What holds when the leader is killed: two of three go on after an election, and the third catches up when it is
//! back. Knows nothing of nodes that are cut off.

use std::time::Instant;

use super::{
    SECRET,
    check::{answers, ensure, field, has_value, in_short},
    cluster::{Cluster, create, read, update},
    history,
    narration::{Narration, Seen},
};
use crate::cli::failure::Failure;

/// Shows it.
pub async fn show(cluster: &mut Cluster<'_>, narration: &mut Narration<'_>) -> Result<(), Failure> {
    let leader = cluster.leader(0).await?;
    let name = leader + 1;
    narration.say(&format!("Node {name} leads. Its process is killed with SIGKILL, as by a power cut."))?;
    cluster.kill(leader);
    let seen = creates_go_on(cluster, leader).await;
    narration.claim("The others elect a leader among them, and creates go on.", seen)?;
    let seen = updates_and_reads_go_on(cluster, leader).await;
    narration.claim("So do updates and reads; a 404 is still a true one.", seen)?;
    narration.say(&format!("Node {name} is started again."))?;
    cluster.start_again(leader).await?;
    let seen = catches_up(cluster, leader).await;
    narration.claim("The node that was killed lost nothing and catches up by itself.", seen)
}

async fn creates_go_on(cluster: &Cluster<'_>, killed: usize) -> Seen {
    let begun = Instant::now();
    let [asked, other] = Cluster::but(killed);
    // The same request with the same key, so that an answer that was lost does no harm.
    cluster.ask_until(asked, &create("app/after", "after"), |answer| answer.status == 201).await?;
    let paused = begun.elapsed().as_secs_f64();
    let found = cluster.ask(other, &read("app/after")).await?;
    ensure(has_value(&found, "after"), || format!("node {} says {}", other + 1, in_short(&found)))?;
    let (asked, other) = (asked + 1, other + 1);
    Ok(format!("{paused:.1} s after the kill node {asked} answered 201; node {other} gave the value"))
}

async fn updates_and_reads_go_on(cluster: &Cluster<'_>, killed: usize) -> Seen {
    let [asked, other] = Cluster::but(killed);
    let updated = cluster.ask(other, &update(SECRET, "third")).await?;
    answers(&updated, "200")?;
    let agreed = read(SECRET).query("consistency", Some("quorum"));
    ensure(has_value(&cluster.ask(asked, &agreed).await?, "third"), || "the update is not read".to_owned())?;
    answers(&cluster.ask(asked, &read("app/never")).await?, "404 not_found")?;
    let number = field(&updated, "/version/number");
    Ok(format!("an update answered 200 with number {number}, a name that never was 404 not_found"))
}

/// It has every version, and those made while it was away are read from its own data.
async fn catches_up(cluster: &Cluster<'_>, killed: usize) -> Seen {
    let versions = history::same_everywhere(cluster, Cluster::but(killed)[0]).await?.len();
    let found = cluster.ask(killed, &read(SECRET)).await?;
    ensure(has_value(&found, "third"), || "it does not give the newest value".to_owned())?;
    Ok(format!("it has all {versions} versions of {SECRET} and gives the newest, written while it was away"))
}
