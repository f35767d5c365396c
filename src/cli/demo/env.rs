//! A `.env` file among three nodes: its values become secrets, all or none, and come back on another node.
//! Knows nothing of failures.

use serde_json::json;

use super::{
    check::{answers, ensure, field, text},
    cluster::{Cluster, read},
    narration::{Narration, Seen},
};
use crate::cli::{
    client::{Call, WriteArgs},
    failure::Failure,
};

/// A program's file as it is, with a mark at what is to be encrypted.
const FILE: &str =
    "# of the app\nDB_PASSWORD='p w#1'\nDB_URL=postgres://app:enc(DB_PASSWORD)@db/app\nKEY=enc(app/key=k1)\n";
/// What a program sees of it.
const SEEN: &str = "# of the app\nDB_PASSWORD='p w#1'\nDB_URL='postgres://app:p w#1@db/app'\nKEY=k1\n";

/// Shows it.
pub async fn show(cluster: &Cluster<'_>, narration: &mut Narration<'_>) -> Result<(), Failure> {
    narration.say(&format!("Node 1 is given a .env file to encrypt:\n{FILE}"))?;
    let seen = encrypted_here_expanded_there(cluster).await;
    narration
        .claim("Its values become secrets, and another node gives the file that a program sees.", seen)?;
    narration
        .say("A file that asks for a name that is taken, and for new ones, is sent to all nodes at once.")?;
    let seen = none_is_made(cluster).await;
    narration.claim("One name that is taken, and nothing of a file is made.", seen)?;
    narration.say("A file with a reference that leads nowhere is expanded.")?;
    let seen = nothing_comes_out(cluster).await;
    narration.claim("What cannot be resolved is listed, and nothing comes out.", seen)
}

async fn encrypted_here_expanded_there(cluster: &Cluster<'_>) -> Seen {
    let encrypted = cluster.ask(0, &encrypt(FILE)).await?;
    answers(&encrypted, "200")?;
    let content = text(&encrypted, "/content");
    ensure(!content.contains("p w#1"), || "the file still has a value".to_owned())?;
    let expanded = cluster.ask(2, &expand(&content)).await?;
    answers(&expanded, "200")?;
    ensure(text(&expanded, "/content") == SEEN, || "node 3 gave another file".to_owned())?;
    Ok(format!(
        "node 1 answered 200 and created {}; node 3 gave the file back",
        field(&encrypted, "/created")
    ))
}

async fn none_is_made(cluster: &Cluster<'_>) -> Seen {
    let file = "A=enc(app/new-1=1)\nB=enc(app/key=2)\nC=enc(app/new-2=3)\n";
    let calls = Cluster::places().map(|at| (at, encrypt(file))).collect();
    for answer in cluster.ask_at_once(calls).await? {
        answers(&answer, "409 secret_exists")?;
        ensure(field(&answer, "/names") == json!(["app/key"]), || "other names are told".to_owned())?;
    }
    for name in ["app/new-1", "app/new-2"] {
        answers(&cluster.ask(1, &read(name)).await?, "404 not_found")?;
    }
    Ok("each node answered 409 secret_exists and named app/key; the others are 404".to_owned())
}

async fn nothing_comes_out(cluster: &Cluster<'_>) -> Seen {
    let refused = cluster.ask(1, &expand("A=secret(app/key)\nB=secret(app/none)\n")).await?;
    answers(&refused, "422 unresolved_reference")?;
    let told = field(&refused, "/references/0");
    ensure(told["name"] == "app/none" && told["line"] == 2, || "another place is told".to_owned())?;
    Ok("node 2 answered 422 unresolved_reference and named app/none in line 2".to_owned())
}

fn encrypt(content: &str) -> Call {
    Call::post("/v1/env/encrypt", json!({ "content": content }), &WriteArgs::default())
}

fn expand(content: &str) -> Call {
    Call::query_with("/v1/env/expand", json!({ "content": content }))
}
