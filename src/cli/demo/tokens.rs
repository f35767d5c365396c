//! What holds for tokens (T1 to T3, T6): they are the same on every node, also on two that cannot reach each other;
//! a new epoch gives others, and a destroyed one is found nowhere. Knows nothing of how they are computed.

use serde_json::{Value, json};

use super::{
    check::{answers, ensure, field, same, text},
    cluster::Cluster,
    narration::{Narration, Seen},
};
use crate::cli::{
    client::{Answered, Call, WriteArgs},
    failure::Failure,
};

/// The node that is cut off.
const ALONE: usize = 2;
const CARD: &str = "4111111111111111";
const MAIL: &str = "ann@example.org";

/// Shows it.
pub async fn show(cluster: &mut Cluster<'_>, narration: &mut Narration<'_>) -> Result<(), Failure> {
    narration.say("Fields of a document become tokens: a card number, of which the last four digits stay, and a mail address.")?;
    let seen = are_the_same(cluster).await;
    narration
        .claim("The same values have the same tokens on every node, and come back on every node.", seen)?;
    narration.say("Node 3 is cut off, and given a new value.")?;
    cluster.cut_off(ALONE).await?;
    let alone = cluster.ask(ALONE, &tokenize(MAIL)).await?;
    narration.claim("A node that is cut off goes on giving tokens, and says so.", was_told_apart(&alone))?;
    narration.say(
        "Node 3 is paused, the others go on, and node 1 is given the same value. Then node 3 goes on, too.",
    )?;
    cluster.pause(ALONE)?;
    cluster.go_on(&Cluster::but(ALONE))?;
    let other = cluster.ask_until(0, &tokenize(MAIL), |answer| answer.status == 200).await?;
    cluster.go_on(&[ALONE])?;
    let seen = is_one(cluster, &alone, &other).await;
    narration.claim("Both sides gave the same token, and it stands for one value.", seen)?;
    let seen = epochs_change(cluster, &text(&alone, "/document")).await;
    narration.claim(
        "In a new epoch the value has another token. The old epoch, destroyed, is found nowhere.",
        seen,
    )
}

async fn are_the_same(cluster: &Cluster<'_>) -> Seen {
    let fields = json!([{ "pointer": "/card", "format": "digits_last4", "type": "card" }, "/mail"]);
    let body =
        json!({ "document": { "card": CARD, "mail": "bob@example.org", "note": 1.5 }, "fields": fields });
    let first = cluster.ask(0, &post("/v1/tokenize", body.clone())).await?;
    answers(&first, "200")?;
    let tokens = field(&first, "/document");
    ensure(text(&first, "/document/card").ends_with("1111"), || {
        "the last four digits are others".to_owned()
    })?;
    for at in Cluster::places() {
        let again = cluster.ask(at, &post("/v1/tokenize", body.clone())).await?;
        ensure(field(&again, "/document") == tokens, || format!("node {} gives others", at + 1))?;
        let back = post("/v1/detokenize", json!({ "document": tokens, "fields": fields }));
        let back = cluster.ask(at, &back).await?;
        ensure(field(&back, "/document") == body["document"], || {
            format!("node {} brings others back", at + 1)
        })?;
    }
    Ok(format!("{tokens}"))
}

fn was_told_apart(alone: &Answered) -> Seen {
    answers(alone, "202")?;
    ensure(alone.is_cut_off(), || "the answer does not say minority".to_owned())?;
    same("the number of nodes that have it", &field(alone, "/replication/acknowledged"), &json!(1))?;
    Ok(format!("node 3 answered 202 with {}, and Covault-Standing: minority", field(alone, "/document")))
}

async fn is_one(cluster: &Cluster<'_>, alone: &Answered, other: &Answered) -> Seen {
    same("the token", &text(other, "/document"), &text(alone, "/document"))?;
    let back = |answer: &Answered| answer.status == 200 && field(answer, "/values/0") == MAIL;
    cluster.ask_all_until(&detokenize(&text(alone, "/document")), back).await?;
    Ok("node 1 gave the token of node 3, and every node brings its value back".to_owned())
}

async fn epochs_change(cluster: &Cluster<'_>, old: &str) -> Seen {
    let activate = post("/v1/epochs", json!({ "activate": 2 }));
    let active = cluster.ask_until(0, &activate, |answer| answer.status != 503).await?;
    answers(&active, "200")?;
    let new = cluster.ask(0, &tokenize(MAIL)).await?;
    let new = text(&new, "/document");
    ensure(new.starts_with("tok_2_") && new != old, || "it is the same token".to_owned())?;
    cluster.ask_all_until(&detokenize(old), |answer| answer.status == 200).await?;
    let destroy = Call::delete("/v1/epochs/1", &WriteArgs::default());
    let gone = cluster.ask_until(0, &destroy, |answer| answer.status != 503).await?;
    answers(&gone, "200")?;
    cluster.ask_all_until(&detokenize(old), |answer| answer.code() == Some("not_found")).await?;
    cluster.ask_all_until(&detokenize(&new), |answer| answer.status == 200).await?;
    Ok(format!("{new} in epoch 2; of epoch 1 every node answers 404 not_found"))
}

fn tokenize(value: &str) -> Call {
    let field = json!({ "pointer": "", "format": "opaque", "type": "mail" });
    post("/v1/tokenize", json!({ "document": value, "fields": [field] }))
}

fn detokenize(token: &str) -> Call {
    post("/v1/detokenize", json!({ "tokens": [token] }))
}

fn post(path: &str, body: Value) -> Call {
    Call::post(path, body, &WriteArgs::default())
}
