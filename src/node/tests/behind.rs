//! What is asked of a node that lacks the newest is done to what is current, not to what was current here. Shows R1 and X6.

#![allow(clippy::unwrap_used)]

use covault_model::refusal::{CallerMistake, NoAuthority};

use super::{Node, ann, id, new_value, path, three};
use crate::{
    host::Host,
    vault::{Consistency, UpdateTerms, Which},
};

/// Three nodes, the last of which has stopped before version 2 of a secret was made.
async fn one_stopped() -> Vec<Node> {
    let mut nodes = three(None).await;
    nodes[0].create("a", "one").await;
    nodes[2].confirm().await;
    nodes[2].stop().await;
    let (vault, terms) = (&nodes[0].running().vault, UpdateTerms::default());
    vault.update(&ann(), &path("a"), new_value("two"), terms, None).await.unwrap();
    nodes
}

/// The same, with the last one just started again.
async fn one_behind() -> Vec<Node> {
    let mut nodes = one_stopped().await;
    nodes[2].start(false, &[], None).await;
    nodes
}

/// The same, with the registry of the last one from a snapshot, and nothing since.
async fn one_installed(agrees_only: bool) -> Vec<Node> {
    let mut nodes = one_stopped().await;
    nodes[1].confirm().await;
    for node in &nodes[..2] {
        node.running().consensus.compact().await.unwrap();
    }
    nodes[2].agrees_only = agrees_only;
    nodes[2].start(false, &[], None).await;
    nodes[2].confirm().await;
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
    nodes[2].running().records.reconcile(id(1)).await.unwrap();
    assert_eq!(deleted(&nodes[2]).await, [true, false]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_current_before_a_snapshot_is_not_read_as_current_after_it() {
    let nodes = one_installed(false).await;
    assert_eq!(nodes[2].read("a").await, "two");
    let nodes = one_installed(false).await;
    let (vault, now) = (&nodes[2].running().vault, nodes[0].clock.now());
    let read = vault.read(&ann(), &path("a"), Which::At(now), Consistency::Local).await.unwrap();
    assert_eq!(read.summary.version.number, Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_snapshot_names_and_nobody_gives_is_unconfirmed_and_not_the_version_before() {
    let nodes = one_installed(true).await;
    let vault = &nodes[2].running().vault;
    for (which, expected) in [
        (Which::Current, Some(NoAuthority::Unconfirmed.into())),
        (Which::Number(2), Some(NoAuthority::Unconfirmed.into())),
        (Which::Number(1), None),
    ] {
        let read = vault.read(&ann(), &path("a"), which, Consistency::Local).await;
        assert_eq!(read.err(), expected, "{which:?}");
    }
}
