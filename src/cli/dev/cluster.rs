//! `covault dev --nodes N`: a cluster to try that runs until it is told to stop. Knows nothing of how it is
//! made; `trial` does.

use std::path::Path;

use serde_json::{Value, json};
use tokio::time::sleep;

use super::DevArgs;
use crate::cli::{
    failure::Failure,
    output::Output,
    private_file::write_private,
    serve,
    trial::{LOOK_EVERY, Node, Tokens, Trial},
};

/// Runs a cluster of `count` nodes until the process is told to stop.
pub fn run(args: &DevArgs, count: usize, output: &Output) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new("cannot_start", error.to_string()))?;
    runtime.block_on(async {
        let stopping = serve::stop_signal()?;
        tokio::pin!(stopping);
        let mut trial = Trial::of(&args.data, args.listen).await?;
        let ended = tokio::select! {
            () = &mut stopping => Ok(()),
            ended = start_and_watch(&mut trial, args, count, output) => ended,
        };
        trial.stop();
        ended
    })
}

async fn start_and_watch(
    trial: &mut Trial,
    args: &DevArgs,
    count: usize,
    output: &Output,
) -> Result<(), Failure> {
    trial.start(count).await?;
    tell(trial, args, output)?;
    watch(trial, output).await
}

fn tell(trial: &Trial, args: &DevArgs, output: &Output) -> Result<(), Failure> {
    let nodes: Vec<&Value> = trial.told().collect();
    let Tokens { admin, member } = &trial.tokens;
    if let Some(path) = &args.ready_file {
        let ready = json!({ "admin_token": admin, "member_token": member, "nodes": nodes });
        write_private(path, ready.to_string().as_bytes())?;
    }
    output.text(&welcome(&nodes, &args.data, &trial.tokens))
}

/// Reports nodes that end; returns, with a failure, when none is left.
async fn watch(trial: &mut Trial, output: &Output) -> Result<(), Failure> {
    loop {
        for node in &mut trial.nodes {
            if let Some(end) = node.end() {
                output.note(&end);
            }
        }
        if trial.nodes.iter().all(Node::has_ended) {
            return Err(Failure::new("nodes_ended", "no node is left"));
        }
        sleep(LOOK_EVERY).await;
    }
}

fn welcome(nodes: &[&Value], data: &Path, tokens: &Tokens) -> String {
    let Tokens { admin, member } = tokens;
    let text = |node: &Value, field: &str| node[field].as_str().unwrap_or_default().to_owned();
    let line = |(at, node): (usize, &&Value)| {
        let (url, quic) = (text(node, "url"), text(node, "quic"));
        format!("  node {}  {url}  (peers at {quic}, process {})\n", at + 1, node["pid"])
    };
    let lines: String = nodes.iter().enumerate().map(line).collect();
    let first = nodes.first().map(|node| text(node, "url")).unwrap_or_default();
    let last = nodes.last().map(|node| text(node, "url")).unwrap_or_default();
    format!(
        "covault is ready, {} nodes, their data is in {}

{lines}
  admin token   {admin}
  member token  {member}

Paste into another terminal:

  export COVAULT_URL={first} COVAULT_TOKEN={member}

  curl -s $COVAULT_URL/v1/secrets -H \"Authorization: Bearer $COVAULT_TOKEN\" \\
    -H 'Content-Type: application/json' -d '{{\"name\":\"app/db\",\"value\":\"s3cret\"}}'
  curl -s {last}/v1/secrets/app/db -H \"Authorization: Bearer $COVAULT_TOKEN\"
  curl -s $COVAULT_URL/v1/members -H \"Authorization: Bearer {admin}\"

Kill a node's process and go on. The tokens and the master key lie beside the data: not for secrets that
matter. Ctrl-C stops all nodes.
",
        nodes.len(),
        data.display()
    )
}
