//! What is asked of a node that lacks the newest is done to what is current, not to what was current here; and what it
//! has answered it shows. Shows D4, R1, X6 and X7.

#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeMap,
    sync::atomic::Ordering::Relaxed,
    time::{Duration, Instant},
};

use covault_model::{
    name::{LabelKey, LabelValue, NamePrefix},
    refusal::{CallerMistake, NoAuthority},
    registry::Registry,
};
use covault_seal::Plaintext;

use super::{DEADLINE, Node, ann, id, new_value, path, three};
use crate::{
    host::Host,
    vault::{
        Consistency, CreatedMany, HistoryQuery, IdempotencyKey, ListQuery, NewSecrets, NewValue, UpdateTerms,
        Vault, Which,
    },
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

/// Leaves the running ones nothing of the log that could bring the last one level.
async fn compact(nodes: &[Node]) {
    nodes[1].confirm().await;
    for node in &nodes[..2] {
        node.running().consensus.compact().await.unwrap();
    }
}

/// Three nodes, with the registry of the last one from a snapshot, and nothing since.
async fn one_installed(agrees_only: bool) -> Vec<Node> {
    let mut nodes = one_stopped().await;
    compact(&nodes).await;
    nodes[2].agrees_only = agrees_only;
    nodes[2].start(false, &[], None).await;
    nodes[2].confirm().await;
    nodes
}

/// Has the last of three nodes `write`, and gives what that is answered once what it writes of the secret `name`, version
/// `number`, has come to it with a snapshot; the leader's own answer is lost unless it is to come.
async fn written_with_a_snapshot<T: Send + 'static>(
    (name, number): (&str, u64),
    is_answered: bool,
    write: impl AsyncFnOnce(Vault) -> T,
) -> (Node, T) {
    let mut nodes = one_stopped().await;
    compact(&nodes).await;
    nodes[2].loses_snapshots.store(true, Relaxed);
    if !is_answered {
        nodes[2].patience = Duration::from_secs(5);
        nodes[..2].iter().for_each(|node| node.unheard_by.store(3, Relaxed));
    }
    nodes[2].start(false, &[], None).await;
    nodes[2].clock.advance(1000);
    let come = async {
        let begun = Instant::now();
        while nodes[..2].iter().any(|node| agreed(node, name) < number) {
            assert!(begun.elapsed() < DEADLINE, "it is not agreed");
            nodes[0].confirm().await;
            nodes[1].confirm().await;
        }
        nodes[2].loses_snapshots.store(false, Relaxed);
    };
    let (written, ()) = tokio::join!(write(nodes[2].running().vault.clone()), come);
    (nodes.swap_remove(2), written)
}

/// How many versions of a secret a node knows to be agreed.
fn agreed(node: &Node, name: &str) -> u64 {
    let view = node.running().store.view().unwrap();
    view.rows().secret(&path(name)).unwrap().map_or(0, |entry| entry.agreed)
}

/// The newest version of a secret in the list of all and in its history, on a node. The list comes first, since a history
/// of which nothing is here is fetched.
async fn shown(node: &Node, name: &str) -> [Option<u64>; 2] {
    let vault = &node.running().vault;
    let list = ListQuery {
        owner: ann().session.caller,
        prefix: NamePrefix::parse("").unwrap(),
        label: None,
        limit: 10,
        after: None,
    };
    let secrets = vault.list(&ann(), list).await.unwrap();
    let listed = secrets.items.into_iter().find(|summary| summary.name == path(name).name);
    let history = HistoryQuery { limit: 10, before: None };
    let versions = vault.history(&ann(), &path(name), history).await.unwrap();
    [listed.and_then(|it| it.version.number), versions.items.first().and_then(|newest| newest.number)]
}

/// A value with the label `k=v`.
fn labelled(value: &str) -> NewValue {
    let label = (LabelKey::parse("k").unwrap(), LabelValue::parse("v").unwrap());
    NewValue { labels: BTreeMap::from([label]), ..new_value(value) }
}

/// Has secrets `b` and `c` created at once. Whether that had been done before.
async fn create_both(vault: &Vault) -> bool {
    let of = |name: &str| (path(name).name, new_value("one").value);
    let new = NewSecrets {
        owner: ann().session.caller,
        secrets: vec![of("b"), of("c")],
        needed: Vec::new(),
        request: Plaintext::new(b"b and c".to_vec()),
    };
    let key = IdempotencyKey::parse("both").unwrap();
    match vault.create_many(&ann(), &new, Some(key), |_| None::<()>).await.unwrap() {
        CreatedMany::All { replayed, .. } => replayed,
        CreatedMany::Lacking(()) => unreachable!(),
    }
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
    // It is later than the marks, of which this node may not have heard.
    nodes[2].clock.advance(1000);
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

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_is_listed_though_it_came_back_with_a_snapshot() {
    let (node, written) = written_with_a_snapshot(("a", 3), true, async |vault| {
        vault.update(&ann(), &path("a"), labelled("three"), UpdateTerms::default(), None).await.unwrap()
    })
    .await;
    assert_eq!(written.version.number, Some(3));
    assert_eq!(shown(&node, "a").await, [Some(3); 2]);
    assert_eq!(node.labels("a"), [("k".into(), "v".into())]);
    let (node, replayed) =
        written_with_a_snapshot(("b", 1), true, async |vault| create_both(&vault).await).await;
    assert!(!replayed);
    assert_eq!([shown(&node, "b").await, shown(&node, "c").await], [[Some(1); 2]; 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_retry_says_was_created_is_listed_though_it_came_with_a_snapshot() {
    let mut nodes = one_stopped().await;
    assert!(!create_both(&nodes[0].running().vault).await);
    compact(&nodes).await;
    nodes[2].start(false, &[], None).await;
    nodes[2].confirm().await;
    assert!(create_both(&nodes[2].running().vault).await);
    assert_eq!([shown(&nodes[2], "b").await, shown(&nodes[2], "c").await], [[Some(1); 2]; 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_has_the_number_that_came_with_a_snapshot_meanwhile() {
    let (node, written) = written_with_a_snapshot(("a", 3), false, async |vault| {
        vault.update(&ann(), &path("a"), labelled("three"), UpdateTerms::default(), None).await.unwrap()
    })
    .await;
    assert_eq!(written.version.number, Some(3));
    assert_eq!(shown(&node, "a").await, [Some(3); 2]);
    node.check_views();
}
