//! What holds while all nodes are up: a name is made once and found everywhere, updates are numbered, labels merge.
//! Knows nothing of failures.

use serde_json::{Value, json};

use super::{
    SECRET,
    check::{answers, ensure, field, has_value, in_short, same},
    cluster::{Cluster, create, label, read, update},
    narration::{Narration, Seen},
};
use crate::cli::failure::Failure;

/// How many names all nodes try to make at once.
const RACES: usize = 5;

/// Shows it.
pub async fn show(cluster: &Cluster<'_>, narration: &mut Narration<'_>) -> Result<(), Failure> {
    narration.say(&format!("All nodes are up. A secret named {SECRET} is created on node 1."))?;
    let seen = created_here_read_there(cluster).await;
    narration.claim("What is created on one node is found on every other at once.", seen)?;
    narration.say("It is updated on node 2.")?;
    let seen = updated(cluster).await;
    narration
        .claim("An update is the next version; whoever asks for the agreed one gets it at once.", seen)?;
    narration.say(&format!("All nodes are asked at the same time to create one name, {RACES} times."))?;
    let seen = created_once(cluster).await;
    narration.claim("A name is created exactly once: one node answers 201, all others 409.", seen)?;
    narration.say("Nodes 1 and 3 are told a label each, at the same time.")?;
    let seen = labels_merged(cluster).await;
    narration.claim("Labels set on different nodes are both kept, on every node.", seen)
}

async fn created_here_read_there(cluster: &Cluster<'_>) -> Seen {
    let created = cluster.ask(0, &create(SECRET, "first")).await?;
    answers(&created, "201")?;
    for at in Cluster::but(0) {
        let found = cluster.ask(at, &read(SECRET)).await?;
        ensure(has_value(&found, "first"), || format!("node {} says {}", at + 1, in_short(&found)))?;
    }
    Ok("node 1 answered 201; nodes 2 and 3 gave the value".to_owned())
}

async fn updated(cluster: &Cluster<'_>) -> Seen {
    let updated = cluster.ask(1, &update(SECRET, "second")).await?;
    answers(&updated, "200")?;
    same("its number", &field(&updated, "/version/number"), &json!(2))?;
    let agreed = read(SECRET).query("consistency", Some("quorum"));
    for at in Cluster::but(1) {
        let found = cluster.ask(at, &agreed).await?;
        ensure(has_value(&found, "second"), || format!("node {} does not have it", at + 1))?;
    }
    Ok("node 2 answered 200 with number 2; nodes 1 and 3 gave it, asked with consistency=quorum".to_owned())
}

async fn created_once(cluster: &Cluster<'_>) -> Seen {
    let mut won = Vec::new();
    for race in 1..=RACES {
        let name = format!("app/race-{race}");
        let value = |at| format!("of node {}", at + 1);
        let calls = Cluster::places().map(|at| (at, create(&name, &value(at)))).collect();
        let told: Vec<_> = cluster.ask_at_once(calls).await?.iter().map(in_short).collect();
        let winners: Vec<usize> = Cluster::places().filter(|at| told[*at] == "201").collect();
        let lost = told.iter().filter(|told| *told == "409 secret_exists").count();
        let [winner] = winners[..] else {
            return Err(Failure::new("claim_failed", format!("the answers were {}", told.join(", "))));
        };
        ensure(lost == told.len() - 1, || format!("the answers were {}", told.join(", ")))?;
        let found = cluster.ask(Cluster::but(winner)[0], &read(&name)).await?;
        ensure(has_value(&found, &value(winner)), || "the value is not that of the one that won".to_owned())?;
        won.push((winner + 1).to_string());
    }
    Ok(format!("the nodes that won were {}; each loser answered 409 secret_exists", won.join(", ")))
}

async fn labels_merged(cluster: &Cluster<'_>) -> Seen {
    let calls = vec![(0, label(SECRET, "team", "billing")), (2, label(SECRET, "tier", "gold"))];
    for answer in cluster.ask_at_once(calls).await? {
        answers(&answer, "200")?;
    }
    let both: Value = json!({ "team": "billing", "tier": "gold" });
    cluster.ask_all_until(&read(SECRET), |answer| field(answer, "/labels") == both).await?;
    Ok("every node has team=billing and tier=gold".to_owned())
}
