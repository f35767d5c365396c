//! What was destroyed is in no file of any node's log. Shows E7.

#![allow(clippy::unwrap_used)]

use std::fs;

use super::{Node, ann, eventually, path, three};
use crate::vault::Which;

/// The sealed value of version 1 of the secret `a`.
fn sealed(node: &Node) -> Vec<u8> {
    let view = node.running().store.view().unwrap();
    let (_, row) = view.rows().secret_view(&path("a")).unwrap().unwrap().current.unwrap();
    view.rows().payload(&path("a"), &row.payload).unwrap().unwrap().to_vec()
}

fn is_in_log(node: &Node, bytes: &[u8]) -> bool {
    let files = fs::read_dir(node.dir.path().join("raft")).unwrap();
    // One may be taken away just now.
    let mut held = files.filter_map(|file| fs::read(file.unwrap().path()).ok());
    held.any(|file| file.windows(bytes.len()).any(|window| window == bytes))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destroyed_value_is_soon_in_no_log() {
    let mut nodes = three(None).await;
    nodes[0].create("a", "secret").await;
    nodes[0].confirm().await;
    let sealed = sealed(&nodes[0]);
    for node in &nodes {
        node.confirm().await;
        assert!(is_in_log(node, &sealed), "node {}", node.number);
    }
    nodes[2].stop().await;
    nodes[1].running().vault.destroy(&ann(), &path("a"), vec![Which::Number(1)], None).await.unwrap();
    assert!(!is_in_log(&nodes[1], &sealed), "before it is answered, where it was asked");
    nodes[2].start(false, &[], None).await;
    eventually("it is in no log", || nodes.iter().all(|node| !is_in_log(node, &sealed))).await;
}
