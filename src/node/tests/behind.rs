//! What is asked of a node that has not applied the newest yet is done to what is current, not to what was current here.
//! Shows R1.

#![allow(clippy::unwrap_used)]

use covault_model::refusal::CallerMistake;

use super::{Node, ann, new_value, path, three};
use crate::vault::{Consistency, UpdateTerms, Which};

/// Three nodes, the last of which has just started and lacks version 2 of a secret.
async fn one_behind() -> Vec<Node> {
    let mut nodes = three(None).await;
    nodes[0].create("a", "one").await;
    nodes[2].confirm().await;
    nodes[2].stop().await;
    let (vault, terms) = (&nodes[0].running().vault, UpdateTerms::default());
    vault.update(&ann(), &path("a"), new_value("two"), terms, None).await.unwrap();
    nodes[2].start(false, &[], None).await;
    nodes
}

/// Whether versions 1 and 2 are marked deleted on a node.
async fn deleted(node: &Node) -> [bool; 2] {
    let is_deleted = async |number| {
        let vault = &node.running().vault;
        let read = vault.read(&ann(), &path("a"), Which::Number(number), Consistency::Local).await;
        read.err() == Some(CallerMistake::VersionDeleted.into())
    };
    [is_deleted(1).await, is_deleted(2).await]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_deleted_and_brought_back_without_a_number_is_the_newest_version() {
    let nodes = one_behind().await;
    nodes[2].running().vault.delete(&ann(), &path("a"), None, None).await.unwrap();
    assert_eq!(deleted(&nodes[2]).await, [false, true]);
    let nodes = one_behind().await;
    for number in [1, 2] {
        let which = Some(Which::Number(number));
        nodes[0].running().vault.delete(&ann(), &path("a"), which, None).await.unwrap();
    }
    nodes[2].running().vault.undelete(&ann(), &path("a"), Vec::new(), None).await.unwrap();
    assert_eq!(deleted(&nodes[2]).await, [true, false]);
}
