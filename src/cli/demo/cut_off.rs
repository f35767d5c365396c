//! What holds for a node that is cut off with the minority (X7): it creates nothing, keeps updates as provisional and
//! says how it stands; when the others are back, what it kept is agreed or superseded. A node is cut off by pausing
//! the two others, which needs no rights on the network: it hears of nobody, and they of nobody.
//! Knows nothing of killed nodes.

use serde_json::{Value, json};

use super::{
    SECRET,
    check::{answers, ensure, field, has_value, same, text},
    cluster::{Cluster, create, label, read, update},
    narration::{Narration, Seen},
};
use crate::cli::{
    client::{Answered, Call, WriteArgs},
    failure::Failure,
};

/// The node that is cut off.
const ALONE: usize = 2;
const REFUSED: &str = "app/refused";

/// Shows it.
pub async fn show(cluster: &mut Cluster<'_>, narration: &mut Narration<'_>) -> Result<(), Failure> {
    adopted(cluster, narration).await?;
    superseded(cluster, narration).await
}

async fn adopted(cluster: &mut Cluster<'_>, narration: &mut Narration<'_>) -> Result<(), Failure> {
    narration.say("Nodes 1 and 2 are paused with SIGSTOP: node 3 is cut off from any majority.")?;
    cluster.cut_off(ALONE).await?;
    let seen = reads_are_marked(cluster).await;
    narration.claim("A node without a majority serves what it has, and says how it stands.", seen)?;
    let seen = creates_are_refused(cluster).await;
    narration.claim("It refuses to create, and does not say 404 of what it cannot know.", seen)?;
    let seen = keeps_an_update(cluster, "apart").await;
    narration.claim("It keeps an update as provisional, without a number.", seen)?;
    let kept = text(&cluster.ask(ALONE, &read(SECRET)).await?, "/version/id");
    narration.say("Nodes 1 and 2 go on with SIGCONT.")?;
    cluster.go_on(&Cluster::but(ALONE))?;
    let seen = is_adopted(cluster, &kept).await;
    narration.claim("Nothing newer was agreed: the provisional version is, as the next number.", seen)?;
    let seen = was_not_stored(cluster).await;
    narration.claim("Of the create that was refused nothing was stored.", seen)
}

async fn superseded(cluster: &mut Cluster<'_>, narration: &mut Narration<'_>) -> Result<(), Failure> {
    narration.say("Node 3 is cut off once more and updates alone.")?;
    cluster.cut_off(ALONE).await?;
    let seen = keeps_an_update(cluster, "apart again").await;
    narration.claim("It keeps this update as provisional, too.", seen)?;
    let kept = text(&cluster.ask(ALONE, &read(SECRET)).await?, "/version/id");
    let seen = is_labelled(cluster, ALONE, "alone").await;
    narration.claim("Labels need no majority.", seen)?;
    narration.say("Now node 3 is paused, and nodes 1 and 2 go on and agree on an update of their own.")?;
    cluster.pause(ALONE)?;
    cluster.go_on(&Cluster::but(ALONE))?;
    let seen = agreed_by_the_others(cluster).await;
    narration.claim("Two of three agree on an update without the third.", seen)?;
    let seen = is_labelled(cluster, 0, "others").await;
    narration.claim("They set a label of the same secret, too.", seen)?;
    narration.say("Node 3 goes on, too.")?;
    cluster.go_on(&[ALONE])?;
    let seen = is_superseded(cluster, &kept).await;
    narration
        .claim("What was written apart is superseded by what was agreed later, and still readable.", seen)?;
    let seen = labels_merged(cluster).await;
    narration.claim("Labels from both sides of the cut are merged.", seen)?;
    let seen = is_restored(cluster, &kept).await;
    narration.claim("It can be brought back: rollback makes it the next version.", seen)
}

async fn reads_are_marked(cluster: &Cluster<'_>) -> Seen {
    let found = cluster.ask(ALONE, &read(SECRET)).await?;
    ensure(has_value(&found, "third"), || "it does not give the value that it has".to_owned())?;
    ensure(found.is_cut_off(), || "the answer does not say minority".to_owned())?;
    Ok("node 3 gave the value, with Covault-Standing: minority".to_owned())
}

async fn creates_are_refused(cluster: &Cluster<'_>) -> Seen {
    let refused = cluster.ask(ALONE, &create(REFUSED, "no")).await?;
    answers(&refused, "503 quorum_unavailable")?;
    answers(&cluster.ask(ALONE, &read(REFUSED)).await?, "503 unconfirmed")?;
    Ok("the create answered 503 quorum_unavailable, a read of its name 503 unconfirmed".to_owned())
}

async fn keeps_an_update(cluster: &Cluster<'_>, value: &str) -> Seen {
    let kept = cluster.ask(ALONE, &update(SECRET, value)).await?;
    answers(&kept, "202")?;
    same("its number", &field(&kept, "/version/number"), &Value::Null)?;
    same("its state", &text(&kept, "/version/state"), &"provisional".to_owned())?;
    let found = cluster.ask(ALONE, &read(SECRET)).await?;
    ensure(has_value(&found, value), || "it is not what the node gives".to_owned())?;
    same("the current id", &text(&found, "/version/id"), &text(&kept, "/version/id"))?;
    Ok("node 3 answered 202 with number null, and gives the new value".to_owned())
}

async fn is_adopted(cluster: &Cluster<'_>, id: &str) -> Seen {
    let is_agreed = |answer: &Answered| {
        let number = field(answer, "/version/number");
        text(answer, "/version/id") == id && number.is_u64() && has_value(answer, "apart")
    };
    cluster.ask_all_until(&read(SECRET), is_agreed).await?;
    let number = field(&cluster.ask(0, &read(SECRET)).await?, "/version/number");
    same("its number", &number, &json!(4))?;
    Ok(format!("on every node it is number {number}, with the id that node 3 had told"))
}

async fn was_not_stored(cluster: &Cluster<'_>) -> Seen {
    for at in Cluster::places() {
        let missed = cluster.ask_until(at, &read(REFUSED), |answer| answer.status != 503).await?;
        answers(&missed, "404 not_found")?;
    }
    Ok("every node answers 404 not_found".to_owned())
}

async fn agreed_by_the_others(cluster: &Cluster<'_>) -> Seen {
    let call = update(SECRET, "together").header("Prefer", Some("agreed"));
    let agreed = cluster.ask_until(0, &call, |answer| answer.status == 200).await?;
    let number = field(&agreed, "/version/number");
    same("its number", &number, &json!(5))?;
    Ok(format!("node 1 answered 200 with number {number}"))
}

async fn is_labelled(cluster: &Cluster<'_>, at: usize, key: &str) -> Seen {
    answers(&cluster.ask(at, &label(SECRET, key, "cut")).await?, "200")?;
    Ok(format!("node {} answered 200 to {key}=cut", at + 1))
}

async fn labels_merged(cluster: &Cluster<'_>) -> Seen {
    let both = |answer: &Answered| {
        ["/labels/alone", "/labels/others"].iter().all(|label| text(answer, label) == "cut")
    };
    cluster.ask_all_until(&read(SECRET), both).await?;
    Ok("every node has alone=cut and others=cut".to_owned())
}

async fn is_superseded(cluster: &Cluster<'_>, id: &str) -> Seen {
    let passed_over = |answer: &Answered| {
        text(answer, "/version/state") == "superseded" && has_value(answer, "apart again")
    };
    cluster.ask_all_until(&read(SECRET).query("version", Some(id)), passed_over).await?;
    cluster.ask_all_until(&read(SECRET), |answer| has_value(answer, "together")).await?;
    Ok("every node gives what was agreed, and by its id the superseded version with its value".to_owned())
}

async fn is_restored(cluster: &Cluster<'_>, id: &str) -> Seen {
    let body = json!({ "version": id });
    let call = Call::post(format!("/v1/rollback/{SECRET}"), body, &WriteArgs::default());
    let restored = cluster.ask_until(ALONE, &call, |answer| answer.status != 503).await?;
    answers(&restored, "200")?;
    let number = field(&restored, "/version/number");
    same("its number", &number, &json!(6))?;
    cluster.ask_all_until(&read(SECRET), |answer| has_value(answer, "apart again")).await?;
    Ok(format!("node 3 answered 200 with number {number}; every node gives its value"))
}
